"""camera-angle: show a scene from another angle."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field

from backlot import prompts
from backlot.comfyui import RUN_WORKFLOW
from backlot.image_urls import ImageUrlPolicy
from backlot.operations._operation import ImageUrl, Lane, Operation, OperationRequest, Prompt
from backlot.operations._workflow import Preview, Seed, chosen_seed, estimate

#: What Lightning was distilled to.
STEPS = 8

_Steps = Annotated[int, Field(ge=1, le=50)]


class CameraAngleRequest(OperationRequest):
    """A picture, and where the camera goes."""

    image_url: ImageUrl
    prompt: Annotated[Prompt | None, Field(description="Replaces what the angles would say.")] = None
    vertical: Annotated[
        Literal[-2, -1, 0, 1, 2], Field(description="-2: from the ground; -1: lower; 1: higher; 2: from above.")
    ] = 0
    horizontal: Annotated[
        Literal[-2, -1, 0, 1, 2],
        Field(
            description=(
                "-2: 90° to the left; -1: 45° to the left; 1: 45° to the right; 2: 90° to the right. The replaced "
                "server turned by 45° for -2 and by 90° for -1; its own pages meant what is done here."
            )
        ),
    ] = 0
    zoom: Annotated[Literal[-1, 0, 1], Field(description="-1: back; 1: forward.")] = 0
    seed: Seed = None
    steps: Annotated[
        _Steps, BeforeValidator(lambda value: STEPS if value is None else value, json_schema_input_type=_Steps | None)
    ] = STEPS
    preview: Preview = False

    def resolved(self, images: ImageUrlPolicy) -> Self:
        """Say the angles in words, unless the request has its own, and choose a seed."""
        del images
        said = self.prompt if self.prompt and self.prompt.strip() else None
        prompt = said or prompts.camera(self.vertical, self.horizontal, self.zoom)
        return self.model_copy(update={"prompt": prompt, "seed": chosen_seed(self.seed)})


OPERATION = Operation(
    name="camera-angle",
    title="Move the camera",
    description=(
        "Shows a picture's scene from another angle, up to 90° around it, from below, from above, nearer or farther, "
        "with Qwen-Image-Edit and a LoRA for camera angles on a GPU of the stage. The result has about one megapixel "
        "in the picture's aspect ratio."
    ),
    lane=Lane.GPU,
    request=CameraAngleRequest,
    steps=(RUN_WORKFLOW,),
    providers=(),
    transitions=3,
    estimate=estimate,
    example={"image_url": "https://example.com/person.jpg", "horizontal": -1, "vertical": 1},
)
