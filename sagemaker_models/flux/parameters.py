"""What a request may ask for, and what it comes to with the variant of FLUX that is loaded."""

import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sagemaker_models.flux.licences import Variant

#: Sides and area of a picture, pixels. PuLID's app begins at 256; the rest are limits of ours, for time and memory.
LEAST_SIDE_PX, MOST_SIDE_PX, MOST_PIXELS = 256, 2048, 2 * 1024 * 1024

#: A side is a multiple of this: 8 pixels to a latent, 2 latents to a token.
GRID_PX = 16

#: Strengths of harmonisation that are in use.
HARMONISING = (0.35, 0.45)

#: Prompts of identities are embedded at this length unless the request says another (PuLID's app and fal's).
IDENTITY_TOKENS = 128

_Side = Annotated[int, Field(ge=LEAST_SIDE_PX, le=MOST_SIDE_PX, multiple_of=GRID_PX)]


@dataclass(frozen=True)
class Rules:
    """What a variant needs (diffusers' documentation of FLUX, read 2026-11-21).

    Args:
        steps: if the request names none.
        guidance: likewise; None if the variant knows no guidance.
        tokens: longest prompt.
    """

    steps: int
    guidance: float | None
    tokens: int


RULES: dict[Variant, Rules] = {"schnell": Rules(4, None, 256), "dev": Rules(28, 3.5, 512)}


