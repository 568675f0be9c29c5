"""What requests may say, and where they let SAM look."""

import numpy as np
import pytest
from pydantic import ValidationError

from sagemaker_models.segment.errors import Refused
from sagemaker_models.segment.parameters import SegmentParameters
from sagemaker_models.segment.prompts import prompt_of


def mask(**fields):
    return SegmentParameters.model_validate({"task": "mask"} | fields)


def prompt(guide=None, **fields):
    return prompt_of(mask(**fields), 200, 100, guide)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"points": [[1, 2.5]]},
        {"points": [[1, 2]] * 64, "labels": [1] + [0] * 63},
        {"points": [[1, 2]], "labels": [0], "box": [0, 0, 1, 1]},
        {"grow_px": -256},
        {"grow_px": 256, "soften": True},
        {"task": "background", "quality": "best", "max_side": 256},
        {"task": "background", "max_side": 4096},
    ],
)
def test_parameters_within_their_limits_are_taken(fields):
    mask(**fields)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"task": "text"}, "task"),
        ({"colour": 1}, "colour"),
        ({"points": [[1, 2]] * 65}, "64"),
        ({"points": [[1, float("nan")]]}, "finite"),
        ({"points": [[1, 2, 3]]}, "points"),
        ({"points": [[1, 2]], "labels": [2]}, "labels"),
        ({"points": [[1, 2]], "labels": [1, 0]}, "1 points and 2 labels"),
        ({"labels": [1]}, "0 points and 1 labels"),
        ({"points": [[1, 2]], "labels": [0]}, "no point is meant"),
        ({"box": [5, 0, 5, 9]}, "box"),
        ({"box": [0, 9, 5, 3]}, "box"),
        ({"grow_px": 257}, "grow_px"),
        ({"grow_px": -257}, "grow_px"),
        ({"quality": "best"}, "quality has no effect on the task mask"),
        ({"max_side": 512}, "max_side has no effect"),
        ({"task": "background", "points": [[1, 2]]}, "points has no effect on the task background"),
        ({"task": "background", "soften": True}, "soften has no effect"),
        ({"task": "background", "max_side": 255}, "max_side"),
        ({"task": "background", "max_side": 4097}, "max_side"),
        ({"task": "background", "quality": "good"}, "quality"),
    ],
)
def test_parameters_beyond_their_limits_are_refused(fields, said):
    with pytest.raises(ValidationError, match=said):
        mask(**fields)


def test_prompt_of_points_and_box_keeps_both():
    made = prompt(points=[[1, 2], [3, 4]], labels=[1, 0], box=[0, 0, 10, 10])
    assert (made.points, made.labels, made.box) == (((1, 2), (3, 4)), (1, 0), (0, 0, 10, 10))
    assert made.origin == "points-and-box"


def test_prompt_without_labels_means_every_point():
    assert prompt(points=[[1, 2], [3, 4]]).labels == (1, 1)


@pytest.mark.parametrize(
    ("fields", "ambiguous"),
    [
        ({"points": [[1, 2]]}, True),
        ({"points": [[1, 2], [3, 4]]}, False),
        ({"points": [[1, 2]], "box": [0, 0, 9, 9]}, False),
        ({"box": [0, 0, 9, 9]}, False),
    ],
)
def test_prompt_is_ambiguous_for_a_single_click_only(fields, ambiguous):
    assert prompt(**fields).is_ambiguous is ambiguous


@pytest.mark.parametrize("fields", [{"points": [[200, 100]]}, {"points": [[0, 0]]}, {"box": [0, 0, 200, 100]}])
def test_prompt_on_the_border_is_taken(fields):
    prompt(**fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"points": [[5, 5], [200.5, 5]]},
        {"points": [[5, 100.5]]},
        {"points": [[-0.5, 5]]},
        {"box": [-1, 0, 5, 5]},
        {"box": [0, -1, 5, 5]},
        {"box": [0, 0, 201, 5]},
        {"box": [0, 0, 5, 101]},
    ],
)
def test_prompt_outside_the_picture_is_refused(fields):
    with pytest.raises(Refused, match="200x100 px") as caught:
        prompt(**fields)
    assert caught.value.code == "InputRefused"


def test_prompt_of_a_guide_is_the_centroid_of_what_is_bright_at_the_pictures_scale():
    guide = np.full((50, 50), 100, np.uint8)
    guide[10:21, 30:41] = 101
    made = prompt(guide)
    # The middle of column 35 and row 15 of 50, in a picture of 200 by 100.
    assert (made.points, made.labels, made.box) == (((141.5, 30.5),), (1,), None)
    assert made.origin == "guide"


def test_prompt_of_points_beside_a_guide_is_the_points():
    assert prompt(np.full((50, 50), 255, np.uint8), points=[[1, 2]]).origin == "points"


@pytest.mark.parametrize("guide", [None, np.full((50, 50), 100, np.uint8)])
def test_prompt_of_nothing_is_a_box_around_the_middle(guide):
    made = prompt(guide)
    assert (made.points, made.origin) == ((), "middle")
    assert made.box == pytest.approx((20, 10, 180, 90))
