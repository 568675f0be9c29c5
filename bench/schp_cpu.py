"""SCHP on the CPU: all backends side by side, and whole jobs."""

import io
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from bench.figures import Figure, Section, Table, p50, p90
from bench.schp_checkpoint import SIZE_PX, checkpoint_in
from sagemaker_models.schp import backends
from sagemaker_models.schp.backends import Backend
from sagemaker_models.schp.checkpoint import read_checkpoint
from sagemaker_models.schp.choose import BackendUnavailable, Chooser, Labeller
from sagemaker_models.schp.config import read_config
from sagemaker_models.schp.figures import draw_figure
from sagemaker_models.schp.masks import masks_of
from sagemaker_models.schp.model import Schp, SchpParameters
from sagemaker_models.schp.preprocess import Letterbox, Pixels, letterbox
from sagemaker_models.serving.model import Outputs, Request

ROOT = Path(__file__).parents[1]

#: Turns in which each backend runs once; jobs; runs of pre- and postprocessing.
TURNS, JOBS, STEPS = 12, 20, 15

#: Figures that neither calibration nor the checkpoint has seen.
FIRST_FIGURE, FIGURES = 4000, 8

#: Of a 12-megapixel photo.
LARGE = (4000, 3000)

YARDSTICK = "plain-fp32"
BACKENDS = ("torch-fp32", "torch-bf16", "openvino-fp32", "openvino-bf16", "native-int8")

RATIO_BAR, DISAGREEMENT_BAR, JOB_BAR_MS, JOB_OF_TWO_BAR_S, PRE_BAR_MS, POST_BAR_MS = 1 / 7, 0.01, 250, 0.2, 30, 15


def measure_cpu() -> Section:
    """Measure on this processor; the first time, the checkpoint is made, which takes a minute."""
    path = checkpoint_in(ROOT / ".build" / "schp-bench")
    checkpoint, config = read_checkpoint(path), read_config()
    chooser = Chooser(checkpoint, config, path.parent)
    built: dict[str, Backend] = {YARDSTICK: backends.plain(checkpoint.network())}
    missing = []
    for name in BACKENDS:
        try:
            built[name] = chooser.build(name)
        except BackendUnavailable as error:
            missing.append((name, str(error)))
    seconds = _in_turns({name: backend.run for name, backend in built.items()}, draw_figure(SIZE_PX, FIRST_FIGURE)[0])
    agreed = _agreement(built, chooser.labeller())
    plain_s = min(seconds[YARDSTICK])
    rows: list[tuple[Any, ...]] = [
        (name, 1000 * p50(taken), 1000 * min(taken), plain_s / min(taken), *(100 * share for share in agreed[name]))
        for name, taken in seconds.items()
    ]
    model = Schp()
    model.load(path.parent)
    chosen = model.describe()["backend"]
    figures = [
        # Best by best: other work on the machine hits the longer runs harder and would flatter the ratio of medians.
        Figure(f"{chosen}, the default here, by the plain network", min(seconds[chosen]) / plain_s, "", RATIO_BAR),
        Figure("share of pixels where a mask differs from fp32's", 1 - min(agreed[chosen][:2]), "", DISAGREEMENT_BAR),
        *_jobs(model),
        *_steps(built[chosen], chooser.labeller()),
    ]
    columns = (
        "backend",
        "ms p50",
        "ms best",
        "plain by it, best",
        "upper, %",
        "lower, %",
        "labels, %",
    )
    tables = [
        Table(
            f"network at 512x512, {TURNS} turns; pixels that are fp32's, on {FIGURES} figures and 2 photos",
            columns,
            rows,
        )
    ]
    if missing:
        tables.append(Table("not here", ("backend", "why"), list(missing)))
    return Section("SCHP on the CPU", figures, tables)


def _in_turns(ways: dict[str, Callable[[Pixels], Any]], picture: Pixels) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-1, TURNS):
        for name, way in ways.items():
            begin = time.perf_counter()
            way(picture)
            if turn >= 0:
                seconds[name].append(time.perf_counter() - begin)
    return seconds


