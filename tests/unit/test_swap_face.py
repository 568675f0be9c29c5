"""The step swap-face: what SeeDream is sent, and how its picture is brought home."""

import base64
import json

import pytest
from PIL import Image

from backlot import prompts
from backlot.errors import ImageHostUnavailable, ImageNotFetched, ImageTooLarge, ImageUnreadable, ImageUrlRefused
from backlot.images.codecs import decode, encode_png
from tests.unit.pictures import opened, plain, saved
from tests.unit.work import CDN, an_item

MASKED, FACE = "https://images.example.com/masked.png", "https://images.example.com/face.jpg"
RESULT = "https://ark.example/result"
ANSWER = {
    "data": [{"url": RESULT}],
    "model": "doubao-seedream-4-0-250828",
    "usage": {"generated_images": 1},
}


def swap(worker, attempt: int = 0, **step_input):
    request = {"masked_image_url": MASKED, "target_face_url": FACE} | step_input
    return worker.deliver(an_item("swap-face", request, attempt=attempt, token=f"token {attempt}"))


@pytest.fixture
def studio(worker, wire):
    worker.hosts.pictures = {MASKED: plain(160, 90, "teal"), FACE: plain(300, 400, "maroon")}
    worker.results.pictures = {RESULT: saved(Image.new("RGB", (64, 36), "navy"), "JPEG")}
    wire.gives(ANSWER)
    return worker


def sent_pictures(wire) -> list[Image.Image]:
    return [opened(base64.b64decode(url.split(",")[1])) for url in wire.bodies()[0]["image"]]


def test_swap_face_sends_the_masked_picture_first_and_without_loss(studio, wire):
    swap(studio)

    masked, face = sent_pictures(wire)
    assert (masked.format, masked.size, masked.getpixel((0, 0))) == ("PNG", (160, 90), (0, 128, 128))
    assert (face.format, face.size) == ("JPEG", (300, 400))


@pytest.mark.parametrize(
    ("prompt", "sent"), [(None, prompts.SWAP_FACE), ("", prompts.SWAP_FACE), (" \n", prompts.SWAP_FACE), ("She", "She")]
)
def test_swap_face_sends_our_prompt_unless_the_request_has_one(studio, wire, prompt, sent):
    swap(studio, prompt=prompt)

    assert wire.bodies()[0]["prompt"] == sent


@pytest.mark.parametrize(("size", "sent"), [(None, "2560x1440"), ("4K", "4K"), ("1024x1024", "1024x1024")])
def test_swap_face_asks_for_the_size_of_the_request_or_of_the_masked_picture(studio, wire, size, sent):
    outcome = swap(studio, size=size)

    assert wire.bodies()[0]["size"] == sent
    assert outcome.output.detail == {"size": sent}


@pytest.mark.parametrize(("side", "kind", "size"), [(4096, "PNG", (4096, 300)), (4097, "JPEG", (4096, 300))])
def test_swap_face_sends_no_reference_larger_than_gains_anything(studio, wire, side, kind, size):
    studio.hosts.pictures[MASKED] = plain(side, 300)
    swap(studio)

    masked, _ = sent_pictures(wire)
    assert (masked.format, masked.size) == (kind, size)


@pytest.mark.parametrize(("spare_bytes", "kind"), [(0, "PNG"), (-1, "JPEG")])
def test_swap_face_sends_a_masked_picture_that_is_too_heavy_as_a_photograph(
    studio, wire, monkeypatch, spare_bytes, kind
):
    weight = len(encode_png(decode(studio.hosts.pictures[MASKED])))
    monkeypatch.setattr("backlot.steps._seedream.MAX_REFERENCE_BYTES", weight + spare_bytes)
    swap(studio)

    assert sent_pictures(wire)[0].format == kind


def test_swap_face_shows_transparent_parts_as_white(studio, wire):
    studio.hosts.pictures[MASKED] = saved(Image.new("RGBA", (90, 90)), "PNG")
    swap(studio)

    assert sent_pictures(wire)[0].getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize(("kind", "ending"), [("JPEG", "jpg"), ("PNG", "png"), ("WEBP", "webp")])
def test_swap_face_stores_the_providers_picture_as_it_is(studio, kind, ending):
    picture = saved(Image.new("RGB", (64, 36), "navy"), kind)
    studio.results.pictures[RESULT] = picture

    output = swap(studio).output

    key = output.result_url.removeprefix(f"{CDN}/")
    assert key.startswith("seedream/")
    assert key.endswith(f".{ending}")
    assert (studio.objects.kept[key], studio.objects.types[key]) == (picture, output.content_type)
    assert (output.width, output.height, output.provider) == (64, 36, "ark")
    assert output.cost_usd == pytest.approx(0.03)


def test_swap_face_whose_picture_cannot_be_downloaded_yet_pays_once(studio, wire):
    picture = studio.results.pictures[RESULT]
    studio.results.pictures[RESULT] = ImageHostUnavailable(reason="HTTP 503")
    assert swap(studio, attempt=0).error_name == "ProviderUnavailable"
    studio.results.pictures[RESULT] = picture
    studio.hosts.pictures = {}

    assert swap(studio, attempt=1).error_name is None
    assert len(wire.sent) == 1


@pytest.mark.parametrize(
    "gone",
    [
        ImageNotFetched(reason="HTTP 403"),
        ImageUrlRefused(reason="plain http is not allowed"),
        ImageTooLarge(reason="it has 900 pixels"),
        ImageUnreadable(reason="it is not an image"),
        b"<html>expired</html>",
        plain(300, 300)[:100],
    ],
    ids=["gone", "refused", "too large", "unreadable", "page", "cut off"],
)
def test_swap_face_whose_picture_cannot_be_had_is_the_providers_fault(studio, gone):
    studio.results.pictures[RESULT] = gone

    assert swap(studio).error_name == "ProviderAnswerInvalid"
    assert studio.objects.kept == {}


@pytest.mark.parametrize("missing", [MASKED, FACE])
def test_swap_face_without_one_of_its_pictures_pays_nothing(studio, wire, missing):
    del studio.hosts.pictures[missing]

    assert swap(studio).error_name == "ImageNotFetched"
    assert wire.sent == []


def test_swap_face_of_refused_content_is_final(studio, wire):
    wire.gives({"error": {"code": "OutputImageSensitiveContentDetected", "message": "no"}}, 400)

    assert swap(studio).error_name == "ContentRefused"
    assert json.dumps(studio.tokens.answers["token 0"][1]).startswith('"ark refused the content')
