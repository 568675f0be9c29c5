"""FLUX's stand-in: its wire is the real one's, its pictures are the paid route's, and say what they are."""

import io

import numpy as np
import pytest
from PIL import Image

from local.demo import PORTRAITS
from local.stand_ins.own_portraits import OwnPortraits
from sagemaker_models.flux.licences import licences_of
from sagemaker_models.flux.parameters import FluxParameters
from sagemaker_models.serving.model import ModelError, Outputs, Request

ASTRONAUT = (PORTRAITS / "astronaut.png").read_bytes()


def answer(inputs: dict[str, bytes], **parameters) -> Outputs | ModelError:
    asked = FluxParameters(prompt="a sailor on a quay at sunset", **parameters)
    (made,) = OwnPortraits().run([Request(inputs, asked, "id")])
    return made


def made_of(inputs: dict[str, bytes], **parameters) -> tuple[Image.Image, dict]:
    made = answer(inputs, **parameters)
    assert isinstance(made, Outputs), made
    return Image.open(io.BytesIO(made.files["image"].body)), made.values


@pytest.fixture(scope="module")
def sailor() -> tuple[Image.Image, dict]:
    return made_of({"portrait": ASTRONAUT}, width=512, height=384, seed=7)


def test_portrait_has_the_size_and_says_what_made_it(sailor):
    image, values = sailor
    assert image.size == (values["width"], values["height"]) == (512, 384)
    assert "stand-in" in image.info["Comment"]
    assert (values["seed"], values["steps"], values["steps_run"]) == (7, 28, 28)
    left, top, right, bottom = values["identity"]["box"]
    assert left < 222 < right
    assert top < 114 < bottom


def test_second_pass_changes_more_with_more_strength_and_the_same_seed_makes_the_same(sailor):
    buffer = io.BytesIO()
    sailor[0].save(buffer, "PNG")
    weak, values = made_of({"image": buffer.getvalue()}, strength=0.35, seed=7)
    strong, _ = made_of({"image": buffer.getvalue()}, strength=0.45, seed=7)
    again, _ = made_of({"image": buffer.getvalue()}, strength=0.45, seed=7)

    def change(image: Image.Image) -> float:
        return float(np.abs(np.asarray(image, np.float32) - np.asarray(sailor[0], np.float32)).mean())

    assert 0 < change(weak) < change(strong)
    assert np.array_equal(np.asarray(strong), np.asarray(again))
    assert values["steps_run"] == 10
    assert values["identity"] is None


@pytest.mark.parametrize(
    ("inputs", "parameters", "code"),
    [
        ({"image": ASTRONAUT}, {}, "RequestInvalid"),
        ({"portrait": b"hello"}, {}, "ImageUnreadable"),
        ({"portrait": "grey"}, {}, "NoFaceFound"),
    ],
)
def test_what_the_real_one_would_refuse_is_refused(inputs, parameters, code):
    buffer = io.BytesIO()
    Image.new("RGB", (300, 300), "grey").save(buffer, "PNG")
    given = {name: buffer.getvalue() if data == "grey" else data for name, data in inputs.items()}
    made = answer(given, **parameters)
    assert isinstance(made, ModelError)
    assert made.code == code


def test_it_says_that_it_is_a_stand_in_and_which_licences_the_real_one_would_have():
    about = OwnPortraits().describe()
    assert (about["engine"], about["device"], about["variant"]) == ("stand-in", "cpu", "dev")
    assert about["licences"] == licences_of("dev", identity=True)