def _agreement(built: dict[str, Backend], label: Labeller) -> dict[str, list[float]]:
    """Return each backend's mean share of pixels that are fp32's: of the upper mask, the lower mask, and the labels."""
    regions = dict(read_config().regions["atr"])
    shares: dict[str, list[list[float]]] = {name: [] for name in built}
    for rgb in _evaluation():
        box = Letterbox(rgb.shape[1], rgb.shape[0], SIZE_PX)
        square = letterbox(rgb, box)
        labels = {name: label(backend.run(square), box) for name, backend in built.items()}
        maps = {name: [*masks_of(found, regions).values(), found] for name, found in labels.items()}
        for name, found in maps.items():
            pairs = zip(found, maps[YARDSTICK], strict=True)
            shares[name].append([float((one == other).mean()) for one, other in pairs])
    return {name: np.mean(each, axis=0).tolist() for name, each in shares.items()}


def _evaluation() -> list[Pixels]:
    figures = [draw_figure(SIZE_PX, seed)[0] for seed in range(FIRST_FIGURE, FIRST_FIGURE + FIGURES)]
    photos = [Image.open(path).convert("RGB") for path in sorted(ROOT.glob("local/portraits/*.[jp][pn]g"))]
    return [cv2.cvtColor(each, cv2.COLOR_BGR2RGB) for each in figures] + [np.asarray(each) for each in photos]


def _jobs(model: Schp) -> list[Figure]:
    small, large = (_jpeg(draw_figure(SIZE_PX, FIRST_FIGURE)[0], size) for size in ((SIZE_PX, SIZE_PX), LARGE))
    alone = _timed(lambda: _job(model, small), JOBS)
    with ThreadPoolExecutor(2) as pool:
        begin = time.perf_counter()
        list(pool.map(lambda _: _job(model, small), range(2 * JOBS)))
        of_two_s = (time.perf_counter() - begin) / (2 * JOBS)
    return [
        Figure("whole job, 512x512 JPEG to three PNGs, p50", p50(alone), "ms", JOB_BAR_MS),
        Figure("whole job, p90", p90(alone), "ms"),
        Figure("whole job, 12-megapixel JPEG, p50", p50(_timed(lambda: _job(model, large), 5)), "ms"),
        Figure("time for a job with 2 workers", of_two_s, "s", JOB_OF_TWO_BAR_S),
        Figure("jobs in a second with 2 workers", 1 / of_two_s, "/s"),
    ]


def _steps(backend: Backend, label: Labeller) -> list[Figure]:
    """Time what stands around the network for a 12-megapixel photo that is decoded already."""
    rgb = np.array(cv2.resize(draw_figure(SIZE_PX, FIRST_FIGURE)[0], LARGE)[:, :, ::-1], np.uint8)
    box = Letterbox(*LARGE, SIZE_PX)
    logits = backend.run(letterbox(rgb, box))
    regions = dict(read_config().regions["atr"])
    before = _timed(lambda: letterbox(rgb, box), STEPS)
    after = _timed(lambda: masks_of(label(logits, box), regions), STEPS)
    return [
        Figure("preprocessing of a 12-megapixel photo, p50", p50(before), "ms", PRE_BAR_MS),
        Figure("labels and both masks of a 12-megapixel photo, p50", p50(after), "ms", POST_BAR_MS),
    ]


def _job(model: Schp, data: bytes) -> None:
    made = model.run([Request({"image": data}, SchpParameters(), "bench")])[0]
    if not isinstance(made, Outputs):
        raise TypeError(f"the job failed: {made}")


def _jpeg(picture: Pixels, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(cv2.resize(picture, size)[:, :, ::-1].copy()).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _timed(call: Callable[[], Any], times: int) -> Sequence[float]:
    """Return milliseconds."""
    made = []
    for turn in range(-1, times):
        begin = time.perf_counter()
        call()
        if turn >= 0:
            made.append(1000 * (time.perf_counter() - begin))
    return made
