"""swap-face: let SeeDream fill the black area of a masked picture with the face of another one."""

from typing import Any

from pydantic import BaseModel

from backlot import prompts
from backlot.images.sizes import automatic_size
from backlot.providers.seedream import Seedream
from backlot.steps import _seedream
from backlot.steps._step import Step, StepRun
from backlot.tasks import StepOutput


class SwapFaceInput(BaseModel):
    """A masked picture, the person to put there, and how; null for what is ours to choose."""

    masked_image_url: str
    target_face_url: str
    prompt: str | None = None
    expression_prompt: str | None = None
    model: str | None = None
    size: str | None = None


def swap_face(request: SwapFaceInput, run: StepRun) -> StepOutput:
    """Do the step.

    The provider's answer is kept as soon as it is here, and the picture that it names, whose URL expires, is stored
    before anything is reported.

    Raises:
        backlot.errors.BacklotError: an image cannot be had or read, the provider fails, or its picture cannot be had.
    """
    return _seedream.keep(STEP.name, run.kept_answer or _generate(request, run), run)


def _generate(request: SwapFaceInput, run: StepRun) -> dict[str, Any]:
    masked = run.picture(request.masked_image_url)
    identity = run.picture(request.target_face_url)
    with run.watch.time("image_s"):
        # Without loss, so that the ellipse keeps its edge.
        images = [_seedream.lossless(masked), _seedream.photograph(identity)]
    return _seedream.generate(
        run,
        model=request.model,
        prompt=prompts.swap_face(request.prompt, request.expression_prompt),
        images=images,
        size=request.size or automatic_size(masked.width, masked.height),
    )


STEP = Step(name="swap-face", input=SwapFaceInput, run=swap_face, provider=Seedream.name)
