"""Conditional images, held against their documented construction written down a second time, naively."""

from fractions import Fraction

import cv2
import numpy as np
import pytest
from PIL import Image

from sagemaker_models.qwen_edit.conditions import CONDITIONS, Scene, edited_by
from sagemaker_models.qwen_edit.conditions.masking import background, foreground, mask_rgb
from sagemaker_models.qwen_edit.conditions.previews import canny, inpaint_preview
from sagemaker_models.qwen_edit.conditions.reference import (
    Box,
    box_of,
    fitted,
    positioned_mask,
    positioned_reference,
    stretched,
)
from sagemaker_models.qwen_edit.conditions.shadow import shadow_background, shadow_mask


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def smooth(height, width, seed=0):
    small = Image.fromarray(noise(5, 6, 3, seed=seed))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.uint8)


def soft_mask(height=40, width=52):
    """A blob with all grey levels at its edge, off centre."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot((y - 18) / 9, (x - 30) / 13)
    return np.clip(255 * (1.6 - distance), 0, 255).astype(np.uint8)


def rounded(value):
    """The nearest whole number, exactly."""
    return int(value + Fraction(1, 2))


# The split by the mask: mask RGB, background = I·(1-m), foreground = I·m, m = grey/255.


def test_mask_rgb_is_the_grey_three_times():
    mask = np.array([[0, 128], [255, 7]], np.uint8)
    expected = [[[0, 0, 0], [128, 128, 128]], [[255, 255, 255], [7, 7, 7]]]
    np.testing.assert_array_equal(mask_rgb(mask), expected)


def test_background_and_foreground_of_small_arrays_by_hand():
    picture = np.array([[[10, 20, 30], [255, 1, 100]]], np.uint8)
    mask = np.array([[255, 51]], np.uint8)
    # 51/255 is a fifth: 255/5 = 51, 1/5 = 0.2, 100/5 = 20.
    np.testing.assert_array_equal(foreground(picture, mask), [[[10, 20, 30], [51, 0, 20]]])
    np.testing.assert_array_equal(background(picture, mask), [[[0, 0, 0], [204, 1, 80]]])


def test_background_and_foreground_are_the_documented_products_at_every_level():
    picture = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 256, axis=1).repeat(3, axis=2)
    mask = np.repeat(np.arange(256, dtype=np.uint8)[None, :], 256, axis=0)
    inside = [[rounded(Fraction(i * m, 255)) for m in range(256)] for i in range(256)]
    outside = [[rounded(Fraction(i * (255 - m), 255)) for m in range(256)] for i in range(256)]
    for channel in range(3):
        np.testing.assert_array_equal(foreground(picture, mask)[:, :, channel], inside)
        np.testing.assert_array_equal(background(picture, mask)[:, :, channel], outside)


def test_background_and_foreground_make_up_the_picture():
    picture, mask = noise(40, 52, 3), soft_mask()
    total = background(picture, mask).astype(int) + foreground(picture, mask)
    np.testing.assert_array_equal(total, picture)


# What OpenCV makes.


def test_inpaint_preview_is_telea_of_radius_3_wherever_the_mask_is_not_black():
    picture, mask = smooth(40, 52), soft_mask()
    made = inpaint_preview(picture, mask)
    holes = (mask > 0).astype(np.uint8)
    np.testing.assert_array_equal(made, cv2.inpaint(picture, holes, inpaintRadius=3, flags=cv2.INPAINT_TELEA))
    np.testing.assert_array_equal(made[mask == 0], picture[mask == 0])
    assert not np.array_equal(made, cv2.inpaint(picture, holes, 5, cv2.INPAINT_TELEA))
    assert not np.array_equal(made, cv2.inpaint(picture, holes, 3, cv2.INPAINT_NS))


def test_inpaint_preview_of_one_colour_fills_the_hole_with_it():
    picture = np.full((20, 20, 3), (200, 100, 50), np.uint8)
    holed = picture.copy()
    holed[8:12, 8:12] = 0
    mask = np.zeros((20, 20), np.uint8)
    mask[8:12, 8:12] = 255
    # Telea rounds on its way inwards.
    np.testing.assert_allclose(inpaint_preview(holed, mask).astype(int), picture, atol=2)


def naive_canny(picture, low, high):
    """Canny's steps, one after the other: grey, Sobel, thinning across the edge, two thresholds."""
    red, green, blue = (picture[:, :, channel].astype(int) for channel in range(3))
    grey = (9798 * red + 19235 * green + 3735 * blue + 16384) >> 15
    height, width = grey.shape
    around = np.pad(grey, 1, mode="edge")

    def at(down, right):
        return around[1 + down : 1 + down + height, 1 + right : 1 + right + width]

    dx = at(-1, 1) + 2 * at(0, 1) + at(1, 1) - at(-1, -1) - 2 * at(0, -1) - at(1, -1)
    dy = at(1, -1) + 2 * at(1, 0) + at(1, 1) - at(-1, -1) - 2 * at(-1, 0) - at(-1, 1)
    strength = np.pad(abs(dx) + abs(dy), 1)
    kept = np.zeros((height, width), bool)
    for y in range(height):
        for x in range(width):
            here, u, v = strength[y + 1, x + 1], abs(dx[y, x]), abs(dy[y, x]) << 15
            if here <= low:
                continue
            if v < 13573 * u:
                kept[y, x] = here > strength[y + 1, x] and here >= strength[y + 1, x + 2]
            elif v > 13573 * u + (u << 16):
                kept[y, x] = here > strength[y, x + 1] and here >= strength[y + 2, x + 1]
            else:
                side = -1 if (dx[y, x] ^ dy[y, x]) < 0 else 1
                kept[y, x] = here > strength[y, x + 1 - side] and here > strength[y + 2, x + 1 + side]
    edges = kept & (strength[1:-1, 1:-1] > high)
    while True:
        near = cv2.dilate(edges.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & kept
        if np.array_equal(near, edges):
            return np.repeat(255 * edges[:, :, None], 3, axis=2)
        edges = near


def test_canny_is_the_documented_procedure_with_100_and_200():
    picture = smooth(60, 70, seed=3)
    picture = (picture // 64 * 64 + noise(60, 70, 3, seed=4) // 8).astype(np.uint8)
    made, expected = canny(picture), naive_canny(picture, 100, 200)
    assert 100 < np.count_nonzero(expected[:, :, 0]) < 2000
    np.testing.assert_array_equal(made, expected)
    assert not np.array_equal(naive_canny(picture, 100, 300), expected)
    assert not np.array_equal(naive_canny(picture, 150, 200), expected)


def test_canny_of_a_step_is_one_line():
    picture = np.zeros((7, 8, 3), np.uint8)
    picture[:, 4:] = 255
    expected = np.zeros((7, 8, 3), np.uint8)
    expected[:, 3] = 255
    np.testing.assert_array_equal(canny(picture), expected)


# The reference.


def test_stretched_loses_the_aspect_and_is_lanczos():
    reference = noise(9, 31, 3)
    expected = np.asarray(Image.fromarray(reference).resize((24, 16), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(stretched(reference, 24, 16), expected)


def test_fitted_keeps_the_aspect_and_is_centred_on_black():
    made = fitted(np.full((10, 20, 3), 200, np.uint8), 40, 40)
    expected = np.zeros((40, 40, 3), np.uint8)
    expected[10:30] = 200
    np.testing.assert_array_equal(made, expected)


def test_box_of_counts_grey_from_128_on():
    mask = np.zeros((6, 7), np.uint8)
    mask[2, 3], mask[4, 1], mask[5, 6] = 128, 255, 127
    assert box_of(mask) == Box(1, 2, 4, 5)
    with pytest.raises(ValueError, match="no inside"):
        box_of(np.full((4, 4), 127, np.uint8))


def test_positioned_of_small_arrays_by_hand():
    mask = np.zeros((5, 6), np.uint8)
    mask[1:4, 2:5] = 255
    reference_mask = np.zeros((4, 4), np.uint8)
    reference_mask[0, 1], reference_mask[1, 1], reference_mask[1, 2], reference_mask[2, 3] = 255, 255, 51, 255
    reference = np.full((4, 4, 3), 100, np.uint8)
    # R's box is rows 0 to 2 and columns 1 to 3, as large as A's: nothing is scaled.
    expected = np.zeros((5, 6), np.uint8)
    expected[1, 2], expected[2, 2], expected[2, 3], expected[3, 4] = 255, 255, 51, 255
    np.testing.assert_array_equal(positioned_mask(mask, reference_mask), expected)
    objects = np.where(expected == 51, 20, np.where(expected == 255, 100, 0)).astype(np.uint8)
    made = positioned_reference(mask, reference, reference_mask)
    np.testing.assert_array_equal(made, np.repeat(objects[:, :, None], 3, axis=2))


@pytest.mark.parametrize(("height", "width"), [(8, 20), (20, 8), (6, 6)])
def test_positioned_is_the_cut_scaled_into_the_masks_box_and_centred(height, width):
    mask = np.zeros((50, 60), np.uint8)
    mask[11:41, 7:47] = 255
    reference, reference_mask = noise(30, 40, 3), np.zeros((30, 40), np.uint8)
    reference_mask[4 : 4 + height, 9 : 9 + width] = noise(height, width, seed=1) // 2 + 128
    scale = min(Fraction(40, width), Fraction(30, height))
    new_width, new_height = rounded(width * scale), rounded(height * scale)
    left, top = 7 + (40 - new_width) // 2, 11 + (30 - new_height) // 2
    cut = (slice(4, 4 + height), slice(9, 9 + width))
    expected, expected_mask = Image.new("RGB", (60, 50)), Image.new("L", (60, 50))
    lanczos = Image.Resampling.LANCZOS
    shape = Image.fromarray(reference_mask[cut])
    expected_mask.paste(shape.resize((new_width, new_height), lanczos), (left, top))
    thing = Image.fromarray(foreground(reference[cut], reference_mask[cut]))
    expected.paste(thing.resize((new_width, new_height), lanczos), (left, top))
    np.testing.assert_array_equal(positioned_mask(mask, reference_mask), np.asarray(expected_mask))
    np.testing.assert_array_equal(positioned_reference(mask, reference, reference_mask), np.asarray(expected))


# The shadow hint.


def naive_shadow(mask):
    """s: the object moved by (3, 5), faded from the top of its box to the bottom."""
    height, width = mask.shape
    rows = [y for y in range(height) if (mask[y] >= 128).any()]
    top, tall = rows[0], rows[-1] - rows[0] + 1
    shadow = np.zeros((height, width), int)
    for y in range(height - 5):
        for x in range(width - 3):
            if mask[y, x] >= 128:
                share = Fraction(y - top, tall - 1) if tall > 1 else Fraction(0)
                shadow[y + 5, x + 3] = rounded(255 * share)
    return shadow


def naive_blur(values):
    offsets = np.arange(-10, 11)
    kernel = np.exp(-(offsets**2) / (2 * 3.5**2))
    kernel /= kernel.sum()
    padded = np.pad(values.astype(float), 10, mode="reflect")
    height, width = values.shape
    across = sum(share * padded[:, 10 + x : 10 + x + width] for x, share in zip(offsets, kernel, strict=True))
    return sum(share * across[10 + y : 10 + y + height] for y, share in zip(offsets, kernel, strict=True))


def naive_shadow_mask(mask):
    """The object and its shadow, enlarged by an ellipse of 7 x 7."""
    both = np.maximum(255 * (mask >= 128), naive_shadow(mask))
    reach = {-3: 0, -2: 2, -1: 3, 0: 3, 1: 3, 2: 2, 3: 0}
    made = np.zeros_like(both)
    for y, x in np.ndindex(both.shape):
        near = [
            both[y + dy, x + dx]
            for dy, half in reach.items()
            for dx in range(-half, half + 1)
            if 0 <= y + dy < both.shape[0] and 0 <= x + dx < both.shape[1]
        ]
        made[y, x] = max(near)
    return made


def naive_background(picture, mask):
    """I·(1-m), each number by itself."""
    return [
        [[rounded(Fraction(int(v) * (255 - int(m)), 255)) for v in p] for p, m in zip(r, ms, strict=True)]
        for r, ms in zip(picture, mask, strict=True)
    ]


def naive_shadow_background(picture, mask):
    """The background, darkened beside the object by four tenths of its blurred shadow."""
    light = np.where(mask >= 128, 1, 1 - 0.4 * naive_blur(naive_shadow(mask)) / 255)
    return naive_background(np.floor(picture * light[:, :, None] + 0.5).astype(int), mask)


def test_shadow_mask_is_object_and_shadow_enlarged():
    mask = soft_mask()
    expected = naive_shadow_mask(mask)
    np.testing.assert_array_equal(shadow_mask(mask), expected)
    assert np.count_nonzero((expected > 0) & (expected < 255)) > 0


def test_shadow_background_is_darkened_beside_the_object_and_black_within():
    picture, mask = noise(40, 52, 3), soft_mask()
    made = shadow_background(picture, mask)
    np.testing.assert_array_equal(made, naive_shadow_background(picture, mask))
    assert made.sum() < background(picture, mask).sum()
    assert not made[mask == 255].any()


@pytest.mark.parametrize(("height", "width"), [(3, 20), (20, 2), (6, 4)])
def test_shadow_that_falls_out_of_the_picture_is_lost(height, width):
    mask = np.full((height, width), 255, np.uint8)
    np.testing.assert_array_equal(shadow_mask(mask), mask)
    assert not shadow_background(np.full((height, width, 3), 9, np.uint8), mask).any()


# The registry.


def scene():
    reference_mask = np.zeros((20, 30), np.uint8)
    reference_mask[5:15, 10:20] = 255
    return Scene(smooth(40, 52), soft_mask(), noise(20, 30, 3), reference_mask)


def test_every_condition_makes_a_picture_of_the_canvas():
    for name, condition in CONDITIONS.items():
        made = condition.build(scene())
        assert (made.shape, made.dtype) == ((40, 52, 3), np.uint8), name


def can_be_built(condition, scene):
    try:
        return condition.build(scene).shape == scene.picture.shape
    except (ValueError, ArithmeticError, cv2.error):
        return False


def test_every_condition_says_what_it_needs():
    whole = scene()
    for name, condition in CONDITIONS.items():
        parts = {need: getattr(whole, need) for need in condition.needs}
        np.testing.assert_array_equal(condition.build(Scene(whole.picture, **parts)), condition.build(whole), name)
        for need in condition.needs:
            fewer = {other: value for other, value in parts.items() if other != need}
            assert not can_be_built(condition, Scene(whole.picture, **fewer)), (name, need)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("original", lambda s: s.picture),
        ("canny", lambda s: canny(s.picture)),
        ("mask", lambda s: mask_rgb(s.mask)),
        ("background", lambda s: background(s.picture, s.mask)),
        ("foreground", lambda s: foreground(s.picture, s.mask)),
        ("inpaint_preview", lambda s: inpaint_preview(s.picture, s.mask)),
        ("shadow_mask", lambda s: mask_rgb(shadow_mask(s.mask))),
        ("shadow_background", lambda s: shadow_background(s.picture, s.mask)),
        ("reference_stretched", lambda s: stretched(s.reference, 52, 40)),
        ("reference_fitted", lambda s: fitted(s.reference, 52, 40)),
        ("positioned_mask", lambda s: mask_rgb(positioned_mask(s.mask, s.reference_mask))),
        ("positioned_background", lambda s: background(s.picture, positioned_mask(s.mask, s.reference_mask))),
        ("positioned_reference", lambda s: positioned_reference(s.mask, s.reference, s.reference_mask)),
    ],
)
def test_condition_of_a_name_is_its_construction(name, expected):
    np.testing.assert_array_equal(CONDITIONS[name].build(scene()), expected(scene()))


def test_edited_by_joins_the_masks_that_are_shown():
    whole = scene()
    assert edited_by(("original", "canny"), whole) is None
    np.testing.assert_array_equal(edited_by(("mask", "background"), whole), whole.mask)
    both = np.maximum(whole.mask, shadow_mask(whole.mask))
    np.testing.assert_array_equal(edited_by(("mask", "shadow_mask"), whole), both)
