"""The same work in the design that Backlot replaces, where everybody asks everybody every two seconds."""

import time
from collections.abc import Callable
from typing import Any

from backlot.aws.s3 import Bucket
from backlot.aws.secrets import ProviderKeys
from backlot.image_urls import ImageUrlPolicy
from backlot.providers.fetch import ImageFetcher
from backlot.providers.qwen_vl import QwenVL
from backlot.steps import StepDeps, StepRun, Stopwatch
from backlot.steps.mask_face import MaskFaceInput, mask_face
from backlot.tasks import new_task_id
from bench.figures import Figure, Section, p50, p90
from bench.polled_server import PERIOD_S, PolledServer, poll
from bench.stand import Stand, timed

SAMPLES = 10

#: Requests of ours for one task: the submission, and one read that is held until the task ends.
OUR_REQUESTS = 2.0

#: Moments of a period, evenly spread and in an order that goes with nothing.
_SPREAD = [PERIOD_S * (index * 7 % SAMPLES) / SAMPLES for index in range(SAMPLES)]


def measure_polling(stand: Stand) -> Section:
    """Measure both designs in turns: with the stand-in as quick as it is, and with one that takes up to 2 s longer."""
    title = f"What a client waits for a face-mask, polled every {PERIOD_S:g} s and ours, {SAMPLES} each"
    image_url = stand.upload("astronaut.png")
    servers = PolledServer(_image_work(stand))
    orchestrator = PolledServer(lambda body: poll(servers.url, body))
    try:
        _polled(orchestrator, image_url, 0.0)
        quick = _compare(stand, image_url, orchestrator, [0.0] * SAMPLES)
        slower = _compare(stand, image_url, orchestrator, sorted(_SPREAD))
    finally:
        orchestrator.close()
        servers.close()
    asked = (servers.requests + orchestrator.requests) / (2 * SAMPLES + 1)
    return Section(
        title,
        [
            *_figures("quick provider", *quick),
            *_figures("provider + 0 to 2 s", *slower),
            Figure("HTTP requests a task, polled, mean", asked, ""),
            Figure("HTTP requests a task, ours", OUR_REQUESTS, ""),
        ],
    )


def _compare(
    stand: Stand, image_url: str, orchestrator: PolledServer, waits: list[float]
) -> tuple[list[float], list[float]]:
    """Return what clients waited, polled and ours, seconds, for providers that take so much longer."""
    polled, ours = [], []
    for wait_s, first_s in zip(waits, _SPREAD, strict=True):
        stand.delay_provider(QwenVL.name, wait_s)
        polled.append(_polled(orchestrator, image_url, first_s))
        stand.delay_provider(QwenVL.name, wait_s)
        with timed() as waited:
            stand.finish(stand.submit("face-mask", {"image_url": image_url}))
        ours.append(waited.seconds)
    return polled, ours


def _polled(orchestrator: PolledServer, image_url: str, first_s: float) -> float:
    """Return what a client waits whose clock, as anybody's, is nobody else's: it first asks at any moment."""
    with timed() as waited:
        poll(orchestrator.url, {"image_url": image_url}, first_s)
    return waited.seconds


def _figures(name: str, polled: list[float], ours: list[float]) -> list[Figure]:
    return [
        Figure(f"{name}: polled, p50", p50(polled), "s"),
        Figure(f"{name}: polled, p90", p90(polled), "s"),
        Figure(f"{name}: ours with ?wait=, p50", p50(ours), "s"),
        Figure(f"{name}: ours with ?wait=, p90", p90(ours), "s"),
        Figure(f"{name}: polled to ours, of the medians", p50(polled) / p50(ours), ""),
    ]


def _image_work(stand: Stand) -> Callable[[dict[str, Any]], str]:
    """Return the very work of the step, called by a server with a thread of its own."""
    images = ImageUrlPolicy.of(stand.outputs["BucketName"], stand.outputs["CdnUrl"], "")
    deps = StepDeps(
        providers={QwenVL.name: QwenVL(base_url=f"{stand.place.stand_ins}/compatible-mode/v1", limit_s=60)},
        models={QwenVL.name: "qwen3-vl-plus"},
        keys=ProviderKeys(stand.aws("secretsmanager"), "backlot/local/"),
        images=images,
        objects=Bucket(stand.aws("s3"), stand.outputs["BucketName"]),
        fetcher=ImageFetcher(images),
        result_fetcher=ImageFetcher(images),
    )

    def work(body: dict[str, Any]) -> str:
        run = StepRun(
            task_id=new_task_id(),
            created_ms=time.time_ns() // 1_000_000,
            kept_answer=None,
            pay=lambda _, call: call(),
            job=lambda *_: {},
            retries=0,
            watch=Stopwatch(),
            deps=deps,
        )
        return mask_face(MaskFaceInput(image_url=body["image_url"]), run).result_url

    return work
