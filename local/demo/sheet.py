"""A contact sheet: rows of pictures with their names, so that a person sees at once what became of what."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

#: Sides of a picture's place and of the space around it, height of a line, pixels.
CELL_PX, SPACE_PX, LINE_PX = 320, 12, 22

#: What shows through transparent pixels, and what is around the pictures.
SQUARE_PX, LIGHT, DARK, PAPER, INK = 12, 255, 205, (244, 244, 242), (40, 40, 40)

#: Colours of masks over their picture, in their order.
COLOURS = ((60, 200, 60), (40, 120, 230))


class Cell(NamedTuple):
    """A picture on the sheet, and what stands below it."""

    name: str
    picture: Image.Image


def draw(rows: Sequence[tuple[str, Sequence[Cell]]]) -> Image.Image:
    """Draw a sheet.

    Args:
        rows: each with what stands above it.
    """
    width = SPACE_PX + max(len(cells) for _, cells in rows) * (CELL_PX + SPACE_PX)
    height = SPACE_PX + len(rows) * (CELL_PX + 2 * LINE_PX + SPACE_PX)
    sheet = Image.new("RGB", (width, height), PAPER)
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    for row, (title, cells) in enumerate(rows):
        top = SPACE_PX + row * (CELL_PX + 2 * LINE_PX + SPACE_PX)
        pen.text((SPACE_PX, top), title, INK, font)
        for column, cell in enumerate(cells):
            left = SPACE_PX + column * (CELL_PX + SPACE_PX)
            shown = _fitted(cell.picture)
            place = (left + (CELL_PX - shown.width) // 2, top + LINE_PX + (CELL_PX - shown.height) // 2)
            sheet.paste(shown, place)
            pen.text((left, top + LINE_PX + CELL_PX + 4), cell.name, INK, font)
    return sheet


def over(picture: Image.Image, masks: Sequence[Image.Image]) -> Image.Image:
    """Return a picture in which masks of its size are tinted, with their outline.

    Args:
        picture: that was masked.
        masks: white where the region is; as many as there are colours.
    """
    shown = np.array(picture.convert("RGB"))
    for mask, colour in zip(masks, COLOURS, strict=False):
        region = np.asarray(mask.convert("L")) > 127
        shown[region] = 0.5 * shown[region] + 0.5 * np.array(colour)
        outlines, _ = cv2.findContours(region.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(shown, outlines, -1, colour, 2, cv2.LINE_AA)
    return Image.fromarray(shown)


def opened(path: Path) -> Image.Image:
    """Read a picture."""
    with Image.open(path) as picture:
        picture.load()
        return picture


def _fitted(picture: Image.Image) -> Image.Image:
    scale = CELL_PX / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    scaled = picture.convert("RGBA").resize(size, Image.Resampling.LANCZOS)
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]] // SQUARE_PX
    squares = np.where((rows + columns) % 2, DARK, LIGHT).astype(np.uint8)
    board = Image.fromarray(squares).convert("RGBA")
    return Image.alpha_composite(board, scaled).convert("RGB")
