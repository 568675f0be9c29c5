"""The generator's client against Ark's stand-in: what it sends is taken, and every fault is one of our errors."""

import io
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backlot import prompts
from backlot.errors import (
    ContentRefused,
    ImageHostUnavailable,
    ImageNotFetched,
    MaybePaid,
    ProviderAnswerInvalid,
    ProviderRefused,
    ProviderThrottled,
    ProviderTimedOut,
    ProviderUnavailable,
)
from backlot.image_urls import ImageUrlPolicy
from backlot.images import codecs
from backlot.providers.fetch import ImageFetcher
from local.demo import PORTRAITS
from local.stand_ins.faults import AnyFault
from tests.wire.providers import SEEDREAM_MODEL, generate

FACE = codecs.data_url("image/jpeg", (PORTRAITS / "grace_hopper.jpg").read_bytes())


WALL = (150, 140, 130)


def masked() -> Image.Image:
    """Return a grey wall with a black ellipse."""
    image = Image.new("RGB", (400, 400), WALL)
    ImageDraw.Draw(image).ellipse((130, 110, 270, 290), fill="black")
    return image


def as_url(image: Image.Image, kind: str = "png") -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return codecs.data_url(f"image/{kind}", buffer.getvalue())


MASKED = as_url(masked())


@pytest.fixture
def ask(stand_ins):
    def call(**changes) -> dict:
        return generate(stand_ins.origin, **{"key": stand_ins.ark_key, "images": [MASKED, FACE]} | changes)

    return call


@pytest.fixture
def download(stand_ins):
    """Fetch the picture that an answer names."""
    policy = ImageUrlPolicy(insecure_hosts=frozenset({stand_ins.origin.removeprefix("http://")}))
    return lambda answer: ImageFetcher(policy).fetch(answer["pictures"][0]["url"])


def test_generate_of_a_masked_picture_fills_its_ellipse_and_nothing_else(ask, download):
    answer = ask()

    made = np.asarray(Image.open(io.BytesIO(download(answer))).convert("RGB").resize((400, 400)), np.int16)
    assert np.abs(made - np.asarray(masked(), np.int16))[:80].max() < 8
    assert made[170:230, 170:230].mean() > 40
    assert (answer["model"], answer["images"]) == (f"{SEEDREAM_MODEL} (stand-in)", 1)


def test_generate_with_the_pictures_the_other_way_round_makes_another_picture(ask, download):
    made = np.asarray(Image.open(io.BytesIO(download(ask(images=[FACE, MASKED])))).convert("RGB"), np.int16)

    assert np.abs(made[:80] - WALL).mean() > 20


def test_generate_sends_what_the_api_documents(ask, stand_ins):
    ask(size="1280x720")

    assert stand_ins.bodies == [
        {
            "model": SEEDREAM_MODEL,
            "prompt": prompts.SWAP_FACE,
            "image": [MASKED, FACE],
            "size": "1280x720",
            "sequential_image_generation": "disabled",
            "response_format": "url",
            "stream": False,
            "watermark": False,
        }
    ]


def test_generate_of_a_batch_names_the_pictures_that_failed(ask, stand_ins):
    stand_ins.fault("ark", kind="images", images=[1], code="OutputImageRiskDetection", message="words")
    answer = ask(images=[], max_images=3)

    assert [sorted(picture) for picture in answer["pictures"]] == [["url"], ["error"], ["url"]]
    assert answer["images"] == 2


@pytest.mark.parametrize("size", ["1280x720", "4096x4096", "1K"])
def test_generate_of_a_size_at_the_models_limits_is_made(ask, download, size):
    assert codecs.read_header(download(ask(size=size))).content_type == "image/jpeg"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key": "wrong"}, "AuthenticationError"),
        ({"size": "1279x720"}, "`size`"),
        ({"size": "4096x4097"}, "`size`"),
        ({"size": "3K"}, "`size`"),
        ({"size": "1024x1024", "model": "seedream-4-5-251128"}, "`size`"),
        ({"prompt": " "}, "`prompt`"),
        ({"images": [FACE] * 15}, "`image`"),
        ({"images": ["data:image/PNG;base64,AA"]}, "`image`"),
        ({"images": ["data:image/png;base64,!"]}, "`image`"),
    ],
    ids=["key", "small", "large", "tier", "model", "prompt", "too many", "upper case", "base64"],
)
def test_generate_of_what_the_api_does_not_take_is_refused(ask, changes, words):
    with pytest.raises(ProviderRefused, match=words):
        ask(**changes)


