"""The model as the server hosts it: undecoded pictures in, PNGs and values out."""

import asyncio
import base64
import gc
import io
import json
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from bench.segment_checkpoint import Bright, write_network
from sagemaker_models.segment.model import Segment
from sagemaker_models.serving.batching import Runner
from sagemaker_models.serving.files import FileCache
from sagemaker_models.serving.invocations import Invocations
from sagemaker_models.serving.model import ModelError, WeightsInvalid
from tests.segment.conftest import loaded
from tests.segment.pictures import SQUARE, encoded, noise, opened, run, scene

CLICK = {"task": "mask", "points": [[60, 40]]}


@pytest.fixture
def own(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "own")
    return tmp_path / "own"


def edit(folder, key, value):
    """Fill all tensors whose keys begin so."""
    path = folder / "prompts" / "model.safetensors"
    state = load_file(path)
    changed = {each: torch.full_like(state[each], value) for each in state if each.startswith(key)}
    assert changed
    save_file(state | changed, path)


def refused(made, code):
    assert isinstance(made, ModelError)
    assert made.code == code
    return made.message


def test_mask_of_a_click_has_the_pictures_size_and_two_values(model):
    made = run(model, encoded(noise(seed=1)), **CLICK)
    mask = opened(made.files["mask"])
    assert (mask.mode, mask.size) == ("L", (120, 90))
    pixels = np.asarray(mask)
    assert set(np.unique(pixels)) == {0, 255}
    values = made.values
    assert (values["width"], values["height"], values["prompt"]) == (120, 90, "points")
    assert values["area"] == pytest.approx(np.mean(pixels > 0), abs=1e-6)
    left, top, right, bottom = values["box"]
    rows, columns = np.nonzero(pixels)
    assert (left, top, right, bottom) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert isinstance(values["score"], float)
    assert set(values["timings"]) == {"embed_s", "decode_s", "finish_s"}
    json.dumps(values)


def test_second_click_keeps_the_embedding_and_the_same_click_the_mask(folder):
    model, data = loaded(folder), encoded(noise())
    first, again = run(model, data, **CLICK), run(model, data, **CLICK)
    other, foreign = run(model, data, task="mask", box=[10, 10, 50, 50]), run(model, encoded(noise(seed=5)), **CLICK)
    said = [made.values["embedding"] for made in (first, again, other, foreign)]
    assert said == ["made", "kept", "kept", "made"]
    assert again.files["mask"] == first.files["mask"]
    assert other.files["mask"] != first.files["mask"]
    assert model.describe()["embeddings"]["pictures"] == 2


def test_clicks_at_once_on_a_new_picture_look_at_it_once(folder):
    model, data, start = loaded(folder), encoded(noise()), threading.Barrier(4)

    def click(x):
        start.wait(60)
        return run(model, data, task="mask", points=[[x, 40]])

    with ThreadPoolExecutor(4) as threads:
        made = list(threads.map(click, (20, 40, 60, 80)))
    assert sorted(each.values["embedding"] for each in made) == ["kept"] * 3 + ["made"]
    for x, each in zip((20, 40, 60, 80), made, strict=True):
        assert run(model, data, task="mask", points=[[x, 40]]).files["mask"] == each.files["mask"]


def test_mask_grows_and_softens_as_asked(model):
    data = encoded(noise(seed=1))
    plain, grown, shrunk, soft = (
        np.asarray(opened(run(model, data, **CLICK, **more).files["mask"]))
        for more in ({}, {"grow_px": 3}, {"grow_px": -1}, {"soften": True})
    )
    np.testing.assert_array_equal(grown, cv2.dilate(plain, np.ones((7, 7), np.uint8)))
    np.testing.assert_array_equal(shrunk, cv2.erode(plain, np.ones((3, 3), np.uint8)))
    np.testing.assert_array_equal(soft, cv2.GaussianBlur(plain, (0, 0), 3))


def test_mask_of_a_guide_is_that_of_a_click_on_its_centroid(model):
    guide = np.zeros((90, 120), np.uint8)
    guide[38:43, 58:63] = 255
    data = encoded(noise())
    made = run(model, data, encoded(guide), task="mask")
    assert made.values["prompt"] == "guide"
    assert made.files["mask"] == run(model, data, **CLICK).files["mask"]
    assert run(model, data, task="mask").values["prompt"] == "middle"


