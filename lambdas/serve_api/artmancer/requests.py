"""What clients of the ArtMancer server send, and the masked edit that it means."""

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from backlot.errors import ImageUnreadable
from backlot.inline_images import InlineImages
from backlot.operations import RequestContext
from backlot.operations.masked_edit import MaskedEditRequest
from lambdas.serve_api.http_requests import BadRequest, OldRefusal, check

#: The server's two generations: the synchronous one, and the one with tasks.
Dialect = Literal["2.1", "3"]

#: Whatever names one of these is of the second generation.
_ONLY_IN_3 = {
    "reference_mask_R",
    "refine_mask_with_birefnet",
    "mask_tool_type",
    "enable_mae_refinement",
    "enable_debug",
}

#: `guidance_scale` where a request leaves it out.
_GUIDANCE: dict[Dialect, float] = {"2.1": 1.0, "3": 4.0}

#: The scale of the guidance where a request says null to both of its names.
_TRUE_CFG, _TRUE_CFG_WHITE_BALANCE = 4.0, 3.3

#: No guidance.
_UNGUIDED = 1.0

#: Our names of what the old ones mean.
_OLD_NAMES = {
    "image_url": "input_image",
    "mask_url": "conditional_images",
    "reference_url": "reference_image",
    "reference_mask_url": "reference_mask_R",
    "task": "task_type",
}

_SIZE = "the result has the picture's own size"
_PLACEMENT = "the server places its model by the memory that there is"
_PREVIEW = "the task's checkpoint says how its conditional images are made"
_INSERTION = "only an insertion looks at it"

#: What changes nothing, and why.
WITHOUT_EFFECT = {
    "width": _SIZE,
    "height": _SIZE,
    "enable_4bit_text_encoder": _PLACEMENT,
    "enable_cpu_offload": _PLACEMENT,
    "enable_memory_optimizations": _PLACEMENT,
    "enable_flowmatch_scheduler": "the task's checkpoint says which sampler is used",
    "refine_mask_with_birefnet": "the mask is used as it was drawn",
    "mask_tool_type": _PREVIEW,
    "enable_mae_refinement": _PREVIEW,
    "conditional_images[1:]": _PREVIEW,
    "reference_image": _INSERTION,
    "reference_mask_R": _INSERTION,
}

_Flag = bool | None
_Side = Annotated[int | None, Field(ge=256, le=2048, description="Without effect: the result has the picture's size.")]


class GenerationRequest(BaseModel):
    """The body of the ArtMancer server's requests, of both generations; unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, defer_build=True)

    prompt: Annotated[str, Field(description="May be empty.")]
    input_image: Annotated[
        str,
        Field(
            description="base64, with or without `data:image/…;base64,`; or the `image_url` of an upload (`s3://…`) or "
            "an `https://` URL, for pictures that are too large for a request. This holds for all pictures here."
        ),
    ]
    conditional_images: Annotated[
        list[str] | None, Field(max_length=16, description="The first one is the mask, white where to edit.")
    ] = None
    mask_image: Annotated[str | None, Field(description="The mask, if `conditional_images` has none.")] = None
    reference_image: Annotated[str | None, Field(description="The object for an insertion.")] = None
    reference_mask_R: Annotated[  # noqa: N815 - the client's name
        str | None, Field(description="White where the object is in `reference_image`.")
    ] = None
    width: _Side = None
    height: _Side = None
    num_inference_steps: Annotated[int | None, Field(ge=1, le=100)] = 10
    guidance_scale: Annotated[float | None, Field(ge=0.5, le=20, description="Counts if `true_cfg_scale` is null.")] = (
        None
    )
    true_cfg_scale: Annotated[float | None, Field(ge=0.5, le=15)] = 4.0
    negative_prompt: str | None = None
    seed: Annotated[int | None, Field(ge=-1, lt=2**63, description="null or -1 for any.")] = None
    task_type: Literal["insertion", "removal", "white-balance"] | None = None
    angle: str | None = None
    background_preset: str | None = None
    input_quality: Literal["resized", "original"] | None = None
    enable_4bit_text_encoder: _Flag = None
    enable_cpu_offload: _Flag = None
    enable_memory_optimizations: _Flag = None
    enable_flowmatch_scheduler: _Flag = None
    refine_mask_with_birefnet: _Flag = None
    mask_tool_type: Literal["brush", "box"] | None = None
    enable_mae_refinement: _Flag = None
    enable_debug: Annotated[_Flag, Field(description="Keep a debug session; the same as `debug`.")] = None
    debug: Annotated[_Flag, Field(description="Keep a debug session.")] = None
    keep_outside: Annotated[bool, Field(description="Keep the picture's own pixels outside the mask.")] = False
    feather_px: Annotated[int, Field(ge=0, le=256)] = 8

    @property
    def task(self) -> Literal["insertion", "removal", "white-balance"]:
        """The task; removal if none is named."""
        return self.task_type or "removal"

    @property
    def mask(self) -> str:
        """The mask as it was sent, empty if there is none."""
        return (self.conditional_images[0] if self.conditional_images else self.mask_image) or ""

    def dialect(self, *, is_async: bool) -> Dialect:
        """Tell whose defaults count: a route of tasks, or a field of theirs, is the second generation's."""
        return "3" if is_async or self.model_fields_set & _ONLY_IN_3 else "2.1"

    def true_cfg(self, dialect: Dialect) -> float:
        """Return the scale of the guidance.

        `true_cfg_scale`, else `guidance_scale`, else 3.3 for white balance and 4.0 for the others. The first generation
        did not guide without a negative prompt; the second took a blank one.
        """
        if dialect == "2.1" and self.negative_prompt is None:
            return _UNGUIDED
        guidance = self.guidance_scale if "guidance_scale" in self.model_fields_set else _GUIDANCE[dialect]
        last = _TRUE_CFG_WHITE_BALANCE if self.task == "white-balance" else _TRUE_CFG
        return next((scale for scale in (self.true_cfg_scale, guidance) if scale is not None), last)

    def without_effect(self) -> tuple[str, ...]:
        """Return what was sent and changes nothing, by its names in `WITHOUT_EFFECT`."""
        sent = {
            **{name: getattr(self, name) for name in WITHOUT_EFFECT if name in GenerationRequest.model_fields},
            "conditional_images[1:]": (self.conditional_images or [])[1:],
        }
        if self.task == "insertion":
            del sent["reference_image"], sent["reference_mask_R"]
        return tuple(name for name in WITHOUT_EFFECT if sent.get(name))


