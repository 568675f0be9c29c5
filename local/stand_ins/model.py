"""What the stand-ins of our own models have in common: no weights, PNGs that say so, and faults on request.

They run in the real server. Each run asks the stand-ins of the place for the fault that waits under `model-<name>`
(see `faults.py`) and does as it says:

    oom         raises MemoryError
    exception   raises RuntimeError
    death       kills the server
    error       answers the error with `code` and `message`, as the model would
    none        takes `wait_s`, over the steps that the model reports
"""

import io
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import httpx
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from backlot.errors import CallerError
from backlot.images.codecs import decode, flatten
from local.environment import stand_ins_url
from local.stand_ins.faces import ENGINE, MADE_BY, Pixels
from sagemaker_models.serving.model import File, ModelError, Outputs, Request

_NO_FAULT = {"kind": "none", "wait_s": 0.0}


class StandInModel:
    """A model of the server's kind that needs no weights; one makes a class of it with `answer`."""

    name: ClassVar[str]
    max_batch = 1

    def load(self, weights: Path) -> None:
        """Need nothing."""

    def release(self) -> None:
        """Hold nothing."""

    def describe(self) -> dict[str, Any]:
        """Say that it is a stand-in."""
        return {"engine": "stand-in", "backend": "opencv", "device": "cpu"}

    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        """Answer one request after the other, or go wrong as was asked for."""
        return [self._run(request) for request in requests]

    def answer(self, request: Request) -> Outputs | ModelError:
        """Make what a request asks for.

        Raises:
            backlot.errors.CallerError: the request is to blame.
        """
        raise NotImplementedError

    def _run(self, request: Request) -> Outputs | ModelError:
        fault = _next_fault(self.name)
        match fault["kind"]:
            case "oom":
                raise MemoryError("made to fail")
            case "exception":
                raise RuntimeError("made to fail")
            case "death":
                os.kill(os.getpid(), signal.SIGKILL)
            case "error":
                return ModelError(fault["code"], fault["message"])
        if fault["wait_s"]:
            request = replace(request, progress=_slowed(request.progress, fault["wait_s"]))
        try:
            return self.answer(request)
        except CallerError as error:
            return ModelError(type(error).__name__, str(error))


def picture(data: bytes) -> Pixels:
    """Decode a picture: upright, what is transparent on white.

    Shapes:
        (H, W, 3) uint8 BGR, as OpenCV has it.

    Raises:
        backlot.errors.CallerError: it cannot be read.
    """
    return np.asarray(flatten(decode(data).pixels).convert("RGB"), np.uint8)[:, :, ::-1].copy()


def png(pixels: NDArray[Any], icc_profile: bytes | None = None) -> File:
    """Return a PNG that says what made it.

    Args:
        icc_profile: of its colours, if they have one.

    Shapes:
        pixels (H, W) or (H, W, 3 or 4) uint8, RGB.
    """
    notes = PngInfo()
    notes.add_itxt("Software", MADE_BY)
    notes.add_itxt("Comment", ENGINE)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1, pnginfo=notes, icc_profile=icc_profile)
    return File(buffer.getvalue(), "image/png")


def _next_fault(name: str) -> dict[str, Any]:
    """Return the fault that waits, in the fields of `faults.Fault`, whose module would bring a web server along."""
    url = stand_ins_url()
    if url is None:
        return _NO_FAULT
    answer = httpx.post(f"{url}/_faults/model-{name}/next", timeout=10, trust_env=False).raise_for_status()
    return answer.json() or _NO_FAULT


def _slowed(progress: Callable[[float], None], wait_s: float) -> Callable[[float], None]:
    """Report progress no faster than a run of `wait_s` would."""
    began = time.monotonic()

    def report(share: float) -> None:
        progress(share)
        time.sleep(max(0.0, began + share * wait_s - time.monotonic()))

    return report
