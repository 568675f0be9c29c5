"""A transformer's whole weights: another task's, or the base's own again, written over those that are there.

Nothing is built anew, so that what surrounds the transformer stays: its place, its LoRAs, the other parts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from sagemaker_models.qwen_edit.tensors import FLOATS, check_shapes, read_header
from sagemaker_models.serving.model import WeightsInvalid

#: What trainers put before the transformer's own names.
PREFIXES = ("transformer.", "model.diffusion_model.", "pipe.dit.")

#: What peft puts into the name of a layer that it wraps.
_WRAPPED = ".base_layer."


def own_key(key: str) -> str:
    """Return the transformer's own name of a key in a file."""
    for prefix in PREFIXES:
        key = key.removeprefix(prefix)
    return key


def check_whole(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Check a file of whole weights, without reading its tensors.

    Args:
        path: of the file.
        shapes: of the transformer's parameters, by their names.

    Raises:
        WeightsInvalid: keys are missing or not known, or shapes or types do not fit.
    """
    header = read_header(path)
    check_shapes(path.name, {own_key(key): shape for key, shape in header.shapes.items()}, shapes)
    for key, dtype in header.dtypes.items():
        if dtype not in FLOATS:
            raise WeightsInvalid(f"{path.name}: {key} is {dtype}; it should be one of {FLOATS}")


def parameters_of(transformer: Any) -> dict[str, Tensor]:
    """Return a transformer's own parameters by their names, whatever LoRAs it has."""
    return {
        name.replace(_WRAPPED, "."): parameter
        for name, parameter in transformer.named_parameters()
        if ".lora_" not in name
    }


class WholeWeights:
    """What the transformer's own weights are.

    Args:
        transformer: that is loaded with the base's.
        base: files of the base's weights.
    """

    def __init__(self, transformer: Any, base: Sequence[Path]) -> None:
        self._transformer = transformer
        self._base = tuple(base)
        #: The hash of a task's file, "" for the base; None after a copy that was cut short.
        self._current: str | None = ""

    def use_base(self) -> None:
        """Have the base's weights.

        Raises:
            WeightsInvalid: they cannot be read any more.
        """
        self._use("", self._base)

    def use(self, path: Path, sha256: str) -> None:
        """Have the weights of a file.

        Raises:
            WeightsInvalid: they do not fit, or are not finite.
        """
        if sha256 != self._current:
            self.check(path)
        self._use(sha256, (path,))

    def check(self, path: Path) -> None:
        """Check a file, without reading its tensors.

        Raises:
            WeightsInvalid: it does not fit.
        """
        check_whole(path, {name: tuple(each.shape) for name, each in parameters_of(self._transformer).items()})

    def _use(self, name: str, files: Sequence[Path]) -> None:
        if name == self._current:
            return
        self._current = None
        parameters = parameters_of(self._transformer)
        for path in files:
            with safe_open(path, framework="pt") as file:
                for key in file.keys():  # noqa: SIM118 - not a dict
                    tensor = file.get_tensor(key)
                    if not bool(torch.isfinite(tensor).all()):
                        raise WeightsInvalid(f"{path.name}: {key} holds values that are not finite")
                    with torch.no_grad():
                        parameters[own_key(key)].copy_(tensor)
        self._current = name
