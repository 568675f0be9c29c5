"""face-swap: fill the black area of a masked picture with the face of another one."""

from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from backlot import pricing
from backlot.images.sizes import size_problem
from backlot.operations._operation import ImageUrl, Lane, Operation, OperationRequest, Prompt, RequestContext
from backlot.tasks import CostItem


def _checked_size(size: str | None, info: ValidationInfo) -> str | None:
    """Turn the three ways of asking for the automatic size into None, and refuse what the model would refuse."""
    if size is None or size in ("", "auto"):
        return None
    problem = size_problem(size, RequestContext.of(info).seedream_model)
    if problem:
        raise PydanticCustomError("image_size", "Size {problem}", {"problem": problem})
    return size


#: `auto` (also null or empty), a tier such as `2K`, or `WIDTHxHEIGHT`.
Size = Annotated[
    Annotated[str, Field(max_length=16)] | None,
    AfterValidator(_checked_size),
    Field(
        description=(
            "`auto` (default) takes the listed size whose aspect ratio is nearest to the picture's; else a tier such "
            "as `2K`, or `WIDTHxHEIGHT` within the model's limits."
        ),
        examples=["auto", "2048x2048"],
    ),
]


class FaceSwapRequest(OperationRequest):
    """A masked picture, a picture of the person to put there, and how."""

    masked_image_url: ImageUrl
    target_face_url: ImageUrl
    prompt: Annotated[
        Prompt | None,
        Field(description="Replaces the default prompt entirely.", examples=["She smiles, looking left."]),
    ] = None
    size: Size = None


def swap_face_estimate() -> list[CostItem]:
    """Price one picture."""
    return [pricing.charge("seedream-4-0/image", 1)]


OPERATION = Operation(
    name="face-swap",
    title="Swap a face",
    description=(
        "Lets SeeDream rebuild the face that a black ellipse hides, with the identity of a second picture. Image 1 is "
        "the masked picture, image 2 the identity."
    ),
    lane=Lane.PAID,
    request=FaceSwapRequest,
    steps=("swap-face",),
    providers=("ark",),
    transitions=3,
    estimate=swap_face_estimate,
    example={
        "masked_image_url": "https://example.com/masked.png",
        "target_face_url": "https://example.com/portrait.jpg",
    },
)
