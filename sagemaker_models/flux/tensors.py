"""Files of weights: read without running anything in them, and checked key by key."""

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from sagemaker_models.serving.model import WeightsInvalid

#: What torch and safetensors raise on files that are cut off, broken, or no checkpoint at all.
BROKEN = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    SafetensorError,
)

#: Under which a checkpoint may keep its tensors.
_ROOTS = ("model", "module", "state_dict")

#: Tables of the vision tower that follow from its sizes; some copies of the checkpoint carry them.
_TABLES = re.compile(r"(blocks\.\d+\.attn\.)?rope\.freqs_(cos|sin)")


def read(path: Path) -> dict[str, Tensor]:
    """Read a file of tensors, safetensors or torch's own.

    Raises:
        WeightsInvalid: it is missing, broken or cut off, or holds other things than tensors.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except BROKEN as error:
        raise WeightsInvalid(f"{path.name} cannot be read as a checkpoint: {brief(error)}; fetch it again") from error
    for root in _ROOTS:
        if isinstance(stored, Mapping) and isinstance(stored.get(root), Mapping):
            stored = stored[root]
            break
    if not isinstance(stored, Mapping) or not all(isinstance(value, Tensor) for value in stored.values()):
        raise WeightsInvalid(f"{path.name} does not hold named tensors; it is no published checkpoint")
    return {str(key).removeprefix("module."): value for key, value in stored.items()}


def visual(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a CLIP checkpoint's tower for pictures, without the tables that follow from its sizes."""
    own = {key.removeprefix("visual."): value for key, value in state.items() if key.startswith("visual.")}
    return {key: value for key, value in (own or state).items() if not _TABLES.fullmatch(key)}


def fill(module: nn.Module, state: Mapping[str, Tensor], name: str, dtype: torch.dtype) -> None:
    """Put tensors in the places of a module that was made on the device `meta`.

    Args:
        module: whose every tensor is replaced.
        state: by the module's keys, neither more nor fewer.
        name: of the file, for messages.
        dtype: of floating point numbers.

    Raises:
        WeightsInvalid: a key is missing or unknown, or a tensor has another shape or values that are not finite.
    """
    compare({key: value.shape for key, value in state.items()}, module, name)
    for key, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise WeightsInvalid(f"{name}: {key} holds values that are not finite")
    own = {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
    module.load_state_dict(own, strict=True, assign=True)
    module.eval().requires_grad_(requires_grad=False)


def compare(shapes: Mapping[str, torch.Size], module: nn.Module, name: str) -> None:
    """Hold the tensors of a file against those of a module.

    Raises:
        WeightsInvalid: a key is missing or unknown, or a tensor has another shape.
    """
    expected = module.state_dict()
    for kind, keys in (
        ("lacks", expected.keys() - shapes.keys()),
        ("has the unknown", shapes.keys() - expected.keys()),
    ):
        if keys:
            raise WeightsInvalid(f"{name} {kind} {len(keys)} of the {len(expected)} keys, such as {min(keys)}")
    for key, shape in shapes.items():
        if shape != expected[key].shape:
            raise WeightsInvalid(f"{name}: {key} is {tuple(shape)}, expected {tuple(expected[key].shape)}")


def shapes_of(folder: Path) -> dict[str, torch.Size]:
    """Read the shapes of a folder's tensors from the headers of its safetensors alone.

    Raises:
        WeightsInvalid: there are none, or one is broken or cut off.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise WeightsInvalid(f"{folder} holds no *.safetensors; copy the published folder as a whole")
    shapes: dict[str, torch.Size] = {}
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                shapes |= {key: torch.Size(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
        except BROKEN as error:
            raise WeightsInvalid(f"{folder.name}/{path.name} cannot be read: {brief(error)}; fetch it again") from error
    return shapes


def brief(error: BaseException) -> str:
    """Return the first line of an error, cut."""
    return str(error).strip().split("\n", maxsplit=1)[0][:160] or type(error).__name__
