"""Where the pipeline's parts lie: by the memory that a machine has."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

#: Fastest first. `bf16`: all on the GPU. `fp8`: so too, the transformer's weights in 8 bits and widened layer by layer.
#: `model-offload`: one part at a time on the GPU, the others in memory; `fp8-model-offload`: both.
#: `group-offload`: one layer at a time. `cpu`: a machine without a GPU.
Way = Literal["bf16", "fp8", "model-offload", "fp8-model-offload", "group-offload", "cpu"]

#: Ways that narrow the transformer's weights.
NARROW: tuple[Way, ...] = ("fp8", "fp8-model-offload")

#: For the largest layers by which `group-offload` moves, two of the text encoder's tables of words, bytes.
GROUP_BYTES = 2_500_000_000

#: Where Linux says how much memory a container may use.
_LIMIT = Path("/sys/fs/cgroup/memory.max")


class PlacementImpossible(Exception):
    """The machine cannot hold the pipeline; the message says what it would need."""


@dataclass(frozen=True)
class Machine:
    """What a machine has.

    Args:
        vram_bytes: memory of the GPU; 0 without one.
        ram_bytes: memory of the host.
    """

    vram_bytes: int
    ram_bytes: int


@dataclass(frozen=True)
class Sizes:
    """How large the parts are at 16 bits, bytes."""

    transformer: int
    text_encoder: int
    vae: int

    @property
    def total(self) -> int:
        """Return the sum."""
        return self.transformer + self.text_encoder + self.vae


def vram_needed(way: Way, sizes: Sizes, reserve_bytes: int) -> int:
    """Return how much of the GPU's memory a way takes.

    Args:
        way: one with a GPU.
        sizes: of the parts.
        reserve_bytes: for what is computed with the weights.
    """
    narrow = sizes.transformer // 2
    weights = {
        "bf16": sizes.total,
        "fp8": narrow + sizes.text_encoder + sizes.vae,
        "model-offload": max(sizes.transformer, sizes.text_encoder, sizes.vae),
        "fp8-model-offload": max(narrow, sizes.text_encoder, sizes.vae),
        "group-offload": min(GROUP_BYTES, sizes.total),
        "cpu": 0,
    }
    return weights[way] + reserve_bytes


def choose_way(machine: Machine, sizes: Sizes, reserve_bytes: int, *, lightning: bool) -> Way:
    """Choose the fastest way that a machine has memory for.

    Args:
        machine: its memory.
        sizes: of the parts.
        reserve_bytes: for what is computed with the weights.
        lightning: whether a task uses the Lightning LoRA, which makes a grid on weights that were simply narrowed.

    Raises:
        PlacementImpossible: none fits.
    """
    if machine.ram_bytes < sizes.total:
        raise PlacementImpossible(
            f"the weights need {_gb(sizes.total)} of memory while they are loaded, this machine has "
            f"{_gb(machine.ram_bytes)}"
        )
    if machine.vram_bytes == 0:
        return "cpu"
    ways: tuple[Way, ...] = ("bf16", "fp8", "model-offload", "fp8-model-offload", "group-offload")
    for way in ways:
        if lightning and way in NARROW:
            continue
        if vram_needed(way, sizes, reserve_bytes) <= machine.vram_bytes:
            return way
    least = vram_needed("group-offload", sizes, reserve_bytes)
    raise PlacementImpossible(
        f"even layer by layer the model needs a GPU with {_gb(least)}, this one has {_gb(machine.vram_bytes)}"
    )


def this_machine() -> Machine:
    """Return what this machine has; of memory, what a container may use."""
    ram_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = _LIMIT.read_text(encoding="ascii").strip() if _LIMIT.exists() else "max"
    if limit.isdecimal():
        ram_bytes = min(ram_bytes, int(limit))
    vram_bytes = torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0
    return Machine(vram_bytes, ram_bytes)


def place(pipe: Any, way: Way, device: torch.device) -> None:
    """Put a pipeline's parts where a way has them.

    Args:
        pipe: a QwenImageEditPlusPipeline whose parts are in the host's memory, in bf16.
        way: that was chosen.
        device: where it computes.
    """
    if way in NARROW:
        pipe.transformer.enable_layerwise_casting(storage_dtype=torch.float8_e4m3fn, compute_dtype=torch.bfloat16)
    if way in ("model-offload", "fp8-model-offload"):
        pipe.enable_model_cpu_offload(device=device)
    elif way == "group-offload":
        # Tiles bound what the decoder needs for large pictures.
        pipe.vae.enable_tiling()
        pipe.enable_group_offload(
            onload_device=device,
            offload_device=torch.device("cpu"),
            offload_type="leaf_level",
            use_stream=device.type == "cuda",
        )
    else:
        pipe.to(device)


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
