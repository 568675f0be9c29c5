"""The step that buys a picture, against Ark's stand-in: one that was bought and cannot be had is named as that."""

from types import SimpleNamespace

import pytest

from backlot.errors import ProviderAnswerInvalid, ProviderUnavailable
from backlot.image_urls import ImageUrlPolicy
from backlot.images import codecs
from backlot.providers.fetch import ImageFetcher
from backlot.providers.seedream import Seedream
from backlot.steps import StepDeps, StepRun, step_named
from backlot.steps._step import Stopwatch
from backlot.tasks import StepOutput
from local.demo import PORTRAITS
from tests.wire.providers import SEEDREAM_MODEL


class Bucket:
    """What was stored, and the portraits."""

    def __init__(self) -> None:
        self.stored: dict[str, bytes] = {}

    def get(self, key: str, _: int) -> bytes:
        return (PORTRAITS / key.removeprefix("uploads/")).read_bytes()

    def put(self, key: str, body: bytes, **_: str) -> None:
        self.stored[key] = body


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
def swap(stand_ins, bucket):
    """Run the step, with what an earlier run paid for if it is given."""
    paid: list[dict] = []

    def pay(_, call) -> dict:
        paid.append(call())
        return paid[-1]

    def run() -> StepOutput:
        policy = ImageUrlPolicy(
            "assets", "https://cdn.example.net", frozenset({stand_ins.origin.removeprefix("http://")})
        )
        step = step_named("swap-face")
        deps = StepDeps(
            providers={Seedream.name: Seedream(base_url=f"{stand_ins.origin}/api/v3", limit_s=20)},
            models={Seedream.name: SEEDREAM_MODEL},
            keys=SimpleNamespace(key=lambda _: stand_ins.ark_key),
            images=policy,
            objects=bucket,
            fetcher=ImageFetcher(policy),
            result_fetcher=ImageFetcher(policy, max_bytes=64_000_000),
        )
        request = step.input(
            masked_image_url="s3://assets/uploads/astronaut.png",
            target_face_url="s3://assets/uploads/grace_hopper.jpg",
            size="1024x1024",
        )
        step_run = StepRun(
            task_id="00000000-0000-4000-8000-000000000001",
            created_ms=1_763_700_000_000,
            kept_answer=paid[-1] if paid else None,
            pay=pay,
            job=lambda *_: {},
            retries=0,
            watch=Stopwatch(),
            deps=deps,
        )
        return step.run(request, step_run)

    return run


def test_swap_face_stores_the_picture_that_it_bought(swap, bucket):
    output = swap()

    ((key, data),) = bucket.stored.items()
    assert output.result_url == f"https://cdn.example.net/{key}"
    assert codecs.verify(data) == codecs.Header("image/jpeg", 1024, 1024)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 503},
        {"kind": "status", "status": 429},
        {"kind": "truncated"},
        {"kind": "reset"},
    ],
)
def test_swap_face_whose_picture_cannot_be_had_at_once_gets_it_later_and_buys_it_once(swap, stand_ins, bucket, fault):
    stand_ins.fault("ark-results", **fault)
    with pytest.raises(ProviderUnavailable, match="its picture cannot be downloaded"):
        swap()
    assert bucket.stored == {}

    assert swap().width == 1024
    assert stand_ins.calls() == {"ark": 1, "ark-results": 2}


@pytest.mark.parametrize(
    ("provider", "fault", "words"),
    [
        ("ark", {"kind": "expired"}, "HTTP 403"),
        ("ark-results", {"kind": "status", "status": 404}, "HTTP 404"),
        ("ark-results", {"kind": "body", "text": "<html>"}, "its content is not JPEG"),
        ("ark", {"kind": "body", "text": '{"data": [{"url": "https://169.254.169.254/"}]}'}, "not a public address"),
        ("ark", {"kind": "body", "text": '{"data": [{"url": "file:///etc/passwd"}]}'}, "scheme"),
        ("ark", {"kind": "body", "text": '{"data": [{"url": "s3://foreign/images/x.png"}]}'}, "can be read"),
    ],
)
def test_swap_face_whose_picture_cannot_be_had_at_all_is_an_invalid_answer(
    swap, stand_ins, bucket, provider, fault, words
):
    stand_ins.fault(provider, **fault)
    with pytest.raises(ProviderAnswerInvalid, match=f"its picture cannot be had.*{words}"):
        swap()
    assert bucket.stored == {}