def test_mask_of_a_turned_photo_is_upright(model):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(noise(120, 90), "JPEG", exif=exif)
    assert opened(run(model, data, **CLICK).files["mask"]).size == (90, 120)
    assert "90x120 px" in refused(run(model, data, task="mask", points=[[110, 5]]), "InputRefused")


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1"])
def test_every_mode_of_pictures_is_taken(model, mode):
    data = encoded(Image.fromarray(scene()).convert(mode), "JPEG" if mode == "CMYK" else "PNG")
    assert opened(run(model, data, **CLICK).files["mask"]).size == (160, 120)
    assert opened(run(model, data, task="background").files["image"]).mode == "RGBA"


def test_mask_of_nothing_is_refused_in_the_words_that_clients_know(own):
    edit(own, "mask_decoder.output_hypernetworks_mlps", 0.0)
    made = run(loaded(own), encoded(noise()), **CLICK)
    assert refused(made, "MaskEmpty").startswith("No masks found: ")


def test_mask_that_is_all_taken_away_is_refused(model):
    data = encoded(noise(seed=1))
    assert not np.asarray(opened(run(model, data, **CLICK).files["mask"])).all()
    assert "256 px" in refused(run(model, data, **CLICK, grow_px=-256), "MaskEmpty")


@pytest.mark.parametrize("task", ["mask", "background"])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "ImageUnreadable"),
        (encoded(noise())[:-40], "ImageUnreadable"),
        (encoded(noise(15, 400)), "ImageShapeRefused"),
    ],
)
def test_bad_picture_blames_the_request_and_the_next_one_is_served(model, task, data, code):
    refused(run(model, data, task=task), code)
    assert "mask" in run(model, encoded(scene()), task=task).files


def test_bad_guide_blames_the_request(model):
    refused(run(model, encoded(noise()), b"no picture", task="mask"), "ImageUnreadable")


@pytest.mark.parametrize("quality", ["fast", "best"])
def test_background_becomes_transparent_and_the_subject_stays(model, quality):
    rgb = scene()
    made = run(model, encoded(rgb), task="background", quality=quality)
    image, mask = (np.asarray(opened(made.files[name])) for name in ("image", "mask"))
    assert (image.shape, mask.shape) == ((120, 160, 4), (120, 160))
    np.testing.assert_array_equal(image[..., 3], mask)
    np.testing.assert_array_equal(image[..., :3], rgb)
    left, top, right, bottom = SQUARE
    assert mask[top + 4 : bottom - 4, left + 4 : right - 4].min() == 255
    assert mask[: top - 4].max() == 0
    assert made.values["box"] == pytest.approx(SQUARE, abs=2)
    assert made.values["area"] == pytest.approx(60 * 60 / (160 * 120), rel=0.05)
    assert (made.values["width"], made.values["height"], made.values["quality"]) == (160, 120, quality)
    json.dumps(made.values)


def test_background_with_max_side_is_brought_down_and_never_enlarged(model):
    large = encoded(scene(640, 480).repeat(2, axis=0).repeat(2, axis=1))
    made = run(model, large, task="background", max_side=512)
    assert opened(made.files["image"]).size == opened(made.files["mask"]).size == (512, 384)
    assert (made.values["width"], made.values["height"]) == (512, 384)
    assert opened(run(model, encoded(scene()), task="background", max_side=512).files["image"]).size == (160, 120)


def test_background_leaves_transparent_what_was_transparent(model):
    rgba = np.dstack((scene(), np.full((120, 160), 255, np.uint8)))
    rgba[20:80, 40:70, 3] = 0
    made = np.asarray(opened(run(model, encoded(rgba), task="background").files["image"]))
    assert made[50, 50, 3] == 0
    # What is transparent is white for the network, as for whoever looks at it.
    assert made[50, 90, 3] == 255


def test_background_keeps_a_colour_profile_of_rgb(model):
    profile = bytearray(132)
    profile[16:20], profile[36:40] = b"RGB ", b"acsp"
    made = run(model, encoded(scene(), icc_profile=bytes(profile)), task="background")
    assert opened(made.files["image"]).info["icc_profile"] == bytes(profile)


