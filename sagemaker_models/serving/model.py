"""What a model is to the server: it loads a folder, runs requests, and gives memory back."""

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, cast

from pydantic import BaseModel


class WeightsInvalid(Exception):
    """The folder does not hold what the model needs; the message is one sentence for the operator."""


class Cancelled(Exception):
    """Nobody wants a request's result any more; a request's `progress` raises it, and the server answers it."""

    def __init__(self) -> None:
        super().__init__("the request was cancelled")


@dataclass(frozen=True)
class File:
    """One file that a model has made."""

    body: bytes
    content_type: str


@dataclass(frozen=True)
class Outputs:
    """What a model has made of one request.

    Args:
        files: by the name under which the request may give them an address.
        values: small JSON that goes back in the answer.
    """

    files: dict[str, File] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelError:
    """What the request itself is to blame for; nothing retries it.

    Args:
        code: name of a class of `backlot/errors.py` where one fits, such as `ImageUnreadable`.
        message: one sentence for the caller.
    """

    code: str
    message: str


def unwatched(share: float) -> None:
    """Take note of nothing: the progress of a request that nobody follows."""
    del share


@dataclass(frozen=True)
class LocalFile:
    """A large file that a request named, on this machine's disk while the request runs.

    Args:
        path: where it lies; its name says nothing.
        sha256: of its content, which was checked.
    """

    path: Path
    sha256: str


@dataclass(frozen=True)
class Request:
    """One request, as a model gets it.

    Args:
        inputs: undecoded bytes, by name.
        parameters: an instance of the model's `Parameters`.
        id: of the request, for logs.
        progress: to be called with the share that is done, 0 to 1, as often as it suits: it costs nothing. It raises
            `Cancelled` if the request was cancelled; a model cleans up and lets that pass.
        files: large files, by name.
    """

    inputs: dict[str, bytes]
    parameters: Any
    id: str
    progress: Callable[[float], None] = unwatched
    files: dict[str, LocalFile] = field(default_factory=dict)


class Model(Protocol):
    """A model class; the server makes one object of it.

    `run` is called in threads, by at most `MAX_CONCURRENT` of them at a time; `load` and `release` are called while
    nothing runs. A model that ran out of memory raises what its library raises. A model may also have
    `optional_inputs: tuple[str, ...]`, the names of inputs that a request can bring or leave out, `optional_outputs:
    tuple[str, ...]`, those of outputs that a run can make or leave out, and `files: tuple[str, ...]`, those of large
    files that it can name.
    """

    #: As requests and metrics call it.
    name: str
    #: How many requests `run` takes at once; 1 if it never takes more.
    max_batch: int
    #: The request's `parameters`; it forbids fields that it does not have.
    Parameters: type[BaseModel]
    #: Names of the inputs that every request brings.
    inputs: tuple[str, ...]

    def load(self, weights: Path) -> None:
        """Load the weights.

        Args:
            weights: a folder.

        Raises:
            WeightsInvalid: the folder does not hold them.
        """

    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        """Run requests; the answers have their order."""

    def release(self) -> None:
        """Give memory back; the next run loads again by itself."""

    def describe(self) -> dict[str, Any]:
        """Return device, backend, the checkpoint's hash, and the like."""


def model_of(path: str) -> Model:
    """Make the model of a class.

    Args:
        path: `package.module:Class`.

    Raises:
        ValueError: there is no such class; says which part is missing.
    """
    module_name, _, class_name = path.partition(":")
    if not class_name:
        raise ValueError(f"{path!r} is not of the form package.module:Class")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(f"the module of {path!r} cannot be imported: {error}") from error
    if not hasattr(module, class_name):
        raise ValueError(f"{module_name} has no class {class_name}")
    return cast("Model", getattr(module, class_name)())
