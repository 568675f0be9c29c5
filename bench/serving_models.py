"""Models that cost what real ones cost, and need no weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from sagemaker_models.serving.model import File, ModelError, Outputs, Request

#: Side of what is convolved, pixels, and of the kernel.
SIDE_PX, KERNEL = 512, 15


class Parameters(BaseModel):
    """None."""

    model_config = ConfigDict(extra="forbid")


class Convolution:
    """Decodes a picture, convolves it many times, and answers a mask: about 100 ms on two quiet cores."""

    name = "convolution"
    max_batch = 1
    Parameters = Parameters
    inputs = ("image",)

    #: How often it is convolved.
    rounds = 4
    side_px = SIDE_PX

    def load(self, weights: Path) -> None:  # noqa: ARG002 - it has none
        """Make a kernel."""
        kernel = np.random.default_rng(0).random((KERNEL, KERNEL), np.float32)
        self._kernel: NDArray[np.float32] = kernel / kernel.sum()

    def release(self) -> None:
        """Hold nothing that is worth it."""

    def describe(self) -> dict[str, Any]:
        """Say what it is."""
        return {"engine": "bench", "rounds": self.rounds}

    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        """Run one after the other."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Outputs | ModelError:
        pixels = self._pixels(request.inputs["image"])
        for _ in range(self.rounds):
            pixels = cv2.filter2D(pixels, cv2.CV_32F, self._kernel)
        mask = (pixels.max(axis=2) > pixels.mean()).astype(np.uint8) * 255
        _, png = cv2.imencode(".png", mask, [cv2.IMWRITE_PNG_COMPRESSION, 1])
        return Outputs({"mask": File(png.tobytes(), "image/png")}, {"mean": float(pixels.mean())})

    def _pixels(self, image: bytes) -> Any:
        decoded = cv2.imdecode(np.frombuffer(image, np.uint8), cv2.IMREAD_COLOR)
        return cv2.resize(np.asarray(decoded), (self.side_px, self.side_px)).astype(np.float32)


class SmallConvolution(Convolution):
    """Convolves a little of what it gets, without decoding it: about 1 ms, so that the server is what costs."""

    rounds = 8
    side_px = 64

    def _pixels(self, image: bytes) -> Any:
        part = np.frombuffer(image[: 3 * self.side_px**2], np.uint8)
        return part.reshape(self.side_px, self.side_px, 3).astype(np.float32)
