"""The weights folder: the base, the tasks' checkpoints, and maybe a Lightning LoRA.

base/                        Qwen-Image-Edit-2509 or -2511, as published
tasks/<task>/*.safetensors   one file: a LoRA, or a transformer's whole weights
tasks/<task>/qwen_edit.yaml  what it was trained on
lightning/*.safetensors      one file as published, whose name says its steps
config.yaml                  where it differs from `config.Config`
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from sagemaker_models.qwen_edit.plan import Lightning
from sagemaker_models.qwen_edit.task_config import Task, TaskConfig, read_task_config
from sagemaker_models.qwen_edit.tensors import hash_of, the_one_file
from sagemaker_models.serving.model import WeightsInvalid

_STEPS = re.compile(r"(\d+)[-_]?steps?", re.IGNORECASE)


@dataclass(frozen=True)
class TaskCheckpoint:
    """A task's checkpoint.

    Args:
        config: what it was trained on.
        path: of its file.
        sha256: of its file.
    """

    config: TaskConfig
    path: Path
    sha256: str


@dataclass(frozen=True)
class Weights:
    """What a weights folder holds.

    Args:
        base: folder of the base.
        tasks: the checkpoints, by task.
        lightning: None if there is none.
    """

    base: Path
    tasks: dict[Task, TaskCheckpoint]
    lightning: Lightning | None


def find_weights(folder: Path) -> Weights:
    """Look through a weights folder.

    Raises:
        WeightsInvalid: something is missing, twice there, or not known.
    """
    tasks: dict[Task, TaskCheckpoint] = {}
    for each in _folders(folder / "tasks"):
        if each.name not in get_args(Task):
            raise WeightsInvalid(f"tasks/{each.name}: there is no such task; there are {', '.join(get_args(Task))}")
        found = task_checkpoint(each)
        if found.config.task != each.name:
            raise WeightsInvalid(f"tasks/{each.name} holds a checkpoint for {found.config.task}")
        tasks[found.config.task] = found
    lightning = _lightning(folder / "lightning")
    if lightning is None and (without := [task for task, each in tasks.items() if each.config.lightning]):
        raise WeightsInvalid(f"tasks/{without[0]} uses Lightning, and there is no folder lightning")
    return Weights(folder / "base", tasks, lightning)


def task_checkpoint(folder: Path) -> TaskCheckpoint:
    """Return the checkpoint of a folder.

    Raises:
        WeightsInvalid: the folder has no configuration, or not exactly one file of weights.
    """
    config, path = read_task_config(folder), the_one_file(folder)
    return TaskCheckpoint(config, path, hash_of(path))


def _lightning(folder: Path) -> Lightning | None:
    if not folder.is_dir():
        return None
    path = the_one_file(folder)
    steps = _STEPS.search(path.name)
    if steps is None:
        raise WeightsInvalid(f"lightning/{path.name}: the name should say the steps, as the published -4steps- does")
    return Lightning(path, hash_of(path), int(steps[1]))


def _folders(folder: Path) -> list[Path]:
    return sorted(each for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []
