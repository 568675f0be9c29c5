"""Labels for every pixel of a picture with the kernels, however large it is."""

import ctypes

import numpy as np
from numpy.typing import NDArray

from sagemaker_models.schp.native.library import ConvStep
from sagemaker_models.schp.postprocess import Labels, Logits, Taps, sure_labels
from sagemaker_models.schp.preprocess import Letterbox

DECIDE = 5

#: Logits of a pixel in the kernels; those that no class has are lower than any.
LANES, LOWEST = 32, -1e30


def labels_of(logits: Logits, box: Letterbox, library: ctypes.CDLL, threads: int) -> Labels:
    """Return the label of each pixel as the published way has it.

    Args:
        logits: of at most 32 classes.
        box: of the picture.
        library: the loaded kernels.
        threads: how many a run takes.

    Shapes: logits (C,h,w) → (H,W)
    """
    classes, height, width = logits.shape
    pixels = np.full((height, width, LANES), LOWEST, np.float32)
    pixels[:, :, :classes] = logits.transpose(1, 2, 0)
    sure = np.ascontiguousarray(sure_labels(logits))
    made = np.empty((box.height, box.width), np.uint8)
    rows_at, columns_at = box.places((box.height, box.width))
    lines = [_line(Taps.at(rows_at, height, box.size_px)), _line(Taps.at(columns_at, width, box.size_px))]
    step = ConvStep(kind=DECIDE, channels=classes, out_height=box.height, out_width=box.width)
    step.in_, step.out, step.maps = sure.ctypes.data, made.ctypes.data, 1
    step.added[0].values, step.added[0].height, step.added[0].width = pixels.ctypes.data, height, width
    for target, (first, weights) in zip((step.down, step.along), lines, strict=True):
        target.first, target.weights = first.ctypes.data, weights.ctypes.data
    first = lines[1][0]
    ends = np.searchsorted(first, first, side="right").astype(np.int32)
    step.start = ends.ctypes.data
    if library.run_steps(ctypes.addressof(step), 1, threads):
        raise MemoryError("no memory for the labels")
    return made


def _line(taps: Taps) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    return np.ascontiguousarray(taps.first, np.int32), np.ascontiguousarray(taps.weights, np.float32)
