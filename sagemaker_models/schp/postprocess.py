"""From logits to a label for every pixel of the picture."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from sagemaker_models.schp.preprocess import Letterbox

#: Labels are decided at the picture's own pixels up to this side, and on a grid of this side in larger pictures.
DECIDED_PX = 1024

#: No label.
UNSURE = 255

Labels = NDArray[np.uint8]
Logits = NDArray[np.float32]


@dataclass(frozen=True)
class Taps:
    """How the points of a line are mixed from the coarse line of logits.

    The published way goes from the coarse line to the square and from there to the picture, bilinear both times. Both
    together take at most three neighbours on the coarse line.

    Args:
        first: index of the first neighbour.
        weights: of the three neighbours; they add up to 1.
    """

    first: NDArray[np.intp]
    weights: NDArray[np.float32]

    @classmethod
    def at(cls, places: NDArray[np.float64], coarse: int, fine: int) -> "Taps":
        """Compose both steps.

        Args:
            places: in pixels of the square.
            coarse: logits on a side.
            fine: pixels on a side of the square.
        """
        below = np.clip(np.floor(places), 0, fine - 2).astype(np.intp)
        share = np.clip(places - below, 0, 1)
        step = (coarse - 1) / (fine - 1)
        first = np.minimum((below * step).astype(np.intp), coarse - 3)
        weights = np.zeros((len(places), 3))
        for at, weight in ((below * step, 1 - share), ((below + 1) * step, share)):
            for tap in range(3):
                weights[:, tap] += weight * np.clip(1 - np.abs(at - (first + tap)), 0, None)
        return cls(first, weights.astype(np.float32))


def decide(logits: Logits, box: Letterbox, sizes: tuple[int, int]) -> Labels:
    """Return the labels at a grid of points over the picture, exactly as the published way has them at these points.

    Bilinear values lie between those of the neighbours. Where one label has the highest logit at all neighbours, it
    has it at the point as well; only the other points, those near borders, are computed.

    Args:
        sizes: points in a column and in a row.

    Shapes: logits (C,h,w) → sizes
    """
    height, width = logits.shape[1:]
    rows_at, columns_at = box.places(sizes)
    rows, columns = Taps.at(rows_at, height, box.size_px), Taps.at(columns_at, width, box.size_px)
    labels = sure_labels(logits)[rows.first][:, columns.first]
    y, x = np.nonzero(labels == UNSURE)
    pixels = np.ascontiguousarray(logits.transpose(1, 2, 0))
    labels[y, x] = _mixed(pixels, rows, columns, y, x).argmax(1)
    return labels


def sure_labels(logits: Logits) -> Labels:
    """Return for each window of 3x3 neighbours the label that is the highest in all of them, else `UNSURE`.

    Shapes: logits (C,h,w) → (h-2,w-2)
    """
    highest, coarse = logits[0].copy(), np.zeros(logits.shape[1:], np.uint8)
    for label in range(1, len(logits)):
        coarse[logits[label] > highest] = label
        np.maximum(highest, logits[label], out=highest)
    square = np.ones((3, 3), np.uint8)
    even = cv2.erode(coarse, square) == cv2.dilate(coarse, square)
    return np.where(even, coarse, UNSURE).astype(np.uint8)[1:-1, 1:-1]


def labels_of(logits: Logits, box: Letterbox) -> Labels:
    """Return the labels of a picture's pixels, decided on a grid no finer than `DECIDED_PX`.

    Shapes: logits (C,h,w) → (H,W)
    """
    return enlarge(decide(logits, box, grid_of(box)), box)


def grid_of(box: Letterbox) -> tuple[int, int]:
    """Return the size of the grid on which a picture's labels are decided: rows, columns."""
    shrink = min(1.0, DECIDED_PX / max(box.width, box.height))
    return max(1, round(box.height * shrink)), max(1, round(box.width * shrink))


def enlarge(grid: Labels, box: Letterbox) -> Labels:
    """Give every pixel of the picture the value of the nearest point of a grid over it."""
    if grid.shape == (box.height, box.width):
        return grid
    rows = _nearest(box.height, grid.shape[0])
    columns = _nearest(box.width, grid.shape[1])
    return grid.take(columns, axis=1).take(rows, axis=0)


def _nearest(pixels: int, points: int) -> NDArray[np.intp]:
    return np.rint(np.arange(pixels) * ((points - 1) / max(pixels - 1, 1))).astype(np.intp)


def _mixed(pixels: Logits, rows: Taps, columns: Taps, y: NDArray[np.intp], x: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the logits at points (y, x) of the grid.

    Shapes: pixels (h,w,C), y and x (n) → (n,C)
    """
    made = np.zeros((len(y), pixels.shape[2]), np.float32)
    for down in range(3):
        for right in range(3):
            weight = rows.weights[y, down] * columns.weights[x, right]
            counts = np.nonzero(weight)[0]
            if len(counts):
                corner = pixels[rows.first[y[counts]] + down, columns.first[x[counts]] + right]
                made[counts] += weight[counts, None] * corner
    return made
