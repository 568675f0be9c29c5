"""find-mask: let the segmentation model mask what clicks, a box or a rough mask mean."""

from pydantic import BaseModel

from backlot.assets import SMART_MASK_PREFIX, result_key
from backlot.steps import _models
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput

#: The model's name at its endpoint.
MODEL = "segment"


class FindMaskInput(BaseModel):
    """A picture, and what is meant in it: pixels of the upright picture."""

    image_url: str
    points: list[list[float]] | None = None
    labels: list[int] | None = None
    box: list[float] | None = None
    guide_url: str | None = None
    grow_px: int = 0
    soften: bool = False


class _Values(BaseModel):
    """What the model says of the mask.

    Args:
        width: of the picture, pixels, upright.
        height: of the picture, pixels, upright.
        box: around the mask, [left, top, right, bottom] in pixels.
        area: of the mask, as a share of the picture.
        score: how sure the model is, 0 to 1.
        embedding: `made` if the model looked at the picture anew, `kept` if it had seen it before.
    """

    width: int
    height: int
    box: list[float] | None
    area: float
    score: float | None
    embedding: str


def find_mask(request: FindMaskInput, run: StepRun) -> StepOutput:
    """Do the step.

    Raises:
        ModelFailed: the model's answer cannot be used.
        backlot.errors.BacklotError: the picture cannot be had or read, nothing is where the request points, or the
            model cannot be asked.
    """
    key = result_key(SMART_MASK_PREFIX, run.task_id, STEP.name, run.created_ms, "image/png")
    inputs = {"image": request.image_url} | ({"guide": request.guide_url} if request.guide_url else {})
    prompt = request.model_dump(include={"points", "labels", "box"}, exclude_none=True)
    parameters = {"task": "mask", **prompt, "grow_px": request.grow_px, "soften": request.soften}
    answer = _models.ask(_models.Order(MODEL, inputs, parameters, {"mask": key}), run)
    values = _models.values_of(answer, MODEL, _Values)
    return StepOutput(
        step=STEP.name,
        images=[
            MadeImage(
                result_url=run.deps.images.url(key),
                width=values.width,
                height=values.height,
                content_type="image/png",
            )
        ],
        provider=_models.NAME,
        model=_models.described(MODEL, answer.get("model", {})),
        cost=[],
        detail={
            **values.model_dump(include={"box", "area", "score", "embedding"}),
            "server": answer.get("timings", {}),
        },
    )


STEP = Step(name="find-mask", input=FindMaskInput, run=find_mask)
