"""face-swap: fill the black area of a masked picture with the face of another one."""

from typing import Annotated

from pydantic import Field

from backlot import pricing
from backlot.operations._operation import ExpressionPrompt, ImageUrl, Lane, Operation, OperationRequest, Prompt
from backlot.operations._seedream import Model, Size
from backlot.tasks import CostItem


class FaceSwapRequest(OperationRequest):
    """A masked picture, a picture of the person to put there, and how."""

    masked_image_url: ImageUrl
    target_face_url: ImageUrl
    prompt: Annotated[
        Prompt | None,
        Field(
            description="Replaces the default prompt; an `expression_prompt` is added to it.",
            examples=["She smiles, looking left."],
        ),
    ] = None
    expression_prompt: ExpressionPrompt = None
    model: Model = None
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
