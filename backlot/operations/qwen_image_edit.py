"""qwen-image-edit: change a picture after an instruction, with up to two more pictures to take things from."""

from functools import partial
from typing import Annotated, Self

from pydantic import AfterValidator, Field
from pydantic.config import JsonDict
from pydantic_core import PydanticCustomError

from backlot.comfyui import RUN_WORKFLOW
from backlot.image_urls import ImageUrlPolicy
from backlot.operations._operation import ImageUrl, Lane, Operation, OperationRequest, Prompt
from backlot.operations._workflow import Preview, Seed, chosen_seed, estimate

#: The node whose inputs the request's fields are.
SAMPLER_NODE = "KSampler"

#: Names that documents of the replaced server had for samplers.
_ALIASES = {"euler_a": "euler_ancestral"}


def _choices(field: str) -> list[str]:
    # The API reads ComfyUI's classes only when a request is about them.
    from backlot.comfyui.schemas import NodeSchemas  # noqa: PLC0415

    return list(NodeSchemas.packaged().input(SAMPLER_NODE, field).choices or ())


def _checked(field: str, name: str) -> str:
    name = _ALIASES.get(name, name)
    if name not in _choices(field):
        listed = {"names": ", ".join(_choices(field))}
        raise PydanticCustomError("value_not_in_list", "Input should be one of {names}", listed)
    return name


def _list(field: str, schema: JsonDict) -> None:
    schema["enum"] = [*_choices(field)]


_Sampler = Annotated[
    str,
    AfterValidator(partial(_checked, "sampler_name")),
    Field(json_schema_extra=partial(_list, "sampler_name")),
]
_Scheduler = Annotated[
    str,
    AfterValidator(partial(_checked, "scheduler")),
    Field(json_schema_extra=partial(_list, "scheduler")),
]


class QwenImageEditRequest(OperationRequest):
    """A picture, what to do with it, and pictures to do it with; null leaves a setting to the workflow."""

    image_url: ImageUrl
    prompt: Annotated[Prompt, Field(description="The instruction; it may call the pictures Picture 1, 2 and 3.")]
    image2_url: ImageUrl | None = None
    image3_url: ImageUrl | None = None
    seed: Seed = None
    steps: Annotated[int, Field(ge=1, le=10_000)] | None = 4
    cfg: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = 1.0
    sampler_name: _Sampler | None = "sa_solver"
    scheduler: _Scheduler | None = "beta"
    denoise: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = 1.0
    preview: Preview = False

    def resolved(self, images: ImageUrlPolicy) -> Self:
        """Choose a seed."""
        del images
        return self.model_copy(update={"seed": chosen_seed(self.seed)})


OPERATION = Operation(
    name="qwen-image-edit",
    title="Edit a picture",
    description=(
        "Changes a picture after an instruction, with up to two more pictures to take persons or things from: "
        "Qwen-Rapid-AIO on a GPU of the stage. The result has about one megapixel in the first picture's aspect ratio."
    ),
    lane=Lane.GPU,
    request=QwenImageEditRequest,
    steps=(RUN_WORKFLOW,),
    providers=(),
    transitions=3,
    estimate=estimate,
    example={
        "image_url": "https://example.com/person.jpg",
        "image2_url": "https://example.com/portrait.jpg",
        "prompt": "The person of Picture 1 beside the person of Picture 2, evening light, film still",
    },
)
