"""A request's pictures and masks, from their bytes, and the result's way back into a file."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from backlot.images.codecs import Picture, decode, encode_png, flatten
from sagemaker_models.qwen_edit.composite import composite, feathered
from sagemaker_models.qwen_edit.conditions import CONDITIONS, Scene, edited_by
from sagemaker_models.qwen_edit.conditions.masking import INSIDE
from sagemaker_models.qwen_edit.frame import Frame, Pixels, Quality, frame_of, off_canvas, onto_canvas, resize
from sagemaker_models.qwen_edit.plan import Refused


@dataclass(frozen=True)
class Brought:
    """What a request brought, decoded.

    Args:
        photo: upright, transparent parts on white, (height,width,3).
        icc_profile: of the photo's colours, if they have one.
        mask: of the photo's size, (height,width); None without.
        frame: the way onto the canvas and back.
        scene: what conditional images are made of.
    """

    photo: Pixels
    icc_profile: bytes | None
    mask: Pixels | None
    frame: Frame
    scene: Scene


def read(inputs: dict[str, bytes], quality: Quality) -> Brought:
    """Decode a request's pictures.

    Raises:
        backlot.errors.CallerError: one of them cannot be read, is too large, or of an impossible shape.
        Refused: a mask has nothing in it.
    """
    decoded = decode(inputs["image"])
    photo = _rgb(decoded)
    height, width = photo.shape[:2]
    frame = frame_of(width, height, quality)
    parts: dict[str, Pixels] = {}
    mask = None
    if "mask" in inputs:
        own = _grey(inputs["mask"])
        mask, parts["mask"] = resize(own, width, height), onto_canvas(own, frame, black=True)
    if "reference" in inputs:
        parts["reference"] = _rgb(decode(inputs["reference"]))
    if "reference_mask" in inputs:
        own = _grey(inputs["reference_mask"])
        reference = parts["reference"]
        parts["reference_mask"] = resize(own, reference.shape[1], reference.shape[0])
    for name in ("mask", "reference_mask"):
        if name in parts and not (parts[name] >= INSIDE).any():
            raise Refused("MaskEmpty", f"The {name} has nothing in it; white is what counts.")
    # The profile of a grey photo does not describe the colours that it becomes.
    icc_profile = decoded.icc_profile if decoded.pixels.mode != "L" else None
    return Brought(photo, icc_profile, mask, frame, Scene(onto_canvas(photo, frame), **parts))


def build(names: tuple[str, ...], scene: Scene) -> list[Pixels]:
    """Make conditional images, in the order of their names.

    Shapes:
        → (h,w,3) each, of the canvas
    """
    return [CONDITIONS[name].build(scene) for name in names]


def finish(made: Pixels, brought: Brought, names: tuple[str, ...], *, keep_outside: bool, feather_px: int) -> Pixels:
    """Give a result the photo's size, and if asked for, the photo's own pixels outside of what was to change.

    Args:
        made: on the canvas.
        brought: the request's pictures.
        names: of the conditional images.
        keep_outside: whether to lay it over the photo.
        feather_px: width of the run-out, pixels of the photo.

    Shapes:
        made (canvas_height,canvas_width,3) → (height,width,3)
    """
    result = off_canvas(made, brought.frame)
    mask = brought.mask if keep_outside else None
    if mask is None:
        return result
    # The photo's own mask is finer than what it is on the canvas; a mask that was changed there is only there.
    changed = {name for name in names if CONDITIONS[name].edited} - {"mask"}
    edited = edited_by(names, brought.scene) if changed else None
    if edited is not None:
        mask = off_canvas(edited, brought.frame)
    return composite(brought.photo, result, feathered(mask, feather_px))


def encoded(pixels: Pixels, icc_profile: bytes | None = None) -> bytes:
    """Write a PNG."""
    return encode_png(Picture(Image.fromarray(pixels), icc_profile))


def _rgb(picture: Picture) -> Pixels:
    return np.asarray(flatten(picture.pixels).convert("RGB"), np.uint8)


def _grey(data: bytes) -> Pixels:
    """Decode a mask; what is transparent in it is not marked."""
    pixels = decode(data).pixels
    if pixels.mode == "RGBA":
        pixels = Image.alpha_composite(Image.new("RGBA", pixels.size, "black"), pixels)
    return np.asarray(pixels.convert("L"), np.uint8)
