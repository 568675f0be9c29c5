"""Label sets and settings: what does not belong to the data set is refused."""

import pytest
import yaml

from sagemaker_models.schp.config import SHIPPED, foreign_labels, read_config
from sagemaker_models.schp.labels import ATR, BY_CLASSES, LIP, PASCAL
from sagemaker_models.serving.model import WeightsInvalid


def test_shipped_config_has_the_documented_atr_sets():
    regions = read_config().regions
    assert regions["atr"] == {"upper": (4, 7), "lower": (5, 6, 7)}


@pytest.mark.parametrize(
    ("region", "names"), [("upper", {"upper-clothes", "dress"}), ("lower", {"skirt", "pants", "dress"})]
)
def test_shipped_sets_of_atr_and_lip_hold_the_same_clothes(region, names):
    regions = read_config().regions
    assert {ATR.labels[label] for label in regions["atr"][region]} == names
    assert names <= {LIP.labels[label] for label in regions["lip"][region]}


def test_data_sets_are_told_apart_by_their_classes():
    assert {18: ATR, 20: LIP, 7: PASCAL} == BY_CLASSES


@pytest.mark.parametrize(
    ("regions", "problem"),
    [
        ({"upper": (4, 17)}, None),
        ({"upper": (4, 18)}, "upper has label 18; atr has 0 to 17"),
        ({"lower": (0,)}, "lower has label 0, which is background"),
        ({"lower": (5, 5)}, "lower names a label twice"),
    ],
)
def test_foreign_labels_says_what_does_not_fit(regions, problem):
    assert foreign_labels(regions, ATR) == problem


def changed(tmp_path, **fields):
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(SHIPPED.read_text()) | fields))
    return path


SETS = yaml.safe_load(SHIPPED.read_text())["regions"]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"regions": SETS | {"pascal": {"upper": [7], "lower": [5]}}}, "upper has label 7; pascal has 0 to 6"),
        ({"regions": SETS | {"atr": {"upper": [4]}}}, "regions.atr should have the label sets upper and lower"),
        ({"regions": SETS | {"coco": {"upper": [1], "lower": [2]}}}, "there is no such data set"),
        ({"regions": SETS | {"atr": {"upper": [], "lower": [5]}}}, "regions.atr.upper"),
        ({"backend": "tpu"}, "backend"),
        ({"threads": -1}, "threads"),
        ({"least_agreement": 1.1}, "least_agreement"),
        ({"calibration_folder": "../elsewhere"}, "calibration_folder"),
        ({"colour": "blue"}, "colour"),
    ],
)
def test_read_config_with_an_impossible_value_names_the_place(tmp_path, fields, sentence):
    with pytest.raises(WeightsInvalid, match=sentence):
        read_config(changed(tmp_path, **fields))


@pytest.mark.parametrize("text", ["[", "- 1", ""])
def test_read_config_of_something_else_is_refused(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(WeightsInvalid):
        read_config(tmp_path / "config.yaml")
