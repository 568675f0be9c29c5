"""Stand-in of Qwen edit: the real one's reading, planning and finishing around classical retouching.

All but the network's own work is done by the real model's code: what a request may say and bring, the canvas, the
conditional images, the feathered mask. A removal fills the hole from its surroundings, an insertion lays the
reference's object into the mask or draws a ball of the colour that the prompt names, a white balance takes the light's
colour out. It is a true result of the flow and says nothing about the real model.
"""

import json
import struct
from pathlib import Path
from typing import Any, get_args

import numpy as np
import yaml

from local.stand_ins import retouching
from local.stand_ins.completion import fill
from local.stand_ins.faces import Pixels
from local.stand_ins.model import StandInModel, png
from sagemaker_models import qwen_edit
from sagemaker_models.qwen_edit.conditions import Scene
from sagemaker_models.qwen_edit.conditions.reference import positioned_mask, positioned_reference
from sagemaker_models.qwen_edit.frame import Frame
from sagemaker_models.qwen_edit.parameters import QwenEditParameters
from sagemaker_models.qwen_edit.pictures import build, finish, read
from sagemaker_models.qwen_edit.plan import Refused, plan_of
from sagemaker_models.qwen_edit.task_config import MOST_IMAGES, Task, TaskConfig
from sagemaker_models.qwen_edit.values import values_of
from sagemaker_models.serving.model import LocalFile, ModelError, Outputs, Request

#: What the old server gave its checkpoints; used while no other checkpoint is asked for.
EXAMPLES = Path(qwen_edit.__path__[0]) / "examples"

#: The share of a run that is done when the last step is, as the real one reports it.
STEPS_SHARE = 0.95

#: What keys of LoRAs end with, of any trainer.
_LORA_ENDINGS = ("lora_A.weight", "lora_B.weight", "lora_up.weight", "lora_down.weight")


class MaskedEdits(StandInModel):
    """Masked edits without weights; refuses what the real one would refuse of a request."""

    name = "qwen-edit"
    Parameters = QwenEditParameters
    inputs = ("image",)
    optional_inputs = ("mask", "reference", "reference_mask")
    optional_outputs = tuple(f"condition_{number}" for number in range(1, MOST_IMAGES + 1))
    files = ("checkpoint",)

    def __init__(self) -> None:
        self._configs: dict[Task, TaskConfig] = {
            task: TaskConfig.model_validate(yaml.safe_load((EXAMPLES / f"{task}.yaml").read_text("utf-8")))
            for task in get_args(Task)
        }

    def answer(self, request: Request) -> Outputs | ModelError:
        """Edit a picture."""
        try:
            return self._edited(request)
        except Refused as error:
            return ModelError(error.code, str(error))

    def _edited(self, request: Request) -> Outputs:
        asked: QwenEditParameters = request.parameters
        checkpoint = request.files.get("checkpoint")
        if (checkpoint is None) is not (asked.checkpoint is None):
            raise Refused("CheckpointRefused", "The file checkpoint and the parameter checkpoint belong together.")
        adapter = None if checkpoint is None else _adapter(checkpoint)
        plan = plan_of(asked, request.inputs.keys(), asked.checkpoint or self._configs[asked.task], None)
        names = tuple(each.image for each in plan.images)
        brought = read(request.inputs, asked.input_quality)
        conditions = build(names, brought.scene)
        made = _made(asked, brought.scene, brought.frame, plan.seed)
        for step in range(plan.steps + 1):
            request.progress(STEPS_SHARE * step / plan.steps)
        result = finish(made, brought, names, keep_outside=asked.keep_outside, feather_px=asked.feather_px)
        files = {"image": png(result, brought.icc_profile)}
        if asked.debug:
            files |= {f"condition_{number}": png(image) for number, image in enumerate(conditions, 1)}
        weights = {
            "checkpoint_sha256": checkpoint.sha256 if checkpoint else None,
            "lora_adapter": adapter,
            "loaded_adapters": [adapter] if adapter else [],
            "placement": "cpu",
        }
        return Outputs(files, values_of(asked, plan, brought) | weights)


def _made(asked: QwenEditParameters, scene: Scene, frame: Frame, seed: int) -> Pixels:
    """Retouch what lies between the canvas's bars, as the task says.

    Shapes:
        → (canvas_height,canvas_width,3)
    """
    inner = (slice(frame.top, frame.top + frame.inner_height), slice(frame.left, frame.left + frame.inner_width))
    picture, made = np.ascontiguousarray(scene.picture[inner]), scene.picture.copy()
    if asked.task == "white-balance":
        made[inner] = retouching.balanced(picture)
        return made
    mask = np.ascontiguousarray(scene.mask[inner])
    if asked.task == "removal":
        retouched = fill(picture, mask)
    elif scene.reference.size:
        shape = scene.reference_mask if scene.reference_mask.size else retouching.outline(scene.reference)
        cut = positioned_reference(mask, scene.reference, shape)
        retouched = retouching.put_in(picture, cut, positioned_mask(mask, shape))
    else:
        retouched = retouching.drawn(picture, mask, asked.prompt, seed)
    made[inner] = retouching.grained(retouched, mask, seed)
    return made


def _adapter(checkpoint: LocalFile) -> str:
    """Return the name of a checkpoint's LoRA.

    Raises:
        Refused: the file is none of safetensors', or nothing in it is a LoRA's.
    """
    beginning = f"The checkpoint is refused: {checkpoint.sha256[:16]}:"
    keys = _keys(checkpoint.path)
    if keys is None:
        raise Refused("CheckpointRefused", f"{beginning} it cannot be read as safetensors.")
    if not any(key.endswith(_LORA_ENDINGS) for key in keys):
        named = ", ".join(sorted(keys)[:3]) or "none"
        raise Refused("CheckpointRefused", f"{beginning} it would load nothing; its first keys are {named}.")
    return f"lora-{checkpoint.sha256[:16]}"


def _keys(path: Path) -> set[str] | None:
    """Return the names of a file's tensors; None if it is none of safetensors'.

    Source: safetensors' format: the header's length in 8 bytes, the header in JSON, the data.
    """
    data = path.read_bytes()
    if len(data) < 8:
        return None
    (length,) = struct.unpack("<Q", data[:8])
    try:
        header: dict[str, Any] = json.loads(data[8 : 8 + length])
    except ValueError:
        return None
    tensors = {name: tensor for name, tensor in header.items() if name != "__metadata__"}
    end = max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
    return set(tensors) if len(data) == 8 + length + end else None
