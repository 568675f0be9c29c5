"""Files of tensors, looked at without reading them."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from sagemaker_models.serving.model import WeightsInvalid

#: How safetensors calls the types that weights may have.
FLOATS = ("F32", "F16", "BF16")

#: Keys that a message names.
_NAMED = 3


@dataclass(frozen=True)
class Header:
    """What a file says of its tensors.

    Args:
        shapes: by key.
        dtypes: by key, in safetensors' words.
        metadata: the file's own notes.
    """

    shapes: dict[str, tuple[int, ...]]
    dtypes: dict[str, str]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Read the header of a safetensors file; the file must be complete.

    Raises:
        WeightsInvalid: it cannot be read, is cut off, or is none.
    """
    try:
        with safe_open(path, framework="pt") as file:
            slices = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118 - not a dict
            shapes = {key: tuple(part.get_shape()) for key, part in slices.items()}
            dtypes = {key: part.get_dtype() for key, part in slices.items()}
            return Header(shapes, dtypes, file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise WeightsInvalid(f"{path.name} cannot be read as safetensors: {error}") from error


def check_shapes(name: str, found: Mapping[str, tuple[int, ...]], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Check that tensors are those that a network has, with their shapes.

    Args:
        name: of the file or folder, for the message.
        found: shapes by key.
        expected: shapes by key.

    Raises:
        WeightsInvalid: names the first keys that do not fit.
    """
    for kind, keys in (("lacks", expected.keys() - found.keys()), ("has the unknown", found.keys() - expected.keys())):
        if keys:
            raise WeightsInvalid(f"{name} {kind} {len(keys)} of {len(expected)} keys: {listed(sorted(keys))}")
    for key, shape in found.items():
        if shape != expected[key]:
            raise WeightsInvalid(f"{name}: {key} is {shape}, this base has {expected[key]}")


def the_one_file(folder: Path) -> Path:
    """Return the one `.safetensors` file of a folder.

    Raises:
        WeightsInvalid: there is none, or there are several.
    """
    found = sorted(folder.glob("*.safetensors"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise WeightsInvalid(f"{folder.name} should hold one file *.safetensors; it holds {names}")
    return found[0]


def hash_of(path: Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def listed(keys: list[str]) -> str:
    """Return the first keys of a list, for a message."""
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return ", ".join(keys[:_NAMED]) + more
