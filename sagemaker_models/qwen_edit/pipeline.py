"""The pipeline, from a local folder in the published layout, checked part by part."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from diffusers import (
    AutoencoderKLQwenImage,
    FlowMatchEulerDiscreteScheduler,
    QwenImageEditPlusPipeline,
    QwenImageTransformer2DModel,
)
from transformers import Qwen2_5_VLForConditionalGeneration

from sagemaker_models.qwen_edit.placement import Sizes
from sagemaker_models.qwen_edit.processor import PictureProcessor, load_processor
from sagemaker_models.qwen_edit.tensors import listed
from sagemaker_models.serving.memory import is_out_of_memory
from sagemaker_models.serving.model import WeightsInvalid

#: What the published folder's index names; other classes of the family are given their images in other ways.
PIPELINE = "QwenImageEditPlusPipeline"

#: The parts that are networks.
NETWORKS = {
    "transformer": QwenImageTransformer2DModel,
    "vae": AutoencoderKLQwenImage,
    "text_encoder": Qwen2_5_VLForConditionalGeneration,
}

_OTHERS = ("tokenizer", "processor", "scheduler")


def weight_files(base: Path, part: str) -> list[Path]:
    """Return the files of a network's weights."""
    return sorted((base / part).glob("*.safetensors"))


def sizes_of(base: Path) -> Sizes:
    """Return how large the networks are; they are published with 16 bits.

    Raises:
        WeightsInvalid: the folder is no base, or a part has no weights.
    """
    _check_index(base)
    files = {part: weight_files(base, part) for part in NETWORKS}
    if empty := [part for part, found in files.items() if not found]:
        raise WeightsInvalid(f"base/{empty[0]} holds no *.safetensors")
    return Sizes(**{part: sum(path.stat().st_size for path in found) for part, found in files.items()})


def load_pipeline(base: Path) -> Any:
    """Load all parts into the host's memory, in bf16.

    Raises:
        WeightsInvalid: a part is missing, broken, has other keys or shapes than its network, or does not fit the rest.
    """
    _check_index(base)
    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()
    networks = {part: loaded(part, partial(_network, base, part)) for part in NETWORKS}
    processor = loaded("processor", lambda: load_processor(base))
    scheduler = loaded(
        "scheduler", lambda: FlowMatchEulerDiscreteScheduler.from_pretrained(base / "scheduler", local_files_only=True)
    )
    return assembled(networks, processor, scheduler)


def assembled(networks: dict[str, Any], processor: PictureProcessor, scheduler: Any) -> Any:
    """Put a pipeline together.

    Args:
        networks: by the names of `NETWORKS`.
        processor: of words and pictures.
        scheduler: the sampler.

    Raises:
        WeightsInvalid: the parts do not belong together.
    """
    _check_fit(**networks, processor=processor)
    networks["text_encoder"].register_forward_pre_hook(tell_pictures, with_kwargs=True)
    pipe = QwenImageEditPlusPipeline(
        scheduler=scheduler, tokenizer=processor.tokenizer, processor=processor, **networks
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def tell_pictures(encoder: Any, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Tell the text encoder which tokens are of pictures, so that these get their places in rows and columns.

    transformers 5 wants to be told; diffusers 0.42.1 does not, and the pictures' tokens were then placed in one line,
    without a word, unlike in training.

    Source: github.com/huggingface/diffusers/issues/14194, read 2026-11-21.
    """
    ids = named.get("input_ids")
    if ids is not None and named.get("mm_token_type_ids") is None:
        named["mm_token_type_ids"] = (ids == encoder.config.image_token_id).int()
    return arguments, named


def _check_index(base: Path) -> None:
    try:
        index = json.loads((base / "model_index.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsInvalid(
            "base/model_index.json is missing; base should be Qwen-Image-Edit-2509 or -2511 in diffusers' layout"
        ) from error
    except (OSError, ValueError) as error:
        raise WeightsInvalid(f"base/model_index.json cannot be read: {error}") from error
    found = index.get("_class_name") if isinstance(index, dict) else None
    if found != PIPELINE:
        raise WeightsInvalid(f"base is a {found}; it should be a {PIPELINE}, such as Qwen-Image-Edit-2509 or -2511")
    for part in (*NETWORKS, *_OTHERS):
        if not (base / part).is_dir():
            raise WeightsInvalid(f"base has no folder {part}")


def loaded(part: str, load: Callable[[], Any]) -> Any:
    """Load a part.

    Raises:
        WeightsInvalid: it is missing, or broken; memory that is short is another thing, and passes.
    """
    try:
        return load()
    except WeightsInvalid:
        raise
    except Exception as error:  # the library of tokens raises nothing narrower
        if is_out_of_memory(error):
            raise
        brief = " ".join(str(error).split())[:200] or type(error).__name__
        raise WeightsInvalid(f"base/{part} cannot be loaded: {brief}") from error


def _network(base: Path, part: str) -> Any:
    network, found = NETWORKS[part].from_pretrained(
        base / part, dtype=torch.bfloat16, local_files_only=True, use_safetensors=True, output_loading_info=True
    )
    for kind, what in (("missing_keys", "lacks"), ("unexpected_keys", "has the unknown")):
        if found[kind]:
            raise WeightsInvalid(f"base/{part} {what} {len(found[kind])} keys: {listed(sorted(found[kind]))}")
    return network.eval().requires_grad_(requires_grad=False)


def _check_fit(*, transformer: Any, vae: Any, text_encoder: Any, processor: Any) -> None:
    pairs = {
        "features of a word": (transformer.config.joint_attention_dim, text_encoder.config.text_config.hidden_size),
        "latent channels": (transformer.config.in_channels, 4 * vae.config.z_dim),
        "number of the picture mark": (processor.image_token_id, text_encoder.config.image_token_id),
    }
    for what, (one, other) in pairs.items():
        if one != other:
            raise WeightsInvalid(f"base is made of parts that do not belong together: {what} {one} and {other}")
