"""What both routes of a portrait have in common: what is asked of either, and when a failed second pass is let go."""

from collections.abc import Callable

from pydantic import BaseModel

from backlot import prompts
from backlot.assets import FACE_PREFIX
from backlot.errors import BacklotError, Cancelled, ContentRefused, TransientError, Unexpected
from backlot.operations.identity_portrait import SPEED, LightingParams
from backlot.steps._step import StepRun
from backlot.tasks import MadeImage, StepOutput

#: Width and height of a portrait, pixels: what the replaced server asked for.
SIDE_PX = 1024

#: Steps of the second pass by mode, of which the share `strength` is done: fal takes 10 to 50 (read 2026-11-20), and
#: with the 4 steps that are FLUX schnell's own, all strengths that a request may name come to the same.
_SPEED_PASS_STEPS, _QUALITY_PASS_STEPS = 10, 30

#: How often the state machine tries a second pass again before the portrait is given out as it is.
PATIENCE = 2


class PortraitInput(BaseModel):
    """A face, and what is to be made of it."""

    face_url: str
    master_prompt: str
    negative_prompt: str
    mode: str
    lighting_params: LightingParams | None = None
    fidelity_weight: float
    seed: int | None = None


class PassInput(BaseModel):
    """How a portrait is gone over."""

    denoising_strength: float
    mode: str
    lighting_params: LightingParams | None = None
    seed: int | None = None


def shaped_prompt(master_prompt: str, lighting: LightingParams | None) -> str:
    """Return the prompt of a portrait: the request's own, then its lighting in words."""
    return _lit(master_prompt.strip() or prompts.PORTRAIT, lighting)


def pass_prompt(lighting: LightingParams | None) -> str:
    """Return the prompt of the second pass."""
    return _lit(prompts.HARMONIZE, lighting)


def pass_steps(mode: str) -> int:
    """Return how many steps a second pass is asked for."""
    return _SPEED_PASS_STEPS if mode == SPEED else _QUALITY_PASS_STEPS


def face_key(url: str, run: StepRun) -> str:
    """Return the key of a stored face; it is ours, and no address that a caller may name.

    Raises:
        Unexpected: it is something else.
    """
    key = run.deps.images.own_key(url)
    if key is None or not key.startswith(FACE_PREFIX):
        raise Unexpected()
    return key


def harmonized_or_as_it_is(
    harmonize: Callable[[], StepOutput], as_it_is: Callable[[str], StepOutput], run: StepRun
) -> StepOutput:
    """Do the second pass. The portrait is there: if the pass fails, it is the result.

    Args:
        harmonize: does the pass.
        as_it_is: gives out the portrait; takes the reason.

    Raises:
        ContentRefused: a provider's moderation refused the portrait.
        Cancelled: the task was cancelled.
        TransientError: the pass fails for the moment; not after `PATIENCE` attempts.
    """
    try:
        return harmonize()
    except (ContentRefused, Cancelled):
        raise
    except BacklotError as error:
        if isinstance(error, TransientError) and run.retries < PATIENCE:
            raise
        return as_it_is(f"{error.code()}: {error}")


def portrait_as_it_is(
    portrait: MadeImage, reason: str, *, step: str, provider: str, model: str, seed: int | None
) -> StepOutput:
    """Return a portrait as the output of a second pass that was not done.

    Args:
        reason: why.
        seed: of the portrait.
    """
    detail = {"harmonized": False, "reason": reason, "seed": seed}
    return StepOutput(step=step, images=[portrait], provider=provider, model=model, cost=[], detail=detail)


def _lit(prompt: str, lighting: LightingParams | None) -> str:
    return f"{prompt} {lighting.in_words() if lighting else ''}".strip()
