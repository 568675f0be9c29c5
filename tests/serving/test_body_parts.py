"""The body parser's stand-in: masks that lie on the clothes, of the picture's size, and marked as what they are."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from local.demo import PORTRAITS
from local.stand_ins.body_parts import BodyParts, Parameters
from sagemaker_models.serving.model import ModelError, Outputs, Request


def answer(picture: bytes, **parameters) -> Outputs | ModelError:
    (made,) = BodyParts().run([Request({"image": picture}, Parameters(**parameters), "id")])
    return made


def parsed(picture: bytes, **parameters) -> dict[str, np.ndarray]:
    made = answer(picture, **parameters)
    assert isinstance(made, Outputs)
    assert {file.content_type for file in made.files.values()} == {"image/png"}
    return {name: np.asarray(Image.open(io.BytesIO(file.body))) for name, file in made.files.items()}


def portrait(name: str) -> bytes:
    return (PORTRAITS / name).read_bytes()


def grey(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "grey").save(buffer, "PNG")
    return buffer.getvalue()


#: Points (x, y) of the portraits: on the upper clothes, on the face, and on neither.
POINTS = [
    ("astronaut.png", [(130, 320), (250, 380), (330, 300)], (225, 130), [(30, 60), (420, 200), (480, 30)]),
    ("grace_hopper.jpg", [(120, 450), (250, 480), (400, 430)], (250, 220), [(30, 60), (450, 60), (480, 200)]),
]


@pytest.mark.parametrize(("name", "clothes", "face", "nothing"), POINTS)
def test_portrait_has_its_mask_on_the_clothes(name, clothes, face, nothing):
    found = parsed(portrait(name))
    upper, labels = found["upper"], found["seg_map"]
    assert set(np.unique(upper)) == {0, 255}
    assert [upper[y, x] for x, y in clothes] == [255] * len(clothes)
    assert [upper[y, x] for x, y in [face, *nothing]] == [0] * (1 + len(nothing))
    assert (labels[face[1], face[0]], [labels[y, x] for x, y in nothing]) == (11, [0] * len(nothing))
    assert not (upper & found["lower"]).any()


def test_masks_have_the_pictures_size_and_say_what_made_them():
    picture = portrait("grace_hopper.jpg")
    made = answer(picture)
    for file in made.files.values():
        image = Image.open(io.BytesIO(file.body))
        assert image.size == Image.open(io.BytesIO(picture)).size
        assert "engine: stand-in" in image.text["Comment"]
    assert BodyParts().describe()["engine"] == "stand-in"


def test_same_picture_has_the_same_masks():
    first, second = answer(portrait("astronaut.png")), answer(portrait("astronaut.png"))
    assert first == second


def test_regions_are_made_of_the_labels_that_are_asked_for():
    found = parsed(portrait("astronaut.png"), regions={"upper": [2, 11]})
    assert set(found) == {"upper", "lower", "seg_map"}
    assert np.array_equal(found["upper"] == 255, np.isin(found["seg_map"], [2, 11]))
    assert np.array_equal(found["lower"] == 255, np.isin(found["seg_map"], [5, 6, 7]))


def test_bounding_rectangle_is_painted_into_the_picture():
    picture = portrait("astronaut.png")
    found = parsed(picture, regions={"lower": [16]}, output="bounding-rectangle")
    original = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"))
    rows, columns = np.nonzero(found["seg_map"] == 4)
    expected = original.copy()
    expected[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = (0, 255, 0)
    assert np.array_equal(found["upper"], expected)
    # Nobody carries a bag.
    assert np.array_equal(found["lower"], original)


def test_picture_without_a_face_gets_a_centred_figure():
    picture = np.full((600, 300, 3), 200, np.uint8)
    picture[180:330, 110:190] = (30, 30, 160)
    picture[330:560, 120:180] = (30, 120, 30)
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    found = parsed(buffer.getvalue())
    assert (found["upper"][250, 150], found["lower"][450, 150]) == (255, 255)
    assert found["seg_map"][300, 20] == 0


def test_picture_of_a_face_alone_has_no_clothes():
    close_up = Image.open(io.BytesIO(portrait("grace_hopper.jpg"))).crop((140, 80, 380, 340))
    buffer = io.BytesIO()
    close_up.save(buffer, "PNG")
    found = parsed(buffer.getvalue())
    assert found["seg_map"][130, 120] == 11
    assert found["upper"].mean() < 0.05 * 255


@pytest.mark.parametrize("size", [(15, 15), (15, 240), (240, 15)])
def test_picture_of_any_shape_that_is_taken_has_masks_of_its_shape(size):
    assert parsed(grey(*size))["upper"].shape == size[::-1]


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (b"", "ImageUnreadable"),
        (b"no picture", "ImageUnreadable"),
        (portrait("grace_hopper.jpg")[:100], "ImageUnreadable"),
        (grey(14, 100), "ImageShapeRefused"),
    ],
)
def test_picture_that_is_not_taken_is_the_requests_fault(picture, code):
    made = answer(picture)
    assert isinstance(made, ModelError)
    assert made.code == code


@pytest.mark.parametrize(("labels", "code"), [([0], "LabelsRefused"), ([1, 17], None), ([18], "LabelsRefused")])
def test_labels_are_those_of_the_data_set(labels, code):
    made = answer(grey(100, 100), regions={"upper": labels})
    assert (made.code if isinstance(made, ModelError) else None) == code


def test_values_say_where_the_regions_are():
    made = answer(portrait("astronaut.png"), regions={"lower": [16]})
    upper = made.values["regions"]["upper"]
    box = upper["box"]
    assert 0 <= box["left"] < box["right"] <= made.values["width"] == 512
    assert 0 <= box["top"] < box["bottom"] <= made.values["height"] == 512
    assert 0 < upper["pixels"] <= (box["right"] - box["left"]) * (box["bottom"] - box["top"])
    assert made.values["regions"]["lower"] == {"pixels": 0, "box": None}
    json.dumps(made.values)
