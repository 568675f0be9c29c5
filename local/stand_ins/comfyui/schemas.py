"""Node classes as `GET /object_info` shows them, and the model files that the loaders list."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent

#: Answers of a real ComfyUI 0.3.64 without models, and more of its classes.
SOURCES = (_HERE / "object_info.json", _HERE / "more_object_info.json")

#: What lies in the folders of models: the files of our workflows and those of ComfyUI's own templates.
MODELS = {
    "checkpoints": ["Qwen-Rapid-AIO-NSFW-v11.safetensors", "Qwen-Rapid-AIO-SFW-v11.safetensors"],
    "diffusion_models": [
        "Qwen-Image-Edit-2509_fp8_e4m3fn.safetensors",
        "qwen_image_edit_2509_fp8_e4m3fn.safetensors",
    ],
    "loras": [
        "Qwen-Image-Edit-2509-Lightning-4steps-V1.0-bf16.safetensors",
        "Qwen-Image-Edit-2509-Lightning-8steps-V1.0-bf16.safetensors",
        "Qwen-Image-Lightning-8steps-V1.1.safetensors",
        "镜头转换.safetensors",
    ],
    "text_encoders": ["qwen_2.5_vl_7b.safetensors", "qwen_2.5_vl_7b_fp8_scaled.safetensors"],
    "vae": ["qwen_image_vae.safetensors"],
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


def load(*, is_new: bool) -> dict[str, NodeClass]:
    """Return all classes, the loaders with the models that they find.

    Args:
        is_new: whether as in 0.33, or as in 0.3.64.
    """
    classes: dict[str, Any] = {}
    for source in SOURCES:
        classes |= json.loads(source.read_text())
    if is_new:
        classes["CFGNorm"]["input"]["optional"] = {"pre_cfg": ["BOOLEAN", {"default": False}]}
        for name in ("PreviewImage", "SaveAnimatedWEBP", "SaveImage"):
            classes[name] |= {"output": ["IMAGE"], "output_is_list": [False], "output_name": ["IMAGE"]}
    for (name, field), folder in LOADERS.items():
        listed = classes[name]["input"]["required"][field]
        listed[0] = [*MODELS[folder], *listed[0]]
    return {name: NodeClass(info) for name, info in classes.items()}


def shown(name: str, node_class: NodeClass, uploads: list[str]) -> dict[str, Any]:
    """Return a class' entry in `object_info` with the files that can be loaded now."""
    info: dict[str, Any] = json.loads(json.dumps(node_class.info))
    for owner, field in UPLOADS:
        if owner == name:
            info["input"]["required"][field][0] = uploads
    return info
