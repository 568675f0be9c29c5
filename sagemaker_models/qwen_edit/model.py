"""Qwen-Image-Edit as the model server hosts it: a photo, a mask and a prompt in, the edited photo out."""

import gc
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel

from backlot.errors import CallerError, OutputInvalid
from sagemaker_models.qwen_edit.adapters import Adapters
from sagemaker_models.qwen_edit.config import Config, read_config
from sagemaker_models.qwen_edit.frame import Pixels
from sagemaker_models.qwen_edit.generate import Job, generate
from sagemaker_models.qwen_edit.lora import is_lora
from sagemaker_models.qwen_edit.parameters import QwenEditParameters
from sagemaker_models.qwen_edit.pictures import build, encoded, finish, read
from sagemaker_models.qwen_edit.pipeline import load_pipeline, sizes_of, weight_files
from sagemaker_models.qwen_edit.placement import NARROW, PlacementImpossible, Way, choose_way, place, this_machine
from sagemaker_models.qwen_edit.plan import Plan, Refused, plan_of
from sagemaker_models.qwen_edit.samplers import Samplers, samplers_of
from sagemaker_models.qwen_edit.task_config import MOST_IMAGES, Task
from sagemaker_models.qwen_edit.tensors import read_header
from sagemaker_models.qwen_edit.values import values_of
from sagemaker_models.qwen_edit.weights import TaskCheckpoint, Weights, find_weights
from sagemaker_models.serving.model import File, ModelError, Outputs, Request, WeightsInvalid

log = logging.getLogger(__name__)

PNG = "image/png"

_GRID = "Lightning makes a grid on weights that were simply narrowed to 8 bits"


@dataclass(frozen=True)
class _Loaded:
    """What is in memory.

    Args:
        pipe: the pipeline, in its place.
        adapters: its checkpoints.
        weights: of the folder.
        way: how it is placed.
        samplers: of the pipeline.
    """

    pipe: Any
    adapters: Adapters
    weights: Weights
    way: Way
    samplers: Samplers


class QwenEdit:
    """Masked edits. The weights folder is described in `weights.py`.

    A request may bring a task's checkpoint itself, as the file `checkpoint` together with the parameter of that name;
    without, the folder's counts. So checkpoints are switched without a deployment.
    """

    name = "qwen-edit"
    max_batch = 1
    Parameters: type[BaseModel] = QwenEditParameters
    inputs = ("image",)
    optional_inputs = ("mask", "reference", "reference_mask")
    optional_outputs = tuple(f"condition_{number}" for number in range(1, MOST_IMAGES + 1))
    files = ("checkpoint",)

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._loaded: _Loaded | None = None
        self._about: dict[str, Any] = {}
        #: The pipeline's checkpoint and sampler are one request's at a time.
        self._lock = threading.Lock()

    def load(self, weights: Path) -> None:
        """Load the base, place it, and load the tasks' checkpoints.

        Args:
            weights: a folder.

        Raises:
            WeightsInvalid: something in the folder cannot be used, or not on this machine.
        """
        config, found = read_config(weights), find_weights(weights)
        way = _way(config, found)
        pipe = load_pipeline(found.base)
        device = torch.device("cpu" if way == "cpu" else "cuda")
        place(pipe, way, device)
        adapters = Adapters(pipe, weight_files(found.base, "transformer"), config.loras_kept)
        for each in found.tasks.values():
            adapters.prepare(each.path, each.sha256)
        if found.lightning:
            adapters.prepare(found.lightning.path, found.lightning.sha256)
        self._folder = weights
        self._loaded = _Loaded(pipe, adapters, found, way, samplers_of(pipe.scheduler))
        self._about = {
            "engine": self.name,
            "device": device.type,
            "placement": way,
            "layers": pipe.transformer.config.num_layers,
            "tasks": {task: each.sha256 for task, each in found.tasks.items()},
            "lightning": found.lightning.sha256 if found.lightning else None,
        }
        log.info("model loaded", extra=self._about)

    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        """Edit each request's picture."""
        return [self._run(request) for request in requests]

    def release(self) -> None:
        """Give the weights' memory back; the next run loads them again."""
        self._loaded = None
        gc.collect()
        torch.cuda.empty_cache()

    def describe(self) -> dict[str, Any]:
        """Return device, placement, and the checkpoints' hashes."""
        return dict(self._about)

    def _run(self, request: Request) -> Outputs | ModelError:
        try:
            return self._edit(request)
        except (CallerError, OutputInvalid) as error:
            return ModelError(type(error).__name__, str(error))
        except Refused as error:
            return ModelError(error.code, str(error))

    def _edit(self, request: Request) -> Outputs:
        began = time.perf_counter()
        asked = request.parameters
        with self._lock:
            loaded = self._ready()
        checkpoint = _checkpoint(request, loaded.weights)
        plan = plan_of(asked, request.inputs.keys(), checkpoint.config, loaded.weights.lightning)
        if plan.lightning and loaded.way in NARROW:
            raise _refused(checkpoint.sha256, f"it uses Lightning, and {_GRID}, as they are here")
        names = tuple(each.image for each in plan.images)
        brought = read(request.inputs, asked.input_quality)
        images = build(names, brought.scene)
        prepared = time.perf_counter()
        with self._lock:
            loras = _switch(loaded, checkpoint, plan, of_request="checkpoint" in request.files)
            switched = time.perf_counter()
            job = Job(images, asked.prompt, plan.negative_prompt, plan.true_cfg, plan.steps, plan.seed)
            made = generate(loaded.pipe, job, request.progress)
        generated = time.perf_counter()
        result = finish(made, brought, names, keep_outside=asked.keep_outside, feather_px=asked.feather_px)
        files = {"image": encoded(result, brought.icc_profile), **(_conditions(images) if asked.debug else {})}
        values = values_of(asked, plan, brought) | {
            "checkpoint_sha256": checkpoint.sha256,
            "lora_adapter": loras[0] if loras else None,
            "loaded_adapters": [*loaded.adapters.loaded],
            "placement": loaded.way,
            "timings": {
                "prepare_s": round(prepared - began, 3),
                "switch_s": round(switched - prepared, 3),
                "generate_s": round(generated - switched, 3),
                "finish_s": round(time.perf_counter() - generated, 3),
            },
        }
        return Outputs({name: File(body, PNG) for name, body in files.items()}, values)

    def _ready(self) -> _Loaded:
        if self._loaded is None:
            if self._folder is None:
                raise RuntimeError("load comes before run")
            self.load(self._folder)
        if self._loaded is None:
            raise RuntimeError("load left nothing behind")
        return self._loaded


