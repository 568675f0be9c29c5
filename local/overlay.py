"""Shows masks over their picture, so that a person sees where they lie."""

from pathlib import Path

import cv2
import numpy as np

#: Colours of the masks in their order, BGR.
COLOURS = ((60, 200, 60), (230, 120, 40))


def overlay(picture: Path, masks: list[Path], saved: Path) -> Path:
    """Write a copy of a picture in which each mask is tinted.

    Args:
        picture: that was masked.
        masks: 255 where the region is, of the picture's size; two at most.
        saved: where the copy is written.
    """
    pixels = cv2.imread(str(picture), cv2.IMREAD_COLOR)
    if pixels is None:
        raise ValueError(f"{picture} is no picture")
    shown = pixels.astype(np.float32)
    for path, colour in zip(masks, COLOURS, strict=False):
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        if mask is None:
            raise ValueError(f"{path} is no picture")
        shown[mask > 0] = 0.45 * shown[mask > 0] + 0.55 * np.array(colour, np.float32)
    cv2.imwrite(str(saved), shown.astype(np.uint8))
    return saved
