"""From a network's small map to a mask of the picture's size."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sagemaker_models.schp.masks import bounds_of

Pixels = NDArray[np.uint8]
Map = NDArray[np.float32]

#: Of the softened border, pixels; as the old server had it.
SIGMA_PX = 3.0


def mask_of(logits: Map, width: int, height: int) -> Pixels:
    """Enlarge logits, bilinear, and return 255 where they are above 0, else 0.

    Shapes: logits (h,w) → (H,W)

    Source: transformers 5.23.0, `Sam2ImageProcessor.post_process_masks`.
    """
    enlarged = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)
    return (enlarged > 0).astype(np.uint8) * np.uint8(255)


def grown(mask: Pixels, grow_px: int) -> Pixels:
    """Enlarge a mask by a square of side 2·|grow_px| + 1, or take as much away if it is below 0.

    What lies outside the picture takes nothing away.
    """
    if grow_px == 0:
        return mask
    side = 2 * abs(grow_px) + 1
    change = cv2.dilate if grow_px > 0 else cv2.erode
    return np.asarray(change(mask, np.ones((side, side), np.uint8)), np.uint8)


def softened(mask: Pixels) -> Pixels:
    """Blur a mask."""
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), SIGMA_PX), np.uint8)


def described(mask: Pixels) -> dict[str, Any]:
    """Return size, box and share of a mask; right and bottom of the box are the first pixels outside."""
    bounds = bounds_of(mask)
    return {
        "width": mask.shape[1],
        "height": mask.shape[0],
        "box": [bounds.left, bounds.top, bounds.right, bounds.bottom] if bounds else None,
        "area": round(cv2.countNonZero(mask) / mask.size, 6),
    }
