"""The model as the server hosts it: undecoded pictures in, PNGs and counts out."""

import io

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from sagemaker_models.schp.choose import Choice
from sagemaker_models.schp.config import SHIPPED, read_config
from sagemaker_models.schp.labels import ATR, PASCAL
from sagemaker_models.schp.model import Schp, SchpParameters
from sagemaker_models.schp.postprocess import labels_of
from sagemaker_models.serving.model import ModelError, Request, WeightsInvalid
from tests.schp.checkpoints import random_state, save


class Halves:
    """A backend that sees upper-clothes in the upper left quarter of the square and trousers in the lower half."""

    name = "halves"

    def __init__(self):
        self.seen = []

    def run(self, bgr):
        self.seen.append(bgr)
        logits = np.zeros((18, 128, 128), np.float32)
        logits[0] = 1
        logits[4, :64, :64] = 2
        logits[6, 64:, :] = 2
        return logits


@pytest.fixture
def model():
    made = Schp()
    made._loaded = (Choice(Halves(), None, {}, labels_of), ATR, read_config())
    return made


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def photo(width=60, height=60, mode="RGB"):
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(values).convert(mode)


def run(model, data, **parameters):
    return model.run([Request({"image": data}, SchpParameters(**parameters), "r-1")])[0]


def opened(file):
    assert file.content_type == "image/png"
    return Image.open(io.BytesIO(file.body))


def test_run_binary_gives_masks_map_and_counts_at_the_photos_size(model):
    made = run(model, encoded(photo()))
    assert list(made.files) == ["upper", "lower", "seg_map"]
    images = {name: opened(file) for name, file in made.files.items()}
    assert {image.mode for image in images.values()} == {"L"}
    assert {image.size for image in images.values()} == {(60, 60)}
    upper, lower, labels = (np.asarray(images[name]) for name in ("upper", "lower", "seg_map"))
    assert set(np.unique(upper)) == set(np.unique(lower)) == {0, 255}
    assert upper[10, 10] == 255 == lower[50, 50]
    assert upper[10, 50] == 0 == lower[10, 10]
    assert set(np.unique(labels)) == {0, 4, 6}
    assert made.values["regions"]["upper"] == {
        "pixels": int((upper == 255).sum()),
        "box": {"left": 0, "top": 0, "right": 30, "bottom": 30},
    }
    assert (made.values["width"], made.values["height"]) == (60, 60)


def test_run_with_own_regions_takes_them_and_keeps_the_others(model):
    made = run(model, encoded(photo()), regions={"upper": [6]})
    upper, lower = (np.asarray(opened(made.files[name])) for name in ("upper", "lower"))
    np.testing.assert_array_equal(upper, lower)


@pytest.mark.parametrize("labels", [[18], [0], [4, 4]])
def test_run_with_foreign_labels_is_refused_with_a_sentence(model, labels):
    made = run(model, encoded(photo()), regions={"upper": labels})
    assert isinstance(made, ModelError)
    assert made.code == "LabelsRefused"
    assert made.message.startswith("The labels are refused: upper")


def test_run_rectangle_covers_the_box_of_the_region_in_the_photo(model):
    image = photo()
    made = run(model, encoded(image), output="bounding-rectangle", regions={"upper": [4], "lower": [9]})
    upper, lower = (opened(made.files[name]) for name in ("upper", "lower"))
    assert (upper.mode, upper.size) == ("RGB", (60, 60))
    expected = np.array(image)
    np.testing.assert_array_equal(np.asarray(lower), expected)
    expected[:30, :30] = (0, 255, 0)
    np.testing.assert_array_equal(np.asarray(upper), expected)
    assert made.values["regions"]["lower"] == {"pixels": 0, "box": None}


def test_run_of_a_turned_photo_works_upright(model):
    exif = Image.Exif()
    exif[0x0112] = 6
    made = run(model, encoded(photo(80, 40), "JPEG", exif=exif))
    assert opened(made.files["upper"]).size == (40, 80)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
@pytest.mark.parametrize("output", ["binary", "bounding-rectangle"])
def test_run_of_any_mode_gives_masks(model, mode, output):
    image = Image.fromarray(np.full((40, 50), 40_000, np.uint16)) if mode == "I;16" else photo(50, 40, mode)
    made = run(model, encoded(image, "JPEG" if mode == "CMYK" else "PNG"), output=output)
    assert opened(made.files["upper"]).size == (50, 40)
    assert opened(made.files["upper"]).mode == ("L" if output == "binary" else "RGB")


def test_run_gives_the_network_blue_first_and_transparency_on_white(model):
    image = Image.new("RGBA", (60, 60), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (30, 0, 60, 60))
    run(model, encoded(image))
    seen = model._loaded[0].backend.seen[0]
    assert tuple(seen[256, 100]) == (0, 0, 255)
    assert tuple(seen[256, 400]) == (255, 255, 255)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "ImageUnreadable"),
        (b"text", "ImageUnreadable"),
        (encoded(photo())[:200], "ImageUnreadable"),
        (encoded(photo(14, 60)), "ImageShapeRefused"),
        (encoded(photo(15 * 17, 15)), "ImageShapeRefused"),
    ],
)
def test_run_of_a_bad_picture_blames_the_request(model, data, code):
    made = run(model, data)
    assert isinstance(made, ModelError)
    assert made.code == code
    assert made.message


def test_run_with_one_bad_picture_of_two_answers_both_in_order(model):
    requests = [Request({"image": data}, SchpParameters(), str(n)) for n, data in enumerate((b"", encoded(photo())))]
    first, second = model.run(requests)
    assert isinstance(first, ModelError)
    assert "upper" in second.files


@pytest.mark.parametrize("fields", [{"output": "green"}, {"colour": 1}, {"regions": {"middle": [1]}}, {"regions": {}}])
def test_parameters_with_other_fields_are_refused(fields):
    with pytest.raises(ValidationError):
        SchpParameters(**fields)


def test_load_of_an_empty_folder_or_a_wrong_config_is_refused(tmp_path):
    with pytest.raises(WeightsInvalid, match="it holds none"):
        Schp().load(tmp_path)
    (tmp_path / "config.yaml").write_text("backend: tpu\n")
    with pytest.raises(WeightsInvalid, match=r"config\.yaml"):
        Schp().load(tmp_path)


def test_load_describe_release_with_a_full_checkpoint_runs_again(tmp_path):
    save(tmp_path / "random.pth", random_state(7))
    (tmp_path / "config.yaml").write_text(_config("torch-fp32"))
    model = Schp()
    model.load(tmp_path)
    about = model.describe()
    assert (about["engine"], about["backend"], about["data_set"]) == ("schp", "torch-fp32", PASCAL.name)
    assert len(about["checkpoint_sha256"]) == 64
    before = run(model, encoded(photo())).files["seg_map"].body
    model.release()
    assert model._loaded is None
    assert run(model, encoded(photo())).files["seg_map"].body == before


def _config(backend):
    return SHIPPED.read_text().replace("backend: auto", f"backend: {backend}")
