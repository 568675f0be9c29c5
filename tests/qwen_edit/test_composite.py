"""The result over the original: what is outside stays, to the last bit."""

import numpy as np
import pytest

from sagemaker_models.qwen_edit.composite import composite, feathered


def square(height=30, width=40):
    mask = np.zeros((height, width), np.uint8)
    mask[10:20, 10:30] = 255
    return mask


def test_feathered_by_nothing_is_the_mask():
    mask = square() // 2
    np.testing.assert_array_equal(feathered(mask, 0), mask)


def test_feathered_runs_out_in_even_steps():
    row = feathered(square(), 3)[15]
    # d = 1, 2, 3 of 4: three quarters, a half, a quarter.
    assert row[30:35].tolist() == [191, 128, 64, 0, 0]
    assert row[5:10].tolist() == [0, 0, 64, 128, 191]
    assert (row[10:30] == 255).all()


@pytest.mark.parametrize("feather_px", [1, 4, 9])
def test_feathered_is_the_documented_distance_everywhere(feather_px):
    mask = square()
    mask[22, 35], mask[3, 3] = 127, 128
    inside = np.argwhere(mask >= 128)
    expected = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        distance = np.sqrt(((inside - (y, x)) ** 2).sum(axis=1).min())
        ramp = int(255 * max(0.0, 1 - distance / (feather_px + 1)) + 0.5)
        expected[y, x] = mask[y, x] if mask[y, x] >= 128 else max(ramp, mask[y, x])
    np.testing.assert_allclose(feathered(mask, feather_px).astype(int), expected, atol=1)
    np.testing.assert_array_equal(feathered(mask, feather_px) == 0, expected == 0)


def test_feathered_of_a_mask_without_inside_is_the_mask():
    mask = np.full((5, 5), 100, np.uint8)
    np.testing.assert_array_equal(feathered(mask, 3), mask)


def test_composite_keeps_what_is_outside_and_takes_what_is_inside():
    random = np.random.default_rng(0)
    original, made = (random.integers(0, 256, (30, 40, 3), np.uint8) for _ in range(2))
    alpha = feathered(square(), 4)
    mixed = composite(original, made, alpha)
    np.testing.assert_array_equal(mixed[alpha == 0], original[alpha == 0])
    np.testing.assert_array_equal(mixed[alpha == 255], made[alpha == 255])
    assert np.count_nonzero((alpha > 0) & (alpha < 255)) > 100


def test_composite_by_hand():
    original, made = np.array([[[100, 0, 255]]], np.uint8), np.array([[[200, 255, 0]]], np.uint8)
    np.testing.assert_array_equal(composite(original, made, np.array([[51]], np.uint8)), [[[120, 51, 204]]])
