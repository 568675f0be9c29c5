"""The reference picture of an insertion: whole, or its object cut out and put where the mask is."""

from dataclasses import dataclass

import numpy as np

from sagemaker_models.qwen_edit.conditions.masking import INSIDE, foreground
from sagemaker_models.qwen_edit.frame import Pixels, resize


@dataclass(frozen=True)
class Box:
    """A rectangle, pixels; right and bottom are the first column and row outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Return its columns."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Return its rows."""
        return self.bottom - self.top

    @property
    def slices(self) -> tuple[slice, slice]:
        """Return its rows and columns, for an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def box_of(mask: Pixels) -> Box:
    """Return the tight box of a mask's inside.

    Raises:
        ValueError: nothing of it is inside.
    """
    inside = mask >= INSIDE
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not rows.size:
        raise ValueError("the mask has no inside")
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def stretched(reference: Pixels, width: int, height: int) -> Pixels:
    """Resize the reference to the picture's size, its aspect ratio lost, as the old server did.

    Shapes:
        reference (h,w,3) → (height,width,3)
    """
    return resize(reference, width, height)


def fitted(reference: Pixels, width: int, height: int) -> Pixels:
    """Scale the reference to fit the picture's size, and centre it on black.

    Shapes:
        reference (h,w,3) → (height,width,3)
    """
    box = _fit(reference.shape[1], reference.shape[0], Box(0, 0, width, height))
    return _on_black(resize(reference, box.width, box.height), box, width, height)


def positioned_mask(mask: Pixels, reference_mask: Pixels) -> Pixels:
    """Put the reference's shape R where the mask A is: R's box scaled to fit A's box, centred in it, black around.

    Shapes:
        mask (h,w), reference_mask (rh,rw) → (h,w)

    Raises:
        ValueError: one of the masks has no inside.

    Source: contracts.md §4.1, two-mask pipeline.
    """
    cut = reference_mask[box_of(reference_mask).slices]
    return _put(cut, mask)


def positioned_reference(mask: Pixels, reference: Pixels, reference_mask: Pixels) -> Pixels:
    """Put the reference's object, cut out by R, where `positioned_mask` puts R.

    Args:
        mask: A, of the picture.
        reference: the reference picture.
        reference_mask: R, of the reference's own size.

    Shapes:
        mask (h,w), reference (rh,rw,3), reference_mask (rh,rw) → (h,w,3)

    Raises:
        ValueError: one of the masks has no inside.

    Source: contracts.md §4.1, two-mask pipeline.
    """
    slices = box_of(reference_mask).slices
    return _put(foreground(reference[slices], reference_mask[slices]), mask)


def _put(cut: Pixels, mask: Pixels) -> Pixels:
    box = _fit(cut.shape[1], cut.shape[0], box_of(mask))
    return _on_black(resize(cut, box.width, box.height), box, mask.shape[1], mask.shape[0])


def _fit(width: int, height: int, outer: Box) -> Box:
    scale = min(outer.width / width, outer.height / height)
    fit_width, fit_height = max(1, round(width * scale)), max(1, round(height * scale))
    left = outer.left + (outer.width - fit_width) // 2
    top = outer.top + (outer.height - fit_height) // 2
    return Box(left, top, left + fit_width, top + fit_height)


def _on_black(pixels: Pixels, box: Box, width: int, height: int) -> Pixels:
    canvas = np.zeros((height, width, *pixels.shape[2:]), np.uint8)
    canvas[box.slices] = pixels
    return canvas
