"""Nodes that make masks, and images of them."""

from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np

from local.stand_ins.comfyui.nodes.images import Images

_CHANNELS = ["red", "green", "blue", "alpha"]


def _mask_to_image(mask: Images) -> tuple[Any, ...]:
    return (np.repeat(mask[..., None], 3, axis=3),)


def _image_to_mask(image: Images, channel: str) -> tuple[Any, ...]:
    return (image[..., _CHANNELS.index(channel)],)


def _grow_mask(mask: Images, expand: int, tapered_corners: bool) -> tuple[Any, ...]:
    corner = 0 if tapered_corners else 1
    kernel = np.array([[corner, 1, corner], [1, 1, 1], [corner, 1, corner]], np.uint8)
    change = cv2.erode if expand < 0 else cv2.dilate
    return (np.stack([change(each, kernel, iterations=abs(expand)) for each in mask]),)


def _feather_mask(mask: Images, left: int, top: int, right: int, bottom: int) -> tuple[Any, ...]:
    height, width = mask.shape[1:]
    columns = _ramp(width, left) * _ramp(width, right)[::-1]
    rows = _ramp(height, top) * _ramp(height, bottom)[::-1]
    return (mask * rows[:, None] * columns[None, :],)


def _ramp(length: int, feather: int) -> Images:
    feather = min(feather, length)
    return np.minimum(1, (np.arange(length, dtype=np.float32) + 1) / max(feather, 1))


NODES: Mapping[str, Callable[..., tuple[Any, ...]]] = {
    "MaskToImage": _mask_to_image,
    "ImageToMask": _image_to_mask,
    "InvertMask": lambda mask: (1 - mask,),
    "GrowMask": _grow_mask,
    "FeatherMask": _feather_mask,
}
