"""masked-edit: change the masked part of a picture, or its white balance."""

import secrets
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from backlot.image_urls import ImageUrlPolicy
from backlot.operations._operation import ImageUrl, Lane, Operation, OperationRequest
from backlot.prompts import TOKENIZER_MARK, masked_edit
from backlot.tasks import CostItem

Task = Literal["insertion", "removal", "white-balance"]

#: Longest prompt of the model's, characters; labels are a part of it.
MAX_PROMPT_CHARS = 5000
MAX_LABEL_CHARS = 200

#: Seeds are below the first, which numbers of JSON hold exactly, in browsers as in state machines; those that are drawn
#: are below the second.
SEEDS, DRAWN_SEEDS = 2**53, 2**32


def _without_marks(prompt: str | None) -> str | None:
    if found := TOKENIZER_MARK.search(prompt or ""):
        sentence = "{mark} is a mark of the tokenizer's own; leave it out"
        raise PydanticCustomError("prompt_mark", sentence, {"mark": found.group()})
    return prompt


def _checked_mask(url: str | None, info: ValidationInfo) -> str | None:
    # A task that is there and wrong is missing among the checked fields.
    task = info.data.get("task", "wrong")
    if url is None and task in ("insertion", "removal"):
        raise PydanticCustomError(
            "mask_missing", "The task {task} needs a mask, white where the picture is to change", {"task": task}
        )
    return url


def _checked_keeping(keep: bool, info: ValidationInfo) -> bool:
    if keep and info.data.get("mask_url", "wrong") is None:
        raise PydanticCustomError("mask_missing", "keep_outside needs a mask, which says what the outside is")
    return keep


def _checked_reference_mask(url: str | None, info: ValidationInfo) -> str | None:
    if url is not None and info.data.get("reference_url", "wrong") is None:
        raise PydanticCustomError("reference_missing", "A reference mask belongs to a reference, and there is none")
    return url


def _fitting(label: str | None, info: ValidationInfo) -> str | None:
    prompt = masked_edit(info.data.get("prompt", ""), info.data.get("angle"), label)
    if len(prompt) > MAX_PROMPT_CHARS:
        fields = {"most": MAX_PROMPT_CHARS, "given": len(prompt)}
        raise PydanticCustomError(
            "prompt_too_long", "Prompt, angle and background have {given} characters together, {most} are taken", fields
        )
    return label


_Prompt = Annotated[str, Field(max_length=MAX_PROMPT_CHARS), AfterValidator(_without_marks)]
_Label = Annotated[str, Field(max_length=MAX_LABEL_CHARS), AfterValidator(_without_marks)]


class MaskedEditRequest(OperationRequest):
    """A picture, what is to change in it, and into what."""

    # The rules of a field look at the fields before it.
    image_url: ImageUrl
    task: Annotated[
        Task,
        Field(description="`insertion` puts an object into the mask, `removal` takes out what is masked."),
    ] = "removal"
    mask_url: Annotated[
        ImageUrl | None,
        AfterValidator(_checked_mask),
        Field(
            description="White where the picture is to change; insertion and removal need it. It is scaled to the "
            "picture's size.",
            validate_default=True,
        ),
    ] = None
    reference_url: Annotated[ImageUrl | None, Field(description="The object for an insertion.")] = None
    reference_mask_url: Annotated[
        ImageUrl | None,
        AfterValidator(_checked_reference_mask),
        Field(description="White where the object is in the reference."),
    ] = None
    prompt: Annotated[
        _Prompt,
        Field(description="May be empty. `Picture 1` is the first conditional image.", examples=["an empty beach"]),
    ] = ""
    negative_prompt: _Prompt | None = None
    angle: Annotated[
        _Label | None,
        Field(description="A camera angle such as `top-down`, added to the prompt; other words are added as they are."),
    ] = None
    background_preset: Annotated[
        _Label | None,
        AfterValidator(_fitting),
        Field(
            description="A background such as `marble-surface`, added to the prompt; other words are added as they "
            "are.",
            validate_default=True,
        ),
    ] = None
    num_inference_steps: Annotated[int, Field(ge=1, le=100)] = 10
    true_cfg_scale: Annotated[
        float | None,
        Field(ge=0.5, le=20, description="1 is twice as fast and follows the prompt less; null for the checkpoint's."),
    ] = None
    seed: Annotated[
        int | None, Field(ge=0, lt=SEEDS, description="The same seed makes the same picture; null draws one.")
    ] = None
    input_quality: Annotated[
        Literal["resized", "original"],
        Field(
            description="`resized` works in the square that the checkpoints were given, `original` at the picture's "
            "own size up to 2048 px. The result has the picture's size in both."
        ),
    ] = "resized"
    keep_outside: Annotated[
        bool,
        AfterValidator(_checked_keeping),
        Field(description="Outside the mask and its feather, keep the picture's own pixels."),
    ] = False
    feather_px: Annotated[
        int, Field(ge=0, le=256, description="With `keep_outside`: how far the edit runs out around the mask.")
    ] = 8
    debug: Annotated[
        bool, Field(description="Keep the conditional images and the loading log, for the task's owner.")
    ] = False

    def resolved(self, images: ImageUrlPolicy) -> Self:
        """Draw the seed, so that work which is repeated makes the same picture."""
        del images
        return self if self.seed is not None else self.model_copy(update={"seed": secrets.randbelow(DRAWN_SEEDS)})


def _estimate() -> list[CostItem]:
    """Price a task: nothing is paid for it but the instance's time."""
    return []


OPERATION = Operation(
    name="masked-edit",
    title="Edit a masked part",
    description=(
        "Lets Qwen-Image-Edit change what a mask marks in a picture: put an object there, from a reference picture or "
        "from words, or take out what is there; or correct the picture's white balance. The result has the picture's "
        "own size."
    ),
    lane=Lane.MODEL,
    request=MaskedEditRequest,
    steps=("edit-masked",),
    providers=(),
    models=("qwen-edit",),
    transitions=3,
    estimate=_estimate,
    example={
        "image_url": "https://example.com/scene.jpg",
        "mask_url": "https://example.com/mask.png",
        "task": "removal",
    },
)
