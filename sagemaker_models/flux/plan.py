"""Where FLUX's parts go, and in which numbers, by the memory that a machine has: pure decisions."""

from dataclasses import dataclass
from typing import Literal, get_args

GB = 1_000_000_000

#: Room for what is between the layers at two megapixels, for the decoder's maps and for CUDA itself. An assumption, to
#: be replaced by a measurement on a GPU.
RESERVE_BYTES = 5 * GB

#: The oldest GPUs that multiply bfloat16 (Ampere).
LEAST_CAPABILITY = (8, 0)

Name = Literal["full", "full-offload", "fp8", "fp8-offload"]


@dataclass(frozen=True)
class Machine:
    """What a machine has.

    Args:
        device: `cuda` or `cpu`.
        free_bytes: of the device's memory.
        host_bytes: that are free on the host.
        capability: of the GPU.
    """

    device: Literal["cuda", "cpu"]
    free_bytes: int
    host_bytes: int
    capability: tuple[int, int] = LEAST_CAPABILITY


@dataclass(frozen=True)
class Weights:
    """How many numbers the parts have.

    Args:
        transformer: FLUX itself, by far the largest.
        others: of the text encoders and the decoder.
        largest_other: the largest of those.
        identity: PuLID's and the vision tower's; they stay on the device.
    """

    transformer: int
    others: int
    largest_other: int
    identity: int


@dataclass(frozen=True)
class Placement:
    """Where the parts go.

    Args:
        name: as `config.yaml` calls it.
        device: where the work is done.
        dtype: of the work.
        fp8: whether the transformer's weights are kept in 8 bits and widened layer by layer.
        offload: whether the parts wait on the host, and only the one at work is on the device.
    """

    name: Name
    device: Literal["cuda", "cpu"]
    dtype: Literal["bfloat16", "float32"]
    fp8: bool
    offload: bool


class DoesNotFit(Exception):
    """The machine's memory does not suffice; the message says what would."""


def place(machine: Machine, weights: Weights, wanted: Name | Literal["auto"] = "auto") -> Placement:
    """Choose a placement: the first that fits, in the order of `Name`.

    Offload keeps the numbers as they are and costs transfers; fp8 costs details of faces (PuLID's documentation, read
    2026-11-21). That is why the first comes before the second.

    Args:
        machine: to be used.
        weights: to be placed.
        wanted: what the operator has decided; it is not checked against the memory.

    Raises:
        DoesNotFit: no placement fits, or the GPU is too old.
    """
    if machine.device == "cuda" and machine.capability < LEAST_CAPABILITY:
        raise DoesNotFit(
            f"FLUX needs a GPU that multiplies bfloat16, of compute capability 8.0; this one has "
            f"{'.'.join(map(str, machine.capability))}"
        )
    if wanted != "auto":
        return _placement(wanted, machine)
    if machine.device == "cpu":
        return _placement("full", machine)
    for name in get_args(Name):
        on_device, on_host = needed(name, weights)
        if on_device <= machine.free_bytes and on_host <= machine.host_bytes:
            return _placement(name, machine)
    on_device, on_host = needed("fp8-offload", weights)
    raise DoesNotFit(
        f"FLUX needs at least {on_device / GB:.1f} GB of free GPU memory and {on_host / GB:.1f} GB on the host; "
        f"there are {machine.free_bytes / GB:.1f} and {machine.host_bytes / GB:.1f}"
    )


def needed(name: Name, weights: Weights) -> tuple[int, int]:
    """Return the bytes that a placement needs on the device and on the host.

    While it is loaded, the transformer lies on the host in 16 bits once; what waits there comes on top as it is kept.
    """
    loading = 2 * weights.transformer
    transformer = weights.transformer * (1 if name.startswith("fp8") else 2)
    others, identity = 2 * weights.others, 2 * weights.identity
    if name.endswith("offload"):
        on_device = max(transformer, 2 * weights.largest_other) + identity + RESERVE_BYTES
        return on_device, max(loading, transformer + others)
    return transformer + others + identity + RESERVE_BYTES, loading


def _placement(name: Name, machine: Machine) -> Placement:
    dtype: Literal["bfloat16", "float32"] = "bfloat16" if machine.device == "cuda" else "float32"
    return Placement(name, machine.device, dtype, fp8=name.startswith("fp8"), offload=name.endswith("offload"))
