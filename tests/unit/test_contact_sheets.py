"""The demo's contact sheet: every picture is on it, and masks are seen where they lie."""

import numpy as np
from PIL import Image

from local.demo import sheet
from local.demo.sheet import CELL_PX, LINE_PX, SPACE_PX, Cell

RED, BLUE = Image.new("RGB", (40, 20), (255, 0, 0)), Image.new("RGB", (20, 40), (0, 0, 255))


def middle(drawn: Image.Image, row: int, column: int) -> tuple[int, ...]:
    left = SPACE_PX + column * (CELL_PX + SPACE_PX)
    top = SPACE_PX + row * (CELL_PX + 2 * LINE_PX + SPACE_PX) + LINE_PX
    return drawn.getpixel((left + CELL_PX // 2, top + CELL_PX // 2))


def test_every_picture_stands_in_its_place():
    drawn = sheet.draw([("first", [Cell("a", RED)]), ("second", [Cell("b", BLUE), Cell("c", RED)])])

    assert middle(drawn, 0, 0) == middle(drawn, 1, 1) == (255, 0, 0)
    assert middle(drawn, 1, 0) == (0, 0, 255)
    assert middle(drawn, 0, 1) == sheet.PAPER


def test_transparent_pixels_show_squares():
    drawn = np.asarray(sheet.draw([("", [Cell("cut out", Image.new("RGBA", (50, 50), (255, 0, 0, 0)))])]))

    inside = drawn[SPACE_PX + LINE_PX :][:CELL_PX, SPACE_PX : SPACE_PX + CELL_PX]
    assert set(np.unique(inside)) == {sheet.LIGHT, sheet.DARK}


def test_masks_are_tinted_and_the_rest_is_as_it_was():
    mask = np.zeros((60, 60), np.uint8)
    mask[20:40, 20:40] = 255
    shown = sheet.over(Image.new("RGB", (60, 60), "white"), [Image.fromarray(mask)])

    assert shown.getpixel((5, 5)) == (255, 255, 255)
    assert shown.getpixel((30, 30)) != (255, 255, 255)
