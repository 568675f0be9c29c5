"""Masks of the picture's size: enlarged, grown, softened, described."""

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from sagemaker_models.segment.masks import described, grown, mask_of, softened


def square(width=60, height=40):
    mask = np.zeros((height, width), np.uint8)
    mask[10:20, 30:45] = 255
    return mask


@pytest.mark.parametrize("size", [(160, 90), (300, 301), (20, 15)])
def test_mask_is_what_transformers_makes_of_the_logits(size):
    logits = np.random.default_rng(1).standard_normal((32, 32)).astype(np.float32)
    width, height = size
    values = torch.from_numpy(logits)[None, None]
    enlarged = interpolate(values, (height, width), mode="bilinear", align_corners=False)
    expected = np.where(enlarged[0, 0].numpy() > 0, 255, 0)
    made = mask_of(logits, width, height)
    assert (made.shape, made.dtype) == ((height, width), np.uint8)
    # The two libraries may round places differently where the logits are next to 0.
    assert np.mean(made != expected) < 0.001


def test_mask_of_logits_at_zero_is_empty():
    assert not mask_of(np.zeros((8, 8), np.float32), 20, 20).any()


@pytest.mark.parametrize("grow_px", [0, 1, 7, -3])
def test_grown_moves_the_border_by_so_many_pixels_on_each_side(grow_px):
    expected = np.zeros((40, 60), np.uint8)
    expected[10 - grow_px : 20 + grow_px, 30 - grow_px : 45 + grow_px] = 255
    np.testing.assert_array_equal(grown(square(), grow_px), expected)


def test_grown_by_less_than_nothing_leaves_what_touches_the_pictures_border():
    full = np.full((30, 30), 255, np.uint8)
    np.testing.assert_array_equal(grown(full, -10), full)


def test_grown_beyond_everything_is_full_or_empty():
    assert grown(square(), 256).all()
    assert not grown(square(), -5).any()


def test_softened_has_values_between_and_keeps_the_sum():
    made = softened(square())
    assert 0 < made[9, 37] < 255
    assert made[0, 0] == 0
    assert int(made.sum()) == pytest.approx(int(square().sum()), rel=0.02)
    # A Gaussian of sigma 3 falls to a half on a straight border.
    assert made[15, 29] == pytest.approx(127 * 0.9, abs=16)


def test_described_has_box_and_share():
    assert described(square()) == {"width": 60, "height": 40, "box": [30, 10, 45, 20], "area": 0.0625}


def test_described_of_nothing_has_no_box():
    assert described(np.zeros((4, 4), np.uint8)) == {"width": 4, "height": 4, "box": None, "area": 0.0}