@dataclass(frozen=True)
class Edit:
    """A masked edit that was asked for in the old words.

    Args:
        request: checked.
        inline: the pictures that came with it.
        ignored: what of the old request changes nothing, by its names in `WITHOUT_EFFECT`.
    """

    request: MaskedEditRequest
    inline: InlineImages
    ignored: tuple[str, ...]


def warnings_of(ignored: tuple[str, ...]) -> list[str]:
    """Say of what was ignored why that is so."""
    return [f"{name} has no effect: {WITHOUT_EFFECT[name]}." for name in ignored]


def translated(asked: GenerationRequest, context: RequestContext, bucket: str, *, is_async: bool) -> Edit:
    """Return the masked edit that an old request means.

    Args:
        context: what requests are checked against.
        bucket: where pictures that came with the request will lie.
        is_async: whether it came by a route of tasks.

    Raises:
        OldRefusal: a picture is missing or cannot be read, in the old server's words.
        ImageTooLarge: a picture has too many pixels.
        BadRequest: fields are wrong, by their old names.
    """
    inline = InlineImages(bucket)
    two_masks = asked.task == "insertion" and bool(asked.reference_mask_R)
    # The old server's order: the picture, the mask, and what two masks need besides.
    _need(asked.input_image, "input_image is required")
    image_url = _placed(asked.input_image, inline)
    if asked.task != "white-balance":
        _need(asked.mask, "conditional_images must include at least one image (mask) for insertion/removal tasks.")
    if two_masks:
        _need(asked.reference_image, "reference_image is required")
    needs_mask = asked.task != "white-balance" or asked.keep_outside
    reference = asked.reference_image if asked.task == "insertion" else None
    values: dict[str, Any] = {
        "image_url": image_url,
        "mask_url": _placed(asked.mask, inline) if asked.mask and needs_mask else None,
        "reference_url": _placed(reference, inline) if reference else None,
        "reference_mask_url": _placed(asked.reference_mask_R or "", inline) if two_masks else None,
        "task": asked.task,
        "prompt": asked.prompt,
        "negative_prompt": asked.negative_prompt,
        "angle": asked.angle or None,
        "background_preset": asked.background_preset or None,
        "num_inference_steps": asked.num_inference_steps or 10,
        "true_cfg_scale": asked.true_cfg(asked.dialect(is_async=is_async)),
        "seed": None if asked.seed == -1 else asked.seed,
        "input_quality": asked.input_quality or "resized",
        "keep_outside": asked.keep_outside,
        "feather_px": asked.feather_px,
        "debug": bool(asked.debug or asked.enable_debug),
    }
    try:
        request = check(values, MaskedEditRequest, replace(context, inline=None))
    except BadRequest as error:
        raise BadRequest(*map(_in_old_words, error.problems)) from error
    return Edit(request, inline, asked.without_effect())


def _need(picture: str | None, sentence: str) -> None:
    if not picture:
        raise OldRefusal(400, sentence)


def _placed(picture: str, inline: InlineImages) -> str:
    """Return where a picture lies, or will lie: addresses have a colon, which base64 has not.

    Raises:
        OldRefusal: it is neither an address nor a picture.
    """
    scheme = picture[:8].lower().partition(":")[0]
    if scheme in ("s3", "https", "http"):
        return picture
    try:
        return inline.keep(picture if scheme == "data" else f"data:;base64,{picture}")
    except ImageUnreadable as error:
        reason = error.fields["reason"]
        raise OldRefusal(400, f"Invalid base64 image data or unsupported format: {reason}") from error


def _in_old_words(problem: dict[str, Any]) -> dict[str, Any]:
    place, name, *rest = problem["loc"]
    return problem | {"loc": [place, _OLD_NAMES.get(name, name), *rest]}
