"""The hint of a shadow beside the object that an insertion makes.

o = 1 within the mask (grey from 128 on), 0 outside; s = o moved 3 px right and 5 px down, faded row by row from 0 at
the top of its box to 1 at the bottom, and rounded to grey levels; b = s blurred (Gaussian, 21 x 21, deviation 3.5).

Source: contracts.md §4.1, shadow hint of v3.
"""

import cv2
import numpy as np

from sagemaker_models.qwen_edit.conditions.masking import INSIDE, background
from sagemaker_models.qwen_edit.conditions.reference import box_of
from sagemaker_models.qwen_edit.frame import Pixels

#: The shadow's place from the object's, pixels to the right and down.
OFFSET_PX = (3, 5)

#: Side of the blur's window, pixels; the deviation follows by OpenCV's rule, 0.3·((side-1)/2 - 1) + 0.8 = 3.5.
BLUR_PX = 21

#: How much of the light the full shadow takes.
OPACITY = 0.4

#: Side of the ellipse by which object and shadow are enlarged, pixels.
GROWTH_PX = 7


def shadow_mask(mask: Pixels) -> Pixels:
    """Return the object and its shadow, enlarged: dilate(max(255·o, s)) with an ellipse of 7 x 7.

    Shapes:
        mask (h,w) → (h,w)

    Raises:
        ValueError: the mask has no inside.
    """
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (GROWTH_PX, GROWTH_PX))
    both = np.maximum(_object(mask), _shadow(mask))
    return np.asarray(cv2.dilate(both, ellipse), np.uint8)


def shadow_background(picture: Pixels, mask: Pixels) -> Pixels:
    """Return the picture outside the mask, darkened by the shadow: I·(1 - 0.4·b·(1-o)), then as `background`.

    Shapes:
        picture (h,w,3), mask (h,w) → (h,w,3)

    Raises:
        ValueError: the mask has no inside.
    """
    blurred = cv2.GaussianBlur(_shadow(mask).astype(np.float64), (BLUR_PX, BLUR_PX), 0) / 255
    light = np.where(_object(mask) > 0, 1.0, 1 - OPACITY * blurred)
    shaded = np.floor(picture * light[:, :, None] + 0.5).astype(np.uint8)
    return background(shaded, mask)


def _object(mask: Pixels) -> Pixels:
    return np.where(mask >= INSIDE, 255, 0).astype(np.uint8)


def _shadow(mask: Pixels) -> Pixels:
    """Return s in grey levels; what is moved out of the picture is lost."""
    box, (right, down) = box_of(mask), OFFSET_PX
    height, width = mask.shape
    levels = np.zeros(height + down, np.uint8)
    # 255·row/last to the nearest, in whole numbers.
    last = max(1, box.height - 1)
    levels[box.top + down : box.bottom + down] = (510 * np.arange(box.height) + last) // (2 * last)
    moved = np.zeros_like(mask)
    moved[down:, right:] = _object(mask)[: max(0, height - down), : max(0, width - right)]
    return np.where(moved > 0, levels[:height, None], 0).astype(np.uint8)
