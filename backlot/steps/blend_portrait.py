"""blend-portrait: go over a portrait with FLUX on an endpoint of our own, so that light, skin and grain are one."""

from typing import Any

from backlot.operations.identity_portrait import FLUX
from backlot.steps import _flux, _models
from backlot.steps._portraits import PassInput, harmonized_or_as_it_is, pass_prompt, pass_steps, portrait_as_it_is
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput


class BlendPortraitInput(PassInput):
    """A portrait, and how much of it may change."""

    portrait: MadeImage


def blend_portrait(request: BlendPortraitInput, run: StepRun) -> StepOutput:
    """Do the step. If this pass fails, the portrait is the result, and the detail says why.

    Raises:
        Cancelled: the task was cancelled.
        TransientError: the model cannot take it for the moment.
    """
    return harmonized_or_as_it_is(lambda: _blended(request, run), lambda reason: _as_it_is(request, reason), run)


def _blended(request: BlendPortraitInput, run: StepRun) -> StepOutput:
    order = _flux.Order(_parameters(request), inputs={"image": request.portrait.result_url})
    detail = {"harmonized": True, "reason": None, "denoising_strength": request.denoising_strength}
    return _flux.paint(order, run, step=STEP.name, detail=detail)


def _as_it_is(request: BlendPortraitInput, reason: str) -> StepOutput:
    return portrait_as_it_is(
        request.portrait, reason, step=STEP.name, provider=_models.NAME, model=FLUX, seed=request.seed
    )


def _parameters(request: BlendPortraitInput) -> dict[str, Any]:
    return {
        "prompt": pass_prompt(request.lighting_params),
        "strength": request.denoising_strength,
        "num_inference_steps": pass_steps(request.mode),
        **({} if request.seed is None else {"seed": request.seed}),
    }


STEP = Step(name="blend-portrait", input=BlendPortraitInput, run=blend_portrait)
