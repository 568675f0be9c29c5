"""What the steps that ask fal for a picture have in common: taking the picture over, and saying what it was."""

from dataclasses import dataclass
from typing import Any

from backlot import pricing
from backlot.assets import PORTRAIT_PREFIX
from backlot.errors import (
    ContentRefused,
)
from backlot.providers.fal import Fal, is_flagged
from backlot.steps._ledger import Job
from backlot.steps._results import take_over
from backlot.steps._step import StepRun
from backlot.tasks import StepOutput


@dataclass(frozen=True)
class Order:
    """What is asked of fal.

    Args:
        model: the endpoint's path.
        arguments: of the model.
    """

    model: str
    arguments: dict[str, Any]


def submit(order: Order, run: StepRun, webhook_url: str) -> Job:
    """Buy a picture."""
    fal: Fal = run.deps.providers[Fal.name]
    key = run.deps.keys.key(Fal.name)
    return fal.submit(key=key, model=order.model, arguments=order.arguments, webhook_url=webhook_url)


def store(output: dict[str, Any], run: StepRun, *, step: str, model: str, detail: dict[str, Any]) -> StepOutput:
    """Take a picture over: read it, check it, store it, and describe it.

    Args:
        output: of the job, see `backlot.providers.fal`.
        step: the step's name.
        model: the endpoint's path.
        detail: what is particular to the step.

    Raises:
        ContentRefused: fal's checker flagged the picture, which is black then.
        ProviderUnavailable: the picture's host fails for the moment; the kept answer is used again.
        ProviderAnswerInvalid: there is no whole picture at its address.
    """
    if is_flagged(output):
        raise ContentRefused(provider=Fal.name, reason="its checker flagged the picture")
    with run.watch.time("store_s"):
        image = take_over(output["images"][0]["url"], run, provider=Fal.name, prefix=PORTRAIT_PREFIX, step=step)
    return StepOutput(
        step=step,
        images=[image],
        provider=Fal.name,
        model=output.get("model") or model,
        cost=[pricing.charge(f"{model}/megapixel", pricing.megapixels(image.width, image.height))],
        detail={"seed": output["seed"]} | detail,
    )
