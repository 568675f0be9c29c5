"""The canvas on which the model works, and the way of a picture onto it and back."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Quality = Literal["resized", "original"]

#: A picture whose longest side is at most the first number is worked on in a square of the second, pixels.
SQUARES_PX = ((640, 512), (896, 768), (1280, 1024), (1792, 1536))

#: Side of the square for all others, and the longest side that is worked on at all, pixels.
LARGEST_PX = 2048

#: Both sides of a canvas are multiples of this: the pipeline floors to 16 what it makes, and rounds to 32 what it sees.
MULTIPLE_PX = 32


@dataclass(frozen=True)
class Frame:
    """Where a picture lies on its canvas; all in pixels.

    Args:
        width: of the picture.
        height: of the picture.
        canvas_width: a multiple of `MULTIPLE_PX`.
        canvas_height: a multiple of `MULTIPLE_PX`.
        inner_width: of the picture on the canvas.
        inner_height: of the picture on the canvas.
        bars: what lies around it: black, or the picture's edge repeated.
    """

    width: int
    height: int
    canvas_width: int
    canvas_height: int
    inner_width: int
    inner_height: int
    bars: Literal["black", "edge"]

    @property
    def left(self) -> int:
        """Return the columns before the picture."""
        return (self.canvas_width - self.inner_width) // 2

    @property
    def top(self) -> int:
        """Return the rows above the picture."""
        return (self.canvas_height - self.inner_height) // 2

    @property
    def scaled(self) -> bool:
        """Tell whether the picture has another size on the canvas than of its own."""
        return (self.inner_width, self.inner_height) != (self.width, self.height)


def frame_of(width: int, height: int, quality: Quality) -> Frame:
    """Choose the canvas of a picture.

    `resized`: scaled to fit a square of 512 to 2048 px, which depends on the longest side, centred on black; this is
    what the checkpoints were given. `original`: as it is, up to a longest side of 2048 px; the last pixels to a
    multiple of 32 repeat its edge.

    Source: contracts.md §4.1, working size.
    """
    longest = max(width, height)
    if quality == "resized":
        side = next((side for limit, side in SQUARES_PX if longest <= limit), LARGEST_PX)
        inner_width, inner_height = _scaled(width, height, side / longest)
        return Frame(width, height, side, side, inner_width, inner_height, "black")
    inner_width, inner_height = _scaled(width, height, min(1.0, LARGEST_PX / longest))
    canvas_width, canvas_height = (-(-side // MULTIPLE_PX) * MULTIPLE_PX for side in (inner_width, inner_height))
    return Frame(width, height, canvas_width, canvas_height, inner_width, inner_height, "edge")


def onto_canvas(pixels: Pixels, frame: Frame, *, black: bool = False) -> Pixels:
    """Scale a picture or a mask, whatever its own size, and lay it on the canvas.

    Args:
        pixels: of the picture or mask.
        frame: of the picture.
        black: lay it on black, whatever the frame says; for masks.

    Shapes:
        pixels (h,w) or (h,w,3) → (canvas_height,canvas_width) or (canvas_height,canvas_width,3)
    """
    inner = resize(pixels, frame.inner_width, frame.inner_height)
    right = frame.canvas_width - frame.left - frame.inner_width
    bottom = frame.canvas_height - frame.top - frame.inner_height
    around = [(frame.top, bottom), (frame.left, right), (0, 0)][: pixels.ndim]
    return np.pad(inner, around, mode="edge" if frame.bars == "edge" and not black else "constant")


def off_canvas(pixels: Pixels, frame: Frame) -> Pixels:
    """Cut the picture out of the canvas and give it its own size again.

    Shapes:
        pixels (canvas_height,canvas_width,…) → (height,width,…)
    """
    rows = slice(frame.top, frame.top + frame.inner_height)
    columns = slice(frame.left, frame.left + frame.inner_width)
    return resize(pixels[rows, columns], frame.width, frame.height)


def resize(pixels: Pixels, width: int, height: int) -> Pixels:
    """Resize by Lanczos; what has the size already stays exactly as it is."""
    if pixels.shape[:2] == (height, width):
        return pixels
    resized = Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized, np.uint8)


def _scaled(width: int, height: int, scale: float) -> tuple[int, int]:
    return max(1, round(width * scale)), max(1, round(height * scale))
