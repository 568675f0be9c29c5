"""The stand-in of Qwen edit: real reading, planning and finishing, and retouching that a person would accept."""

import io
import json
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from local.demo import pictures
from local.stand_ins.completion import fill
from local.stand_ins.masked_edits import MaskedEdits
from local.stand_ins.retouching import balanced
from sagemaker_models.qwen_edit.composite import feathered
from sagemaker_models.qwen_edit.parameters import QwenEditParameters
from sagemaker_models.serving.model import Cancelled, LocalFile, ModelError, Outputs, Request, unwatched

CONFIG = {"task": "removal", "conditions": {"plain": ["background", "mask"]}}


def scene(width: int = 300, height: int = 200) -> np.ndarray:
    """Return a striped wall with a blue disc on it, RGB."""
    rows, columns = np.mgrid[0:height, 0:width]
    wall = np.where((columns // 8) % 2, 200, 170) + rows // 10
    picture = np.stack([wall, wall - 20, wall - 40], 2).astype(np.uint8)
    cv2.circle(picture, (width // 2, height // 2), 30, (30, 60, 220), cv2.FILLED)
    return picture


def disc(width: int = 300, height: int = 200, radius: int = 34) -> np.ndarray:
    return cv2.circle(np.zeros((height, width), np.uint8), (width // 2, height // 2), radius, 255, cv2.FILLED)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def opened(made: Outputs, name: str = "image") -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(made.files[name].body)))


def ask(inputs: dict | None = None, progress=unwatched, files=None, **parameters) -> Outputs | ModelError:
    given = {"image": scene(), "mask": disc()} if inputs is None else inputs
    asked = QwenEditParameters(**({"task": "removal", "steps": 4, "seed": 1} | parameters))
    request = Request({name: png(pixels) for name, pixels in given.items()}, asked, "1", progress, files or {})
    (answer,) = MaskedEdits().run([request])
    return answer


@pytest.mark.parametrize("quality", ["resized", "original"])
def test_removal_goes_on_with_the_wall_and_keeps_what_is_outside(quality):
    made = ask(input_quality=quality, keep_outside=True, feather_px=5)
    before, after = scene(), opened(made)

    alpha = feathered(disc(), 5)
    assert after.shape == before.shape
    assert np.array_equal(after[alpha == 0], before[alpha == 0])
    inside = after[disc() == 255].astype(int)
    # The wall is warm everywhere, the disc was blue.
    assert (inside[:, 0] > inside[:, 2]).mean() > 0.99
    assert inside.std() > 5


def test_two_holes_are_filled_each_from_its_own_surroundings():
    picture = np.zeros((120, 240, 3), np.uint8)
    picture[:, :120], picture[:, 120:] = (200, 40, 40), (40, 40, 200)
    mask = np.zeros((120, 240), np.uint8)
    mask[40:80, 30:70] = mask[40:80, 170:210] = 255
    filled = fill(np.where(mask[:, :, None] > 0, 255, picture).astype(np.uint8), mask)
    assert np.abs(filled.astype(int) - picture).max() < 12


def test_mask_of_the_whole_picture_is_filled_with_something():
    assert fill(scene(), np.full((200, 300), 255, np.uint8)).shape == (200, 300, 3)


def test_insertion_of_words_alone_has_the_colour_that_they_name():
    made = ask({"image": scene(), "mask": disc()}, task="insertion", prompt="a green ball", keep_outside=True)
    red, green, blue = opened(made)[disc(radius=20) == 255].mean(axis=0)
    assert green > 1.5 * red
    assert green > 1.5 * blue


@pytest.mark.parametrize(("with_mask", "situation"), [(True, "two-mask"), (False, "reference")])
def test_insertion_of_a_reference_shows_its_object(with_mask, situation):
    inputs = {"image": np.full((200, 300, 3), 120, np.uint8), "mask": disc(), "reference": scene()}
    made = ask(inputs | ({"reference_mask": disc(radius=30)} if with_mask else {}), task="insertion")
    red, _, blue = opened(made)[disc(radius=15) == 255].mean(axis=0)
    assert (made.values["situation"], blue > 2 * red) == (situation, True)


def test_white_balance_takes_a_bulbs_light_out():
    bulb = pictures.tinted(pictures.portrait("astronaut.png"))[:, :, ::-1]
    wall = (slice(20, 60), slice(300, 380))
    before, after = (pixels[wall].reshape(-1, 3).mean(axis=0) for pixels in (bulb, balanced(bulb.copy())))
    assert np.ptp(after) < 0.4 * np.ptp(before)


def test_white_balance_of_one_colour_alone_is_no_error():
    assert balanced(np.full((40, 40, 3), 255, np.uint8)).shape == (40, 40, 3)


def test_same_seed_makes_the_same_picture_and_another_one_another():
    first, again, other = ask(), ask(), ask(seed=2)
    assert first.files["image"].body == again.files["image"].body != other.files["image"].body


def test_debug_gives_the_images_that_the_checkpoint_would_get():
    made = ask(debug=True)
    assert [*made.files] == ["image", "condition_1", "condition_2", "condition_3"]
    assert made.values["conditional_labels"] == ["original", "mask", "mae"]
    # On the canvas: a square with black bars.
    assert opened(made, "condition_1").shape == (512, 512, 3)
    assert opened(made, "condition_1")[:60].max() == 0


def test_run_that_is_cancelled_ends_at_its_next_step():
    told = []

    def progress(share: float) -> None:
        told.append(share)
        if len(told) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        ask(progress=progress)
    assert told == [0.0, 0.2375, 0.475]


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"image": scene()}, "InputMissing"),
        ({"image": scene(), "mask": disc() * 0}, "MaskEmpty"),
        ({"image": scene()[:8], "mask": disc()}, "ImageShapeRefused"),
    ],
)
def test_request_is_refused_as_the_real_model_would(inputs, code):
    assert ask(inputs).code == code


def a_file(tmp_path, content: bytes) -> dict:
    (tmp_path / "file").write_bytes(content)
    return {"checkpoint": LocalFile(tmp_path / "file", "ab" * 32)}


def header(*names: str) -> bytes:
    said = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in names}).encode()
    return struct.pack("<Q", len(said)) + said + bytes(4)


def test_checkpoint_of_the_request_counts(tmp_path):
    made = ask(files=a_file(tmp_path, header("a.lora_A.weight")), checkpoint=CONFIG)
    assert (made.values["lora_adapter"], made.values["conditional_labels"]) == (
        f"lora-{'ab' * 8}",
        ["masked_bg", "mask"],
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be read"),
        (b"oops" * 9, "cannot be read"),
        (header("a.lora_A.weight")[:-1], "cannot be read"),
        (header("a.weight"), "would load nothing; its first keys are a.weight"),
    ],
)
def test_checkpoint_that_cannot_be_used_is_refused_by_its_hash(tmp_path, content, words):
    refused = ask(files=a_file(tmp_path, content), checkpoint=CONFIG)
    assert refused.code == "CheckpointRefused"
    assert words in refused.message
    assert "ab" * 8 in refused.message
