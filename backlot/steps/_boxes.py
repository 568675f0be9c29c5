"""What the steps have in common that ask Qwen3-VL where something is in a picture."""

from dataclasses import dataclass
from typing import Any

from backlot import pricing
from backlot.errors import ProviderAnswerInvalid
from backlot.images import codecs
from backlot.images.masks import Box
from backlot.providers.boxes import read_boxes
from backlot.providers.qwen_vl import QwenVL
from backlot.steps._step import StepRun
from backlot.tasks import CostItem

#: The model gets a copy of at most this size: it looks at about one megapixel, and answers in relative coordinates.
SIDE_PX = 1536
QUALITY = 90


@dataclass(frozen=True)
class Found:
    """What the model has found.

    Args:
        boxes: in its order, in the grid of 1000.
        model: as its answer names it.
        cost: of the question.
    """

    boxes: list[Box]
    model: str
    cost: list[CostItem]


def find(picture: codecs.Picture, prompt: str, run: StepRun) -> Found:
    """Ask where something is, or take the answer that an earlier run has paid for.

    Raises:
        ProviderAnswerInvalid: the answer cannot be read.
        backlot.errors.BacklotError: the provider fails, see that module.
    """
    answer = run.kept_answer or _ask(picture, prompt, run)
    boxes = read_boxes(answer["text"])
    if boxes is None:
        raise ProviderAnswerInvalid(provider=QwenVL.name, reason="no boxes can be read in its words")
    cost = [
        pricing.charge(pricing.price_key(answer["model"], "input"), answer["input_tokens"]),
        pricing.charge(pricing.price_key(answer["model"], "output"), answer["output_tokens"]),
    ]
    return Found(boxes, answer["model"], cost)


def _ask(picture: codecs.Picture, prompt: str, run: StepRun) -> dict[str, Any]:
    qwen: QwenVL = run.deps.providers[QwenVL.name]
    model = run.deps.models[QwenVL.name]
    with run.watch.time("image_s"):
        copy = codecs.encode_jpeg(picture, max_side=SIDE_PX, quality=QUALITY)
        image_url = codecs.data_url("image/jpeg", copy)
    key = run.deps.keys.key(QwenVL.name)
    return run.pay(QwenVL.name, lambda: qwen.find_boxes(key=key, model=model, prompt=prompt, image_url=image_url))
