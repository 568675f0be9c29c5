"""Loaders, encoders and the decoder: they carry along what they stand for, and the decoder draws it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from local.stand_ins.comfyui.effects import Wish, draw
from local.stand_ins.comfyui.nodes.images import Images

#: A latent pixel covers so many pixels each way.
LATENT_PX = 8


@dataclass(frozen=True)
class Model:
    """A model of any kind: the files that it was loaded from."""

    files: tuple[str, ...]


@dataclass(frozen=True)
class Conditioning:
    """An instruction.

    Args:
        text: in the user's words.
        pictures: that it speaks of, each (H, W, 3).
    """

    text: str
    pictures: tuple[Images, ...] = ()


@dataclass(frozen=True)
class Latent:
    """What is decoded to images.

    Args:
        width: pixels.
        height: pixels.
        count: how many images.
        pixels: (B, H, W, 3) of an encoded image; None for an empty latent.
        wish: what a sampler has made of it.
    """

    width: int
    height: int
    count: int
    pixels: Images | None = None
    wish: Wish | None = None


def decoded(latent: Latent) -> Images:
    """Return the images that a latent stands for: what was wished for, what was encoded, or grey."""
    if latent.wish is not None:
        drawn = [draw(latent.wish, latent.width, latent.height, index) for index in range(latent.count)]
        return np.stack(drawn)
    if latent.pixels is not None:
        return latent.pixels
    return np.full((latent.count, latent.height, latent.width, 3), 0.5, np.float32)


def _encoded(pixels: Images, vae: Model) -> tuple[Any, ...]:  # noqa: ARG001
    """Cut the middle to a multiple of a latent's pixel, as ComfyUI does."""
    count, height, width = pixels.shape[:3]
    top, left = height % LATENT_PX // 2, width % LATENT_PX // 2
    height, width = height // LATENT_PX * LATENT_PX, width // LATENT_PX * LATENT_PX
    return (Latent(width, height, count, pixels[:, top : top + height, left : left + width]),)


def _empty(width: int, height: int, batch_size: int) -> tuple[Any, ...]:
    return (Latent(width // LATENT_PX * LATENT_PX, height // LATENT_PX * LATENT_PX, batch_size),)


def _with_lora(model: Model, lora_name: str, strength_model: float) -> tuple[Any, ...]:
    return (Model((*model.files, f"{lora_name} at {strength_model}")),)


def _with_pictures(
    clip: Model,  # noqa: ARG001
    prompt: str,
    vae: Model | None = None,  # noqa: ARG001
    **pictures: Images | None,
) -> tuple[Any, ...]:
    return (Conditioning(prompt, tuple(each[0] for _, each in sorted(pictures.items()) if each is not None)),)


NODES: Mapping[str, Callable[..., tuple[Any, ...]]] = {
    "UNETLoader": lambda unet_name, weight_dtype: (Model((f"{unet_name} as {weight_dtype}",)),),
    "CLIPLoader": lambda clip_name, type, device="default": (Model((f"{clip_name} as {type} on {device}",)),),  # noqa: A006
    "VAELoader": lambda vae_name: (Model((vae_name,)),),
    "CheckpointLoaderSimple": lambda ckpt_name: (Model((ckpt_name,)),) * 3,
    "LoraLoaderModelOnly": _with_lora,
    "ModelSamplingAuraFlow": lambda model, shift: (Model((*model.files, f"shift {shift}")),),
    "CFGNorm": lambda model, strength: (Model((*model.files, f"norm {strength}")),),
    "TextEncodeQwenImageEdit": _with_pictures,
    "TextEncodeQwenImageEditPlus": _with_pictures,
    "CLIPTextEncode": lambda text, clip: (Conditioning(text),),  # noqa: ARG005
    "ConditioningZeroOut": lambda conditioning: (replace(conditioning, text=""),),
    "FluxGuidance": lambda conditioning, guidance: (conditioning,),  # noqa: ARG005
    "ReferenceLatent": lambda conditioning, latent=None: (
        conditioning if latent is None else replace(conditioning, pictures=(*conditioning.pictures, *decoded(latent))),
    ),
    "VAEEncode": _encoded,
    "VAEDecode": lambda samples, vae: (decoded(samples),),  # noqa: ARG005
    "EmptyLatentImage": _empty,
    "EmptySD3LatentImage": _empty,
    "PrimitiveInt": lambda value: (value,),
    "PrimitiveFloat": lambda value: (value,),
    "PrimitiveString": lambda value: (value,),
}