def _way(config: Config, weights: Weights) -> Way:
    """Choose the placement, as configured or by the machine's memory.

    Raises:
        WeightsInvalid: nothing fits, or what is configured does not go with Lightning.
    """
    lightning = [task for task, each in weights.tasks.items() if each.config.lightning]
    if config.placement == "auto":
        try:
            reserve_bytes = round(config.reserve_gb * 1e9) + _lora_bytes(weights)
            return choose_way(this_machine(), sizes_of(weights.base), reserve_bytes, lightning=bool(lightning))
        except PlacementImpossible as error:
            raise WeightsInvalid(str(error)) from error
    if lightning and config.placement in NARROW:
        raise WeightsInvalid(f"tasks/{lightning[0]} uses Lightning, and placement is {config.placement}: {_GRID}")
    return config.placement


def _lora_bytes(weights: Weights) -> int:
    """Return how much the folder's LoRAs take beside the base."""
    paths = [each.path for each in weights.tasks.values()] + ([weights.lightning.path] if weights.lightning else [])
    return sum(path.stat().st_size for path in paths if is_lora(read_header(path)))


def _checkpoint(request: Request, weights: Weights) -> TaskCheckpoint:
    """Return the checkpoint that a request means.

    Raises:
        Refused: there is none, or half of one.
    """
    task: Task = request.parameters.task
    file, config = request.files.get("checkpoint"), request.parameters.checkpoint
    if (file is None) is not (config is None):
        raise Refused("CheckpointRefused", "The file checkpoint and the parameter checkpoint belong together.")
    if file is not None and config is not None:
        return TaskCheckpoint(config, file.path, file.sha256)
    if task not in weights.tasks:
        have = ", ".join(weights.tasks) or "none"
        raise Refused("TaskUnavailable", f"There is no checkpoint for {task}; this model has {have}.")
    return weights.tasks[task]


def _switch(loaded: _Loaded, checkpoint: TaskCheckpoint, plan: Plan, *, of_request: bool) -> list[str]:
    """Have a checkpoint and its sampler; return the LoRAs that are at work.

    Raises:
        Refused: the request's own checkpoint cannot be used.
        WeightsInvalid: the folder's cannot be used any more.
    """
    loaded.pipe.scheduler = loaded.samplers.of(plan.steps, lightning=plan.lightning is not None)
    try:
        return loaded.adapters.use(checkpoint, plan.lightning)
    except WeightsInvalid as error:
        if of_request:
            raise _refused(checkpoint.sha256, str(error)) from error
        raise


def _refused(sha256: str, reason: str) -> Refused:
    # A file of a request is called by its hash, so that the reason may say it already.
    called = sha256[:16]
    words = reason.replace(sha256, called)
    named = words if called in words else f"{called}: {words}"
    return Refused("CheckpointRefused", f"The checkpoint is refused: {named}.")


def _conditions(images: Sequence[Pixels]) -> dict[str, bytes]:
    return {f"condition_{number}": encoded(image) for number, image in enumerate(images, 1)}
