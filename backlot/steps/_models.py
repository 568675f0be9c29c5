"""What the steps have in common that ask models of our own, which read and write the bucket themselves."""

from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from backlot.assets import CACHE_CONTROL, task_checkpoint_key
from backlot.errors import CheckpointRefused, ImageNotFetched, ModelFailed
from backlot.steps._ledger import Job
from backlot.steps._step import StepRun

#: The provider's name in the ledger: where the models of our own run.
NAME = "sagemaker"

#: A pointer to a checkpoint is a few lines, bytes.
_MAX_POINTER_BYTES = 100_000

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
        optional_outputs: the same, of what it may make or not.
        task: whose published checkpoint it is to use; None for what it has loaded.
        private: keys of inputs that no caller may name, by name; the model's own role reads them where they are, so
            that there is no copy of what is deleted early.
    """

    model: str
    inputs: dict[str, str]
    parameters: dict[str, Any]
    outputs: dict[str, str]
    optional_outputs: dict[str, str] = field(default_factory=dict)
    task: str | None = None
    private: dict[str, str] = field(default_factory=dict)


class _Pointer(BaseModel):
    """What says which checkpoint is meant, see `backlot.assets.task_checkpoint_key`."""

    uri: str
    sha256: str
    config: dict[str, Any]


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
    outputs = order.outputs | order.optional_outputs
    keys = {name: _key(url, run, f"{address}/{name}") for name, url in order.inputs.items()}
    request: dict[str, Any] = {
        "inputs": {name: models.location(key) for name, key in (keys | order.private).items()},
        "parameters": order.parameters,
        "outputs": {name: models.location(key) for name, key in outputs.items()},
    }
    pointer = None if order.task is None else _checkpoint(order.model, order.task, run)
    if pointer is not None:
        request["parameters"] = order.parameters | {"checkpoint": pointer.config}
        request["files"] = {"checkpoint": {"uri": pointer.uri, "sha256": pointer.sha256}}
    return models.submit(address, order.model, request)


def _checkpoint(model: str, task: str, run: StepRun) -> _Pointer | None:
    """Return the checkpoint that is published for a task, or that an earlier attempt was asked with; None without one.

    Raises:
        CheckpointRefused: what is published says nothing that can be used.
    """
    key = task_checkpoint_key(model, task)
    try:
        published = _Pointer.model_validate_json(run.deps.objects.get(key, _MAX_POINTER_BYTES)).model_dump()
    except ImageNotFetched:
        published = None
    except ValidationError as error:
        raise CheckpointRefused(reason=f"{key} does not say which one is meant") from error
    decided = run.decide({"checkpoint": published})["checkpoint"]
    return None if decided is None else _Pointer.model_validate(decided)


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
