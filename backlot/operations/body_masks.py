"""body-masks: masks of a person's upper and lower garments."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from backlot.operations._operation import ImageUrl, Lane, Operation, OperationRequest
from backlot.tasks import CostItem

#: What ids of users and jobs may be: one word that is also the beginning of a file name and cannot leave its folder.
_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@:-]{0,127}$")]


class BodyMasksRequest(OperationRequest):
    """A picture of one person, and what becomes of the masks."""

    image_url: ImageUrl
    user_id: Annotated[
        _Id | None, Field(description="Whose picture it is; one user's tasks start in the order of submission.")
    ] = None
    job_id: Annotated[_Id | None, Field(description="The mask asset service's name for the masks.")] = None
    output: Annotated[
        Literal["binary", "bounding-rectangle"],
        Field(
            description="`binary`: 255 in the region and 0 elsewhere. `bounding-rectangle`: the picture itself with "
            "one green rectangle over the region."
        ),
    ] = "binary"
    deliver: Annotated[
        bool,
        Field(description="Also send the masks to the stage's mask asset service; needs `user_id` and `job_id`."),
    ] = False

    @model_validator(mode="after")
    def _delivery_has_names(self) -> Self:
        if self.deliver and (self.user_id is None or self.job_id is None):
            raise PydanticCustomError("delivery_unnamed", "A delivery needs user_id and job_id")
        return self


def _estimate() -> list[CostItem]:
    """Price a task: nothing is paid for it but the instance's time."""
    return []


OPERATION = Operation(
    name="body-masks",
    title="Mask upper and lower body",
    description=(
        "Finds the garments of the person in a picture with SCHP and makes two masks: of the upper body (upper "
        "clothes, dress) and of the lower body (skirt, trousers, dress), of the picture's own size, and a map of all "
        "labels."
    ),
    lane=Lane.MODEL,
    request=BodyMasksRequest,
    steps=("segment-body", "deliver-masks"),
    providers=(),
    models=("schp",),
    transitions=5,
    estimate=_estimate,
    example={"image_url": "https://example.com/person.jpg", "user_id": "user-1"},
)
