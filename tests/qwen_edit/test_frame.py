"""The canvas: the old table of working sizes, and the exact way back."""

import numpy as np
import pytest
from PIL import Image

from sagemaker_models.qwen_edit.frame import Frame, frame_of, off_canvas, onto_canvas, resize


@pytest.mark.parametrize(
    ("longest", "side"),
    [
        (15, 512),
        (640, 512),
        (641, 768),
        (896, 768),
        (897, 1024),
        (1280, 1024),
        (1281, 1536),
        (1792, 1536),
        (1793, 2048),
        (9000, 2048),
    ],
)
def test_frame_resized_takes_the_square_of_the_old_table(longest, side):
    wide, tall = frame_of(longest, longest // 3 + 1, "resized"), frame_of(longest // 3 + 1, longest, "resized")
    for frame in (wide, tall):
        assert (frame.canvas_width, frame.canvas_height) == (side, side)
        assert max(frame.inner_width, frame.inner_height) == side
    assert (wide.inner_width, wide.left, tall.inner_height, tall.top) == (side, 0, side, 0)
    assert abs(wide.top - (side - wide.inner_height) / 2) <= 0.5


@pytest.mark.parametrize(
    ("size", "canvas", "inner", "scaled"),
    [
        ((1024, 768), (1024, 768), (1024, 768), False),
        ((1000, 667), (1024, 672), (1000, 667), False),
        ((2048, 33), (2048, 64), (2048, 33), False),
        ((2049, 1000), (2048, 1024), (2048, 1000), True),
        ((6000, 4000), (2048, 1376), (2048, 1365), True),
        ((15, 15), (32, 32), (15, 15), False),
    ],
)
def test_frame_original_keeps_the_size_up_to_2048(size, canvas, inner, scaled):
    frame = frame_of(*size, "original")
    assert (frame.canvas_width, frame.canvas_height) == canvas
    assert (frame.inner_width, frame.inner_height) == inner
    assert frame.scaled is scaled


@pytest.mark.parametrize("quality", ["resized", "original"])
@pytest.mark.parametrize("size", [(15, 240), (33, 65), (641, 640), (1793, 1), (2049, 2047), (5000, 313)])
def test_frame_of_any_size_fits_the_pipeline(size, quality):
    frame = frame_of(*size, quality)
    assert frame.canvas_width % 32 == frame.canvas_height % 32 == 0
    assert 1 <= frame.inner_width <= frame.canvas_width <= 2048
    assert 1 <= frame.inner_height <= frame.canvas_height <= 2048
    assert frame.left + frame.inner_width <= frame.canvas_width
    assert frame.top + frame.inner_height <= frame.canvas_height


def test_onto_canvas_lays_black_bars_or_repeats_the_edge():
    pixels = np.arange(1, 7, dtype=np.uint8).reshape(2, 3)
    black = onto_canvas(pixels, Frame(3, 2, 5, 4, 3, 2, "black"))
    np.testing.assert_array_equal(black, [[0, 0, 0, 0, 0], [0, 1, 2, 3, 0], [0, 4, 5, 6, 0], [0, 0, 0, 0, 0]])
    edge = Frame(3, 2, 5, 4, 3, 2, "edge")
    repeated = [[1, 1, 2, 3, 3], [1, 1, 2, 3, 3], [4, 4, 5, 6, 6], [4, 4, 5, 6, 6]]
    np.testing.assert_array_equal(onto_canvas(pixels, edge), repeated)
    np.testing.assert_array_equal(onto_canvas(pixels, edge, black=True), black)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_off_canvas_of_an_unscaled_picture_is_the_picture(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (53, 77, *channels), np.uint8)
    frame = frame_of(77, 53, "original")
    laid = onto_canvas(pixels, frame)
    assert laid.shape == (64, 96, *channels)
    np.testing.assert_array_equal(off_canvas(laid, frame), pixels)


@pytest.mark.parametrize("size", [(333, 500), (700, 431), (1000, 100), (97, 61), (1900, 1300)])
def test_off_canvas_of_a_scaled_picture_is_aligned_with_it(size):
    width, height = size
    y, x = np.mgrid[:height, :width]
    waves = 127 + 60 * np.sin(x / width * 20) + 60 * np.cos(y / height * 17)
    pixels = np.repeat(waves.astype(np.uint8)[:, :, None], 3, axis=2)
    frame = frame_of(width, height, "resized")
    back = off_canvas(onto_canvas(pixels, frame), frame)
    assert back.shape == pixels.shape

    def error(down, right):
        moved = np.roll(back, (down, right), (0, 1))[8:-8, 8:-8].astype(int)
        return np.abs(moved - pixels[8:-8, 8:-8]).mean()

    assert error(0, 0) < 1.0
    assert error(0, 0) < min(error(0, 1), error(0, -1), error(1, 0), error(-1, 0))


def test_off_canvas_leaves_no_bar():
    frame = frame_of(300, 100, "resized")
    made = np.zeros((512, 512, 3), np.uint8)
    made[frame.top : frame.top + frame.inner_height] = 200
    assert (off_canvas(made, frame) == 200).all()


def test_onto_canvas_takes_a_mask_of_another_size_by_lanczos():
    mask = np.random.default_rng(1).integers(0, 256, (20, 30), np.uint8)
    frame = frame_of(96, 64, "original")
    expected = np.asarray(Image.fromarray(mask).resize((96, 64), Image.Resampling.LANCZOS))
    np.testing.assert_array_equal(onto_canvas(mask, frame, black=True), expected)
    assert resize(mask, 30, 20) is mask
