"""The three images that a mask makes of a picture.

m = grey/255 of the mask, soft values kept; I = the picture. Products are rounded to the nearest level, which is never
half-way, so that background + foreground is the picture exactly.
"""

import numpy as np

from sagemaker_models.qwen_edit.frame import Pixels

#: Grey levels from here on count as within the mask, where a mask must have an edge.
INSIDE = 128


def mask_rgb(mask: Pixels) -> Pixels:
    """Repeat a mask in three channels.

    Shapes:
        mask (h,w) → (h,w,3)
    """
    return np.repeat(mask[:, :, None], 3, axis=2)


def foreground(picture: Pixels, mask: Pixels) -> Pixels:
    """Return the picture within the mask, black outside: I·m.

    Shapes:
        picture (h,w,3), mask (h,w) → (h,w,3)
    """
    # Half of 255 is added before the whole division, which rounds to the nearest.
    product = picture.astype(np.uint32) * mask[:, :, None]
    return ((product + 127) // 255).astype(np.uint8)


def background(picture: Pixels, mask: Pixels) -> Pixels:
    """Return the picture outside the mask, black within: I·(1-m) = I - I·m.

    Shapes:
        picture (h,w,3), mask (h,w) → (h,w,3)
    """
    return picture - foreground(picture, mask)
