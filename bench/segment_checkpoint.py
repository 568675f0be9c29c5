"""Random weights in the published layouts, for tests and measurements: SAM 2.1 of any size, and small ONNX networks."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from transformers import Sam2Config, Sam2Model

from sagemaker_models.segment.sam import MEAN, STD


@dataclass(frozen=True)
class Sizes:
    """Sizes of SAM, as in its configuration.

    Args:
        picture_px: side of the input.
        backbone: of the encoder.
        vision: of the maps that it makes, without the backbone.
        hidden: width of prompts and decoder.
        decoder: more of the decoder.
    """

    picture_px: int
    backbone: dict[str, Any] = field(default_factory=dict)
    vision: dict[str, Any] = field(default_factory=dict)
    hidden: int = 256
    decoder: dict[str, Any] = field(default_factory=dict)

    def config(self) -> Sam2Config:
        """Return transformers' configuration."""
        side = self.picture_px
        return Sam2Config(
            vision_config={
                "backbone_config": {"model_type": "sam2_hiera_det_model", "image_size": [side, side], **self.backbone},
                "backbone_feature_sizes": [[side // stride] * 2 for stride in (4, 8, 16)],
                "fpn_hidden_size": self.hidden,
                **self.vision,
            },
            prompt_encoder_config={"hidden_size": self.hidden, "image_size": side},
            mask_decoder_config={"hidden_size": self.hidden, **self.decoder},
        )


#: SAM 2.1 tiny's, which are transformers' defaults, and the smallest that run.
PUBLISHED_TINY = Sizes(1024)
SMALLEST = Sizes(
    128,
    backbone={
        "hidden_size": 8,
        "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 2, 4, 8],
        "blocks_per_stage": [1, 2, 3, 2],
        "global_attention_blocks": [4, 5],
    },
    vision={"backbone_channel_list": [64, 32, 16, 8]},
    hidden=32,
    # Random masks are never stable, so that the one for boxes would always be replaced by one of the three for clicks.
    decoder={
        "mlp_dim": 32,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 32,
        "dynamic_multimask_stability_thresh": 0.0,
    },
)


def write_sam(folder: Path, sizes: Sizes, *, seed: int = 0) -> Path:
    """Write SAM's folder.

    Returns:
        the folder.
    """
    torch.manual_seed(seed)
    network = Sam2Model(sizes.config()).eval()
    # Training leaves one table under two names.
    network.prompt_encoder.shared_embedding.load_state_dict(network.shared_image_embedding.state_dict())
    network.save_pretrained(folder)
    said = {
        "image_processor_type": "Sam2ImageProcessorFast",
        "size": {"height": sizes.picture_px, "width": sizes.picture_px},
        "image_mean": MEAN,
        "image_std": STD,
        "resample": 2,
        "rescale_factor": 1 / 255,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(said), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Bright:
    """A network that takes what is bright for the subject: g·(mean of the channels as given - t), maybe its sigmoid.

    Args:
        size_px: side of the input; None leaves it open.
        gain: g.
        threshold: t, in the network's own values.
        logits: whether the sigmoid is left to the user.
        more_outputs: how many others follow, all of the value 1.
        half: whether it works in float16.
    """

    size_px: int | None
    gain: float = 40.0
    threshold: float = 0.0
    logits: bool = False
    more_outputs: int = 0
    half: bool = False


def write_network(path: Path, network: Bright) -> Path:
    """Write an ONNX file.

    Returns:
        its path.
    """
    kind, values = (TensorProto.FLOAT16, np.float16) if network.half else (TensorProto.FLOAT, np.float32)
    side: int | str = network.size_px or "side"
    weight = np.full((1, 3, 1, 1), network.gain / 3, values)
    bias = np.array([-network.gain * network.threshold], values)
    first = "before" if network.logits else "first"
    nodes = [helper.make_node("Conv", ["input", "weight", "bias"], ["before"])]
    if not network.logits:
        nodes.append(helper.make_node("Sigmoid", ["before"], ["first"]))
    names = [f"other{number}" for number in range(network.more_outputs)]
    for name in names:
        nodes += [
            helper.make_node("Sub", [first, first], [f"{name}.nothing"]),
            helper.make_node("Add", [f"{name}.nothing", "one"], [name]),
        ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("input", kind, [1, 3, side, side])],
        [helper.make_tensor_value_info(name, kind, [1, 1, side, side]) for name in (first, *names)],
        [
            numpy_helper.from_array(weight, "weight"),
            numpy_helper.from_array(bias, "bias"),
            numpy_helper.from_array(np.ones((), values), "one"),
        ],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, path)
    return path
