"""The folder of weights: what lies where, and how it is checked and loaded.

    prompts/                     transformers' folder of SAM 2.1 (tiny, small, base-plus or large), as published
        config.json  model.safetensors  preprocessor_config.json or processor_config.json
    backgrounds/fast.onnx        IS-Net or U2-Net
    backgrounds/best.onnx        BiRefNet
    config.yaml                  optional, see config.py

One of the three is enough; what the others are for is refused. SAM's folder is published for videos: what only these
need is left out.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub.errors import StrictDataclassError
from transformers import Sam2Config, Sam2Model

from sagemaker_models.flux.tensors import BROKEN, brief, fill, read
from sagemaker_models.schp.checkpoint import hash_of
from sagemaker_models.segment.backgrounds import Background
from sagemaker_models.segment.config import Config, read_config
from sagemaker_models.segment.errors import OutputInvalid
from sagemaker_models.segment.licences import BACKGROUNDS as LICENCES
from sagemaker_models.segment.licences import SAM
from sagemaker_models.segment.parameters import Quality
from sagemaker_models.segment.prompts import Prompt
from sagemaker_models.segment.sam import MEAN, STD, Frame, Sam
from sagemaker_models.serving.model import WeightsInvalid

PROMPTS, BACKGROUNDS = "prompts", "backgrounds"
QUALITIES: tuple[Quality, ...] = ("fast", "best")

#: Kinds of folders: SAM 2 for pictures, and for videos, which holds the same and more.
_KINDS = ("sam2", "sam2_video")

#: Weights of the video part.
_OF_VIDEOS = re.compile("|".join(Sam2Model._keys_to_ignore_on_load_unexpected))

#: The same table under two names, of which a file may have one.
_TABLE, _SAME_TABLE = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)

#: Of the networks' cells at the three scales, pixels.
_STRIDES = (4, 8, 16)


@dataclass(frozen=True)
class Found:
    """What a folder has.

    Args:
        prompts: SAM's folder, None if it is not there.
        backgrounds: ONNX files by quality, those that are there.
    """

    prompts: Path | None
    backgrounds: dict[Quality, Path]


def look(folder: Path) -> Found:
    """Look what a folder has.

    Raises:
        WeightsInvalid: nothing.
    """
    prompts = folder / PROMPTS
    backgrounds = {each: path for each in QUALITIES if (path := folder / BACKGROUNDS / f"{each}.onnx").is_file()}
    found = Found(prompts if prompts.is_dir() else None, backgrounds)
    if found.prompts is None and not backgrounds:
        raise WeightsInvalid(
            f"{folder} holds none of {PROMPTS}/, {BACKGROUNDS}/fast.onnx, {BACKGROUNDS}/best.onnx; see docs/models.md"
        )
    return found


def load_sam(folder: Path, device: str, half: torch.dtype | None) -> tuple[Sam, dict[str, Any]]:
    """Load SAM.

    Args:
        folder: as published in transformers' layout.
        device: `cpu` or `cuda`.
        half: see `Sam`.

    Returns:
        SAM, and what it is.

    Raises:
        WeightsInvalid: something is missing, broken or of another model.
    """
    size_px, network = _empty(folder)
    path = folder / "model.safetensors"
    name = f"{PROMPTS}/{path.name}"
    if not path.is_file():
        raise WeightsInvalid(
            f"{name} is missing; copy the published folder in transformers' layout (the *.pt is of another library)"
        )
    state = {key: value for key, value in read(path).items() if not _OF_VIDEOS.match(key)}
    for one, other in ((_TABLE, _SAME_TABLE), (_SAME_TABLE, _TABLE)):
        if other in state:
            state.setdefault(one, state[other])
    fill(network, state, name, torch.float32)
    network.to(device)
    numbers = sum(each.numel() for each in network.parameters())
    about = {"kind": "sam2", "parameters": numbers, "size_px": size_px, "sha256": hash_of(path)}
    return Sam(network, _frame(folder, size_px), device, half), about


def check(path: Path) -> dict[str, Any]:
    """Check a folder before it is published, and let each network look at a picture.

    Returns:
        What each part is, and their licences.

    Raises:
        WeightsInvalid: something is missing, broken or of another model, or makes nothing that can be used.
    """
    found, config = look(path), read_config(path)
    picture = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
    described: dict[str, Any] = {}
    licences = []
    if found.prompts is not None:
        sam, about = load_sam(found.prompts, "cpu", None)
        try:
            sam.find(sam.embed(picture), Prompt(((64.0, 48.0),), (1,), None, "points"))
        except (OutputInvalid, *BROKEN) as error:
            raise WeightsInvalid(f"{PROMPTS} does not run: {brief(error)}") from error
        described[PROMPTS] = f"SAM 2.1 of {about['parameters'] / 1e6:.1f} million weights"
        licences.append(SAM)
    for quality, file in found.backgrounds.items():
        network = load_background(file, config)
        try:
            network.probability(picture)
        except (OutputInvalid, *BROKEN) as error:
            raise WeightsInvalid(f"{BACKGROUNDS}/{file.name} does not run: {brief(error)}") from error
        described[quality] = f"{network.family} at {network.describe()['size_px']} px"
        licences.append(LICENCES[network.family])
    return {**described, "licences": licences}


def load_background(path: Path, config: Config) -> Background:
    """Load a network that removes backgrounds.

    Args:
        path: `fast.onnx` or `best.onnx`.
        config: of the folder.

    Raises:
        WeightsInvalid: it is broken or of another kind.
    """
    return Background(path, config.fast if path.stem == "fast" else config.best)


def _empty(folder: Path) -> tuple[int, Any]:
    """Return side of the input and the network without weights, as the configuration describes them."""
    config = _json(folder / "config.json")
    kind = str(config.get("model_type"))
    if kind.startswith("edgetam"):
        raise WeightsInvalid(
            f"{PROMPTS} holds EdgeTAM, whose encoder is timm's, and the models are installed without that; put SAM 2.1 "
            "tiny there"
        )
    if kind not in _KINDS:
        raise WeightsInvalid(f"{PROMPTS}/config.json is of {kind}, expected transformers' SAM 2.1 (sam2 or sam2_video)")
    parts = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
    try:
        own = Sam2Config(**{name: dict(config.get(name) or {}) for name in parts})
        with torch.device("meta"):
            network = Sam2Model(own)
        size_px = network.prompt_encoder.input_image_size
        sizes = [list(each) for each in own.vision_config.backbone_feature_sizes]
    except (StrictDataclassError, ZeroDivisionError, *BROKEN) as error:
        raise WeightsInvalid(f"{PROMPTS}/config.json describes no SAM 2.1: {brief(error)}") from error
    if sizes != [[size_px // stride] * 2 for stride in _STRIDES]:
        raise WeightsInvalid(f"{PROMPTS}/config.json: maps of {sizes} do not belong to pictures of {size_px} px")
    return size_px, network


def _frame(folder: Path, size_px: int) -> Frame:
    """Return what the network wants to be shown; a folder that does not say has the published values."""
    for name in ("preprocessor_config.json", "processor_config.json"):
        if not (folder / name).is_file():
            continue
        stored = _json(folder / name)
        said = stored.get("image_processor", stored)
        try:
            size = (int(said["size"]["height"]), int(said["size"]["width"]))
            mean, std = (
                tuple(map(float, said.get(key, own))) for key, own in (("image_mean", MEAN), ("image_std", STD))
            )
        except (LookupError, TypeError, ValueError) as error:
            raise WeightsInvalid(f"{PROMPTS}/{name} does not say the picture's size, mean and std") from error
        if size != (size_px, size_px) or len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise WeightsInvalid(
                f"{PROMPTS}/{name} has {size[0]}x{size[1]} px, mean {mean}, std {std}: {size_px} px fit"
            )
        return Frame(size_px, mean, std)
    return Frame(size_px)


def _json(path: Path) -> dict[str, Any]:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsInvalid(f"{PROMPTS}/{path.name} is missing; copy the published folder as a whole") from error
    except (OSError, ValueError) as error:
        raise WeightsInvalid(f"{PROMPTS}/{path.name} cannot be read: {brief(error)}") from error
    if not isinstance(stored, dict):
        raise WeightsInvalid(f"{PROMPTS}/{path.name} is no JSON object")
    return stored
