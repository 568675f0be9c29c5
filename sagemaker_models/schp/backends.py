"""The ways to run the network, and which of them a machine gets.

A backend takes the letterboxed pixels and gives the fusion logits. All have the same weights; those that round are
compared with fp32 before they are used (`choose.py`).
"""

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from sagemaker_models.schp.native.library import has_vnni, load
from sagemaker_models.schp.native.program import NativeProgram
from sagemaker_models.schp.network import Network
from sagemaker_models.schp.plan import plan_of
from sagemaker_models.schp.preprocess import Pixels, normalise
from sagemaker_models.schp.program import Program
from sagemaker_models.schp.quantise import Ranges

Logits = NDArray[np.float32]


class Backend(Protocol):
    """One way to run the network."""

    @property
    def name(self) -> str:
        """As in `config.yaml`."""

    def run(self, bgr: Pixels) -> Logits:
        """Shapes: bgr (n,n,3) → (C,h,w)."""


@dataclass(frozen=True)
class TorchBackend:
    """Torch on the CPU: the network as it was trained, or its plan in a number type.

    Args:
        name: `torch-fp32` or `torch-bf16`; `plain-fp32` for the network as it was trained.
        module: gives the logits.
        dtype: of its weights.
    """

    name: str
    module: Callable[[torch.Tensor], torch.Tensor]
    dtype: torch.dtype = torch.float32

    def run(self, bgr: Pixels) -> Logits:
        """Shapes: bgr (n,n,3) → (C,h,w)."""
        pixels = torch.from_numpy(normalise(bgr)).to(self.dtype)
        if self.name != "plain-fp32":
            pixels = pixels.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            return self.module(pixels)[0].float().numpy()


def plain(network: Network) -> TorchBackend:
    """Return the network as it was trained, the yardstick."""
    return TorchBackend("plain-fp32", lambda pixels: network(pixels)[1])


def torch_backend(network: Network, dtype: torch.dtype) -> TorchBackend:
    """Return the plan in torch."""
    program = Program(plan_of(network)).to(dtype=dtype, memory_format=torch.channels_last)
    return TorchBackend(f"torch-{'bf16' if dtype == torch.bfloat16 else 'fp32'}", program, dtype)


class OpenVinoBackend:
    """The plan in OpenVINO.

    Args:
        network: with its weights.
        size_px: side of the input.
        precision: `f32` or `bf16`.
        threads: 0 for all cores.
    """

    def __init__(self, network: Network, size_px: int, precision: str, threads: int) -> None:
        import openvino  # noqa: PLC0415 - a large library that most machines do not need

        self.name = f"openvino-{'bf16' if precision == 'bf16' else 'fp32'}"
        example = torch.zeros(1, 3, size_px, size_px)
        with warnings.catch_warnings():
            # Its converter traces: torch is about to give that up, and warns of every size that becomes a constant.
            warnings.simplefilter("ignore")
            model = openvino.convert_model(Program(plan_of(network)), example_input=example, input=list(example.shape))
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": 1}
        if threads:
            options["INFERENCE_NUM_THREADS"] = threads
        self._request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
        self._one = threading.Lock()

    def run(self, bgr: Pixels) -> Logits:
        """Shapes: bgr (n,n,3) → (C,h,w)."""
        with self._one:
            made = self._request.infer([normalise(bgr)])[0]
            return np.array(made[0], np.float32)


class NativeBackend:
    """The kernels of `native/`, in 8 bits.

    Args:
        network: with its weights.
        ranges: of its maps.
        size_px: side of the input.
        library: path of the built kernels.
        threads: of one run.
    """

    name = "native-int8"

    def __init__(self, network: Network, ranges: Ranges, size_px: int, library: Any, threads: int) -> None:
        self._program = NativeProgram(plan_of(network), ranges, size_px, load(library), threads)
        self._one = threading.Lock()

    def run(self, bgr: Pixels) -> Logits:
        """Shapes: bgr (n,n,3) → (C,h,w)."""
        with self._one:
            return self._program.run(bgr)


class CudaBackend:
    """The plan on a GPU, its launches recorded once as a graph.

    Args:
        network: with its weights.
        size_px: side of the input.
        dtype: of weights and maps.
        batch: pictures of one run.
    """

    name = "cuda"

    def __init__(self, network: Network, size_px: int, dtype: torch.dtype = torch.float16, batch: int = 1) -> None:
        self._program = Program(plan_of(network)).to("cuda", dtype, memory_format=torch.channels_last)
        self._pixels = torch.zeros(batch, 3, size_px, size_px, device="cuda", dtype=dtype)
        self._pixels = self._pixels.contiguous(memory_format=torch.channels_last)
        self._one = threading.Lock()
        with torch.inference_mode():
            for _ in range(3):
                self._program(self._pixels)
            torch.cuda.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._logits = self._program(self._pixels)

    def run(self, bgr: Pixels) -> Logits:
        """Shapes: bgr (n,n,3) → (C,h,w)."""
        with self._one, torch.inference_mode():
            self._pixels.copy_(torch.from_numpy(normalise(bgr)))
            self._graph.replay()
            return self._logits[0].float().cpu().numpy()


def has_bf16() -> bool:
    """Tell whether this processor multiplies bfloat16."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def order_of_trial() -> tuple[str, ...]:
    """Return the backends that this machine can have, the fastest first."""
    if torch.cuda.is_available():
        return ("cuda", "torch-fp32")
    names = ["native-int8"] if has_vnni() else []
    if has_bf16():
        names += ["openvino-bf16", "torch-bf16"]
    return (*names, "openvino-fp32", "torch-fp32")
