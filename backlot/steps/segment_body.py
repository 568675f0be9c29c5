"""segment-body: let SCHP find a person's garments, and keep their masks."""

from typing import Any, Literal

from pydantic import BaseModel

from backlot.assets import BODY_MASK_PREFIX, result_key
from backlot.body_regions import REGIONS, SEG_MAP
from backlot.steps import _models
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput

#: The model's name at its endpoint.
MODEL = "schp"

#: What is kept, in this order: it is the order of the task's images and of the parts of a delivery.
OUTPUTS = (*REGIONS, SEG_MAP)


class SegmentBodyInput(BaseModel):
    """A picture, and the form of its masks."""

    image_url: str
    output: Literal["binary", "bounding-rectangle"]


class _Values(BaseModel):
    """What the model says of the picture.

    Args:
        width: pixels, upright.
        height: pixels, upright.
        regions: by region, how many pixels it has and their bounding box.
    """

    width: int
    height: int
    regions: dict[str, Any]


def segment_body(request: SegmentBodyInput, run: StepRun) -> StepOutput:
    """Do the step.

    Raises:
        ModelFailed: the model's answer cannot be used.
        backlot.errors.BacklotError: the picture cannot be had or read, or the model cannot be asked.
    """
    keys = {
        name: result_key(BODY_MASK_PREFIX, run.task_id, STEP.name, run.created_ms, "image/png", index=index)
        for index, name in enumerate(OUTPUTS)
    }
    parameters = {"regions": {name: list(labels) for name, labels in REGIONS.items()}, "output": request.output}
    answer = _models.ask(_models.Order(MODEL, {"image": request.image_url}, parameters, keys), run)
    values = _models.values_of(answer, MODEL, _Values)
    urls = {name: run.deps.images.url(key) for name, key in keys.items()}
    return StepOutput(
        step=STEP.name,
        images=[
            MadeImage(result_url=url, width=values.width, height=values.height, content_type="image/png")
            for url in urls.values()
        ],
        provider=_models.NAME,
        model=_models.described(MODEL, answer.get("model", {})),
        cost=[],
        detail={"masks": urls, "regions": values.regions, "server": answer.get("timings", {})},
    )


STEP = Step(name="segment-body", input=SegmentBodyInput, run=segment_body)
