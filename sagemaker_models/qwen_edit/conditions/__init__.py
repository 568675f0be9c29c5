"""The conditional images: what a checkpoint is given beside the prompt, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np

from sagemaker_models.qwen_edit.conditions.masking import background, foreground, mask_rgb
from sagemaker_models.qwen_edit.conditions.previews import canny, inpaint_preview
from sagemaker_models.qwen_edit.conditions.reference import fitted, positioned_mask, positioned_reference, stretched
from sagemaker_models.qwen_edit.conditions.shadow import shadow_background, shadow_mask
from sagemaker_models.qwen_edit.frame import Pixels

Need = Literal["mask", "reference", "reference_mask"]


def _nothing() -> Pixels:
    return np.zeros((0, 0), np.uint8)


@dataclass(frozen=True)
class Scene:
    """What conditional images are made of.

    Args:
        picture: on its canvas, (h,w,3).
        mask: on the same canvas, (h,w); white is to be edited.
        reference: of its own size, (rh,rw,3).
        reference_mask: of the reference's size, (rh,rw).
    """

    picture: Pixels
    mask: Pixels = field(default_factory=_nothing)
    reference: Pixels = field(default_factory=_nothing)
    reference_mask: Pixels = field(default_factory=_nothing)

    @property
    def width(self) -> int:
        """Return the canvas's width, pixels."""
        return int(self.picture.shape[1])

    @property
    def height(self) -> int:
        """Return the canvas's height, pixels."""
        return int(self.picture.shape[0])


@dataclass(frozen=True)
class Condition:
    """One kind of conditional image.

    Args:
        build: makes it, (h,w,3).
        needs: what the scene must have beside the picture.
        label: what answers call it, where the checkpoint's configuration has no other word.
        edited: for masks, the mask itself, (h,w): what the model is told to change.
    """

    build: Callable[[Scene], Pixels]
    needs: frozenset[Need]
    label: str
    edited: Callable[[Scene], Pixels] | None = None


def _shows(mask: Callable[[Scene], Pixels], label: str, *needs: Need) -> Condition:
    return Condition(lambda scene: mask_rgb(mask(scene)), frozenset(needs), label, mask)


def _made(build: Callable[[Scene], Pixels], label: str, *needs: Need) -> Condition:
    return Condition(build, frozenset(needs), label)


def _positioned(scene: Scene) -> Pixels:
    return positioned_mask(scene.mask, scene.reference_mask)


#: All kinds, by the name that a checkpoint's configuration uses; labels are those of contracts.md §4.1.
CONDITIONS: Mapping[str, Condition] = MappingProxyType(
    {
        "original": _made(lambda scene: scene.picture, "original"),
        "canny": _made(lambda scene: canny(scene.picture), "canny"),
        "mask": _shows(lambda scene: scene.mask, "mask", "mask"),
        "background": _made(lambda scene: background(scene.picture, scene.mask), "masked_bg", "mask"),
        "foreground": _made(lambda scene: foreground(scene.picture, scene.mask), "masked_fg", "mask"),
        "inpaint_preview": _made(lambda scene: inpaint_preview(scene.picture, scene.mask), "mae", "mask"),
        "shadow_mask": _shows(lambda scene: shadow_mask(scene.mask), "mask", "mask"),
        "shadow_background": _made(lambda scene: shadow_background(scene.picture, scene.mask), "masked_bg", "mask"),
        "reference_stretched": _made(
            lambda scene: stretched(scene.reference, scene.width, scene.height), "ref_img", "reference"
        ),
        "reference_fitted": _made(
            lambda scene: fitted(scene.reference, scene.width, scene.height), "ref_img", "reference"
        ),
        "positioned_mask": _shows(_positioned, "positioned_R", "mask", "reference_mask"),
        "positioned_background": _made(
            lambda scene: background(scene.picture, _positioned(scene)), "masked_bg", "mask", "reference_mask"
        ),
        "positioned_reference": _made(
            lambda scene: positioned_reference(scene.mask, scene.reference, scene.reference_mask),
            "masked_R",
            "mask",
            "reference",
            "reference_mask",
        ),
    }
)


def edited_by(names: tuple[str, ...], scene: Scene) -> Pixels | None:
    """Return all that a list of conditional images tells the model to change; None if it shows no mask.

    Shapes:
        → (h,w), the highest grey of all masks at each point
    """
    masks = [edited(scene) for name in names if (edited := CONDITIONS[name].edited)]
    return np.asarray(np.max(masks, axis=0), np.uint8) if masks else None
