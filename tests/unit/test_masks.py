"""The ellipse that hides a face."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from backlot.images.masks import GRID, Box, box_in_pixels, ellipse_bounds, mask_face

grid = st.floats(-100, 1100)
sides = st.integers(15, 3000)


def sorted_box(xs: list[float], ys: list[float]) -> Box:
    return Box(min(xs), min(ys), max(xs), max(ys))


boxes = st.builds(sorted_box, st.lists(grid, min_size=2, max_size=2), st.lists(grid, min_size=2, max_size=2))


@pytest.mark.parametrize(
    ("box", "size", "pixels"),
    [
        (Box(0, 0, 1000, 1000), (1920, 1080), Box(0, 0, 1920, 1080)),
        (Box(500, 250, 750, 999), (1001, 100), Box(500, 25, 750, 99)),
        (Box(1, 1, 2, 2), (999, 1000), Box(0, 1, 1, 2)),
        (Box(-5, -1, 1001, 2000), (640, 480), Box(0, 0, 640, 480)),
    ],
)
def test_box_in_pixels_of_a_grid_box_is_cut_down_to_whole_pixels(box, size, pixels):
    assert box_in_pixels(box, *size) == pixels


@given(boxes, sides, sides)
def test_box_in_pixels_of_any_box_lies_in_the_picture(box, width, height):
    pixels = box_in_pixels(box, width, height)
    assert 0 <= pixels.left <= pixels.right <= width
    assert 0 <= pixels.top <= pixels.bottom <= height
    assert pixels.left <= max(box.left, 0) * width / GRID


@pytest.mark.parametrize(("right", "bottom", "empty"), [(11, 11, False), (10, 11, True), (11, 10, True), (9, 9, True)])
def test_box_without_area_is_empty(right, bottom, empty):
    assert Box(10, 10, right, bottom).is_empty is empty


def test_ellipse_bounds_amid_the_picture_have_the_radii_of_the_formula():
    bounds = ellipse_bounds(Box(400, 300, 600, 700), 1000, 1000)

    assert (bounds.left + bounds.right) / 2 == 500
    assert (bounds.top + bounds.bottom) / 2 == 500
    assert (bounds.right - bounds.left) / 2 == pytest.approx(1.05 * 200 / 2)
    assert (bounds.bottom - bounds.top) / 2 == pytest.approx(1.05 * 400 / 2)


def test_ellipse_bounds_at_a_border_are_squeezed_into_the_picture():
    bounds = ellipse_bounds(Box(0, 0, 200, 100), 210, 100)

    assert (bounds.left, bounds.top, bounds.bottom) == (0, 0, 100)
    assert bounds.right == pytest.approx(205)


@given(boxes, sides, sides)
def test_ellipse_bounds_of_any_face_lie_in_the_picture_and_cover_the_face(box, width, height):
    face = box_in_pixels(box, width, height)
    bounds = ellipse_bounds(face, width, height)
    assert 0 <= bounds.left <= face.left <= face.right <= bounds.right <= width
    assert 0 <= bounds.top <= face.top <= face.bottom <= bounds.bottom <= height


@pytest.mark.parametrize(
    ("mode", "colour", "black"), [("L", 200, 0), ("RGB", (9, 8, 7), (0, 0, 0)), ("RGBA", (9, 8, 7, 0), (0, 0, 0, 255))]
)
def test_mask_face_paints_opaque_black_in_every_mode_and_leaves_its_input(mode, colour, black):
    picture = Image.new(mode, (100, 100), colour)

    masked, _ = mask_face(picture, Box(40, 30, 60, 70))

    assert masked.getpixel((50, 50)) == black
    assert masked.getpixel((39, 29)) == colour
    assert picture.getcolors() == [(10_000, colour)]


def test_mask_face_has_a_hard_edge_and_the_area_of_its_ellipse():
    masked, bounds = mask_face(Image.new("L", (400, 400), 255), Box(100, 50, 300, 350))

    counts = {colour: count for count, colour in masked.getcolors()}
    assert set(counts) == {0, 255}
    area = 3.141592653589793 * (bounds.right - bounds.left) * (bounds.bottom - bounds.top) / 4
    assert counts[0] == pytest.approx(area, rel=0.02)


def test_mask_face_touches_nothing_outside_its_bounds():
    source = Image.effect_noise((120, 90), 80).convert("RGB")

    masked, bounds = mask_face(source, Box(30, 20, 70, 60))

    inside = (int(bounds.left), int(bounds.top), int(bounds.right) + 2, int(bounds.bottom) + 2)
    for picture in (masked, source := source.copy()):
        picture.paste("white", inside)
    assert masked.tobytes() == source.tobytes()


@given(boxes, sides, sides)
def test_mask_face_of_any_box_in_any_picture_is_painted(box, width, height):
    picture = Image.new("L", (min(width, 300), min(height, 300)), 255)
    face = box_in_pixels(box, *picture.size)

    masked, _ = mask_face(picture, face)

    assert masked.size == picture.size
    if not face.is_empty:
        assert masked.getextrema()[0] == 0
