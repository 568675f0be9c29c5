"""Images that OpenCV makes of a picture: a filled hole, and its edges."""

import cv2
import numpy as np

from sagemaker_models.qwen_edit.frame import Pixels

#: How far the filling looks, pixels.
TELEA_RADIUS_PX = 3

#: An edge begins at the higher gradient and goes on down to the lower.
CANNY = (100, 200)


def inpaint_preview(picture: Pixels, mask: Pixels) -> Pixels:
    """Fill the mask, wherever it is not black, from its surroundings (Telea, radius 3).

    Shapes:
        picture (h,w,3), mask (h,w) → (h,w,3)

    Source: contracts.md §4.1, "mae" of v2.1.
    """
    return np.asarray(cv2.inpaint(picture, mask, TELEA_RADIUS_PX, cv2.INPAINT_TELEA), np.uint8)


def canny(picture: Pixels) -> Pixels:
    """Draw the edges of the picture's grey, white on black (Canny 100, 200).

    Shapes:
        picture (h,w,3) → (h,w,3)

    Source: contracts.md §4.1, white balance.
    """
    edges = cv2.Canny(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), *CANNY)
    return np.asarray(cv2.cvtColor(edges, cv2.COLOR_GRAY2RGB), np.uint8)
