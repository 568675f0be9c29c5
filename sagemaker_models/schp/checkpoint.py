"""Published checkpoints: read without running anything in them, and checked key by key."""

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sagemaker_models.schp.labels import BY_CLASSES, DataSet
from sagemaker_models.schp.network import Network
from sagemaker_models.serving.model import WeightsInvalid

#: What training on several devices put before every key.
PREFIX = "module."

#: The layer whose first dimension is the class count.
CLASSIFIER = "fushion.3.weight"

#: What torch raises on files that are cut off, broken, or no checkpoint at all.
_BROKEN = (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Checkpoint:
    """A checked checkpoint.

    Args:
        state: tensors by the network's own keys.
        data_set: told by the class count.
        sha256: of the file.
    """

    state: dict[str, Tensor]
    data_set: DataSet
    sha256: str

    def network(self) -> Network:
        """Build the network with these weights, ready for inference."""
        made = Network(self.data_set.classes)
        made.load_state_dict(self.state, strict=True)
        return made.eval().requires_grad_(requires_grad=False)


def find_checkpoint(folder: Path) -> Path:
    """Return the one `.pth` file of a folder.

    Raises:
        WeightsInvalid: there is none, or there are several.
    """
    found = sorted(folder.glob("*.pth")) if folder.is_dir() else []
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise WeightsInvalid(f"{folder} should hold one checkpoint, a file *.pth; it holds {names}")
    return found[0]


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint of SCHP for ATR, LIP or Pascal-Person-Part, in torch's old or new file format.

    Raises:
        WeightsInvalid: the file is missing, broken or cut off, holds other things than tensors, or its keys, shapes or
            types are not those of the published network.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
        sha256 = hash_of(path)
    except _BROKEN as error:
        brief = str(error).strip().split("\n", maxsplit=1)[0][:160] or type(error).__name__
        raise WeightsInvalid(f"{path.name} cannot be read as a checkpoint: {brief}") from error
    if not isinstance(stored, Mapping) or not isinstance(stored.get("state_dict"), Mapping):
        raise WeightsInvalid(f"{path.name} has no state_dict; a published SCHP checkpoint is a dict that has one")
    state = _own_keys(stored["state_dict"], path.name)
    data_set = _data_set(state, path.name)
    _check(state, data_set, path.name)
    return Checkpoint({key: value.float() for key, value in state.items()}, data_set, sha256)


def check(path: Path) -> dict[str, Any]:
    """Check a checkpoint before it is published.

    Args:
        path: the file, or a folder that holds it alone.

    Returns:
        What it is: its data set, classes and hash.

    Raises:
        WeightsInvalid: as for `read_checkpoint`.
    """
    checkpoint = read_checkpoint(find_checkpoint(path) if path.is_dir() else path)
    found = checkpoint.data_set
    return {"data_set": found.name, "classes": found.classes, "sha256": checkpoint.sha256}


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _own_keys(state: Mapping[Any, Any], name: str) -> dict[str, Tensor]:
    for key, value in state.items():
        if not isinstance(key, str) or not key.startswith(PREFIX):
            raise WeightsInvalid(f"{name}: key {key!r} does not begin with {PREFIX!r} as the published ones do")
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise WeightsInvalid(f"{name}: {key} is no tensor of floating point numbers")
    return {key.removeprefix(PREFIX): value for key, value in state.items()}


def _data_set(state: Mapping[str, Tensor], name: str) -> DataSet:
    classifier = state.get(CLASSIFIER)
    if classifier is None or classifier.ndim != 4:
        raise WeightsInvalid(f"{name} has no {PREFIX}{CLASSIFIER}; it is no checkpoint of this network")
    if classifier.shape[0] not in BY_CLASSES:
        known = ", ".join(f"{each.classes} ({each.name})" for each in BY_CLASSES.values())
        raise WeightsInvalid(f"{name} has {classifier.shape[0]} classes; known are {known}")
    return BY_CLASSES[classifier.shape[0]]


def _check(state: Mapping[str, Tensor], data_set: DataSet, name: str) -> None:
    with torch.device("meta"):
        expected = Network(data_set.classes).state_dict()
    for kind, keys in (("lacks", expected.keys() - state.keys()), ("has the unknown", state.keys() - expected.keys())):
        if keys:
            raise WeightsInvalid(f"{name} {kind} {len(keys)} of the {len(expected)} keys, such as {min(keys)}")
    for key, value in state.items():
        if value.shape != expected[key].shape:
            raise WeightsInvalid(f"{name}: {key} is {tuple(value.shape)}, expected {tuple(expected[key].shape)}")
        if not bool(torch.isfinite(value).all()):
            raise WeightsInvalid(f"{name}: {key} holds values that are not finite")
