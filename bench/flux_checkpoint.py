"""A random checkpoint of FLUX and PuLID in the published layout, of the published sizes or of tiny ones."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import transformers
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from sagemaker_models.flux import antelope, identity, parsing, pulid, vision
from sagemaker_models.flux.checkpoint import FLUX

#: Symbols of the tokenizers: every byte, as CLIP's vocabulary writes it, and what can be printed for T5's.
_BYTES = sorted(chr(code) for code in (*range(33, 127), *range(161, 173), *range(174, 256), *range(256, 324)))
_PRINTABLE = [chr(code) for code in range(33, 127)]


@dataclass(frozen=True)
class Scale:
    """Sizes of all parts.

    Args:
        transformer: of FluxTransformer2DModel.
        clip: of CLIPTextConfig.
        t5: of T5Config.
        vae: of AutoencoderKL.
    """

    transformer: dict[str, Any]
    clip: dict[str, Any]
    t5: dict[str, Any]
    vae: dict[str, Any]
    pulid: pulid.Sizes
    tower: vision.Sizes


PUBLISHED = Scale(
    transformer={},
    clip={"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    t5={"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64},
    vae={
        "block_out_channels": (128, 256, 512, 512),
        "layers_per_block": 2,
        "latent_channels": 16,
        "norm_num_groups": 32,
    },
    pulid=pulid.PUBLISHED,
    tower=vision.PUBLISHED,
)

TINY = Scale(
    transformer={
        "in_channels": 16,
        "num_layers": 3,
        "num_single_layers": 5,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": 32,
        "pooled_projection_dim": 32,
        "axes_dims_rope": (4, 6, 6),
    },
    clip={"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 4},
    t5={"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4},
    vae={"block_out_channels": (4, 4, 4, 4), "layers_per_block": 1, "latent_channels": 4, "norm_num_groups": 1},
    pulid=pulid.Sizes(
        face=524,
        vision=16,
        hidden=16,
        width=16,
        heads=2,
        depth=5,
        expansion=2,
        face_tokens=2,
        queries=3,
        identity=24,
        image=32,
        image_heads=2,
        image_head=8,
        modules=4,
    ),
    tower=vision.Sizes(image_px=28, patch_px=7, trained_patches=2, width=16, heads=2, inner=20, depth=21, meaning=12),
)


class Writer:
    """Writes random checkpoints.

    Args:
        folder: that gets the files.
        scale: of the parts.
        device: where the numbers are drawn; large ones are drawn faster on a GPU.
        dtype: in which they are stored.
    """

    def __init__(self, folder: Path, scale: Scale, device: str = "cpu", dtype: torch.dtype = torch.bfloat16) -> None:
        self._folder, self._scale, self._device, self._dtype = folder, scale, device, dtype
        self._random = torch.Generator(device).manual_seed(0)

    def flux(self, variant: str) -> None:
        """Write the folder `flux/`, of schnell or dev."""
        root, scale = self._folder / FLUX, self._scale
        clip = _clip_tokenizer(root / "tokenizer")
        t5 = _t5_tokenizer(root / "tokenizer_2")
        guided = variant == "dev"
        self._model(FluxTransformer2DModel, root / "transformer", {**scale.transformer, "guidance_embeds": guided})
        vae = {
            "down_block_types": ("DownEncoderBlock2D",) * 4,
            "up_block_types": ("UpDecoderBlock2D",) * 4,
            "use_quant_conv": False,
            "use_post_quant_conv": False,
            "shift_factor": 0.1159,
            "scaling_factor": 0.3611,
            **scale.vae,
        }
        self._model(AutoencoderKL, root / "vae", vae)
        ids = {"bos_token_id": clip.bos_token_id, "eos_token_id": clip.eos_token_id, "pad_token_id": clip.pad_token_id}
        clip_config = transformers.CLIPTextConfig(vocab_size=len(clip), projection_dim=16, **ids, **scale.clip)
        self._encoder(transformers.CLIPTextModel, clip_config, root / "text_encoder", prefix="text_model.")
        t5_config = transformers.T5Config(vocab_size=len(t5), feed_forward_proj="gated-gelu", **scale.t5)
        self._encoder(transformers.T5EncoderModel, t5_config, root / "text_encoder_2", prefix="")
        FlowMatchEulerDiscreteScheduler(shift=3.0 if guided else 1.0, use_dynamic_shifting=guided).save_pretrained(
            root / "scheduler"
        )
        (root / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))

    def identity(self) -> None:
        """Write what identities need beside it; the face models are none, but have the published forms."""
        with torch.device("meta"):
            injected, tower, parser = pulid.Pulid(self._scale.pulid), vision.Tower(self._scale.tower), parsing.Parser()
        save_file(self._state(injected), self._folder / identity.PULID)
        visual = {f"visual.{key}": value for key, value in self._state(tower).items()}
        torch.save(visual, self._folder / f"{identity.TOWER}.pt")
        torch.save(self._state(parser), self._folder / identity.PARSER)
        faces = self._folder / antelope.FOLDER
        faces.mkdir(exist_ok=True)
        write_detector(faces / antelope.DETECTOR)
        write_embedder(faces / antelope.EMBEDDER)

    def _model(self, kind: Any, folder: Path, config: dict[str, Any]) -> None:
        with torch.device("meta"):
            made = kind(**config)
        made.load_state_dict(self._state(made), assign=True)
        made.save_pretrained(folder)

    def _encoder(self, kind: Any, config: Any, folder: Path, *, prefix: str) -> None:
        """Write a text encoder with the published keys, which transformers 5 has changed for itself."""
        with torch.device("meta"):
            state = kind(config).state_dict()
        tied = {"encoder.embed_tokens.weight"}
        config.save_pretrained(folder)
        made = {f"{prefix}{key}": self._values(key, value).cpu() for key, value in state.items() if key not in tied}
        save_file(made, folder / "model.safetensors")

    def _state(self, module: Any) -> dict[str, torch.Tensor]:
        return {key: self._values(key, value).cpu() for key, value in module.state_dict().items()}

    def _values(self, key: str, like: torch.Tensor) -> torch.Tensor:
        if not like.is_floating_point():
            return torch.zeros(like.shape, dtype=like.dtype)
        drawn = torch.empty(like.shape, dtype=self._dtype, device=self._device).normal_(generator=self._random)
        if key.endswith("running_var"):
            return drawn.abs() + 0.5
        if like.ndim < 2:
            return 0.1 * drawn + (1 if key.endswith("weight") else 0)
        return drawn / like[0].numel() ** 0.5


def _clip_tokenizer(folder: Path) -> Any:
    symbols = [*_BYTES, *(f"{symbol}</w>" for symbol in _BYTES), "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({each: place for place, each in enumerate(symbols)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    ends = {"bos_token": symbols[-2], "eos_token": symbols[-1], "pad_token": symbols[-1], "unk_token": symbols[-1]}
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 77, **ends}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return transformers.CLIPTokenizer.from_pretrained(folder, local_files_only=True)


def _t5_tokenizer(folder: Path) -> Any:
    pieces = [(piece, 0.0) for piece in ("<pad>", "</s>", "<unk>")]
    pieces += [(piece, -2.0) for piece in ("▁", *_PRINTABLE)]
    made = transformers.T5TokenizerFast(vocab=pieces, extra_ids=0)
    made.save_pretrained(folder)
    return made


def write_detector(path: Path) -> None:
    """Write a detector in SCRFD's form that takes any cell of red for the middle of a face.

    A cell's score is the mean of its red less that of its green; the box reaches 3 cells to each side, and the points
    lie as those of a face.
    """
    nodes, outputs, constants = [], [], []

    def constant(name: str, values: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    points = [offset for x, y in ((-1, -0.6), (1, -0.6), (0, 0.2), (-0.8, 1), (0.8, 1)) for offset in (x, y)]
    for stride in antelope.STRIDES:
        kernel = np.zeros((antelope.BOXES, 3, stride, stride), np.float32)
        kernel[:, 0], kernel[:, 1] = 0.5 / stride**2, -0.5 / stride**2
        weight = constant(f"kernel_{stride}", kernel)
        nodes += [
            helper.make_node("Conv", ["pixels", weight], [f"map_{stride}"], strides=[stride, stride]),
            helper.make_node("Transpose", [f"map_{stride}"], [f"cells_{stride}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"cells_{stride}", constant(f"flat_{stride}", [-1, 1])], [f"score_{stride}"]),
        ]
        for name, values in (("box", [3.0] * 4), ("points", points)):
            row = constant(f"{name}_row_{stride}", np.array([values], np.float32))
            zero = constant(f"{name}_zero_{stride}", np.zeros((1, 1), np.float32))
            nodes += [
                helper.make_node("Mul", [f"score_{stride}", zero], [f"{name}_nothing_{stride}"]),
                helper.make_node("Add", [f"{name}_nothing_{stride}", row], [f"{name}_{stride}"]),
            ]
    for name, length in (("score", 1), ("box", 4), ("points", 10)):
        outputs += [
            helper.make_tensor_value_info(f"{name}_{stride}", TensorProto.FLOAT, [f"n{stride}", length])
            for stride in antelope.STRIDES
        ]
    _save(path, nodes, constants, [1, 3, "height", "width"], outputs)


def write_embedder(path: Path) -> None:
    """Write an embedder in ArcFace's form: means of 8x8 cells, multiplied by a random matrix."""
    matrix = np.random.default_rng(0).normal(0, 0.1, (3 * 14 * 14, antelope.LENGTH)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["cells"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "matrix"], ["face"]),
    ]
    face = helper.make_tensor_value_info("face", TensorProto.FLOAT, ["n", antelope.LENGTH])
    _save(path, nodes, [numpy_helper.from_array(matrix, "matrix")], ["n", 3, 112, 112], [face])


def _save(path: Path, nodes: list[Any], constants: list[Any], taken: list[Any], outputs: list[Any]) -> None:
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, taken)
    graph = helper.make_graph(nodes, path.stem, [pixels], outputs, constants)
    # onnxruntime is behind onnx in what it reads.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
