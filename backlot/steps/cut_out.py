"""cut-out: let the segmentation model tell a picture's foreground from its background."""

from typing import Literal

from pydantic import BaseModel

from backlot.assets import CUT_OUT_PREFIX, result_key
from backlot.steps import _models
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput

#: The model's name at its endpoint.
MODEL = "segment"

#: What it makes; a request may want one of them only.
OUTPUTS = ("image", "mask")


class CutOutInput(BaseModel):
    """A picture, and the form of its foreground."""

    image_url: str
    quality: Literal["fast", "best"]
    max_side: int | None = None
    output: Literal["image", "mask", "both"]


class _Values(BaseModel):
    """What the model says of the foreground.

    Args:
        width: of the result, pixels.
        height: of the result, pixels.
        box: around the foreground, [left, top, right, bottom] in pixels.
        area: of the foreground, as a share of the picture.
    """

    width: int
    height: int
    box: list[float] | None
    area: float


def cut_out(request: CutOutInput, run: StepRun) -> StepOutput:
    """Do the step.

    Raises:
        ModelFailed: the model's answer cannot be used.
        backlot.errors.BacklotError: the picture cannot be had or read, or the model cannot be asked.
    """
    keys = {
        name: result_key(CUT_OUT_PREFIX, run.task_id, STEP.name, run.created_ms, "image/png", index=index)
        for index, name in enumerate(OUTPUTS)
    }
    parameters = {"task": "background", "quality": request.quality, "max_side": request.max_side}
    answer = _models.ask(_models.Order(MODEL, {"image": request.image_url}, parameters, keys), run)
    values = _models.values_of(answer, MODEL, _Values)
    urls = {name: run.deps.images.url(key) for name, key in keys.items() if request.output in (name, "both")}
    return StepOutput(
        step=STEP.name,
        images=[
            MadeImage(result_url=url, width=values.width, height=values.height, content_type="image/png")
            for url in urls.values()
        ],
        provider=_models.NAME,
        model=_models.described(MODEL, answer.get("model", {})),
        cost=[],
        detail={**urls, **values.model_dump(include={"box", "area"}), "server": answer.get("timings", {})},
    )


STEP = Step(name="cut-out", input=CutOutInput, run=cut_out)
