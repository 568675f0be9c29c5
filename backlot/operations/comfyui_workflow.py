"""comfyui-workflow: run a graph of ComfyUI's that the request brings along."""

import json
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from backlot.comfyui import RUN_WORKFLOW
from backlot.operations._operation import (
    ImageUrl,
    Lane,
    Operation,
    OperationRequest,
    RequestContext,
    found_problems,
)
from backlot.operations._workflow import Preview, estimate

#: Largest graph, and largest inputs, bytes of JSON as Step Functions is handed it: an execution's input, and a queue's
#: message, has 256 KiB in all.
MAX_WORKFLOW_BYTES, MAX_INPUTS_BYTES = 131_072, 65_536

#: Where the schema says so; JSON Schema itself has no word for it.
MAX_BYTES_KEY = "x-max-json-bytes"


class ImageInput(BaseModel):
    """A picture that is uploaded to ComfyUI for an input."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    image_url: ImageUrl


_Literal = str | bool | int | float


def _checked_input(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, dict):
        return ImageInput.model_validate(value, context=info.context)
    if not isinstance(value, _Literal):
        sentence = "Input should be a text, a number, true, false or an object with image_url"
        raise PydanticCustomError("input_type", sentence)
    return value


def _of_size(value: dict[str, Any], limit: int) -> dict[str, Any]:
    dumped = {name: each.model_dump() if isinstance(each, ImageInput) else each for name, each in value.items()}
    try:
        size = len(json.dumps(dumped))
    except (RecursionError, ValueError) as error:
        raise PydanticCustomError("not_json", "It cannot be written as JSON: {error}", {"error": str(error)}) from error
    if size > limit:
        sentence = "It has {size} bytes as JSON with escapes, {limit} are allowed"
        raise PydanticCustomError("too_large", sentence, {"size": size, "limit": limit})
    return value


def _bare(workflow: dict[str, Any]) -> dict[str, Any]:
    # The API reads what belongs to graphs only when a request has one.
    from backlot.comfyui.graphs import bare  # noqa: PLC0415

    return bare(workflow)


class ComfyuiWorkflowRequest(OperationRequest):
    """A graph, and what goes into it."""

    workflow: Annotated[
        dict[str, Any],
        AfterValidator(lambda value: _of_size(_bare(value), MAX_WORKFLOW_BYTES)),
        Field(
            description="A graph in ComfyUI's API format: File > Export (API) in its editor.",
            json_schema_extra={MAX_BYTES_KEY: MAX_WORKFLOW_BYTES},
        ),
    ]
    inputs: Annotated[
        dict[
            str, Annotated[Any, PlainValidator(_checked_input, json_schema_input_type=str | bool | float | ImageInput)]
        ],
        AfterValidator(lambda value: _of_size(value, MAX_INPUTS_BYTES)),
        Field(
            default_factory=dict,
            description=(
                'What replaces inputs of nodes, by "<node id>.<field>": a literal, or {"image_url": …} for a node '
                "that loads a picture. Names of files cannot be written into the workflow itself."
            ),
            json_schema_extra={MAX_BYTES_KEY: MAX_INPUTS_BYTES},
        ),
    ]
    preview: Preview = False

    @model_validator(mode="wrap")
    @classmethod
    def _can_be_run(cls, values: Any, read: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        """Name what is wrong with the graph beside what is wrong with the request's form."""
        from backlot.operations._graph_problems import graph_problems  # noqa: PLC0415

        wrong: list[InitErrorDetails] = []
        try:
            request = read(values)
        except ValidationError as error:
            wrong = found_problems(error)
        if isinstance(values, dict) and not any("workflow" in each["loc"][:1] for each in wrong):
            allowed = RequestContext.of(info).node_classes
            wrong += graph_problems(values["workflow"], values.get("inputs", {}), allowed)
        if wrong:
            raise ValidationError.from_exception_data(cls.__name__, wrong)
        return request


OPERATION = Operation(
    name="comfyui-workflow",
    title="Run a ComfyUI workflow",
    description=(
        "Runs a graph of ComfyUI's on a GPU of the stage, and stores all that its output nodes made: pictures, videos, "
        "sounds. The graph may use the node classes that the stage allows, and is checked before it is queued: a 422 "
        "names every node and field that is wrong."
    ),
    lane=Lane.GPU,
    request=ComfyuiWorkflowRequest,
    steps=(RUN_WORKFLOW,),
    providers=(),
    transitions=3,
    estimate=estimate,
    example={
        "workflow": {
            "1": {"class_type": "LoadImage", "inputs": {"image": "bound below"}},
            "2": {
                "class_type": "ImageScale",
                "inputs": {
                    "image": ["1", 0],
                    "upscale_method": "lanczos",
                    "width": 768,
                    "height": 768,
                    "crop": "center",
                },
            },
            "3": {"class_type": "ImageInvert", "inputs": {"image": ["2", 0]}},
            "4": {
                "class_type": "ImageBlend",
                "inputs": {"image1": ["2", 0], "image2": ["3", 0], "blend_factor": 0.5, "blend_mode": "difference"},
            },
            "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "blended"}},
        },
        "inputs": {"1.image": {"image_url": "https://example.com/person.jpg"}, "4.blend_factor": 0.35},
    },
)
