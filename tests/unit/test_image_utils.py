"""`/api/image-utils/...` and white balance: what their clients get, pixel for pixel."""

import base64

import numpy as np
import pytest
from PIL import Image

from backlot.images import cut_outs, mask_edges, white_balance
from backlot.tasks import Status
from lambdas.serve_api.artmancer import old_pictures
from lambdas.serve_api.artmancer import white_balance as route
from tests.unit.old_clients import from_base64, in_base64, post_form, working
from tests.unit.pictures import opened, plain, saved

SCENE = Image.fromarray(np.random.default_rng(3).integers(0, 255, (30, 40, 3), np.uint8))
DISC = Image.new("L", (40, 30), 0)
DISC.paste(200, (10, 5, 20, 25))


@pytest.mark.parametrize("grow_px", [1, 2, 3, 7, 10, -1, -3, -4])
def test_growing_is_a_dilation_by_a_square(grow_px):
    noise = np.random.default_rng(1).random((50, 60)) > 0.93
    mask = np.where(noise if grow_px > 0 else ~noise, 255, 0).astype(np.uint8)
    reach = abs(grow_px)
    padded = np.pad(mask, reach, constant_values=0 if grow_px > 0 else 255)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))
    wanted = windows.max((2, 3)) if grow_px > 0 else windows.min((2, 3))

    assert np.array_equal(np.asarray(mask_edges.grown(Image.fromarray(mask), grow_px)), wanted)


def test_growing_by_nothing_changes_nothing():
    assert mask_edges.grown(DISC, 0) is DISC


def test_removed_background_is_answered_as_bytes(api):
    made = plain(10, 10)
    worker = working(api, made)
    answer = post_form(api, "/api/image-utils/remove-bg", {}, plain(40, 30))

    assert (answer.status, answer.headers["Content-Type"], answer.headers["is-base64"]) == (200, "image/png", "True")
    assert base64.b64decode(answer.text) == made
    ((operation, request),) = worker.requests
    assert (operation, request["quality"], request["max_side"], request["output"]) == (
        "remove-background",
        "fast",
        1024,
        "image",
    )


@pytest.mark.parametrize(("file", "kind"), [(None, ""), (plain(), "text/plain"), (plain(), "")])
def test_what_is_no_image_is_refused_in_the_old_words(api, file, kind):
    answer = post_form(api, "/api/image-utils/remove-bg", {}, file, kind)
    sentence = "File must be an image. Supported formats: PNG, JPEG, JPG, WEBP"
    assert (answer.status, answer.text) == (400, f'{{"detail":"{sentence}"}}')


@pytest.mark.parametrize("file", [b"", b"hello"])
def test_file_that_is_empty_or_broken_is_the_callers_fault(api, file):
    answer = post_form(api, "/api/image-utils/remove-bg", {}, file)
    assert answer.status == 400
    assert answer.json()["detail"].startswith("Error removing background: The image cannot be read")


def test_failed_removal_says_so(api):
    working(api, status=Status.FAILED, error_name="ModelFailed", error_message="it broke")
    answer = post_form(api, "/api/image-utils/remove-bg", {}, plain())
    assert (answer.status, answer.json()["detail"]) == (500, "Error removing background: it broke")


def extract(api, query=None, **body):
    sent = {"image": in_base64(SCENE), "mask": in_base64(DISC)} | body
    return api.post("/api/image-utils/extract-object", sent, query=query)


def test_object_of_the_first_generation_has_the_mask_as_its_opacity(api):
    cut = from_base64(extract(api).json()["extracted_image"])

    assert (cut.mode, cut.size) == ("RGBA", (40, 30))
    assert np.array_equal(np.asarray(cut.getchannel("A")), np.asarray(DISC))
    assert np.array_equal(np.asarray(cut.convert("RGB")), np.asarray(SCENE))


@pytest.mark.parametrize(("query", "body"), [({"version": "3"}, {}), (None, {"version": 3})])
def test_object_of_the_third_version_lies_on_a_white_square(api, query, body):
    cut = from_base64(extract(api, query, **body).json()["extracted_image"])

    assert (cut.mode, cut.size) == ("RGB", (512, 512))
    # The object is 10 by 20 px: enlarged to 256 by 512, centred, white beside it.
    pixels = np.asarray(cut)
    assert (pixels[:, :128] == 255).all()
    assert (pixels[:, 384:] == 255).all()
    assert (pixels[:, 128:384] < 255).mean() > 0.9


def test_large_object_gets_the_large_square():
    mask = Image.new("L", (700, 600), 255)
    assert cut_outs.on_white_square(Image.new("RGB", (700, 600)), mask).size == (1024, 1024)


def test_faults_are_told_as_each_generation_told_them(api):
    first = extract(api, mask="####")
    third = extract(api, {"version": "3"}, mask="####")
    empty = extract(api, {"version": "3"}, mask=in_base64(Image.new("L", (40, 30), 0)))

    assert (first.status, first.json()["success"], first.json()["extracted_image"]) == (200, False, None)
    assert "'mask' cannot be read" in first.json()["error"]
    assert (third.status, empty.status) == (400, 400)
    assert empty.json()["detail"].startswith("No masks found")


def shadow(api, **body):
    sent = {"extracted_image": in_base64(Image.new("RGB", (40, 30), "red")), "mask": in_base64(DISC)} | body
    return api.post("/api/image-utils/add-shadow-preview", sent).json()