@pytest.mark.parametrize("brightness", [0, 255])
def test_background_of_an_even_picture_is_refused_and_no_full_mask(model, brightness):
    made = run(model, encoded(np.full((60, 60, 3), brightness, np.uint8)), task="background")
    assert refused(made, "MaskEmpty").startswith("No masks found: ")


def test_parts_that_the_folder_lacks_are_unavailable(own):
    shutil.rmtree(own / "prompts")
    (own / "backgrounds" / "best.onnx").unlink()
    model, data = loaded(own), encoded(scene())
    assert "prompts/" in refused(run(model, data, **CLICK), "TaskUnavailable")
    said = refused(run(model, data, task="background", quality="best"), "TaskUnavailable")
    assert "backgrounds/best.onnx; they have fast" in said
    assert "image" in run(model, data, task="background").files


def test_load_of_a_folder_with_nothing_is_refused(tmp_path):
    with pytest.raises(WeightsInvalid):
        Segment().load(tmp_path)


def test_describe_says_what_is_loaded(model):
    about = model.describe()
    assert (about["engine"], about["precision"], about["prompts"]["kind"]) == ("segment", "float32", "sam2")
    assert {quality: each["family"] for quality, each in about["backgrounds"].items()} == {
        "fast": "u2net",
        "best": "birefnet",
    }
    json.dumps(about)


def test_release_lets_go_of_everything_and_the_next_run_loads_again(folder):
    model, data = loaded(folder), encoded(noise())
    before = run(model, data, **CLICK)
    kept = model._loaded
    held = [weakref.ref(each) for each in (kept.sam._network, kept.backgrounds["fast"]._session, kept.embeddings)]
    del kept
    model.release()
    gc.collect()
    assert [each() for each in held] == [None, None, None]
    assert model.describe()["embeddings"] is None
    after = run(model, data, **CLICK)
    assert after.values["embedding"] == "made"
    assert after.files["mask"] == before.files["mask"]


def test_run_before_load_is_a_defect():
    with pytest.raises(RuntimeError, match="load comes before run"):
        run(Segment(), encoded(noise()), **CLICK)


class Nowhere:
    """A storage that nobody should need."""


def served(model, tmp_path, *asked):
    """Ask as the server is asked, one after the other; return statuses and answers."""

    async def answer(fields):
        async def read():
            inputs = {"image": {"base64": base64.b64encode(fields.pop("image")).decode()}}
            return json.dumps({"id": "r-1", "model": "segment", "inputs": inputs, "parameters": fields}).encode()

        files = FileCache(Nowhere(), "", 1, tmp_path)
        runner = Runner(model, 2, 0.0)
        made = await Invocations(model, runner, Nowhere(), files, 10_000_000).answer(read)
        return made.status, json.loads(made.body)

    return [asyncio.run(answer(dict(fields))) for fields in asked]


def test_server_answers_with_a_mask_or_says_who_is_to_blame(own, tmp_path, capsys):
    write_network(own / "backgrounds" / "fast.onnx", Bright(320, gain=float("nan")))
    data = encoded(noise())
    mask, outside, unknown, damaged, next_one = served(
        loaded(own),
        tmp_path,
        CLICK | {"image": data},
        {"task": "mask", "points": [[500, 5]], "image": data},
        {"task": "text", "image": data},
        {"task": "background", "image": data},
        CLICK | {"image": data},
    )
    assert mask[0] == 200
    assert Image.open(io.BytesIO(base64.b64decode(mask[1]["outputs"]["mask"]["base64"]))).size == (120, 90)
    assert mask[1]["model"]["engine"] == "segment"
    assert (outside[0], outside[1]["error"]["code"]) == (200, "InputRefused")
    assert (unknown[0], unknown[1]["error"]["code"]) == (200, "RequestInvalid")
    assert (damaged[0], damaged[1]["error"]["code"]) == (500, "ModelFailed")
    assert "no numbers" in damaged[1]["error"]["message"]
    assert (next_one[0], next_one[1]["values"]["embedding"]) == (200, "kept")
