"""Runs a plan in 8 bits with the kernels."""

import ctypes
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sagemaker_models.schp.native.library import ConvStep
from sagemaker_models.schp.native.maps import GROUP, Maps, padded
from sagemaker_models.schp.plan import Cells, Conv, Pool, Spread, Step
from sagemaker_models.schp.quantise import Ranges, Scale, quantise

CONVOLUTION, WINOGRAD, POOL, CELLS, SPREAD = range(5)


class NativeProgram:
    """A plan at one input size. Not to be run by two threads at once.

    Args:
        steps: the plan.
        ranges: of its maps.
        size_px: side of the square input.
        library: the loaded kernels.
        threads: how many a run takes.
    """

    def __init__(self, steps: Sequence[Step], ranges: Ranges, size_px: int, library: ctypes.CDLL, threads: int) -> None:
        self._library, self._threads, self._ranges = library, threads, ranges
        self._keep: list[NDArray[Any]] = []
        self._maps = Maps(steps, size_px)
        convolutions = [step for step in steps if isinstance(step, Conv)]
        self._classes = int(convolutions[-1].weight.shape[0])
        self._result = convolutions[-1].name
        self._readers = _readers(steps)
        made = []
        for number, step in enumerate(steps):
            made.append(self._step(step))
            self._maps.let_go(number)
        self._table = (ConvStep * len(made))(*made)

    def run(self, bgr: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Shapes: bgr (n,n,3) → logits (C,h,w)."""
        # The fourth lane has no weights.
        cv2.cvtColor(bgr, cv2.COLOR_BGR2BGRA, dst=self._maps["pixels"])
        if self._library.run_steps(ctypes.addressof(self._table), len(self._table), self._threads):
            raise MemoryError("no memory for the network's maps")
        return np.ascontiguousarray(self._maps[self._result][:, :, : self._classes].transpose(2, 0, 1))

    def _step(self, step: Step) -> ConvStep:
        if isinstance(step, Spread):
            return self._spread(step)
        source = self._maps["+".join(step.sources) if isinstance(step, Conv) else step.source]
        height, width, channels = source.shape
        made = ConvStep(height=height, width=width, channels=channels, in_stride=channels, in_=_address(source))
        if isinstance(step, Conv):
            made.stride, made.out_channels = step.stride, padded(step.weight.shape[0])
        else:
            made.stride, made.out_channels = 2, channels
        made.out_height, made.out_width = (height - 1) // made.stride + 1, (width - 1) // made.stride + 1
        if isinstance(step, Cells):
            made.out_height = made.out_width = step.cells
            made.kind = CELLS
            made.scale = self._floats(self._ranges.scales[step.source].step / self._ranges.scales[step.name].step)
        elif isinstance(step, Pool):
            made.kind = POOL
        is_float = isinstance(step, Conv) and (step.name in self._readers or step.name == self._result)
        out, offset = self._maps.make(step.name, made.out_height, made.out_width, made.out_channels, is_float=is_float)
        made.out, made.out_stride = _address(out) + offset * out.itemsize, out.shape[2]
        if isinstance(step, Conv):
            made.is_float = int(is_float)
            self._convolution(made, step)
        return made

    def _spread(self, step: Spread) -> ConvStep:
        height, width, _ = self._maps[step.like].shape
        channels = self._maps[step.sources[0]].shape[2] // 9
        out, _ = self._maps.make(step.name, height, width, channels, is_float=True)
        made = ConvStep(kind=SPREAD, out_height=height, out_width=width, out_channels=channels, out_stride=channels)
        made.out = _address(out)
        self._add(made, step.sources)
        return made

    def _add(self, made: ConvStep, names: Sequence[str]) -> None:
        made.maps = len(names)
        for number, name in enumerate(names):
            small = self._maps[name]
            made.added[number].values = _address(small)
            made.added[number].height, made.added[number].width = small.shape[:2]

    def _convolution(self, made: ConvStep, step: Conv) -> None:
        scales, out = [self._ranges.scales[name] for name in step.sources], self._out_scale(step)
        factors = self._ranges.tap_factors.get(step.name)
        weights = quantise(step, scales, factors)
        bias = weights.bias / out.step
        if step.shortcut is not None:
            scale = self._ranges.scales[step.shortcut]
            ratio = scale.step / out.step
            bias = bias - scale.zero * ratio
            made.shortcut, made.shortcut_scale = _address(self._maps[step.shortcut]), self._floats(ratio)
        self._add(made, step.added)
        made.kind = CONVOLUTION if factors is None else WINOGRAD
        made.kernel, made.dilation, made.slope = step.kernel, step.dilation, step.slope
        made.bias, made.zero = self._floats(bias), self._floats(out.zero)
        made.scale = self._floats(weights.scale / out.step)
        places = _places(scales)
        made.weights = self._stored(_packed(weights.stored, places, made.channels, made.out_channels))
        border = torch.zeros(made.channels)
        border[places] = torch.cat([scale.zero for scale in scales]).round()
        made.border = self._stored(border.to(torch.uint8))
        if factors is not None and weights.start is not None:
            made.tap_factor = self._stored(factors.to(torch.int16))
            made.start = self._stored(_widened(weights.start, made.out_channels))

    def _out_scale(self, step: Conv) -> Scale:
        """Return the result's scale; what is added to another result comes in the steps of that."""
        outputs = step.weight.shape[0]
        if step.name == self._result:
            return Scale(torch.ones(outputs), torch.zeros(outputs), torch.zeros(outputs))
        if step.name in self._readers:
            of_reader = self._ranges.scales[self._readers[step.name]].step
            return Scale(of_reader.repeat(outputs // len(of_reader)), torch.zeros(outputs), torch.zeros(outputs))
        return self._ranges.scales[step.name]

    def _floats(self, values: Tensor) -> int:
        return self._stored(_widened(values.float(), padded(values.shape[-1])))

    def _stored(self, values: Tensor) -> int:
        array = np.ascontiguousarray(values.numpy())
        self._keep.append(array)
        return _address(array)


def _readers(steps: Sequence[Step]) -> dict[str, str]:
    """Return which convolution a map of floats is added to, maybe through a spreading."""
    readers = {name: step.name for step in steps if isinstance(step, Conv) for name in step.added}
    spreads = {name: readers[step.name] for step in steps if isinstance(step, Spread) for name in step.sources}
    return readers | spreads


def _places(scales: Sequence[Scale]) -> list[int]:
    """Return at which lanes the sources' channels are."""
    at = 0
    places: list[int] = []
    for scale in scales:
        places += range(at, at + scale.step.numel())
        at += padded(scale.step.numel())
    return places


def _widened(values: Tensor, width: int) -> Tensor:
    made = torch.zeros(*values.shape[:-1], width, dtype=values.dtype)
    made[..., : values.shape[-1]] = values
    return made


def _packed(stored: Tensor, places: Sequence[int], channels: int, out_channels: int) -> Tensor:
    """Bring weights (taps,O,I) to the kernels' order."""
    taps, outputs, _ = stored.shape
    whole = torch.zeros(taps, out_channels, channels, dtype=torch.int8)
    whole[:, :outputs, places] = stored
    split = whole.view(taps, out_channels // GROUP, GROUP, channels // 4, 4)
    return split.permute(1, 0, 3, 2, 4).contiguous()


def _address(array: NDArray[Any]) -> int:
    return int(array.ctypes.data)