def test_shadow_falls_beside_the_object_on_light_grey(api):
    hard = Image.new("L", (40, 30), 0)
    hard.paste(255, (10, 5, 20, 15))
    body = shadow(api, mask=in_base64(hard), shadow_offset_x=8, shadow_offset_y=8, blur_radius=1)
    shown = from_base64(body["preview_image"])

    assert (body["success"], body["error"]) == (True, None)
    assert shown.getpixel((0, 0)) == cut_outs.PREVIEW_GROUND
    assert shown.getpixel((15, 10)) == (255, 0, 0)
    # 0.4 of black on 245.
    assert shown.getpixel((24, 19)) == (147, 147, 147)


def test_object_without_a_mask_is_what_is_not_white(api):
    picture = Image.new("RGB", (40, 30), "white")
    picture.paste("blue", (10, 5, 20, 15))
    shown = from_base64(shadow(api, extracted_image=in_base64(picture), mask=None)["preview_image"])

    assert shown.getpixel((15, 10)) == (0, 0, 255)
    assert shown.getpixel((35, 28))[0] == pytest.approx(245, abs=2)


@pytest.mark.parametrize("wrong", [{"extracted_image": None}, {"shadow_opacity": 2}, {"blur_radius": "x"}])
def test_shadow_that_cannot_be_is_answered_with_200_as_before(api, wrong):
    body = shadow(api, **wrong)
    assert (body["success"], body["preview_image"]) == (False, None)
    assert body["error"]


def tinted() -> Image.Image:
    grey = np.random.default_rng(5).integers(60, 180, (30, 40, 1))
    return Image.fromarray((grey * [1.2, 1.0, 0.7]).astype(np.uint8))


def balance(api, picture: Image.Image, path: str = "/api/white-balance", **fields: str):
    return post_form(api, path, fields, saved(picture, "PNG"))


@pytest.mark.parametrize("path", ["/api/white-balance", "/api/image-utils/white-balance"])
def test_tint_of_the_light_is_taken_out(api, path):
    picture = tinted()
    body = balance(api, picture, path).json()
    means = np.asarray(from_base64(body["corrected_image"])).reshape(-1, 3).mean(0)

    assert (body["success"], body["method_used"]) == (True, "auto")
    assert means.max() - means.min() < 1.5
    assert np.array_equal(np.asarray(from_base64(body["original_image"])), np.asarray(picture))


def test_photograph_stays_a_jpeg(api):
    body = post_form(api, "/api/white-balance", {}, saved(tinted(), "JPEG"), "image/jpeg").json()
    corrected = from_base64(body["corrected_image"])
    assert (corrected.format, corrected.size) == ("JPEG", (40, 30))


def test_picture_with_more_pixels_than_fit_into_the_function_is_refused(api, monkeypatch):
    monkeypatch.setattr(old_pictures, "MAX_PIXELS", 1199)
    assert balance(api, tinted()).status == 422
    assert "40x30 pixels" in extract(api).json()["error"]
    monkeypatch.setattr(old_pictures, "MAX_PIXELS", 1200)
    assert balance(api, tinted()).status == 200


def test_manual_balance_does_what_its_formula_says(api):
    body = balance(api, Image.new("RGB", (20, 20), (100, 100, 100)), method="manual", temperature="50", tint="-50")
    body = body.json()
    assert from_base64(body["corrected_image"]).getpixel((3, 3)) == (115, 110, 85)
    assert body["parameters"]["temperature"] == 50


def test_balance_keeps_what_is_transparent_and_black_pictures_as_they_are():
    clear = Image.new("RGBA", (20, 20), (200, 100, 100, 0))
    assert white_balance.grey_world(clear) == white_balance.Gains(1, 1, 1)
    assert white_balance.balanced(clear, white_balance.Gains(0.5, 2, 1)).getpixel((0, 0)) == (100, 200, 100, 0)


def test_picture_of_one_colour_is_not_pushed_beyond_bounds():
    gains = white_balance.grey_world(Image.new("RGB", (20, 20), (240, 10, 10)))
    assert (gains.red, gains.green, gains.blue) == (0.5, 2.0, 2.0)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"method": "ai"}, "POST /api/generate"),
        ({"method": "magic"}, "must be one of auto, manual, ai"),
        ({"method": "manual", "temperature": "nan"}, "'temperature' must be a number"),
        ({"method": "manual", "tint": "101"}, "'tint' must be a number between -100 and 100"),
    ],
)
def test_balance_that_cannot_be_done_says_what_can(api, fields, words):
    answer = balance(api, tinted(), **fields)
    assert answer.status == 422
    assert words in answer.json()["detail"]


def test_balance_without_a_picture_is_refused(api):
    assert post_form(api, "/api/white-balance", {}, None).status == 422
    assert post_form(api, "/api/white-balance", {}, b"hello").status == 422


def test_answer_that_would_be_too_long_is_refused(api, monkeypatch):
    monkeypatch.setattr(route, "MAX_PAIR_CHARS", 100)
    assert balance(api, tinted()).status == 413
    monkeypatch.setattr(old_pictures, "MAX_PICTURE_BYTES", 100)
    assert balance(api, tinted()).status == 413


def test_pixel_of_the_mask_decides_even_in_another_size():
    half = Image.new("L", (20, 15), 0)
    half.paste(255, (0, 0, 10, 15))
    alpha = np.asarray(cut_outs.cut_out(SCENE, half).getchannel("A"))
    assert (alpha[:, :18] == 255).all()
    assert (alpha[:, 22:] == 0).all()


def test_saved_result_is_a_png(api):
    assert opened(base64.b64decode(extract(api).json()["extracted_image"])).format == "PNG"
