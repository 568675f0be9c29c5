"""make-portrait: let FLUX with PuLID make a portrait that keeps the identity of a face."""

from backlot.errors import FaceForgotten, ImageNotFetched
from backlot.faces import MAX_SIDE_PX
from backlot.images.codecs import data_url
from backlot.operations.identity_portrait import SPEED
from backlot.providers.fal import Fal
from backlot.steps import _fal_pictures
from backlot.steps._portraits import SIDE_PX, PortraitInput, face_key, shaped_prompt
from backlot.steps._step import Step, StepRun
from backlot.tasks import StepOutput

#: Steps and guidance by mode: those of the replaced server's modes, with the guidance that suits FLUX dev.
_SPEED, _QUALITY = (4, 3.5), (30, 4.0)

#: The stored face is a JPEG of at most 1536 px; this is more than any of them has, bytes.
MAX_FACE_BYTES = 3 * MAX_SIDE_PX * MAX_SIDE_PX


def make_portrait(request: PortraitInput, run: StepRun) -> StepOutput:
    """Do the step.

    Raises:
        FaceForgotten: the face was deleted before the job was bought.
        backlot.errors.BacklotError: fal fails, refuses, or its picture cannot be had.
    """
    model = run.deps.models[STEP.name]
    output = run.job(Fal.name, lambda webhook_url: _fal_pictures.submit(_order(model, request, run), run, webhook_url))
    detail = {"mode": request.mode, "fidelity_weight": request.fidelity_weight}
    return _fal_pictures.store(output, run, step=STEP.name, model=model, detail=detail)


def _order(model: str, request: PortraitInput, run: StepRun) -> _fal_pictures.Order:
    steps, guidance = _SPEED if request.mode == SPEED else _QUALITY
    arguments = {
        "prompt": shaped_prompt(request.master_prompt, request.lighting_params),
        "negative_prompt": request.negative_prompt,
        "reference_image_url": data_url("image/jpeg", _face(request.face_url, run)),
        "id_weight": request.fidelity_weight,
        "num_inference_steps": steps,
        "guidance_scale": guidance,
        "image_size": {"width": SIDE_PX, "height": SIDE_PX},
        "enable_safety_checker": True,
    }
    return _fal_pictures.Order(model, arguments | ({} if request.seed is None else {"seed": request.seed}))


def _face(url: str, run: StepRun) -> bytes:
    key = face_key(url, run)
    try:
        with run.watch.time("fetch_s"):
            return run.deps.objects.get(key, MAX_FACE_BYTES)
    except ImageNotFetched as error:
        raise FaceForgotten() from error


STEP = Step(name="make-portrait", input=PortraitInput, run=make_portrait, provider=Fal.name)