#: HTTP status, code, and what it is for us. Source: Ark's error codes, read 2026-11-20.
ERRORS = [
    (400, "InvalidParameter", ProviderRefused),
    (400, "MissingParameter", ProviderRefused),
    (400, "InvalidParameter.UnsupportedParameter", ProviderRefused),
    (400, "InputTextSensitiveContentDetected", ContentRefused),
    (400, "InputTextSensitiveContentDetected.PolicyViolation", ContentRefused),
    (400, "InputImageSensitiveContentDetected", ContentRefused),
    (400, "InputImageSensitiveContentDetected.PrivacyInformation", ContentRefused),
    (400, "OutputImageSensitiveContentDetected", ContentRefused),
    (400, "OutputImageSensitiveContentDetected.DeepFake", ContentRefused),
    (400, "InputTextRiskDetection", ContentRefused),
    (400, "InputImageRiskDetection", ContentRefused),
    (400, "OutputImageRiskDetection", ContentRefused),
    (401, "AuthenticationError", ProviderRefused),
    (403, "AccountOverdueError", ProviderRefused),
    (403, "AccessDenied", ProviderRefused),
    (404, "ModelNotOpen", ProviderRefused),
    (404, "InvalidEndpointOrModel.NotFound", ProviderRefused),
    (404, "UnsupportedModel", ProviderRefused),
    (429, "ModelAccountIpmRateLimitExceeded", ProviderThrottled),
    (429, "ModelAccountRpmRateLimitExceeded", ProviderThrottled),
    (429, "RateLimitExceeded.EndpointRPMExceeded", ProviderThrottled),
    (429, "AccountRateLimitExceeded", ProviderThrottled),
    (429, "ServerOverloaded", ProviderThrottled),
    (429, "RequestBurstTooFast", ProviderThrottled),
    (429, "SetLimitExceeded", ProviderRefused),
    (429, "QuotaExceeded", ProviderRefused),
    (500, "InternalServiceError", ProviderUnavailable),
    (502, "", ProviderUnavailable),
    (503, "", ProviderUnavailable),
]


@pytest.mark.parametrize(("status", "code", "error"), ERRORS)
def test_generate_refused_by_the_api_is_the_error_that_its_code_means(ask, stand_ins, status, code, error):
    stand_ins.fault("ark", kind="status", status=status, code=code, message="words")
    with pytest.raises(error, match=f"{code}: words" if code else "words") as caught:
        ask()
    assert caught.type is error
    assert stand_ins.calls() == {"ark": 1}


def test_generate_limited_with_a_time_to_wait_is_throttled_at_once(ask, stand_ins):
    code = "ModelAccountIpmRateLimitExceeded"
    stand_ins.fault("ark", kind="status", status=429, code=code, headers={"Retry-After": "20"})
    with pytest.raises(ProviderThrottled, match=code):
        ask()
    assert stand_ins.calls() == {"ark": 1}


#: Faults of the call that are not refusals, and what each is for us.
FAULTS = [
    ({"kind": "truncated"}, MaybePaid),
    ({"kind": "reset"}, MaybePaid),
    ({"kind": "none", "wait_s": 1.0}, ProviderTimedOut),
    ({"kind": "body", "text": ""}, ProviderAnswerInvalid),
    ({"kind": "body", "text": "<html>"}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"data": [{"url": '}, ProviderAnswerInvalid),
    ({"kind": "body", "text": "null"}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"data": []}'}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"data": {}}'}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"data": [{"url": ""}]}'}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"data": [{"b64_json": "AA"}]}'}, ProviderAnswerInvalid),
    ({"kind": "body", "text": '{"data": [{"error": {"code": "OutputImageRiskDetection"}}]}'}, ContentRefused),
    ({"kind": "body", "text": '{"data": [{"error": {"code": "InternalServiceError"}}]}'}, ProviderUnavailable),
    ({"kind": "body", "text": '{"error": {"code": "OutputImageRiskDetection"}}'}, ContentRefused),
    ({"kind": "body", "text": '{"error": {"code": "InternalServiceError"}}'}, ProviderUnavailable),
    ({"kind": "body", "text": '{"error": {"code": "ServerOverloaded"}}'}, ProviderThrottled),
    ({"kind": "body", "text": '{"error": {"code": "QuotaExceeded"}}'}, ProviderRefused),
]


@pytest.mark.parametrize(("fault", "error"), FAULTS)
def test_generate_of_a_faulty_answer_is_the_error_that_it_means(ask, stand_ins, fault, error):
    stand_ins.fault("ark", **fault)
    with pytest.raises(error) as caught:
        ask(limit_s=0.5 if fault["kind"] == "none" else 20.0)
    assert caught.type is error
    assert stand_ins.calls() == {"ark": 1}


#: Faults of the result's host, and what each is for the fetcher.
RESULT_FAULTS = [
    ({"kind": "status", "status": 404}, ImageNotFetched),
    ({"kind": "status", "status": 503}, ImageHostUnavailable),
    ({"kind": "status", "status": 429}, ImageHostUnavailable),
    ({"kind": "truncated"}, ImageHostUnavailable),
    ({"kind": "reset"}, ImageHostUnavailable),
]


@pytest.mark.parametrize(("fault", "error"), RESULT_FAULTS)
def test_fetch_of_a_result_that_cannot_be_had_at_once_works_a_second_time(ask, stand_ins, download, fault, error):
    answer = ask()
    stand_ins.fault("ark-results", **fault)
    with pytest.raises(error):
        download(answer)

    assert codecs.verify(download(answer)).content_type == "image/jpeg"
    assert stand_ins.calls()["ark"] == 1


def test_fetch_of_a_result_whose_url_has_expired_is_final(ask, stand_ins, download):
    stand_ins.fault("ark", kind="expired")
    answer = ask()
    with pytest.raises(ImageNotFetched, match="HTTP 403"):
        download(answer)


def test_every_kind_of_fault_is_in_the_tables():
    known = set(get_args(AnyFault))
    assert {fault["kind"] for fault, _ in FAULTS} | {"status", "expired", "images"} == known - {"text"}
