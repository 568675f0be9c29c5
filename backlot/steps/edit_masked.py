"""edit-masked: let Qwen-Image-Edit change what a mask marks in a picture, and keep the result."""

from typing import Any

from pydantic import BaseModel

from backlot.assets import MASKED_EDIT_PREFIX, debug_prefix, result_key
from backlot.errors import BacklotError
from backlot.prompts import masked_edit
from backlot.steps import _models
from backlot.steps._debug import DebugFiles
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput

#: The model's name at its endpoint.
MODEL = "qwen-edit"

#: More conditional images than this no checkpoint is given.
MOST_CONDITIONS = 5

#: The model's inputs, by the field that names each.
_INPUTS = {
    "image": "image_url",
    "mask": "mask_url",
    "reference": "reference_url",
    "reference_mask": "reference_mask_url",
}


class EditMaskedInput(BaseModel):
    """The request as it is stored."""

    image_url: str
    task: str
    mask_url: str | None
    reference_url: str | None
    reference_mask_url: str | None
    prompt: str
    negative_prompt: str | None
    angle: str | None
    background_preset: str | None
    num_inference_steps: int
    true_cfg_scale: float | None
    seed: int
    input_quality: str
    keep_outside: bool
    feather_px: int
    debug: bool

    def parameters(self) -> dict[str, Any]:
        """Return what the model is asked, in its own words."""
        return {
            "task": self.task,
            "prompt": masked_edit(self.prompt, self.angle, self.background_preset),
            "negative_prompt": self.negative_prompt,
            "steps": self.num_inference_steps,
            "true_cfg": self.true_cfg_scale,
            "seed": self.seed,
            "input_quality": self.input_quality,
            "keep_outside": self.keep_outside,
            "feather_px": self.feather_px,
            "debug": self.debug,
        }


class _Values(BaseModel):
    """What the model says of the picture; `detail` has all of it.

    Args:
        width: pixels, upright.
        height: pixels, upright.
        conditional_labels: of the conditional images, in their order.
    """

    width: int
    height: int
    conditional_labels: list[str]


def edit_masked(request: EditMaskedInput, run: StepRun) -> StepOutput:
    """Do the step.

    Raises:
        ModelFailed: the model's answer cannot be used.
        backlot.errors.BacklotError: a picture cannot be had or read, or the model cannot be asked, refuses or fails.
    """
    key = result_key(MASKED_EDIT_PREFIX, run.task_id, STEP.name, run.created_ms, "image/png")
    debug = DebugFiles(debug_prefix(run.owner, run.task_id, run.created_ms)) if request.debug else None
    inputs = {name: url for name, field in _INPUTS.items() if (url := getattr(request, field)) is not None}
    parameters = request.parameters()
    order = _models.Order(
        MODEL,
        inputs,
        parameters,
        {"image": key},
        optional_outputs=debug.conditions(MOST_CONDITIONS) if debug else {},
        task=request.task,
    )
    try:
        answer = _models.ask(order, run)
        values = _models.values_of(answer, MODEL, _Values)
    except BacklotError as error:
        if debug:
            debug.keep_failure(run, inputs, parameters, error)
        raise
    url = run.deps.images.url(key)
    detail = {**answer["values"], "prompt": parameters["prompt"], "server": answer.get("timings", {})}
    if debug:
        detail["debug"] = debug.keep(run, inputs, parameters, answer, values.conditional_labels, url)
    return StepOutput(
        step=STEP.name,
        images=[MadeImage(result_url=url, width=values.width, height=values.height, content_type="image/png")],
        provider=_models.NAME,
        model=_models.described(MODEL, answer.get("model", {})),
        cost=[],
        detail=detail,
    )


STEP = Step(name="edit-masked", input=EditMaskedInput, run=edit_masked)
