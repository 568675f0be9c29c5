"""locate-object: let Qwen3-VL find the box of what a text names, from which the mask is made then."""

from PIL import Image
from pydantic import BaseModel

from backlot import prompts
from backlot.assets import CACHE_CONTROL, SMART_MASK_PREFIX, result_key
from backlot.errors import MaskEmpty
from backlot.images import codecs, masks
from backlot.providers.qwen_vl import QwenVL
from backlot.steps import _boxes
from backlot.steps._step import Step, StepRun
from backlot.tasks import MadeImage, StepOutput


class LocateObjectInput(BaseModel):
    """A picture, and what is to be found in it."""

    image_url: str
    text: str


def locate_object(request: LocateObjectInput, run: StepRun) -> StepOutput:
    """Do the step: the best match counts. Its box is also kept as a picture, white on black.

    Raises:
        MaskEmpty: the model finds no such thing.
        backlot.errors.BacklotError: the image cannot be had or read, or the provider fails; see those modules.
    """
    picture = run.picture(request.image_url)
    found = _boxes.find(picture, prompts.locate(request.text), run)
    if not found.boxes:
        raise MaskEmpty(reason="nothing in the picture fits the text")
    box = masks.box_in_pixels(found.boxes[0], picture.width, picture.height)
    sides = [
        int(box.left),
        int(box.top),
        max(int(box.right), int(box.left) + 1),
        max(int(box.bottom), int(box.top) + 1),
    ]
    drawn = Image.new("L", (picture.width, picture.height), 0)
    drawn.paste(255, (sides[0], sides[1], sides[2], sides[3]))
    key = result_key(SMART_MASK_PREFIX, run.task_id, STEP.name, run.created_ms, "image/png")
    with run.watch.time("store_s"):
        run.deps.objects.put(
            key, codecs.encode_png(codecs.Picture(drawn)), content_type="image/png", cache_control=CACHE_CONTROL
        )
    return StepOutput(
        step=STEP.name,
        images=[
            MadeImage(
                result_url=run.deps.images.url(key),
                width=picture.width,
                height=picture.height,
                content_type="image/png",
            )
        ],
        provider=QwenVL.name,
        model=found.model,
        cost=found.cost,
        detail={"box": sides, "matches": len(found.boxes)},
    )


STEP = Step(name="locate-object", input=LocateObjectInput, run=locate_object, provider=QwenVL.name)
