"""The stand-in of the segmentation model: real work on real pixels, in the real model's words."""

import io

import numpy as np
import pytest
from PIL import Image

from local.demo import PORTRAITS
from local.stand_ins import nouns
from local.stand_ins.faces import read
from local.stand_ins.segments import Segments
from sagemaker_models.segment.parameters import SegmentParameters
from sagemaker_models.serving.model import File, ModelError, Outputs, Request

ASTRONAUT = (PORTRAITS / "astronaut.png").read_bytes()

#: On the suit, on the flag, on the face, and on the helmet that lies beside her.
SUIT, FLAG, FACE, HELMET = (260, 410), (30, 180), (222, 114), (430, 420)

NOISE = np.random.default_rng(2).integers(0, 255, (48, 64, 3), np.uint8)


def saved(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def model() -> Segments:
    return Segments()


def ask(model: Segments, image: bytes = ASTRONAUT, *, guide: bytes | None = None, **asked) -> Outputs | ModelError:
    inputs = {"image": image} | ({"guide": guide} if guide else {})
    parameters = SegmentParameters.model_validate({"task": "mask"} | asked)
    return model.run([Request(inputs, parameters, "request")])[0]


def opened(file: File) -> Image.Image:
    image = Image.open(io.BytesIO(file.body))
    image.load()
    return image


def mask_of(made: Outputs | ModelError) -> np.ndarray:
    assert isinstance(made, Outputs), made
    return np.asarray(opened(made.files["mask"]))


def test_click_on_the_suit_masks_the_suit_and_nothing_beside_her(model):
    made = ask(model, points=[SUIT])
    mask = mask_of(made)

    assert set(np.unique(mask)) == {0, 255}
    assert mask.shape == (512, 512)
    assert mask[SUIT[1], SUIT[0]] == 255
    assert mask[FLAG[1], FLAG[0]] == mask[HELMET[1], HELMET[0]] == mask[60, 480] == 0
    rows, _ = np.nonzero(mask)
    assert 0.2 < (mask > 0).mean() < 0.4
    assert rows.mean() > 300
    assert opened(made.files["mask"]).info["Comment"] == "engine: stand-in"


def test_click_on_a_thing_masks_that_thing(model):
    mask = mask_of(ask(model, points=[HELMET]))
    assert mask[HELMET[1], HELMET[0]] == 255
    assert mask[SUIT[1], SUIT[0]] == mask[FACE[1], FACE[0]] == 0


def test_box_limits_the_mask_to_itself_and_finds_the_face_in_it(model):
    mask = mask_of(ask(model, box=(150, 40, 300, 200)))
    rows, columns = np.nonzero(mask)
    assert mask[FACE[1], FACE[0]] == 255
    assert columns.min() >= 148
    assert columns.max() <= 302
    assert rows.max() <= 202


def test_point_that_lies_beside_is_left_out(model):
    both = mask_of(ask(model, box=(0, 60, 511, 511), points=[SUIT, HELMET], labels=[1, 0]))
    assert (both[SUIT[1], SUIT[0]], both[HELMET[1], HELMET[0]]) == (255, 0)


def test_place_beside_within_the_same_colours_parts_them(model):
    """The helmet and the table behind it are of one black."""
    table = (480, 300)
    alone, parted = (
        mask_of(ask(model, **asked)) for asked in ({"points": [HELMET]}, {"points": [HELMET, table], "labels": [1, 0]})
    )
    assert alone[table[1], table[0]] == 255
    assert (parted[HELMET[1], HELMET[0]], parted[table[1], table[0]]) == (255, 0)
    assert not parted[285:310, 450:500].any()


def test_second_click_on_a_picture_finds_what_was_seen_of_it():
    model, picture = Segments(), saved(Image.fromarray(NOISE))
    made = [ask(model, picture, box=(8, 8, 40 + right, 40)) for right in (0, 9)]
    assert [each.values["embedding"] for each in made] == ["made", "kept"]
    assert model.describe()["embeddings"]["pictures"] == 1
    model.release()
    assert ask(model, picture, box=(8, 8, 40, 40)).values["embedding"] == "made"


def test_same_click_has_the_same_mask(model):
    one, other = (mask_of(ask(model, points=[HELMET])) for _ in range(2))
    assert np.array_equal(one, other)


def test_rough_mask_is_clicked_in_its_middle(model):
    guide = Image.new("L", (64, 64), 0)
    guide.paste(255, (28, 46, 36, 54))
    made = ask(model, guide=saved(guide))
    assert made.values["prompt"] == "guide"
    assert mask_of(made)[400, 256] == 255


def test_border_moves_and_softens(model):
    plain, wide = (int((mask_of(ask(model, points=[HELMET], grow_px=grow)) > 0).sum()) for grow in (0, 6))
    soft = mask_of(ask(model, points=[HELMET], soften=True))
    assert wide > plain
    assert len(np.unique(soft)) > 10


@pytest.mark.parametrize(
    ("asked", "code"),
    [({"points": [(5, 5)]}, "MaskEmpty"), ({"points": [(900, 5)]}, "InputRefused")],
)
def test_click_on_nothing_and_beside_the_picture_are_refused(model, asked, code):
    made = ask(model, saved(Image.new("RGB", (80, 60), "teal")), **asked)
    assert isinstance(made, ModelError)
    assert made.code == code
    assert made.message.startswith("No masks found" if code == "MaskEmpty" else "The input is refused")


def test_broken_picture_is_refused_by_name(model):
    assert ask(model, b"hello", points=[(1, 1)]).code == "ImageUnreadable"


@pytest.mark.parametrize("quality", ["fast", "best"])
def test_background_goes_and_the_person_stays(model, quality):
    made = ask(model, task="background", quality=quality, max_side=256)
    cut, mask = opened(made.files["image"]), opened(made.files["mask"])

    assert (cut.mode, cut.size, mask.size) == ("RGBA", (256, 256), (256, 256))
    alpha = np.asarray(cut.getchannel("A"))
    assert np.array_equal(alpha, np.asarray(mask))
    for x, y in (SUIT, FACE):
        assert alpha[y // 2, x // 2] == 255
    for x, y in (FLAG, (480, 60), (400, 150)):
        assert alpha[y // 2, x // 2] == 0
    assert (made.values["width"], made.values["height"]) == (256, 256)


def test_thing_without_a_face_is_told_from_its_rim(model):
    scene = np.full((120, 160, 3), (200, 210, 220), np.uint8)
    scene[40:90, 50:110] = (180, 30, 30)
    alpha = np.asarray(opened(ask(model, saved(Image.fromarray(scene)), task="background").files["mask"]))
    assert alpha[60, 80] == 255
    assert alpha[10, 10] == alpha[110, 150] == 0


@pytest.mark.parametrize("words", ["her face", "the hair", "the orange suit", "the astronaut"])
def test_noun_names_a_box_on_her(words):
    (box,) = nouns.located(read(ASTRONAUT), words)
    assert 0 <= box.left < 260 < box.right + 20
    assert box.top < box.bottom <= 512


@pytest.mark.parametrize("words", ["a banana", "42", ""])
def test_noun_that_nobody_knows_names_nothing(words):
    assert nouns.located(read(ASTRONAUT), words) == []


def test_noun_names_nothing_where_nobody_is():
    assert nouns.located(np.full((90, 90, 3), 200, np.uint8), "the person") == []
