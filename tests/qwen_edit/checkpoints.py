"""Tiny checkpoints in the forms that trainers publish, and tiny requests."""

import io
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

import sagemaker_models.qwen_edit as package
from sagemaker_models.qwen_edit.parameters import QwenEditParameters
from sagemaker_models.serving.model import Request, unwatched

EXAMPLES = Path(package.__file__).with_name("examples")

#: Layers that the LoRAs here change.
TRAINED = ("attn.to_q", "attn.to_out.0", "attn.add_k_proj", "img_mlp.net.2", "img_mod.1", "txt_mlp.net.0.proj")


def lora_values(linears, *, rank=2, seed=0, size=0.5):
    """A and B of each trained layer."""
    random = torch.Generator().manual_seed(seed)
    return {
        name: (
            torch.randn(rank, in_features, generator=random) * size,
            torch.randn(out_features, rank, generator=random) * size,
        )
        for name, (out_features, in_features) in linears.items()
        if name.endswith(TRAINED)
    }


def diffusers_keys(values, prefix="transformer.", middle=""):
    down = {f"{prefix}{name}.lora_A{middle}.weight": a.contiguous() for name, (a, _) in values.items()}
    return down | {f"{prefix}{name}.lora_B{middle}.weight": b.contiguous() for name, (_, b) in values.items()}


def up_and_down_keys(values, prefix="", alpha=None, flat=False):
    state = {}
    for name, (a, b) in values.items():
        key = prefix + (name.replace(".", "_") if flat else name)
        state |= {f"{key}.lora_down.weight": a.contiguous(), f"{key}.lora_up.weight": b.contiguous()}
        if alpha is not None:
            state[f"{key}.alpha"] = torch.tensor(float(alpha))
    return state


def save_lora(path, state, metadata=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, path, metadata=metadata)
    return path


def save_task(weights, task, state, *, config=None, file="weights.safetensors"):
    """Put a checkpoint with its configuration, by default the example's, into a weights folder."""
    folder = weights / "tasks" / task
    save_lora(folder / file, state)
    if config is None:
        shutil.copy(EXAMPLES / f"{task}.yaml", folder / "qwen_edit.yaml")
    else:
        (folder / "qwen_edit.yaml").write_text(config)
    return folder


def changed(path, change):
    """Change the tensors of a file."""
    state = load_file(path)
    change(state)
    save_file(state, path, metadata={"format": "pt"})


def whole_state(base, *, scale=1.0):
    """The base transformer's weights, all of them scaled."""
    files = sorted((base / "transformer").glob("*.safetensors"))
    return {key: value * scale for file in files for key, value in load_file(file).items()}


def png(pixels, **options):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, "PNG", **options)
    return buffer.getvalue()


def photo(width=70, height=50, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def mask(width=70, height=50):
    made = np.zeros((height, width), np.uint8)
    made[height // 4 : height // 2, width // 4 : width // 2] = 255
    return made


def request(task="removal", *, inputs=None, progress=unwatched, files=None, **parameters):
    """A request for few steps, without guidance, at the picture's own size."""
    quick = {"steps": 2, "true_cfg": 1.0, "seed": 1, "input_quality": "original", "prompt": "a cat"}
    if inputs is None:
        inputs = {"image": png(photo())} | ({} if task == "white-balance" else {"mask": png(mask())})
    return Request(inputs, QwenEditParameters(task=task, **(quick | parameters)), "r-1", progress, files or {})


def opened(file):
    assert file.content_type == "image/png"
    return np.asarray(Image.open(io.BytesIO(file.body)))
