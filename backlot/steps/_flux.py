"""What the steps that ask FLUX on an endpoint of our own have in common: where the picture goes, and what it was."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from backlot.assets import PORTRAIT_PREFIX, result_key
from backlot.errors import ModelFailed
from backlot.operations.identity_portrait import FLUX
from backlot.steps import _models
from backlot.steps._step import StepRun
from backlot.tasks import MadeImage, StepOutput

#: As fal's second pass: a fifth of a PNG's bytes, and what the app takes.
_FORMAT: dict[str, str] = {"output_format": "jpeg"}
CONTENT_TYPE = "image/jpeg"


@dataclass(frozen=True)
class Order:
    """What is asked of FLUX.

    Args:
        parameters: of the model.
        inputs: URLs of pictures by name.
        private: keys of faces by name.
    """

    parameters: dict[str, Any]
    inputs: dict[str, str] = field(default_factory=dict)
    private: dict[str, str] = field(default_factory=dict)


class _Licence(BaseModel):
    """Under what a part of the weights is, see `sagemaker_models.flux.licences`."""

    part: str
    licence: str
    commercial: bool | None
    instead: str


class _About(BaseModel):
    """What the model says of itself."""

    variant: Literal["schnell", "dev"]
    licences: list[_Licence]


class _Values(BaseModel):
    """What the model says of the picture.

    Args:
        steps: of the schedule.
        steps_run: of those, that were done.
        warnings: what of the request had no effect, and the like.
    """

    width: int
    height: int
    seed: int
    steps: int
    steps_run: int
    guidance_scale: float
    warnings: list[str]


def paint(order: Order, run: StepRun, *, step: str, detail: dict[str, Any]) -> StepOutput:
    """Let FLUX make a picture, and describe it.

    Args:
        step: the step's name.
        detail: what is particular to the step.

    Raises:
        ModelFailed: the model's answer cannot be used.
        backlot.errors.BacklotError: it cannot be asked, refuses or fails.
    """
    key = result_key(PORTRAIT_PREFIX, run.task_id, step, run.created_ms, CONTENT_TYPE)
    asked = _models.Order(FLUX, order.inputs, order.parameters | _FORMAT, {"image": key}, private=order.private)
    answer = _models.ask(asked, run)
    values = _models.values_of(answer, FLUX, _Values)
    try:
        about = _About.model_validate(answer["model"])
    except (KeyError, ValidationError) as error:
        raise ModelFailed(model=FLUX, reason="it does not say what it is") from error
    image = MadeImage(
        result_url=run.deps.images.url(key), width=values.width, height=values.height, content_type=CONTENT_TYPE
    )
    said = {
        **values.model_dump(exclude={"width", "height"}),
        "variant": about.variant,
        "licences": [licence.model_dump() for licence in about.licences],
        "server": answer.get("timings", {}),
    }
    return StepOutput(
        step=step,
        images=[image],
        provider=_models.NAME,
        model=_models.described(f"{FLUX}-{about.variant}", answer["model"]),
        cost=[],
        detail=said | detail,
    )
