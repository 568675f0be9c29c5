"""paint-portrait: let FLUX with PuLID, on an endpoint of our own, make a portrait that keeps the identity of a face."""

from typing import Any

from backlot.errors import FaceForgotten, ImageNotFetched
from backlot.operations.identity_portrait import SPEED
from backlot.steps import _flux
from backlot.steps._portraits import SIDE_PX, PortraitInput, face_key, shaped_prompt
from backlot.steps._step import Step, StepRun
from backlot.tasks import StepOutput

#: Steps of the mode `speed`, as on fal's route. `quality` takes what is the loaded variant's own: 28 of dev, and 4 of
#: schnell, which is made for them and gains nothing by more. Nor is guidance asked for: schnell refuses any.
SPEED_STEPS = 4

#: Tokens of the prompt that count: what both variants read. Prompts of the app with their lighting are longer than the
#: 128 that PuLID's own app takes.
TOKENS = 256


def paint_portrait(request: PortraitInput, run: StepRun) -> StepOutput:
    """Do the step.

    Raises:
        FaceForgotten: the face was deleted before an instance took the request.
        backlot.errors.BacklotError: the model cannot be asked, refuses or fails.
    """
    order = _flux.Order(_parameters(request), private={"portrait": face_key(request.face_url, run)})
    detail = {"mode": request.mode, "fidelity_weight": request.fidelity_weight}
    try:
        return _flux.paint(order, run, step=STEP.name, detail=detail)
    except ImageNotFetched as error:
        raise FaceForgotten() from error


def _parameters(request: PortraitInput) -> dict[str, Any]:
    return {
        "prompt": shaped_prompt(request.master_prompt, request.lighting_params),
        "negative_prompt": request.negative_prompt,
        "id_weight": request.fidelity_weight,
        "width": SIDE_PX,
        "height": SIDE_PX,
        "max_sequence_length": TOKENS,
        **({"num_inference_steps": SPEED_STEPS} if request.mode == SPEED else {}),
        **({} if request.seed is None else {"seed": request.seed}),
    }


STEP = Step(name="paint-portrait", input=PortraitInput, run=paint_portrait)
