"""Where a native program keeps its maps: arrays that are used again as soon as nothing reads them any more."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sagemaker_models.schp.plan import Conv, Step, sources_of

#: Channels come in such groups; the picture's in `PICTURE_CHANNELS`.
GROUP, PICTURE_CHANNELS = 32, 4


def padded(channels: int) -> int:
    """Return how many lanes an array has for so many channels."""
    return -(-channels // GROUP) * GROUP


class Maps:
    """The arrays of a plan's maps, pixel by pixel.

    Maps that are read one behind the other are parts of one array, which is called after all of them.

    Args:
        steps: the plan.
        size_px: side of the square input.
    """

    def __init__(self, steps: Sequence[Step], size_px: int) -> None:
        self._arrays: dict[str, NDArray[Any]] = {"pixels": np.zeros((size_px, size_px, PICTURE_CHANNELS), np.uint8)}
        self._free: dict[int, list[NDArray[Any]]] = {}
        self._joined: dict[str, tuple[str, int, int]] = {}
        channels = {step.name: int(step.weight.shape[0]) for step in steps if isinstance(step, Conv)}
        for step in steps:
            if isinstance(step, Conv) and len(step.sources) > 1:
                ends = np.cumsum([padded(channels[name]) for name in step.sources]).tolist()
                for name, begin in zip(step.sources, [0, *ends], strict=False):
                    self._joined[name] = ("+".join(step.sources), begin, ends[-1])
        self._last_read: dict[str, int] = {}
        for number, step in enumerate(steps):
            self._last_read |= dict.fromkeys(map(self._array_of, sources_of([step])), number)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._arrays[name]

    def make(self, name: str, height: int, width: int, channels: int, *, is_float: bool) -> tuple[NDArray[Any], int]:
        """Return the array for a map, and at which lane the map begins."""
        if is_float:
            self._arrays[name] = np.zeros((height, width, channels), np.float32)
            return self._arrays[name], 0
        array, begin, whole = self._joined.get(name, (name, 0, channels))
        if array not in self._arrays:
            spare = self._free.get(height * width * whole)
            self._arrays[array] = spare.pop() if spare else np.zeros(height * width * whole, np.uint8)
            self._arrays[array] = self._arrays[array].reshape(height, width, whole)
        return self._arrays[array], begin

    def let_go(self, number: int) -> None:
        """Free the arrays that no step after this one reads."""
        for name, last in self._last_read.items():
            array = self._arrays.get(name)
            if last == number and name != "pixels" and array is not None and array.dtype == np.uint8:
                self._free.setdefault(array.size, []).append(array.reshape(-1))

    def _array_of(self, name: str) -> str:
        return self._joined[name][0] if name in self._joined else name
