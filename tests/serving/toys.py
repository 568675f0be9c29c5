"""Models that do as requests tell them, for tests of the server around them."""

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from sagemaker_models.serving.model import File, ModelError, Outputs, Request, WeightsInvalid


class TorchsOutOfMemory(RuntimeError):
    """Looks as torch's does, which is known by its name only."""


TorchsOutOfMemory.__name__, TorchsOutOfMemory.__module__ = "OutOfMemoryError", "torch"


class TorchsAcceleratorError(RuntimeError):
    """Likewise."""


TorchsAcceleratorError.__name__, TorchsAcceleratorError.__module__ = "AcceleratorError", "torch"


class Wishes(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sleep_s: float = 0.0
    gate: str = ""
    fail: str = ""
    #: Fails as long as no more releases than this were made.
    releases: int = 0
    #: Steps that are told, each of them after `sleep_s`.
    steps: int = 0


class Echo:
    """Gives its input back, and says what happened to it."""

    name = "echo"
    max_batch = 1
    Parameters = Wishes
    inputs = ("image",)

    def __init__(self) -> None:
        self.released = 0
        self.loads = 0

    def load(self, weights: Path) -> None:
        self.loads += 1

    def release(self) -> None:
        self.released += 1

    def describe(self) -> dict[str, Any]:
        return {"engine": "toy", "released": self.released}

    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        return [self._one(request, len(requests)) for request in requests]

    def _one(self, request: Request, batch: int) -> Outputs | ModelError:
        wishes = request.parameters
        time.sleep(wishes.sleep_s)
        if wishes.fail == "caller":
            return ModelError("ImageUnreadable", "the picture is none")
        if wishes.fail == "raise":
            raise ZeroDivisionError("made to fail")
        if wishes.fail == "exit":
            sys.exit("made to end")
        if wishes.fail == "memory" and self.released <= wishes.releases:
            raise MemoryError
        if wishes.fail == "torch" and self.released <= wishes.releases:
            raise TorchsOutOfMemory("CUDA out of memory")
        if wishes.fail == "device":
            raise TorchsAcceleratorError("CUDA error: an illegal memory access was encountered")
        if wishes.fail == "cuda-memory" and self.released <= wishes.releases:
            raise TorchsAcceleratorError("CUDA error: out of memory")
        thread = threading.current_thread().name
        values: dict[str, Any] = {"batch": batch, "thread": thread, "released": self.released}
        if wishes.fail == "nan":
            values["nan"] = float("nan")
        return Outputs({"copy": File(request.inputs["image"], "image/png")}, values)


class Gated(Echo):
    """Waits in the middle of a run until the test opens a gate: a file in the folder of the weights."""

    def load(self, weights: Path) -> None:
        self._folder = weights

    def _one(self, request: Request, batch: int) -> Outputs | ModelError:
        gate = request.parameters.gate
        if gate:
            (self._folder / f"{gate}.entered").touch()
            while not (self._folder / gate).exists():
                time.sleep(0.005)
        return super()._one(request, batch)


class Steps(Echo):
    """Works in steps and says how far it is; its portrait may be left out."""

    max_batch = 2
    optional_inputs = ("portrait",)

    def _one(self, request: Request, batch: int) -> Outputs | ModelError:
        for step in range(request.parameters.steps):
            request.progress(step / request.parameters.steps)
            time.sleep(request.parameters.sleep_s)
        return Outputs(values={"batch": batch, "inputs": sorted(request.inputs)})


class Reader(Echo):
    """Says what is in the large file that it was given."""

    files = ("checkpoint",)

    def _one(self, request: Request, batch: int) -> Outputs | ModelError:
        super()._one(request, batch)
        texts = {name: file.path.read_text() for name, file in request.files.items()}
        return Outputs(values={"texts": texts, "sha256": [file.sha256 for file in request.files.values()]})


class GatedBatches(Gated):
    max_batch = 4


class SlowToLoad(Echo):
    def load(self, weights: Path) -> None:
        """Load once the folder has a file `go`."""
        (weights / "loading").touch()
        while not (weights / "go").exists():
            time.sleep(0.01)


class Weightless(Echo):
    def load(self, weights: Path) -> None:
        raise WeightsInvalid(f"{weights} holds no weights")


class Broken(Echo):
    def load(self, weights: Path) -> None:
        raise KeyError("layer1")


class ShortOfAnswers(Echo):
    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        return []


class Scribbler(Echo):
    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        return ["done"] * len(requests)
