"""smart-mask: the mask of what a click, a box, a word or a drawn guide means."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from backlot.operations._operation import MAX_DESCRIPTION_CHARS, ImageUrl, Lane, Operation, OperationRequest
from backlot.tasks import CostItem

#: What the model takes: points in one request, and how far an edge can be moved, pixels.
MAX_POINTS, MAX_GROW_PX = 64, 256

#: Largest coordinate that any picture can have, pixels: 50 megapixels at an aspect ratio of 16:1.
MAX_COORDINATE_PX = 30_000

_Coordinate = Annotated[float, Field(ge=0, le=MAX_COORDINATE_PX)]
_Point = Annotated[list[_Coordinate], Field(min_length=2, max_length=2)]
_Text = Annotated[
    Annotated[str, Field(max_length=MAX_DESCRIPTION_CHARS)] | None,
    AfterValidator(lambda text: " ".join(text.split()) or None if text else None),
]


class SmartMaskRequest(OperationRequest):
    """A picture, and what is meant in it; without any prompt, what fills the picture's inner 80 %."""

    image_url: ImageUrl
    points: Annotated[
        Annotated[list[_Point], Field(min_length=1, max_length=MAX_POINTS)] | None,
        Field(description="Clicks, [x, y] in pixels of the upright picture.", examples=[[[260, 410]]]),
    ] = None
    labels: Annotated[
        Annotated[list[Literal[0, 1]], Field(min_length=1, max_length=MAX_POINTS)] | None,
        Field(description="For each click, 1 if it lies on what is meant and 0 if it lies beside it; all 1 without."),
    ] = None
    box: Annotated[
        Annotated[list[_Coordinate], Field(min_length=4, max_length=4)] | None,
        Field(description="[left, top, right, bottom] in pixels of the upright picture; clicks count within it."),
    ] = None
    text: Annotated[
        _Text,
        Field(
            description="What is meant, in words. Sent alone: Qwen3-VL finds its box first, which is paid for.",
            examples=["the woman on the left"],
        ),
    ] = None
    guide_url: Annotated[
        ImageUrl | None, Field(description="A rough mask; without clicks and box, its middle is clicked.")
    ] = None
    grow_px: Annotated[
        int, Field(ge=-MAX_GROW_PX, le=MAX_GROW_PX, description="How far the mask's edge is moved outwards.")
    ] = 0
    soften: Annotated[bool, Field(description="Whether the edge is soft instead of hard.")] = False

    @model_validator(mode="after")
    def _labels_fit(self) -> Self:
        if self.labels is not None and len(self.labels) != len(self.points or []):
            raise PydanticCustomError("labels_unmatched", "There must be one label for each of the points")
        if self.labels is not None and self.box is None and not any(self.labels):
            raise PydanticCustomError("points_exclude", "Points that lie beside what is meant need one on it, or a box")
        return self

    @model_validator(mode="after")
    def _box_has_area(self) -> Self:
        if self.box is not None and (self.box[0] >= self.box[2] or self.box[1] >= self.box[3]):
            raise PydanticCustomError("box_empty", "The box must be [left, top, right, bottom], and have an area")
        return self

    @model_validator(mode="after")
    def _text_is_alone(self) -> Self:
        if self.text is not None and (self.points or self.box or self.guide_url):
            raise PydanticCustomError(
                "text_not_alone", "A text is looked for in the whole picture: leave points, box and guide_url out"
            )
        return self


def _estimate() -> list[CostItem]:
    """Price a task: a click costs nothing but the instance's time; only a text is asked for its box."""
    return []


OPERATION = Operation(
    name="smart-mask",
    title="Mask what a click means",
    description=(
        "Masks one thing in a picture, by clicks on it, a box around it, its name, or a rough mask: a grey PNG of the "
        "picture's size, 255 where it is. The model keeps what it has seen of a picture, so that further clicks are "
        "answered quickly."
    ),
    lane=Lane.MODEL,
    request=SmartMaskRequest,
    steps=("locate-object", "find-mask"),
    # A text alone needs the key of DashScope; all else works without it.
    providers=(),
    models=("segment",),
    transitions=5,
    estimate=_estimate,
    example={"image_url": "https://example.com/person.jpg", "points": [[260, 410]]},
)
