"""Faces: what a detector and an embedder are to us, and how a face is cut out of a picture."""

from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Points = NDArray[np.float64]

#: Side of an aligned face, pixels.
ALIGNED_PX = 512

#: Where FFHQ has the eyes, the nose and the corners of the mouth in 512x512.
FFHQ = np.array(
    (
        (192.98138, 239.94708),
        (318.90277, 240.1936),
        (256.63416, 314.01935),
        (201.26117, 371.41043),
        (313.08905, 371.15118),
    )
)

#: What lies outside the picture, RGB.
_OUTSIDE = (132, 133, 135)


@dataclass(frozen=True)
class Face:
    """A face in a picture.

    Args:
        box: left, top, right, bottom, pixels.
        points: (5,2) x and y of left eye, right eye, nose, left and right corner of the mouth, as seen by who looks at
            the picture; pixels.
        score: how sure the detector is, 0 to 1.
    """

    box: tuple[float, float, float, float]
    points: Points
    score: float

    @property
    def area(self) -> float:
        """Area of the box, square pixels."""
        left, top, right, bottom = self.box
        return max(0.0, right - left) * max(0.0, bottom - top)


class Detector(Protocol):
    """Finds faces."""

    def find(self, rgb: Pixels) -> list[Face]:
        """Shapes: rgb (H,W,3)."""


class Embedder(Protocol):
    """Describes whose face it is, by numbers that PuLID's encoder was trained with."""

    def embed(self, rgb: Pixels, face: Face) -> NDArray[np.float32]:
        """Shapes: rgb (H,W,3) → (512)."""


def largest(faces: list[Face]) -> Face | None:
    """Return the largest face; None if there is none."""
    return max(faces, key=lambda face: face.area, default=None)


def align(rgb: Pixels, face: Face) -> Pixels | None:
    """Cut a face out so that its points lie where FFHQ has them; None if the points are of no face.

    Shapes: rgb (H,W,3) → (512,512,3)

    Source: facexlib, `utils/face_restoration_helper.py`, and PuLID's parameters for it, read 2026-11-21. There, points
    come from RetinaFace and the face is the one nearest to the centre, which can be another than the one that is
    embedded; here both are of the largest face.
    """
    matrix = cv2.estimateAffinePartial2D(face.points, FFHQ, method=cv2.LMEDS)[0]
    if matrix is None or not np.isfinite(matrix).all():
        return None
    size = (ALIGNED_PX, ALIGNED_PX)
    made = cv2.warpAffine(rgb, matrix, size, borderMode=cv2.BORDER_CONSTANT, borderValue=_OUTSIDE)
    return np.asarray(made, np.uint8)
