"""Random weights of Qwen-Image-Edit in the published layout, tiny or of the real size, for tests and measurements."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLQwenImage, FlowMatchEulerDiscreteScheduler, QwenImageTransformer2DModel
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as published
from torch import nn
from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

#: The tokenizer's marks, with numbers behind those of the 256 bytes.
MARKS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
NUMBERS = {mark: 256 + place for place, mark in enumerate(MARKS)}

#: Sampler of a relative of the family; the base's own file was not at hand.
SCHEDULER = {
    "base_image_seq_len": 256,
    "base_shift": 0.5,
    "max_image_seq_len": 8192,
    "max_shift": 0.9,
    "num_train_timesteps": 1000,
    "shift": 1.0,
    "shift_terminal": 0.02,
    "time_shift_type": "exponential",
    "use_dynamic_shifting": True,
}

INDEX = {
    "_class_name": "QwenImageEditPlusPipeline",
    "_diffusers_version": "0.36.0.dev0",
    "processor": ["transformers", "Qwen2VLProcessor"],
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "Qwen2_5_VLForConditionalGeneration"],
    "tokenizer": ["transformers", "Qwen2Tokenizer"],
    "transformer": ["diffusers", "QwenImageTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKLQwenImage"],
}

#: Of the picture processor, as Qwen2.5-VL's own folder has it.
PICTURES = {
    "do_convert_rgb": True,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_processor_type": "Qwen2VLImageProcessorFast",
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "max_pixels": 12845056,
    "merge_size": 2,
    "min_pixels": 3136,
    "patch_size": 14,
    "processor_class": "Qwen2VLProcessor",
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
    "size": {"longest_edge": 12845056, "shortest_edge": 3136},
    "temporal_patch_size": 2,
}


@dataclass(frozen=True)
class Size:
    """How large the networks are: what differs from their classes' defaults."""

    transformer: dict[str, Any]
    vae: dict[str, Any]
    words: dict[str, Any]
    vision: dict[str, Any]


