"""From a picture to the network's input: the whole picture letterboxed into a square, as published."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

#: ImageNet's, in the order blue, green, red.
MEAN = np.array((0.406, 0.456, 0.485), np.float32)
STD = np.array((0.225, 0.224, 0.229), np.float32)


@dataclass(frozen=True)
class Letterbox:
    """Where a picture lies in the square that the network sees.

    With W, H the picture's sides, n the square's and k = (n - 1)/max(W - 1, H - 1): x' = k·(x - (W - 1)/2) + (n - 1)/2,
    and the same for y.

    Args:
        width: W, pixels.
        height: H, pixels.
        size_px: n.

    Source: the published extractor, whose three-point transform this is in closed form; read 2026-11-21.
    """

    width: int
    height: int
    size_px: int

    @property
    def factor(self) -> float:
        """Pixels of the square for one of the picture; a picture of one pixel is not enlarged."""
        return (self.size_px - 1) / max(self.width - 1, self.height - 1, 1)

    def matrix(self) -> NDArray[np.float64]:
        """Return the 2x3 matrix from picture to square."""
        k, middle = self.factor, (self.size_px - 1) / 2
        shift = (middle - k * (self.width - 1) / 2, middle - k * (self.height - 1) / 2)
        return np.array(((k, 0, shift[0]), (0, k, shift[1])), np.float64)

    def places(self, sizes: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return where a grid of points, laid over the picture from its first to its last pixel, lies in the square.

        Args:
            sizes: points in a column and in a row; the picture's height and width give its own pixels.
        """
        middle = (self.size_px - 1) / 2
        half_height, half_width = self.factor * (self.height - 1) / 2, self.factor * (self.width - 1) / 2
        return (
            np.linspace(middle - half_height, middle + half_height, sizes[0]),
            np.linspace(middle - half_width, middle + half_width, sizes[1]),
        )


def letterbox(rgb: Pixels, box: Letterbox) -> Pixels:
    """Warp a picture into the square, bilinear, on black, and turn red, green, blue into blue, green, red.

    The order is turned after the warp, where there are fewer pixels.

    Shapes: rgb (H,W,3) or (H,W) for grey → (n,n,3) BGR
    """
    size = (box.size_px, box.size_px)
    warped = cv2.warpAffine(
        rgb, box.matrix(), size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0)
    )
    code = cv2.COLOR_GRAY2BGR if warped.ndim == 2 else cv2.COLOR_RGB2BGR
    return np.asarray(cv2.cvtColor(warped, code), np.uint8)


def normalise(bgr: Pixels) -> NDArray[np.float32]:
    """Return the network's input.

    Shapes: bgr (n,n,3) → (1,3,n,n) float32, (v/255 - mean)/std
    """
    scaled = bgr * (1 / (255 * STD)) - MEAN / STD
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None], np.float32)
