"""harmonize-portrait: go over a portrait with FLUX, so that light, skin and grain are of one piece."""

from pydantic import BaseModel

from backlot import prompts
from backlot.errors import BacklotError, Cancelled, ContentRefused, TransientError
from backlot.images import codecs
from backlot.operations.identity_portrait import SPEED, LightingParams
from backlot.providers.fal import Fal
from backlot.steps import _fal_pictures
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput

#: Steps by mode; fal takes 10 to 50, of which the share `strength` is done. Read 2026-11-20.
_SPEED_STEPS, _QUALITY_STEPS = 10, 30

GUIDANCE = 3.5

#: How often the state machine tries again before the portrait is given out as it is.
PATIENCE = 2


class HarmonizePortraitInput(BaseModel):
    """A portrait, and how much of it may change."""

    portrait_url: str
    denoising_strength: float
    mode: str
    lighting_params: LightingParams | None = None
    seed: int | None = None


def harmonize_portrait(request: HarmonizePortraitInput, run: StepRun) -> StepOutput:
    """Do the step.

    The portrait is paid for. If this pass fails, the portrait is the result, and the detail says why.

    Raises:
        ContentRefused: fal's moderation refused the portrait.
        Cancelled: the task was cancelled.
        TransientError: fal fails for the moment; not after `PATIENCE` attempts.
    """
    try:
        return _harmonized(request, run)
    except (ContentRefused, Cancelled):
        raise
    except TransientError as error:
        if run.retries < PATIENCE:
            raise
        return _as_it_is(request, run, error)
    except BacklotError as error:
        return _as_it_is(request, run, error)


def _harmonized(request: HarmonizePortraitInput, run: StepRun) -> StepOutput:
    model = run.deps.models[STEP.name]
    output = run.job(Fal.name, lambda webhook_url: _fal_pictures.submit(_order(model, request, run), run, webhook_url))
    detail = {"harmonized": True, "reason": None, "denoising_strength": request.denoising_strength}
    return _fal_pictures.store(output, run, step=STEP.name, model=model, detail=detail)


def _as_it_is(request: HarmonizePortraitInput, run: StepRun, error: BacklotError) -> StepOutput:
    picture = run.picture(request.portrait_url)
    return StepOutput(
        step=STEP.name,
        images=[
            MadeImage(
                result_url=request.portrait_url,
                width=picture.width,
                height=picture.height,
                content_type="image/png" if request.portrait_url.endswith(".png") else "image/jpeg",
            )
        ],
        provider=Fal.name,
        model=run.deps.models[STEP.name],
        cost=[],
        detail={"harmonized": False, "reason": f"{error.code()}: {error}", "seed": request.seed},
    )


def _order(model: str, request: HarmonizePortraitInput, run: StepRun) -> _fal_pictures.Order:
    portrait = run.picture(request.portrait_url)
    with run.watch.time("image_s"):
        image = codecs.encode_jpeg(portrait, max_side=max(portrait.pixels.size), quality=95)
    words = request.lighting_params.in_words() if request.lighting_params else ""
    arguments = {
        "prompt": f"{prompts.HARMONIZE} {words}".strip(),
        "image_url": codecs.data_url("image/jpeg", image),
        "strength": request.denoising_strength,
        "num_inference_steps": _SPEED_STEPS if request.mode == SPEED else _QUALITY_STEPS,
        "guidance_scale": GUIDANCE,
        "num_images": 1,
        "output_format": "jpeg",
        "enable_safety_checker": True,
    }
    return _fal_pictures.Order(model, arguments | ({} if request.seed is None else {"seed": request.seed}))


STEP = Step(name="harmonize-portrait", input=HarmonizePortraitInput, run=harmonize_portrait, provider=Fal.name)
