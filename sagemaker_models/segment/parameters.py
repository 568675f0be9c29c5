"""What a request may ask for; nothing here needs more than pydantic, so that a stand-in has the same."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

#: Limits of ours; a person clicks far less often, and the largest growth covers a sixteenth of a 4K picture's width.
MOST_POINTS, MOST_GROWTH_PX, LEAST_SIDE_PX, MOST_SIDE_PX = 64, 256, 256, 4096

_Number = Annotated[float, Field(allow_inf_nan=False)]
Point = tuple[_Number, _Number]
Box = tuple[_Number, _Number, _Number, _Number]
Quality = Literal["fast", "best"]

#: Which fields belong to which task.
_OF_MASK, _OF_BACKGROUND = ("points", "labels", "box", "grow_px", "soften"), ("quality", "max_side")


class SegmentParameters(BaseModel):
    """The parameters of one request. Places are pixels of the upright picture, from its upper left corner.

    Args:
        task: `mask` finds what is pointed at; `background` finds the subject and makes the rest transparent.
        points: clicks, x and y. With a box, both count.
        labels: of each point, 1 if it is meant and 0 if it is not; None for all meant.
        box: left, top, right, bottom. Without points and box, the input `guide` says what is meant: the centroid of
            what is bright in it; without any, the middle of the picture is.
        grow_px: the mask's square enlargement on all sides; below 0, what is taken away.
        soften: blur the mask's border (Gaussian, sigma 3 px).
        quality: which network finds the subject.
        max_side: longest side of what comes out, pixels; None for the picture's own. Nothing is enlarged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["mask", "background"]
    points: Annotated[tuple[Point, ...], Field(max_length=MOST_POINTS)] = ()
    labels: tuple[Literal[0, 1], ...] | None = None
    box: Box | None = None
    grow_px: Annotated[int, Field(ge=-MOST_GROWTH_PX, le=MOST_GROWTH_PX)] = 0
    soften: bool = False
    quality: Quality = "fast"
    max_side: Annotated[int | None, Field(ge=LEAST_SIDE_PX, le=MOST_SIDE_PX)] = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        foreign = _OF_BACKGROUND if self.task == "mask" else _OF_MASK
        for name in foreign:
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name} has no effect on the task {self.task}")
        if self.labels is not None and len(self.labels) != len(self.points):
            raise ValueError(f"there are {len(self.points)} points and {len(self.labels)} labels")
        if self.labels and 1 not in self.labels and self.box is None:
            raise ValueError("labels: no point is meant; say by a point of label 1, or by a box, what is")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise ValueError("box: left, top, right, bottom, of which right and bottom are the greater")
        return self
