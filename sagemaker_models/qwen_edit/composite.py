"""Lays what was made over the original, so that nothing outside the mask changes."""

import cv2
import numpy as np

from sagemaker_models.qwen_edit.conditions.masking import INSIDE
from sagemaker_models.qwen_edit.frame import Pixels


def feathered(mask: Pixels, feather_px: int) -> Pixels:
    """Let a mask run out softly: max(mask, 255·(1 - d/(feather+1))), d = distance to its inside.

    The inside, grey from 128 on, keeps its own levels; a point farther than the feather from it does so too, and where
    the mask is black there, it stays 0.

    Args:
        mask: grey levels.
        feather_px: width of the run-out, pixels; 0 returns the mask as it is.

    Shapes:
        mask (h,w) → (h,w)
    """
    inside = mask >= INSIDE
    if feather_px == 0 or not inside.any():
        return mask
    distance_px = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    ramp = np.clip(1 - distance_px / (feather_px + 1), 0, 1)
    run_out = np.where(inside, 0, np.floor(255 * ramp + 0.5)).astype(np.uint8)
    return np.maximum(mask, run_out)


def composite(original: Pixels, made: Pixels, alpha: Pixels) -> Pixels:
    """Mix by alpha: where it is 0 the original is untouched, where it is 255 nothing of it is left.

    Shapes:
        original (h,w,3), made (h,w,3), alpha (h,w) → (h,w,3)
    """
    weight = alpha[:, :, None].astype(np.uint32)
    return ((original * (255 - weight) + made * weight + 127) // 255).astype(np.uint8)