class FluxParameters(BaseModel):
    """A picture after a prompt.

    With the input `portrait` it keeps that person's identity. With the input `image` and a `strength` it is a second
    pass over that picture.

    Args:
        prompt: what is to be seen.
        negative_prompt: what is not; only with `true_cfg` over 1.
        width: pixels, with `height` or not at all: then 1024, or the size of `image`.
        height: pixels.
        num_inference_steps: None for the variant's own number.
        guidance_scale: None for the variant's own; schnell takes 0 only.
        seed: None for any.
        id_weight: how much of the identity; 0 for none.
        start_step: step, counted from 0, from which on the identity is there; later ones leave the prompt more freedom.
        true_cfg: guidance away from the negative prompt, which doubles the time; 1 for none.
        strength: share of the way to noise from which the second pass begins.
        max_sequence_length: tokens of the prompt that count; None for the variant's most, or 128 with a portrait.
        output_format: of the picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt: Annotated[str, Field(min_length=1, max_length=20_000)]
    negative_prompt: Annotated[str, Field(max_length=20_000)] = ""
    width: _Side | None = None
    height: _Side | None = None
    num_inference_steps: Annotated[int, Field(ge=1, le=50)] | None = None
    guidance_scale: Annotated[float, Field(ge=0, le=20)] | None = None
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] | None = None
    id_weight: Annotated[float, Field(ge=0, le=3)] = 1.0
    start_step: Annotated[int, Field(ge=0, le=49)] = 0
    true_cfg: Annotated[float, Field(ge=1, le=10)] = 1.0
    strength: Annotated[float, Field(ge=0.01, le=1)] | None = None
    max_sequence_length: Literal[128, 256, 512] | None = None
    output_format: Literal["png", "jpeg"] = "png"

    @model_validator(mode="after")
    def _is_of_one_piece(self) -> Self:
        if (self.width is None) != (self.height is None):
            raise ValueError("width and height come together")
        if self.width is not None and self.height is not None and self.width * self.height > MOST_PIXELS:
            raise ValueError(f"{self.width}x{self.height} has more than {MOST_PIXELS} pixels")
        return self


class Refused(Exception):
    """The request cannot succeed with what is loaded, or with the inputs that it brings.

    Args:
        message: one sentence for the caller.
        code: as in `ModelError`.
    """

    def __init__(self, message: str, code: str = "RequestInvalid") -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True)
class Order:
    """What is done, with nothing left open.

    Args:
        steps: of the schedule.
        steps_run: of those, that are done.
        guidance: 0 where the variant knows none.
        strength: None if the picture begins with noise.
        warnings: sentences for the caller.
    """

    prompt: str
    negative_prompt: str
    width: int
    height: int
    steps: int
    steps_run: int
    guidance: float
    true_cfg: float
    strength: float | None
    tokens: int
    warnings: tuple[str, ...]

    @property
    def is_guided(self) -> bool:
        """Whether each step has a second pass, for the negative prompt."""
        return self.true_cfg > 1


def order_of(asked: FluxParameters, variant: Variant, *, portrait: bool, image_size: tuple[int, int] | None) -> Order:
    """Fill in what the request leaves open.

    Args:
        asked: the request.
        variant: that is loaded.
        portrait: whether the request brings one.
        image_size: width and height of the picture that the request brings.

    Raises:
        Refused: the request does not fit the variant or its inputs.
    """
    rules = RULES[variant]
    if (asked.strength is None) != (image_size is None):
        raise Refused("a second pass needs both the input image and strength, and nothing else takes either")
    if rules.guidance is None and asked.guidance_scale:
        raise Refused(f"guidance_scale: FLUX.1 {variant} knows no guidance, it takes 0 or nothing")
    tokens = asked.max_sequence_length or (IDENTITY_TOKENS if portrait else rules.tokens)
    if tokens > rules.tokens:
        raise Refused(f"max_sequence_length: FLUX.1 {variant} reads at most {rules.tokens} tokens")
    steps = asked.num_inference_steps or rules.steps
    run = steps if asked.strength is None else steps_run(steps, asked.strength)
    if portrait and asked.start_step >= run:
        raise Refused(f"start_step: {asked.start_step} is not below the {run} steps that run")
    width, height = _size(asked, image_size)
    return Order(
        prompt=asked.prompt,
        negative_prompt=asked.negative_prompt,
        width=width,
        height=height,
        steps=steps,
        steps_run=run,
        guidance=(rules.guidance or 0.0) if asked.guidance_scale is None else asked.guidance_scale,
        true_cfg=asked.true_cfg,
        strength=asked.strength,
        tokens=tokens,
        warnings=tuple(_warnings(asked, steps, portrait=portrait)),
    )


def steps_run(steps: int, strength: float) -> int:
    """Return how many steps of a schedule a second pass does: n - ⌊max(n - min(n·s, n), 0)⌋.

    Source: diffusers 0.42.1, `FluxImg2ImgPipeline.get_timesteps`.
    """
    return steps - int(max(steps - min(steps * strength, steps), 0))


def fitted(width: int, height: int) -> tuple[int, int]:
    """Return the size at which a picture is gone over: on the grid, and not over the area or the side that FLUX makes.

    Raises:
        Refused: a side is too short.
    """
    factor = min(1.0, math.sqrt(MOST_PIXELS / (width * height)), MOST_SIDE_PX / max(width, height))
    fit = [int(side * factor) // GRID_PX * GRID_PX for side in (width, height)]
    if min(fit) < LEAST_SIDE_PX:
        reason = f"{width}x{height} px would be gone over at {fit[0]}x{fit[1]}; each side needs {LEAST_SIDE_PX}"
        raise Refused(reason, code="ImageShapeRefused")
    return fit[0], fit[1]


def _size(asked: FluxParameters, image_size: tuple[int, int] | None) -> tuple[int, int]:
    if asked.width is not None and asked.height is not None:
        return asked.width, asked.height
    return (1024, 1024) if image_size is None else fitted(*image_size)


def _warnings(asked: FluxParameters, steps: int, *, portrait: bool) -> list[str]:
    found = []
    if asked.strength is not None and len({steps_run(steps, strength) for strength in HARMONISING}) == 1:
        run = steps_run(steps, asked.strength)
        found.append(
            f"strength: with {steps} steps, all over {(run - 1) / steps:g} up to {run / steps:g} are the same: {run} "
            f"steps run; {HARMONISING[0]} and {HARMONISING[1]} do not differ"
        )
    if asked.negative_prompt and asked.true_cfg == 1:
        found.append("negative_prompt: it has no effect while true_cfg is 1")
    if not portrait and (asked.id_weight, asked.start_step) != (1.0, 0):
        found.append("id_weight and start_step: they have no effect without a portrait")
    return found
