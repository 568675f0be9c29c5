"""Node classes as `GET /object_info` shows them, and the model files that the loaders list.

They are the packaged classes of ComfyUI 0.3.64, of which only those parts are left that Backlot reads, and the
tooltips, which ComfyUI repeats where it refuses a value. What a front end shows besides is not answered.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args

from cdk.gpu_models import Folder, Manifest

_TOOLTIPS = Path(__file__).with_name("tooltips.json")

#: What lies in the folders of models: the files that the lane publishes.
MODELS: dict[str, list[str]] = {
    folder: sorted(model.name for model in Manifest.read().root if model.folder == folder)
    for folder in get_args(Folder)
}

#: Which field of which loader lists which folder.
LOADERS = {
    ("CheckpointLoaderSimple", "ckpt_name"): "checkpoints",
    ("UNETLoader", "unet_name"): "diffusion_models",
    ("LoraLoaderModelOnly", "lora_name"): "loras",
    ("CLIPLoader", "clip_name"): "text_encoders",
    ("VAELoader", "vae_name"): "vae",
}

#: Fields that name a file of the input folder, and are checked by its being there, not by the list.
UPLOADS = {("LoadImage", "image"), ("LoadImageMask", "image")}


@dataclass(frozen=True)
class Input:
    """A field of a node.

    Args:
        type: of the value, or what it may be.
        options: `min`, `max` and more.
        is_required: whether it has to be there.
    """

    type: str | list[Any]
    options: dict[str, Any]
    is_required: bool

    @property
    def config(self) -> list[Any]:
        """How errors show it."""
        return [self.type, self.options]


@dataclass(frozen=True)
class NodeClass:
    """A class of nodes, by its entry in `object_info`."""

    info: dict[str, Any]

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """Required and optional fields."""
        return {
            name: Input(entry[0], entry[1] if len(entry) > 1 else {}, category == "required")
            for category in ("required", "optional")
            for name, entry in self.info["input"].get(category, {}).items()
        }

    @property
    def outputs(self) -> tuple[str, ...]:
        """Types of the outputs."""
        return tuple(self.info["output"])

    @property
    def is_output(self) -> bool:
        """Whether a prompt may end here."""
        return bool(self.info["output_node"])


def load(names: Collection[str], *, is_new: bool) -> dict[str, NodeClass]:
    """Return classes, the loaders with the models that they find.

    Args:
        names: of the classes.
        is_new: whether as in 0.33, or as in 0.3.64.
    """
    packaged = json.loads((files("backlot.comfyui") / "object_info.json").read_text("utf-8"))
    classes = {name: packaged[name] for name in packaged if name in names}
    for name, tooltips in json.loads(_TOOLTIPS.read_text("utf-8")).items():
        inputs = classes[name]["input"]
        for field, tooltip in tooltips.items():
            _, options = inputs["required"].get(field) or inputs["optional"][field]
            options["tooltip"] = tooltip
    if is_new:
        classes["CFGNorm"]["input"]["optional"] = {"pre_cfg": ["BOOLEAN", {"default": False}]}
        for name in ("PreviewImage", "SaveAnimatedWEBP", "SaveImage"):
            classes[name]["output"] = ["IMAGE"]
    for (name, field), folder in LOADERS.items():
        classes[name]["input"]["required"][field][0] = MODELS[folder]
    return {name: NodeClass(info) for name, info in classes.items()}


def shown(name: str, node_class: NodeClass, uploads: list[str]) -> dict[str, Any]:
    """Return a class' entry in `object_info` with the files that can be loaded now."""
    info: dict[str, Any] = json.loads(json.dumps(node_class.info))
    for owner, field in UPLOADS:
        if owner == name:
            info["input"]["required"][field][0] = uploads
    return info
