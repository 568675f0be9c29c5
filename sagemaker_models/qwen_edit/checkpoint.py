"""Checks weights before they are published, without loading them: that takes no more memory than a laptop has."""

from pathlib import Path
from typing import Any

import torch

from sagemaker_models.qwen_edit.adapters import linears_of
from sagemaker_models.qwen_edit.lora import is_lora, read_lora
from sagemaker_models.qwen_edit.pipeline import NETWORKS, loaded, sizes_of, weight_files
from sagemaker_models.qwen_edit.processor import load_processor
from sagemaker_models.qwen_edit.tensors import check_shapes, read_header
from sagemaker_models.qwen_edit.weights import find_weights, task_checkpoint
from sagemaker_models.qwen_edit.whole import check_whole, parameters_of
from sagemaker_models.serving.model import WeightsInvalid


def check(path: Path, base: Path | None = None) -> dict[str, Any]:
    """Check a weights folder, or a task's checkpoint alone.

    Args:
        path: a folder with `base`, or one with a task's weights and its configuration.
        base: that a task's checkpoint should fit; None for Qwen-Image-Edit-2509 and -2511.

    Returns:
        What it is. Of a task's checkpoint also its configuration, which a request has to give beside the file.

    Raises:
        WeightsInvalid: it cannot be used.
    """
    if not path.is_dir():
        raise WeightsInvalid(f"{path.name} is no folder; a checkpoint is a folder with its weights and qwen_edit.yaml")
    if (path / "base").is_dir():
        return _check_folder(path)
    found = task_checkpoint(path)
    kind = _check_task(found.path, _without_values("transformer", base))
    config = found.config.model_dump(mode="json")
    return {"kind": kind, "task": found.config.task, "sha256": found.sha256, "config": config}


def _check_folder(path: Path) -> dict[str, Any]:
    weights = find_weights(path)
    sizes_of(weights.base)
    loaded("processor", lambda: load_processor(weights.base))
    transformer = _check_network("transformer", weights.base)
    _check_network("vae", weights.base)
    # Its tensors are published under older names, which only loading translates.
    for file in weight_files(weights.base, "text_encoder"):
        read_header(file)
    kinds = {task: _check_task(each.path, transformer) for task, each in weights.tasks.items()}
    if weights.lightning:
        _check_task(weights.lightning.path, transformer)
    steps = weights.lightning.steps if weights.lightning else None
    return {"kind": "base", "layers": transformer.config.num_layers, "tasks": kinds, "lightning_steps": steps}


def _check_network(part: str, base: Path) -> Any:
    network = _without_values(part, base)
    found = {key: shape for file in weight_files(base, part) for key, shape in read_header(file).shapes.items()}
    check_shapes(f"base/{part}", found, {key: tuple(value.shape) for key, value in network.state_dict().items()})
    return network


def _check_task(path: Path, transformer: Any) -> str:
    if is_lora(read_header(path)):
        read_lora(path, linears_of(transformer))
        return "lora"
    check_whole(path, {name: tuple(each.shape) for name, each in parameters_of(transformer).items()})
    return "whole"


def _without_values(part: str, base: Path | None) -> Any:
    """Return a network of shapes only; without a base, of the published size."""
    kind = NETWORKS[part]
    with torch.device("meta"):
        if base is None:
            return kind()
        return loaded(part, lambda: kind.from_config(kind.load_config(base / part, local_files_only=True)))
