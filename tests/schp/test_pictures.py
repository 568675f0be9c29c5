"""Pre- and postprocessing against a literal transcription of the published procedure, at awkward sizes."""

import cv2
import numpy as np
import pytest
import torch

from sagemaker_models.schp.figures import draw_figure
from sagemaker_models.schp.masks import bounds_of, cover, encode_flat, encode_photo, mask_of
from sagemaker_models.schp.native import decide, library
from sagemaker_models.schp.postprocess import DECIDED_PX, labels_of
from sagemaker_models.schp.preprocess import Letterbox, letterbox, normalise
from tests.schp.published import affine, postprocess, preprocess, up

SIZES = [(512, 512), (640, 480), (481, 641), (37, 1000), (1000, 1), (1, 300), (2, 2), (3, 2), (1500, 1100)]


def picture_of(width, height, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def logits_of(classes, side, seed=0):
    """Smooth logits: the network's change slowly too."""
    noise = np.random.default_rng(seed).standard_normal((classes, side, side)).astype(np.float32)
    return np.stack([cv2.GaussianBlur(plane, (0, 0), 4) for plane in noise])


def exact(logits, width, height, size_px):
    """The published procedure with its second warp in floats, where OpenCV's rounds places to 1/32 px."""
    large = up(torch.from_numpy(logits)[None], (size_px, size_px))
    k, middle = (size_px - 1) / max(width - 1, height - 1), (size_px - 1) / 2
    x = (k * (torch.arange(width, dtype=torch.float64) - (width - 1) / 2) + middle) / middle - 1
    y = (k * (torch.arange(height, dtype=torch.float64) - (height - 1) / 2) + middle) / middle - 1
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], -1)[None]
    return torch.nn.functional.grid_sample(large.double(), grid, align_corners=True)[0].argmax(0).numpy()


@pytest.mark.parametrize("size_px", [512, 473])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_letterbox_at_any_size_is_the_published_input(width, height, size_px):
    rgb = picture_of(width, height)
    box = Letterbox(width, height, size_px)
    expected = preprocess(rgb[:, :, ::-1], size_px)
    np.testing.assert_allclose(box.matrix(), affine(width, height, size_px), atol=1e-3)
    found = normalise(letterbox(rgb, box))
    assert found.dtype == np.float32
    assert (np.abs(found - expected) < 1e-5).mean() > 0.999
    # A rounding of the matrix may move a weight of the warp by its smallest step, 1/32 of a pixel.
    assert np.abs(found - expected).max() < 2 * 255 / 32 / 255 / 0.224


def test_letterbox_of_grey_is_that_of_three_equal_channels():
    grey = picture_of(50, 30)[:, :, 0]
    box = Letterbox(50, 30, 512)
    np.testing.assert_array_equal(letterbox(grey, box), letterbox(np.repeat(grey[:, :, None], 3, 2), box))


def test_letterbox_of_one_pixel_puts_it_in_the_middle():
    made = letterbox(np.full((1, 1, 3), 200, np.uint8), Letterbox(1, 1, 512))
    assert made[255:257, 255:257].min() == made.max() > 190


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(("classes", "size_px"), [(18, 512), (20, 473), (7, 512)])
def test_labels_at_any_size_are_the_published_ones(width, height, classes, size_px):
    logits = logits_of(classes, -(-size_px // 4))
    found = labels_of(logits, Letterbox(width, height, size_px))
    assert found.shape == (height, width)
    # Above the limit, borders lie on a coarser grid.
    whole = max(width, height) <= DECIDED_PX
    assert (found == exact(logits, width, height, size_px)).mean() >= (0.9999 if whole else 0.99)
    assert (found == postprocess(logits, width, height, size_px)).mean() >= (0.996 if whole else 0.99)


@pytest.mark.skipif(not library.has_vnni(), reason="the kernels need AVX-512 VNNI")
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_labels_by_the_kernels_at_any_size_are_the_published_ones(width, height):
    logits = logits_of(18, 128)
    kernels = library.load(library.find_or_build())
    found = decide.labels_of(logits, Letterbox(width, height, 512), kernels, 2)
    assert (found == exact(logits, width, height, 512)).mean() >= 0.9999
    assert (found == postprocess(logits, width, height, 512)).mean() >= 0.996


def test_mask_of_labels_is_255_in_the_region_and_0_elsewhere():
    labels = np.array([[0, 4, 7, 17]], np.uint8)
    np.testing.assert_array_equal(mask_of(labels, (4, 7)), [[0, 255, 255, 0]])


def test_bounds_are_tight_and_exclusive_at_their_end():
    mask = np.zeros((10, 20), np.uint8)
    mask[3, 5] = mask[6, 11] = 255
    found = bounds_of(mask)
    assert (found.left, found.top, found.right, found.bottom) == (5, 3, 12, 7)
    assert bounds_of(np.zeros((4, 4), np.uint8)) is None


def test_cover_paints_one_green_rectangle_and_leaves_the_photo_alone():
    rgb = picture_of(20, 10)
    mask = np.zeros((10, 20), np.uint8)
    mask[2:4, 5:9] = 255
    made = cover(rgb, bounds_of(mask))
    assert (made[2:4, 5:9] == (0, 255, 0)).all()
    made[2:4, 5:9] = rgb[2:4, 5:9]
    np.testing.assert_array_equal(made, rgb)
    np.testing.assert_array_equal(cover(rgb, None), rgb)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (333, 217)])
def test_encoded_pngs_decode_to_the_same_values_in_8_bits(shape):
    mask = mask_of(np.random.default_rng(1).integers(0, 18, shape, np.uint8), (4, 7))
    read = cv2.imdecode(np.frombuffer(encode_flat(mask), np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, mask)
    rgb = picture_of(shape[1], shape[0])
    photo = cv2.imdecode(np.frombuffer(encode_photo(rgb), np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(photo[:, :, ::-1], rgb)


def test_figures_are_different_for_every_seed_and_hold_both_regions():
    first, labels = draw_figure(256, 1)
    assert (first == draw_figure(256, 1)[0]).all()
    assert (first != draw_figure(256, 2)[0]).any()
    assert {4, 7} & set(np.unique(labels))
    assert {5, 6} & set(np.unique(labels))
