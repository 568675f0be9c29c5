"""remove-background: what a picture is about, cut out of it."""

from typing import Annotated, Literal

from pydantic import Field

from backlot.operations._operation import ImageUrl, Lane, Operation, OperationRequest
from backlot.tasks import CostItem

#: Bounds of the longest side of a result, pixels.
MIN_SIDE_PX, MAX_SIDE_PX = 256, 4096


class RemoveBackgroundRequest(OperationRequest):
    """A picture, and which form its foreground is to have."""

    image_url: ImageUrl
    quality: Annotated[
        Literal["fast", "best"],
        Field(description="`fast` takes part of a second, `best` several times as long and keeps hair and fine edges."),
    ] = "fast"
    max_side: Annotated[
        Annotated[int, Field(ge=MIN_SIDE_PX, le=MAX_SIDE_PX)] | None,
        Field(description="Longest side of the result, pixels; larger pictures are reduced first."),
    ] = None
    output: Annotated[
        Literal["image", "mask", "both"],
        Field(description="`image`: the picture with the background transparent; `mask`: grey, 255 in the foreground."),
    ] = "image"


def _estimate() -> list[CostItem]:
    """Price a task: nothing is paid for it but the instance's time."""
    return []


OPERATION = Operation(
    name="remove-background",
    title="Remove the background",
    description=(
        "Cuts out what a picture is about: an RGBA PNG whose background is transparent, or the grey mask of the "
        "foreground, of the picture's size or smaller."
    ),
    lane=Lane.MODEL,
    request=RemoveBackgroundRequest,
    steps=("cut-out",),
    providers=(),
    models=("segment",),
    transitions=3,
    estimate=_estimate,
    example={"image_url": "https://example.com/person.jpg"},
)
