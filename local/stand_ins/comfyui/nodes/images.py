"""Nodes that make images of images."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Images = NDArray[np.float32]
Result = tuple[Any, ...]

_CV_METHODS = {
    "nearest-exact": cv2.INTER_NEAREST_EXACT,
    "bilinear": cv2.INTER_LINEAR,
    "area": cv2.INTER_AREA,
    "bicubic": cv2.INTER_CUBIC,
}

#: Sizes that Flux Kontext was trained on, pixels; each also turned by 90 degrees.
KONTEXT_SIZES = (
    (672, 1568),
    (688, 1504),
    (720, 1456),
    (752, 1392),
    (800, 1328),
    (832, 1248),
    (880, 1184),
    (944, 1104),
    (1024, 1024),
)


def resized(images: Images, method: str, width: int, height: int, *, is_cropped: bool = False) -> Images:
    """Scale images; with `is_cropped`, the middle is cut to the new shape before."""
    if is_cropped:
        images = _middle(images, width / height)
    if method == "lanczos":
        return np.stack([_lanczos(each, width, height) for each in images])
    return np.stack([cv2.resize(each, (width, height), interpolation=_CV_METHODS[method]) for each in images])


def to_pillow(image: Images) -> Image.Image:
    """Return one image in 8 bits."""
    return Image.fromarray(np.clip(image * 255.0, 0, 255).astype(np.uint8))


def _middle(images: Images, aspect: float) -> Images:
    height, width = images.shape[1:3]
    left = round((width - width * aspect / (width / height)) / 2) if width / height > aspect else 0
    top = round((height - height * (width / height) / aspect) / 2) if width / height < aspect else 0
    return images[:, top : height - top, left : width - left]


def _lanczos(image: Images, width: int, height: int) -> Images:
    scaled = to_pillow(image).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(scaled, np.float32) / 255.0


def _image_scale(image: Images, upscale_method: str, width: int, height: int, crop: str) -> Result:
    if width == 0 and height == 0:
        return (image,)
    width = width or max(1, round(image.shape[2] * height / image.shape[1]))
    height = height or max(1, round(image.shape[1] * width / image.shape[2]))
    return (resized(image, upscale_method, width, height, is_cropped=crop == "center"),)


def _image_scale_by(image: Images, upscale_method: str, scale_by: float) -> Result:
    width, height = round(image.shape[2] * scale_by), round(image.shape[1] * scale_by)
    return (resized(image, upscale_method, width, height),)


def _image_scale_to_total_pixels(image: Images, upscale_method: str, megapixels: float) -> Result:
    factor = math.sqrt(int(megapixels * 1024 * 1024) / (image.shape[2] * image.shape[1]))
    return _image_scale_by(image, upscale_method, factor)


def _flux_kontext_image_scale(image: Images) -> Result:
    aspect = image.shape[2] / image.shape[1]
    sizes = {*KONTEXT_SIZES, *((height, width) for width, height in KONTEXT_SIZES)}
    width, height = min(sizes, key=lambda size: (abs(aspect - size[0] / size[1]), size))
    return (resized(image, "lanczos", width, height, is_cropped=True),)


def _image_blend(image1: Images, image2: Images, blend_factor: float, blend_mode: str) -> Result:
    if image1.shape != image2.shape:
        image2 = resized(image2, "bicubic", image1.shape[2], image1.shape[1], is_cropped=True)
    if blend_mode not in _BLENDS:
        raise ValueError(f"Unsupported blend mode: {blend_mode}")
    mixed = _BLENDS[blend_mode](image1, image2)
    return (np.clip(image1 * (1 - blend_factor) + mixed * blend_factor, 0, 1).astype(np.float32),)


def _overlay(one: Images, two: Images) -> Images:
    return np.where(one <= 0.5, 2 * one * two, 1 - 2 * (1 - one) * (1 - two))


def _soft_light(one: Images, two: Images) -> Images:
    root = np.where(one <= 0.25, ((16 * one - 12) * one + 4) * one, np.sqrt(one))
    return np.where(two <= 0.5, one - (1 - 2 * two) * one * (1 - one), one + (2 * two - 1) * (root - one))


_BLENDS: Mapping[str, Callable[[Images, Images], Images]] = {
    "normal": lambda _, two: two,
    "multiply": lambda one, two: one * two,
    "screen": lambda one, two: 1 - (1 - one) * (1 - two),
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": lambda one, two: one - two,
}


def _kernel(radius: int, sigma: float) -> Images:
    axis = np.linspace(-1, 1, radius * 2 + 1, dtype=np.float32)
    kernel = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * sigma * sigma))
    return np.asarray(kernel / kernel.sum(), np.float32)


def _filtered(image: Images, kernel: Images) -> Images:
    return np.stack([cv2.filter2D(each, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for each in image])


def _image_blur(image: Images, blur_radius: int, sigma: float) -> Result:
    return (_filtered(image, _kernel(blur_radius, sigma)),)


def _image_sharpen(image: Images, sharpen_radius: int, sigma: float, alpha: float) -> Result:
    kernel = _kernel(sharpen_radius, sigma) * -(alpha * 10)
    kernel[sharpen_radius, sharpen_radius] += 1 - kernel.sum()
    return (np.clip(_filtered(image, kernel), 0, 1),)


def _image_crop(image: Images, width: int, height: int, x: int, y: int) -> Result:
    left, top = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
    return (image[:, top : top + height, left : left + width],)


def _image_rotate(image: Images, rotation: str) -> Result:
    quarters = {"none": 0, "90 degrees": 1, "180 degrees": 2, "270 degrees": 3}[rotation]
    return (np.rot90(image, -quarters, axes=(1, 2)),)


def _image_flip(image: Images, flip_method: str) -> Result:
    return (np.flip(image, 1 if flip_method.startswith("x") else 2),)


def _image_composite_masked(
    destination: Images, source: Images, x: int, y: int, resize_source: bool, mask: Images | None = None
) -> Result:
    height, width = destination.shape[1:3]
    if resize_source:
        source = resized(source, "bilinear", width, height)
    source = _repeated(source, len(destination))
    shown = np.ones(source.shape[:3], np.float32)
    if mask is not None:
        shown = _repeated(resized(mask, "bilinear", source.shape[2], source.shape[1]), len(source))
    left, top = min(x, width), min(y, height)
    weight = shown[:, : height - top, : width - left, None]
    bottom, right = top + weight.shape[1], left + weight.shape[2]
    result = destination.copy()
    under = result[:, top:bottom, left:right]
    result[:, top:bottom, left:right] = weight * source[:, : height - top, : width - left] + (1 - weight) * under
    return (result,)


def _repeated(images: Images, count: int) -> Images:
    return images[np.arange(count) % len(images)]


def _empty_image(width: int, height: int, batch_size: int, color: int) -> Result:
    parts = [(color >> shift & 255) / 255 for shift in (16, 8, 0)]
    return (np.broadcast_to(np.array(parts, np.float32), (batch_size, height, width, 3)),)


def _image_pad_for_outpaint(image: Images, left: int, top: int, right: int, bottom: int, feathering: int) -> Result:
    height, width = image.shape[1:3]
    padding = ((0, 0), (top, bottom), (left, right))
    padded = np.pad(image, (*padding, (0, 0)), constant_values=0.5)
    rows, columns = np.arange(height)[:, None], np.arange(width)[None, :]
    far = np.full((height, width), height)
    distances = [
        rows if top else far,
        height - rows if bottom else far,
        columns if left else far + width,
        width - columns if right else far + width,
    ]
    inner = np.zeros((height, width), np.float32)
    if 0 < feathering < min(height, width) / 2:
        distance = np.minimum.reduce([np.broadcast_to(each, (height, width)) for each in distances])
        inner = np.clip((feathering - distance) / feathering, 0, 1).astype(np.float32) ** 2
    return padded, np.pad(inner[None], padding, constant_values=1.0)


def _image_batch(image1: Images, image2: Images) -> Result:
    if image1.shape[1:] != image2.shape[1:]:
        image2 = resized(image2, "bilinear", image1.shape[2], image1.shape[1], is_cropped=True)
    return (np.concatenate([image1, image2]),)


NODES: Mapping[str, Callable[..., Result]] = {
    "ImageScale": _image_scale,
    "ImageScaleBy": _image_scale_by,
    "ImageScaleToTotalPixels": _image_scale_to_total_pixels,
    "FluxKontextImageScale": _flux_kontext_image_scale,
    "ImageBlend": _image_blend,
    "ImageBlur": _image_blur,
    "ImageSharpen": _image_sharpen,
    "ImageInvert": lambda image: (1 - image,),
    "ImageCrop": _image_crop,
    "ImageRotate": _image_rotate,
    "ImageFlip": _image_flip,
    "ImageCompositeMasked": _image_composite_masked,
    "EmptyImage": _empty_image,
    "ImagePadForOutpaint": _image_pad_for_outpaint,
    "ImageBatch": _image_batch,
}
