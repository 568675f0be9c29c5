"""The black ellipse that hides a face."""

import math
from dataclasses import dataclass

from PIL import Image, ImageDraw

#: Detectors answer in a grid of 1000 by 1000 laid over the picture.
GRID = 1000

#: The ellipse is this much wider and higher than the box, on both sides together.
GROWTH = 1.05


@dataclass(frozen=True)
class Box:
    """A rectangle; left ≤ right, top ≤ bottom. Whether in pixels or in the grid is said where it is used."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def is_empty(self) -> bool:
        """Whether it has no area."""
        return self.right <= self.left or self.bottom <= self.top


def box_in_pixels(box: Box, width: int, height: int) -> Box:
    """Turn a box of the grid into pixels: x = ⌊xₙ·W/1000⌋, y = ⌊yₙ·H/1000⌋, clamped to the picture.

    Args:
        box: in the grid of 1000; values outside it are clamped.
        width: W, pixels.
        height: H, pixels.
    """

    def pixel(value: float, size: int) -> int:
        return math.floor(min(max(value, 0), GRID) * size / GRID)

    return Box(pixel(box.left, width), pixel(box.top, height), pixel(box.right, width), pixel(box.bottom, height))


def ellipse_bounds(face: Box, width: int, height: int) -> Box:
    """Return the rectangle in which the ellipse over a face is drawn.

    With w and h the sides of the face's box, its radii are 1.05·w/2 and 1.05·h/2 about the box's centre. The sides are
    clamped to the picture after that, so that near a border the ellipse is squeezed rather than cut.

    Args:
        face: in pixels.
        width: of the picture, pixels.
        height: of the picture, pixels.
    """
    centre_x, centre_y = (face.left + face.right) / 2, (face.top + face.bottom) / 2
    radius_x = GROWTH * (face.right - face.left) / 2
    radius_y = GROWTH * (face.bottom - face.top) / 2
    return Box(
        max(0.0, centre_x - radius_x),
        max(0.0, centre_y - radius_y),
        min(float(width), centre_x + radius_x),
        min(float(height), centre_y + radius_y),
    )


def mask_face(pixels: Image.Image, face: Box) -> tuple[Image.Image, Box]:
    """Paint an opaque black ellipse over a face; the edge is hard and nothing else is touched.

    Args:
        pixels: mode L, RGB or RGBA; left as it is.
        face: in pixels.

    Returns:
        A copy with the ellipse, and the rectangle that bounds it.
    """
    black = {"L": (0,), "RGB": (0, 0, 0), "RGBA": (0, 0, 0, 255)}[pixels.mode]
    bounds = ellipse_bounds(face, *pixels.size)
    masked = pixels.copy()
    ImageDraw.Draw(masked).ellipse((bounds.left, bounds.top, bounds.right, bounds.bottom), fill=black)
    return masked, bounds
