"""full-face-swap: mask a face and fill it with another one, in one execution."""

from typing import Annotated, Self

from pydantic import BeforeValidator, Field

from backlot.assets import is_mask_key
from backlot.image_urls import ImageUrlPolicy
from backlot.operations._operation import (
    ExpressionPrompt,
    FaceIndex,
    FacePositionPrompt,
    ImageUrl,
    Lane,
    Operation,
    OperationRequest,
    Prompt,
)
from backlot.operations._seedream import Model, Size
from backlot.operations.face_mask import find_faces_estimate
from backlot.operations.face_swap import swap_face_estimate


class FullFaceSwapRequest(OperationRequest):
    """A picture, which of its faces to replace, a picture of the person to put there, and how."""

    source_image_url: ImageUrl
    target_face_url: ImageUrl
    face_position_prompt: FacePositionPrompt = None
    face_index: FaceIndex = 0
    prompt: Annotated[
        Prompt | None,
        Field(description="Replaces the default prompt of the swap; an `expression_prompt` is added to it."),
    ] = None
    expression_prompt: ExpressionPrompt = None
    model: Model = None
    size: Size = None
    skip_mask: Annotated[
        bool,
        BeforeValidator(lambda value: False if value is None else value, json_schema_input_type=bool | None),
        Field(description="The source is masked already: go straight to the swap. Our own masks are recognised."),
    ] = False

    def resolved(self, images: ImageUrlPolicy) -> Self:
        """Skip the detection for a source that is one of our own masks: its face is hidden and would not be found."""
        if not self.skip_mask and is_mask_key(images.own_key(self.source_image_url)):
            return self.model_copy(update={"skip_mask": True})
        return self


OPERATION = Operation(
    name="full-face-swap",
    title="Mask and swap a face",
    description=(
        "Does `face-mask` and then `face-swap` in one task. With `skip_mask`, or if the source is the result of a "
        "`face-mask` task, only the swap is done, and neither `face_position_prompt` nor `face_index` has an effect."
    ),
    lane=Lane.PAID,
    request=FullFaceSwapRequest,
    steps=("mask-face", "swap-face"),
    providers=("dashscope", "ark"),
    transitions=5,
    estimate=lambda: find_faces_estimate() + swap_face_estimate(),
    example={
        "source_image_url": "https://example.com/scene.jpg",
        "target_face_url": "https://example.com/portrait.jpg",
        "face_index": 0,
    },
)
