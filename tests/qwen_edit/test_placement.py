"""Placement: the fastest way that the memory allows, both sides of every limit."""

from types import SimpleNamespace

import pytest
import torch

from sagemaker_models.qwen_edit import placement
from sagemaker_models.qwen_edit.placement import (
    Machine,
    PlacementImpossible,
    Sizes,
    choose_way,
    place,
    this_machine,
    vram_needed,
)

GB = 10**9

#: Of the real model at 16 bits.
REAL = Sizes(transformer=40_860_802_176, text_encoder=16_580_000_000, vae=253_785_062)


@pytest.mark.parametrize(
    ("card", "vram_gb", "way", "with_lightning"),
    [
        ("none", 0, "cpu", "cpu"),
        ("T4", 15.8, "group-offload", "group-offload"),
        ("L4, A10G", 23.8, "group-offload", "group-offload"),
        ("32 GB", 34.1, "fp8-model-offload", "group-offload"),
        ("L40S", 47.7, "fp8", "group-offload"),
        ("50 GB", 50, "fp8", "model-offload"),
        ("A100 80 GB", 85, "bf16", "bf16"),
        ("H200", 150, "bf16", "bf16"),
    ],
)
def test_choose_way_for_real_cards(card, vram_gb, way, with_lightning):
    machine = Machine(int(vram_gb * GB), 128 * GB)
    assert choose_way(machine, REAL, 8 * GB, lightning=False) == way
    assert choose_way(machine, REAL, 8 * GB, lightning=True) == with_lightning


SIZES = Sizes(transformer=1000 * 10**6, text_encoder=400 * 10**6, vae=10 * 10**6)


@pytest.mark.parametrize(
    ("vram_mb", "way"),
    [
        (1510, "bf16"),
        (1509, "fp8"),
        (1010, "fp8"),
        # With less than for 8 bits, the parts one by one at 16 bits need more than one by one at 8.
        (1009, "fp8-model-offload"),
        (600, "fp8-model-offload"),
    ],
)
def test_choose_way_at_its_limits(vram_mb, way):
    machine = Machine(vram_mb * 10**6, GB * 2)
    assert choose_way(machine, SIZES, 100 * 10**6, lightning=False) == way


@pytest.mark.parametrize(("vram_mb", "way"), [(1510, "bf16"), (1509, "model-offload"), (1100, "model-offload")])
def test_choose_way_with_lightning_never_narrows_the_weights(vram_mb, way):
    machine = Machine(vram_mb * 10**6, GB * 2)
    assert choose_way(machine, SIZES, 100 * 10**6, lightning=True) == way


def test_choose_way_falls_to_groups_and_then_says_what_is_missing():
    needed = vram_needed("group-offload", REAL, 8 * GB)
    assert choose_way(Machine(needed, 64 * GB), REAL, 8 * GB, lightning=False) == "group-offload"
    with pytest.raises(PlacementImpossible, match=r"needs a GPU with 10\.5 GB, this one has 10\.5 GB|10\.5 GB"):
        choose_way(Machine(needed - 1, 64 * GB), REAL, 8 * GB, lightning=False)


def test_choose_way_without_memory_for_loading_says_so():
    assert choose_way(Machine(150 * GB, REAL.total), REAL, 0, lightning=False) == "bf16"
    with pytest.raises(PlacementImpossible, match=r"57\.7 GB of memory while they are loaded, this machine has 57\.7"):
        choose_way(Machine(150 * GB, REAL.total - 1), REAL, 0, lightning=False)
    with pytest.raises(PlacementImpossible):
        choose_way(Machine(0, REAL.total - 1), REAL, 0, lightning=False)


def test_this_machine_has_memory_and_obeys_a_containers_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(placement, "_LIMIT", tmp_path / "memory.max")
    whole = this_machine()
    assert whole.ram_bytes > GB
    (tmp_path / "memory.max").write_text("max\n")
    assert this_machine() == whole
    (tmp_path / "memory.max").write_text(f"{GB}\n")
    assert this_machine().ram_bytes == GB
    assert whole.vram_bytes == (torch.cuda.get_device_properties(0).total_memory if torch.cuda.is_available() else 0)


class Told:
    """A pipeline that notes what is done with it; what needs a GPU cannot be done here."""

    def __init__(self):
        self.calls = []
        note = lambda name: lambda *arguments, **named: self.calls.append((name, arguments, named))  # noqa: E731
        self.transformer = SimpleNamespace(enable_layerwise_casting=note("narrow"))
        self.vae = SimpleNamespace(enable_tiling=note("tiles"))
        self.enable_model_cpu_offload, self.enable_group_offload = note("models"), note("groups")
        self.to = note("to")


CUDA = torch.device("cuda")
NARROW = ("narrow", (), {"storage_dtype": torch.float8_e4m3fn, "compute_dtype": torch.bfloat16})
MODELS = ("models", (), {"device": CUDA})


@pytest.mark.parametrize(
    ("way", "calls"),
    [
        ("bf16", [("to", (CUDA,), {})]),
        ("fp8", [NARROW, ("to", (CUDA,), {})]),
        ("model-offload", [MODELS]),
        ("fp8-model-offload", [NARROW, MODELS]),
        (
            "group-offload",
            [
                ("tiles", (), {}),
                (
                    "groups",
                    (),
                    {
                        "onload_device": CUDA,
                        "offload_device": torch.device("cpu"),
                        "offload_type": "leaf_level",
                        "use_stream": True,
                    },
                ),
            ],
        ),
    ],
)
def test_place_on_a_gpu_does_what_the_way_says(way, calls):
    pipe = Told()
    place(pipe, way, CUDA)
    assert pipe.calls == calls
