"""seedream-generate: make pictures from a text, and from reference pictures if there are any."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, Field, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, WrapValidator
from pydantic_core import InitErrorDetails, PydanticCustomError

from backlot.image_urls import ImageUrlPolicy
from backlot.images.sizes import listed_size
from backlot.operations._operation import (
    ImageUrl,
    Lane,
    Operation,
    OperationRequest,
    Prompt,
    found_problems,
    problem,
)
from backlot.operations._seedream import Model, Size, model_limits
from backlot.operations.face_swap import swap_face_estimate
from backlot.seedream_models import MAX_PICTURES, MODELS

#: As `backlot.images.sizes` lists them.
AspectRatio = Literal["1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3", "21:9"]

OutputFormat = Literal["png", "jpeg"]

#: More than this no model takes.
MOST_REFERENCES = max(model.max_references for model in MODELS.values())


def _checked_prompt(prompt: str) -> str:
    if not prompt.strip():
        raise PydanticCustomError("prompt_blank", "Prompt must say something")
    return prompt


def _checked_references(value: Any, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
    """Name every URL that is refused, and beside them that the model takes fewer."""
    limits = model_limits(info)
    most = limits.max_references if limits else MOST_REFERENCES
    given = len(value) if isinstance(value, list) else 0
    problems: list[InitErrorDetails] = []
    if given > most:
        model = f"Model {limits.alias}" if limits else "The models"
        sentence = f"{model} can be given {most} reference pictures at most, these are {given}"
        problems.append(problem("too_many_references", sentence, (), value))
    urls = None
    # A list beyond all limits is not looked through: it could name a million URLs.
    if given <= MOST_REFERENCES:
        try:
            urls = read(value)
        except ValidationError as error:
            problems += found_problems(error)
    if problems:
        raise ValidationError.from_exception_data("image_urls", problems)
    return urls


def _checked_ratio(ratio: AspectRatio | None, info: ValidationInfo) -> AspectRatio | None:
    # A size that is there and wrong is missing among the checked fields.
    if ratio and info.data.get("size", "wrong"):
        raise PydanticCustomError("aspect_ratio_and_size", "Send either aspect_ratio or size; each decides the shape")
    return ratio


def _checked_count(count: int, info: ValidationInfo) -> int:
    limits = model_limits(info)
    if limits and count > limits.max_images:
        sentence = "Model {alias} makes at most {most} picture in one request"
        raise PydanticCustomError("too_many_images", sentence, {"alias": limits.alias, "most": limits.max_images})
    references = len(info.data.get("image_urls") or ())
    if references + count > MAX_PICTURES:
        sentence = "Reference pictures and max_images are {most} together at most; with {references} of them {left}"
        fields = {"most": MAX_PICTURES, "references": references, "left": MAX_PICTURES - references}
        raise PydanticCustomError("too_many_images", sentence, fields)
    return count


def _checked_format(name: OutputFormat | None, info: ValidationInfo) -> OutputFormat | None:
    """Refuse what the model does not make; a model of one format is not asked for it, as it does not know the field."""
    limits = model_limits(info)
    if name is None or limits is None:
        return name
    if name not in limits.formats:
        sentence = "Model {alias} makes {formats} only"
        fields = {"alias": limits.alias, "formats": ", ".join(limits.formats)}
        raise PydanticCustomError("output_format", sentence, fields)
    return name if len(limits.formats) > 1 else None


class SeedreamGenerateRequest(OperationRequest):
    """What to draw, what from, how many times, and in which shape."""

    # The rules of a field look at the fields before it.
    prompt: Annotated[
        Annotated[Prompt, Field(min_length=1)],
        AfterValidator(_checked_prompt),
        Field(examples=["Two friends under one umbrella, night, neon, 35 mm film"]),
    ]
    model: Model = None
    image_urls: Annotated[
        Annotated[list[ImageUrl], Field(max_length=MOST_REFERENCES)],
        WrapValidator(_checked_references),
        Field(
            default_factory=list,
            description="Reference pictures, in the order in which the prompt counts them: image 1, image 2 …",
        ),
    ]
    size: Size = None
    aspect_ratio: Annotated[
        AspectRatio | None,
        AfterValidator(_checked_ratio),
        Field(description="Takes the listed size of this ratio; excludes an explicit `size`."),
    ] = None
    max_images: Annotated[
        Annotated[int, Field(ge=1, le=MAX_PICTURES)],
        AfterValidator(_checked_count),
        Field(
            description=(
                f"Most pictures; the model decides how many. With the reference pictures {MAX_PICTURES} at most."
            ),
            validate_default=True,
        ),
    ] = 1
    output_format: Annotated[
        OutputFormat | None,
        AfterValidator(_checked_format),
        Field(description="Null for the model's own."),
    ] = None

    def resolved(self, images: ImageUrlPolicy) -> Self:
        """Decide the size, unless a reference picture has to be looked at for it."""
        del images
        if self.size or (self.image_urls and not self.aspect_ratio):
            return self
        return self.model_copy(update={"size": listed_size(self.aspect_ratio or get_args(AspectRatio)[0])})


OPERATION = Operation(
    name="seedream-generate",
    title="Generate pictures",
    description=(
        "Lets SeeDream draw up to 15 pictures from a text, and from up to 14 reference pictures. A picture of a batch "
        "that the provider refuses has its error in its place; the task completes if at least one was made."
    ),
    lane=Lane.PAID,
    request=SeedreamGenerateRequest,
    steps=("generate-images",),
    providers=("ark",),
    transitions=3,
    estimate=swap_face_estimate,
    example={
        "prompt": "The person of image 1 as a lighthouse keeper: at dawn, in a storm, at rest. Three film stills.",
        "image_urls": ["https://example.com/portrait.jpg"],
        "aspect_ratio": "3:4",
        "max_images": 3,
    },
)
