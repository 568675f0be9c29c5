"""What the steps have in common that ask models of our own, which read and write the bucket themselves."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from backlot.assets import CACHE_CONTROL
from backlot.errors import ModelFailed
from backlot.steps._ledger import Job
from backlot.steps._step import StepRun

#: The provider's name in the ledger: where the models of our own run.
NAME = "sagemaker"

Values = TypeVar("Values", bound=BaseModel)


class ModelEndpoints(Protocol):
    """The models of our own."""

    def location(self, key: str) -> str:
        """Return the `s3://` URI of an object of ours."""

    def submit(self, address: str, model: str, request: dict[str, Any]) -> Job:
        """Ask a model; a BacklotError if it cannot be asked."""


@dataclass(frozen=True)
class Order:
    """What a model is asked.

    Args:
        model: its name.
        inputs: URLs of images by name, checked.
        parameters: of the model.
        outputs: keys of the objects that it is to write, by name.
    """

    model: str
    inputs: dict[str, str]
    parameters: dict[str, Any]
    outputs: dict[str, str]


def ask(order: Order, run: StepRun) -> dict[str, Any]:
    """Return what a model has made of an order, see docs/serving.md; the order's outputs lie where it says.

    Raises:
        ModelFailed: the answer does not name the outputs.
        backlot.errors.BacklotError: an image cannot be had, or the model cannot be asked, refuses or fails.
    """
    output = run.job(NAME, lambda address: _submit(order, run, address))
    missing = set(order.outputs) - set(output.get("outputs", {}))
    if missing:
        raise ModelFailed(model=order.model, reason=f"its answer lacks {', '.join(sorted(missing))}")
    return output


def values_of(answer: dict[str, Any], model: str, kind: type[Values]) -> Values:
    """Return what a model says of a picture beside the files that it writes.

    Raises:
        ModelFailed: it does not say all of it.
    """
    try:
        return kind.model_validate(answer["values"])
    except (KeyError, ValidationError) as error:
        raise ModelFailed(model=model, reason="its answer does not describe the picture") from error


def described(name: str, said: dict[str, Any]) -> str:
    """Return a model's name for people; by what it says of itself, a stand-in is called one."""
    return f"{name} (stand-in)" if said.get("engine") == "stand-in" else name


def _submit(order: Order, run: StepRun, address: str) -> Job:
    models: ModelEndpoints = run.deps.providers[NAME]
    request = {
        "inputs": {name: models.location(_key(url, run, f"{address}/{name}")) for name, url in order.inputs.items()},
        "parameters": order.parameters,
        "outputs": {name: models.location(key) for name, key in order.outputs.items()},
    }
    return models.submit(address, order.model, request)


def _key(url: str, run: StepRun, key: str) -> str:
    """Return the key of an image of ours; a foreign one is fetched and stored beside the request first."""
    run.deps.images.check(url)
    own = run.deps.images.own_key(url)
    if own is not None:
        return own
    with run.watch.time("fetch_s"):
        data = run.deps.fetcher.fetch(url)
    run.deps.objects.put(key, data, content_type="application/octet-stream", cache_control=CACHE_CONTROL)
    return key
