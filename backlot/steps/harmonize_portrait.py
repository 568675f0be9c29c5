"""harmonize-portrait: go over a portrait with FLUX at fal, so that light, skin and grain are of one piece."""

from backlot.images import codecs
from backlot.providers.fal import Fal
from backlot.steps import _fal_pictures
from backlot.steps._portraits import PassInput, harmonized_or_as_it_is, pass_prompt, pass_steps, portrait_as_it_is
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput

GUIDANCE = 3.5


class HarmonizePortraitInput(PassInput):
    """A portrait, and how much of it may change."""

    portrait_url: str


def harmonize_portrait(request: HarmonizePortraitInput, run: StepRun) -> StepOutput:
    """Do the step.

    The portrait is paid for. If this pass fails, the portrait is the result, and the detail says why.

    Raises:
        ContentRefused: fal's moderation refused the portrait.
        Cancelled: the task was cancelled.
        TransientError: fal fails for the moment.
    """
    return harmonized_or_as_it_is(
        lambda: _harmonized(request, run), lambda reason: _as_it_is(request, run, reason), run
    )


def _harmonized(request: HarmonizePortraitInput, run: StepRun) -> StepOutput:
    model = run.deps.models[STEP.name]
    output = run.job(Fal.name, lambda webhook_url: _fal_pictures.submit(_order(model, request, run), run, webhook_url))
    detail = {"harmonized": True, "reason": None, "denoising_strength": request.denoising_strength}
    return _fal_pictures.store(output, run, step=STEP.name, model=model, detail=detail)


def _as_it_is(request: HarmonizePortraitInput, run: StepRun, reason: str) -> StepOutput:
    picture = run.picture(request.portrait_url)
    portrait = MadeImage(
        result_url=request.portrait_url,
        width=picture.width,
        height=picture.height,
        content_type="image/png" if request.portrait_url.endswith(".png") else "image/jpeg",
    )
    model = run.deps.models[STEP.name]
    return portrait_as_it_is(portrait, reason, step=STEP.name, provider=Fal.name, model=model, seed=request.seed)


def _order(model: str, request: HarmonizePortraitInput, run: StepRun) -> _fal_pictures.Order:
    portrait = run.picture(request.portrait_url)
    with run.watch.time("image_s"):
        image = codecs.encode_jpeg(portrait, max_side=max(portrait.pixels.size), quality=95)
    arguments = {
        "prompt": pass_prompt(request.lighting_params),
        "image_url": codecs.data_url("image/jpeg", image),
        "strength": request.denoising_strength,
        "num_inference_steps": pass_steps(request.mode),
        "guidance_scale": GUIDANCE,
        "num_images": 1,
        "output_format": "jpeg",
        "enable_safety_checker": True,
    }
    return _fal_pictures.Order(model, arguments | ({} if request.seed is None else {"seed": request.seed}))


STEP = Step(name="harmonize-portrait", input=HarmonizePortraitInput, run=harmonize_portrait, provider=Fal.name)
