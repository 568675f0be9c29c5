"""LoRA files of several trainers, brought to one form; whatever would load nothing, or half, is refused.

diffusers 0.42.1 takes some forms silently for nothing, so that no key reaches it that was not understood here.

ΔW = s·B·A, with A (rank, in), B (out, rank), and s = alpha/rank where the file has an alpha, 1 where it has none.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from sagemaker_models.qwen_edit.tensors import FLOATS, Header, listed, read_header
from sagemaker_models.serving.model import WeightsInvalid

#: What trainers put before the transformer's own names: diffusers, ComfyUI, DiffSynth. peft's own `base_model.model.`
#: is not among them: such a file's alpha lies in another one.
PREFIXES = ("transformer.", "diffusion_model.", "pipe.dit.")

#: Kohya's prefix; its names have underscores in the place of points.
KOHYA = "lora_unet_"

#: Where diffusers keeps a LoRA's settings in the file's notes.
SETTINGS = "lora_adapter_metadata"

_PART = re.compile(r"(?P<module>.+)\.(?:(?P<down>lora_A|lora_down)|(?P<up>lora_B|lora_up))(?:\.default)?\.weight")
_ALPHA = ".alpha"


@dataclass(frozen=True)
class Lora:
    """A LoRA that fits the transformer.

    Args:
        down: A of each module, (rank, in).
        up: s·B of each module, (out, rank).
    """

    down: dict[str, Tensor]
    up: dict[str, Tensor]

    def state(self) -> dict[str, Tensor]:
        """Return it in the form that diffusers loads."""
        down = {f"transformer.{module}.lora_A.weight": tensor for module, tensor in self.down.items()}
        return down | {f"transformer.{module}.lora_B.weight": tensor for module, tensor in self.up.items()}


@dataclass
class _Parts:
    """The keys that belong to one module."""

    down: str = ""
    up: str = ""
    alpha: str = ""


def is_lora(header: Header) -> bool:
    """Tell whether a file holds a LoRA or one of its relatives, rather than whole weights."""
    return any(word in key for key in header.shapes for word in ("lora", "lokr", "loha", "hada"))


def check_lora(path: Path, linears: Mapping[str, tuple[int, int]]) -> dict[str, _Parts]:
    """Check a LoRA's keys and shapes, without reading its tensors.

    Args:
        path: of the file.
        linears: (out, in) of the transformer's linear layers, by their names.

    Returns:
        The keys of each module.

    Raises:
        WeightsInvalid: names what does not fit.
    """
    header = read_header(path)
    modules = _modules(path.name, header, linears)
    for module, parts in modules.items():
        if not parts.down or not parts.up:
            raise WeightsInvalid(f"{path.name}: of {module} it has {parts.down or parts.up or parts.alpha} only")
        down, up, (out_features, in_features) = header.shapes[parts.down], header.shapes[parts.up], linears[module]
        if len(down) != 2 or len(up) != 2 or down[1] != in_features or up != (out_features, down[0]):
            raise WeightsInvalid(
                f"{path.name}: {module} has shapes {down} and {up}; for this base they should be "
                f"(rank, {in_features}) and ({out_features}, rank)"
            )
        for key in (parts.down, parts.up):
            if header.dtypes[key] not in FLOATS:
                raise WeightsInvalid(f"{path.name}: {key} is {header.dtypes[key]}; it should be one of {FLOATS}")
    return modules


def read_lora(path: Path, linears: Mapping[str, tuple[int, int]]) -> Lora:
    """Read a LoRA.

    Args:
        path: of the file.
        linears: (out, in) of the transformer's linear layers, by their names.

    Raises:
        WeightsInvalid: its keys, shapes or values cannot be used.
    """
    modules = check_lora(path, linears)
    stored = load_file(path)
    common = _common_scale(path.name, read_header(path).metadata)
    lora = Lora({}, {})
    for module, parts in modules.items():
        rank = stored[parts.down].shape[0]
        scale = stored[parts.alpha].item() / rank if parts.alpha else common
        lora.down[module] = stored[parts.down].float()
        lora.up[module] = stored[parts.up].float() * scale
        if not bool(torch.isfinite(lora.down[module]).all() & torch.isfinite(lora.up[module]).all()):
            raise WeightsInvalid(f"{path.name}: {module} holds values that are not finite")
    return lora


def _modules(name: str, header: Header, linears: Mapping[str, tuple[int, int]]) -> dict[str, _Parts]:
    flat = {module.replace(".", "_"): module for module in linears}
    modules: dict[str, _Parts] = {}
    strange: list[str] = []
    for key in header.shapes:
        part = _PART.fullmatch(key)
        module = _module(part["module"] if part else key.removesuffix(_ALPHA), flat)
        if module not in linears or (part is None and not key.endswith(_ALPHA)):
            strange.append(key)
            continue
        parts = modules.setdefault(module, _Parts())
        kind = "alpha" if part is None else "down" if part["down"] else "up"
        if getattr(parts, kind):
            raise WeightsInvalid(f"{name} has both {getattr(parts, kind)} and {key}, which are the same")
        setattr(parts, kind, key)
    if strange or not modules:
        raise WeightsInvalid(
            f"{name} is no LoRA for this transformer: {len(strange)} of its {len(header.shapes)} keys are not known, "
            f"the first are {listed(strange)}"
        )
    return modules


def _module(name: str, flat: Mapping[str, str]) -> str:
    if name.startswith(KOHYA):
        return flat.get(name.removeprefix(KOHYA), "")
    for prefix in PREFIXES:
        name = name.removeprefix(prefix)
    return name


def _common_scale(name: str, metadata: Mapping[str, str]) -> float:
    """Return the scale that diffusers noted in the file; 1 if it noted none."""
    try:
        noted: dict[str, Any] = json.loads(metadata.get(SETTINGS, "{}"))
    except ValueError as error:
        raise WeightsInvalid(f"{name}: its {SETTINGS} are no JSON") from error
    settings = {key.removeprefix("transformer."): value for key, value in noted.items()}
    if special := [key for key in ("alpha_pattern", "rank_pattern", "use_rslora", "use_dora") if settings.get(key)]:
        raise WeightsInvalid(f"{name} was trained with {', '.join(special)}, which is not read; bake its scale in")
    alpha, rank = settings.get("lora_alpha"), settings.get("r")
    return float(alpha) / float(rank) if alpha and rank else 1.0