REAL = Size(
    transformer={},
    vae={},
    words={
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "rope_scaling": {"mrope_section": [16, 24, 24], "rope_type": "default", "type": "default"},
        "vocab_size": 152064,
        "max_position_embeddings": 128000,
    },
    vision={"depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16, "out_hidden_size": 3584},
)

TINY = Size(
    transformer={
        "num_layers": 2,
        "attention_head_dim": 16,
        "num_attention_heads": 3,
        "joint_attention_dim": 16,
        "axes_dims_rope": (8, 4, 4),
    },
    vae={"base_dim": 8, "num_res_blocks": 1},
    words={
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "rope_scaling": {"mrope_section": [1, 1, 2], "rope_type": "default", "type": "default"},
        "vocab_size": 256 + len(MARKS),
        "max_position_embeddings": 8192,
        "bos_token_id": None,
        "eos_token_id": None,
    },
    vision={
        "depth": 2,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_heads": 2,
        "out_hidden_size": 16,
        "fullatt_block_indexes": [1],
    },
)


def drawn(size: Size, device: torch.device) -> dict[str, nn.Module]:
    """Build the three networks in bf16 on a device, where their weights are drawn, too: that takes seconds.

    Matrices are small random numbers, the norms' factors one, what is added zero, so that values stay in bounds.
    """
    with init_empty_weights():
        networks = networks_of(size)
    for network in networks.values():
        for module in network.modules():
            for name, parameter in module.named_parameters(recurse=False):
                values = torch.empty(parameter.shape, dtype=torch.bfloat16, device=device)
                if parameter.ndim > 1:
                    values.normal_(std=0.02)
                else:
                    values.fill_(1.0 if name in {"weight", "gamma"} else 0.0)
                module.register_parameter(name, nn.Parameter(values, requires_grad=False))
        network.to(device).eval()
    return networks


def networks_of(size: Size, *, zero_cond_t: bool = False) -> dict[str, nn.Module]:
    """Build the three networks, with the weights that their classes draw.

    Args:
        size: of them.
        zero_cond_t: how -2511 treats the conditional images; -2509 does not.
    """
    words = Qwen2_5_VLConfig(
        text_config=size.words,
        vision_config=size.vision,
        image_token_id=NUMBERS["<|image_pad|>"],
        video_token_id=NUMBERS["<|video_pad|>"],
        vision_start_token_id=NUMBERS["<|vision_start|>"],
        vision_end_token_id=NUMBERS["<|vision_end|>"],
    )
    return {
        "transformer": QwenImageTransformer2DModel(zero_cond_t=zero_cond_t, **size.transformer),
        "vae": AutoencoderKLQwenImage(**size.vae),
        "text_encoder": Qwen2_5_VLForConditionalGeneration(words),
    }


def write_base(folder: Path, size: Size, *, seed: int = 0, zero_cond_t: bool = False, shards: str = "10GB") -> Path:
    """Write a base: all parts in the published layout.

    Args:
        folder: gets it.
        size: of the networks.
        seed: of the weights.
        zero_cond_t: see `networks_of`.
        shards: size of the files that the transformer is cut into.
    """
    torch.manual_seed(seed)
    for part, network in networks_of(size, zero_cond_t=zero_cond_t).items():
        limits = {"max_shard_size": shards} if part == "transformer" else {}
        network.to(torch.bfloat16).save_pretrained(folder / part, **limits)
    FlowMatchEulerDiscreteScheduler(**SCHEDULER).save_pretrained(folder / "scheduler")
    write_words(folder)
    _write(folder / "model_index.json", INDEX)
    return folder


def write_words(folder: Path) -> None:
    """Write tokenizer and processor: every byte is a word, and the marks are known."""
    for part in ("tokenizer", "processor"):
        (folder / part).mkdir(parents=True, exist_ok=True)
        _write(folder / part / "vocab.json", {symbol: number for number, symbol in enumerate(_symbols())})
        (folder / part / "merges.txt").write_text("#version: 0.2\n", encoding="utf-8")
        _write(folder / part / "added_tokens.json", NUMBERS)
        _write(folder / part / "tokenizer_config.json", _tokenizer())
    _write(folder / "processor" / "preprocessor_config.json", PICTURES)
    _write(folder / "processor" / "video_preprocessor_config.json", {"video_processor_type": "Qwen2VLVideoProcessor"})
    (folder / "processor" / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")


@contextmanager
def small_areas(vae_px: int = 64, encoder_px: int = 56) -> Iterator[None]:
    """Let the pipeline look at its images small, for speed: it enlarges even tiny ones to a megapixel.

    This is the one place that touches the pipeline's two constants, and only tests and dry runs of the bench use it.

    Args:
        vae_px: side of the square whose area an image gets for the VAE.
        encoder_px: the same for the text encoder.
    """
    before = published.VAE_IMAGE_SIZE, published.CONDITION_IMAGE_SIZE
    published.VAE_IMAGE_SIZE, published.CONDITION_IMAGE_SIZE = vae_px**2, encoder_px**2
    try:
        yield
    finally:
        published.VAE_IMAGE_SIZE, published.CONDITION_IMAGE_SIZE = before


def _symbols() -> list[str]:
    """Return what stands for each byte in vocabularies of this kind (GPT-2's): a letter that can be seen."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in seen]
    letters = {byte: chr(byte) for byte in seen} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    return [letters[byte] for byte in range(256)]


def _tokenizer() -> dict[str, Any]:
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False, "special": True}
    return {
        "add_bos_token": False,
        "add_prefix_space": False,
        "added_tokens_decoder": {str(number): {"content": mark, **plain} for mark, number in NUMBERS.items()},
        "additional_special_tokens": [*MARKS[1:]],
        "bos_token": None,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|im_end|>",
        "errors": "replace",
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "split_special_tokens": False,
        "tokenizer_class": "Qwen2Tokenizer",
        "unk_token": None,
    }


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
