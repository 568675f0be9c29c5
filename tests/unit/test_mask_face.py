"""The step mask-face on real pixels: the detector's words are written here, everything after them is ours."""

import json

import pytest
from PIL import Image

from tests.unit.pictures import halves, opened, plain, saved
from tests.unit.work import CDN, an_item

URL = "https://images.example.com/scene.jpg"
TWO_FACES = '[{"bbox_2d": [100, 100, 300, 500]}, {"bbox_2d": [600, 200, 800, 600]}]'


def says(text: str) -> dict:
    return {
        "choices": [{"message": {"content": text}}],
        "model": "qwen3-vl-plus-2025-12-19",
        "usage": {"prompt_tokens": 1000, "completion_tokens": 50},
    }


def mask(worker, url: str = URL, face_index: int = 0):
    return worker.deliver(an_item("mask-face", {"image_url": url, "face_index": face_index}))


@pytest.fixture
def scene(worker, wire):
    worker.hosts.pictures[URL] = plain(200, 100, "white")
    wire.gives(says(TWO_FACES))
    return worker


@pytest.mark.parametrize(("face_index", "hidden", "shown"), [(0, (40, 30), (140, 40)), (1, (140, 40), (40, 30))])
def test_mask_face_hides_the_face_of_its_index_and_no_other(scene, face_index, hidden, shown):
    output = mask(scene, face_index=face_index).output

    masked = opened(scene.objects.kept[output.result_url.removeprefix(f"{CDN}/")])
    assert masked.size == (200, 100)
    assert masked.getpixel(hidden) == (0, 0, 0)
    assert masked.getpixel(shown) == (255, 255, 255)


def test_mask_face_says_what_it_found_what_it_made_and_what_it_cost(scene):
    output = mask(scene).output

    assert output.detail["faces"] == 2
    assert output.detail["face_box"] == [20, 10, 60, 50]
    assert output.detail["mask_box"] == [19.0, 9.0, 61.0, 51.0]
    assert (output.width, output.height, output.content_type) == (200, 100, "image/png")
    assert (output.provider, output.model) == ("dashscope", "qwen3-vl-plus-2025-12-19")
    assert output.cost_usd == pytest.approx(1000 * 0.20e-6 + 50 * 1.60e-6)


def test_mask_face_reads_a_picture_of_our_own_from_the_bucket(scene):
    scene.objects.kept["uploads/scene.png"] = plain(200, 100, "white")

    assert mask(scene, "s3://assets/uploads/scene.png").error_name is None


def test_mask_face_keeps_what_is_transparent(scene):
    scene.hosts.pictures[URL] = saved(Image.new("RGBA", (200, 100), (9, 9, 9, 0)), "PNG")

    masked = opened(scene.objects.kept[mask(scene).output.result_url.removeprefix(f"{CDN}/")])

    assert masked.getpixel((40, 30)) == (0, 0, 0, 255)
    assert masked.getpixel((140, 40)) == (9, 9, 9, 0)


def test_mask_face_shows_the_detector_the_picture_upright(scene, wire):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = halves("RGB", "red", "blue", (200, 100))
    scene.hosts.pictures[URL] = saved(lying, "PNG", exif=exif)

    output = mask(scene).output

    (body,) = wire.bodies()
    assert body["messages"][0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
    assert (output.width, output.height) == (100, 200)


@pytest.mark.parametrize(
    ("text", "face_index", "error"),
    [
        ('{"faces": []}', 0, "NoFaceFound"),
        ('{"faces": [{"bbox_2d": [5, 5, 5, 5]}]}', 0, "NoFaceFound"),
        (TWO_FACES, 2, "FaceIndexOutOfRange"),
        ('{"faces": [{"bbox_2d": [1, 2', 0, "ProviderAnswerInvalid"),
    ],
)
def test_mask_face_without_the_face_says_so_and_stores_nothing(scene, wire, text, face_index, error):
    wire.gives(says(text))

    assert mask(scene, face_index=face_index).error_name == error
    assert scene.objects.kept == {}


def test_mask_face_beyond_the_faces_tells_how_many_there_are(scene):
    mask(scene, face_index=2)

    assert scene.tokens.answers["token"][1] == "Face index 2 out of range (detected 2 faces)"


@pytest.mark.parametrize(
    ("url", "picture", "error"),
    [
        (URL, b"<html>", "ImageUnreadable"),
        (URL, plain(14, 14), "ImageShapeRefused"),
        ("https://images.example.com/none.jpg", None, "ImageNotFetched"),
        ("https://127.0.0.1./a.jpg", None, "ImageUrlRefused"),
        ("s3://assets/uploads/none.png", None, "ImageNotFetched"),
        ("s3://foreign/uploads/a.png", None, "ImageUrlRefused"),
    ],
)
def test_mask_face_of_a_picture_that_cannot_be_had_pays_nothing(scene, wire, url, picture, error):
    scene.hosts.pictures = {URL: picture} if picture else {}

    assert mask(scene, url).error_name == error
    assert wire.sent == []


def test_mask_face_without_a_key_pays_nothing_and_can_be_tried_again(scene, wire):
    scene.keys.missing.add("dashscope")
    assert mask(scene).error_name == "ProviderRefused"
    assert wire.sent == []


def test_mask_face_that_could_not_store_its_result_does_not_pay_again(scene, wire, monkeypatch):
    with monkeypatch.context() as patch:
        patch.delattr(type(scene.objects), "put")
        with pytest.raises(AttributeError):
            mask(scene)

    assert mask(scene).error_name is None
    assert len(wire.sent) == 1


def test_mask_face_done_twice_leaves_one_object(scene):
    first = mask(scene)
    scene.ledger.records.clear()
    second = mask(scene)

    assert first.output.result_url == second.output.result_url
    assert len(scene.objects.kept) == 1


def test_mask_face_of_the_whole_picture_is_squeezed_into_it(scene, wire):
    wire.gives(says(json.dumps({"bbox_2d": [0, 0, 1000, 1000]})))

    assert mask(scene).output.detail["mask_box"] == [0.0, 0.0, 200.0, 100.0]
