"""From a request to what SAM is told: where to look."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sagemaker_models.segment.errors import input_refused
from sagemaker_models.segment.parameters import Box, Point, SegmentParameters

Pixels = NDArray[np.uint8]
Origin = Literal["points", "box", "points-and-box", "guide", "middle"]

#: A pixel of a guide counts from here on, and the middle of a picture is so much of its sides; both as the old server
#: had it.
GUIDE_ABOVE, MIDDLE_SHARE = 100, 0.8


@dataclass(frozen=True)
class Prompt:
    """Where to look, in pixels of the picture.

    Args:
        points: x and y of each.
        labels: 1 if the point is meant, 0 if it is not.
        box: left, top, right, bottom.
        origin: what it was made of.
    """

    points: tuple[Point, ...]
    labels: tuple[int, ...]
    box: Box | None
    origin: Origin

    @property
    def is_ambiguous(self) -> bool:
        """Whether it can mean a thing, a part of it or a group: a single click does, and nothing else."""
        return self.box is None and len(self.points) == 1


def prompt_of(asked: SegmentParameters, width: int, height: int, guide: Pixels | None) -> Prompt:
    """Settle where to look.

    Args:
        asked: the request.
        width: of the picture, pixels.
        height: of the picture, pixels.
        guide: a mask picture of any size that is laid over the picture; counts if the request names no place.

    Shapes: guide (h,w)

    Raises:
        Refused: a point or the box lies outside the picture.
    """
    for x, y in asked.points:
        if not (0 <= x <= width and 0 <= y <= height):
            raise input_refused(f"the point {x:g}, {y:g} lies outside the picture of {width}x{height} px")
    if asked.box is not None:
        left, top, right, bottom = asked.box
        if left < 0 or top < 0 or right > width or bottom > height:
            raise input_refused(f"the box {left:g}, {top:g}, {right:g}, {bottom:g} does not lie in {width}x{height} px")
    if asked.points or asked.box is not None:
        origin: Origin = "box" if not asked.points else "points" if asked.box is None else "points-and-box"
        return Prompt(asked.points, asked.labels or (1,) * len(asked.points), asked.box, origin)
    centroid = None if guide is None else _centroid(guide, width, height)
    if centroid is not None:
        return Prompt((centroid,), (1,), None, "guide")
    beside, above = width * (1 - MIDDLE_SHARE) / 2, height * (1 - MIDDLE_SHARE) / 2
    return Prompt((), (), (beside, above, width - beside, height - above), "middle")


def _centroid(guide: Pixels, width: int, height: int) -> Point | None:
    rows, columns = np.nonzero(guide > GUIDE_ABOVE)
    if not rows.size:
        return None
    x, y = (float(places.mean()) + 0.5 for places in (columns, rows))
    return x * width / guide.shape[1] - 0.5, y * height / guide.shape[0] - 0.5
