"""Networks that tell a picture's subject from its background: IS-Net, U2-Net and BiRefNet, by ONNX Runtime.

Source: xuebinqin/U-2-Net, `data_loader.py`, `u2net_test.py`; xuebinqin/DIS, `IS-Net/Inference.py`; ZhengPeng7/BiRefNet,
`inference.py`; danielgatis/rembg, `rembg/sessions`; read 2026-11-21. Written anew; what differs is said where it does.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime
from PIL import Image

from sagemaker_models.flux.tensors import brief
from sagemaker_models.schp.checkpoint import hash_of
from sagemaker_models.segment.config import Family, NetworkConfig
from sagemaker_models.segment.errors import OutputInvalid, mask_empty
from sagemaker_models.segment.masks import Map, Pixels
from sagemaker_models.segment.sam import MEAN, STD
from sagemaker_models.serving.model import WeightsInvalid

#: From here on a pixel is rather of the subject than not.
EVEN = 0.5

#: How far rounding may bring a probability out of 0 to 1.
_ROUNDING = 1e-3

#: Under which it is found what a network takes, and what it calls the types that we can give it.
_TYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


@dataclass(frozen=True)
class Traits:
    """What a family of networks was trained with.

    Args:
        size_px: side of the input.
        mean: of red, green and blue.
        std: likewise.
        by_brightest: whether values are divided by the picture's highest, and not by 255.
        is_logits: whether the first output comes before the sigmoid.
    """

    size_px: int
    mean: tuple[float, float, float] = MEAN
    std: tuple[float, float, float] = STD
    by_brightest: bool = False
    is_logits: bool = False


FAMILIES: dict[Family, Traits] = {
    "u2net": Traits(320, by_brightest=True),
    "isnet": Traits(1024, mean=(0.5, 0.5, 0.5), std=(1.0, 1.0, 1.0)),
    "birefnet": Traits(1024, is_logits=True),
}


class Background:
    """One network. Only one picture is looked at at a time: each run needs gigabytes, and all of the machine.

    Args:
        path: of the ONNX file.
        config: what the operator says of it.

    Raises:
        WeightsInvalid: it cannot be read, or takes or makes something else than a picture and a map.
    """

    def __init__(self, path: Path, config: NetworkConfig) -> None:
        self._name, self._session = path.name, _session(path)
        self.family, size_px = _family(path, config, self._session)
        self._traits = _traits(self.family, size_px, config)
        self._input = self._session.get_inputs()[0]
        self._first = self._session.get_outputs()[0].name
        self._one = threading.Lock()
        self._about = {"family": self.family, "size_px": size_px, "sha256": hash_of(path)}

    def describe(self) -> dict[str, Any]:
        """Return family, size and hash."""
        return {**self._about, "provider": self._session.get_providers()[0]}

    def probability(self, rgb: Pixels) -> Map:
        """Return how likely each place belongs to the subject, 0 to 1.

        Shapes: rgb (H,W,3) → (h,w)

        Raises:
            OutputInvalid: the network made values that are no numbers, or none that its family makes.
        """
        options = onnxruntime.RunOptions()
        # What a run needed is given back after it.
        options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        with self._one:
            made = self._session.run([self._first], {self._input.name: self._pixels_of(rgb)}, options)[0]
        values = self._checked(np.asarray(made, np.float32))
        if self._traits.is_logits:
            return np.asarray(1 / (1 + np.exp(-np.clip(values, -50, 50))), np.float32)
        return np.clip(values, 0, 1)

    def _checked(self, made: Map) -> Map:
        """Shapes: made (1,1,h,w) or (1,h,w) → (h,w)."""
        if made.shape[:-2] not in ((1, 1), (1,)):
            raise OutputInvalid(f"{self._name} made something else than one map: {made.shape}")
        if not np.isfinite(made).all():
            raise OutputInvalid(f"{self._name} made values that are no numbers; it is damaged")
        least, most = float(made.min()), float(made.max())
        is_logits = least < -_ROUNDING or most > 1 + _ROUNDING
        if is_logits is not self._traits.is_logits:
            seen = "logits" if is_logits else "probability"
            raise OutputInvalid(
                f"{self._name} made values from {least:g} to {most:g}; config.yaml should say output: {seen}"
            )
        return made.reshape(made.shape[-2:])

    def _pixels_of(self, rgb: Pixels) -> np.ndarray[Any, Any]:
        """Shapes: rgb (H,W,3) → (1,3,n,n)."""
        traits = self._traits
        # Smoothed, as the published ways do except IS-Net's, which takes single pixels out of large pictures.
        small = np.asarray(Image.fromarray(rgb).resize((traits.size_px,) * 2, Image.Resampling.BILINEAR), np.float32)
        scaled = small / (max(float(small.max()), 1.0) if traits.by_brightest else 255.0)
        values = (scaled - np.array(traits.mean, np.float32)) / np.array(traits.std, np.float32)
        return np.ascontiguousarray(values.transpose(2, 0, 1)[None], _TYPES[self._input.type])


def alpha_of(probability: Map, width: int, height: int) -> Pixels:
    """Return how much of each pixel is the subject's, 0 to 255.

    The values are spread over the whole range, (p - min)/(max - min), as the published ways do, but only if there are
    both a subject and a background (p on both sides of 1/2): of noise that would make a subject, of one value nothing.

    Shapes: probability (h,w) → (H,W)

    Raises:
        Refused: the network sees no subject, or nothing but it.
    """
    least, most = float(probability.min()), float(probability.max())
    if most < EVEN:
        raise mask_empty("the picture has no subject that stands out from its background")
    if least >= EVEN:
        raise mask_empty("the picture has no background, all of it seems to be its subject")
    spread = (probability - least) * (255 / (most - least))
    enlarges = width >= probability.shape[1] and height >= probability.shape[0]
    sized = cv2.resize(spread, (width, height), interpolation=cv2.INTER_LINEAR if enlarges else cv2.INTER_AREA)
    return np.asarray(np.floor(sized + 0.5), np.uint8)


def score_of(probability: Map) -> float:
    """Return how sure the network is of the subject: its mean probability there."""
    return float(probability[probability >= EVEN].mean())


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    # Threads that wait shall not take the processor from SAM.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
    providers = [each for each in wanted if each in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:
        # onnxruntime's own classes are not public; all of them say that the file is not a network that it can run.
        raise WeightsInvalid(f"{path.name} cannot be read as a network: {brief(error)}; fetch it again") from error


def _family(path: Path, config: NetworkConfig, session: Any) -> tuple[Family, int]:
    """Tell whose network it is, and the side of its input."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    shape = list(inputs[0].shape) if len(inputs) == 1 else []
    takes_pictures = len(shape) == 4 and (shape[1] == 3 or isinstance(shape[1], str | None))
    if not takes_pictures or inputs[0].type not in _TYPES or len(outputs[0].shape) not in (3, 4):
        raise WeightsInvalid(f"{path.name} takes and makes something else than a picture and a map; it is none of ours")
    sides = [side for side in shape[2:] if isinstance(side, int)]
    if len(set(sides)) > 1:
        raise WeightsInvalid(f"{path.name} takes pictures of {sides[1]}x{sides[0]} px; squares are made for it here")
    if config.size_px and sides and sides[0] != config.size_px:
        raise WeightsInvalid(f"{path.name} takes pictures of {sides[0]} px; config.yaml says {config.size_px}")
    size_px = sides[0] if sides else config.size_px
    if config.family != "auto":
        family = config.family
    elif path.stem == "best":
        family = "birefnet"
    else:
        family = "u2net" if size_px == FAMILIES["u2net"].size_px else "isnet"
    return family, size_px or FAMILIES[family].size_px


def _traits(family: Family, size_px: int, config: NetworkConfig) -> Traits:
    own = FAMILIES[family]
    return Traits(
        size_px,
        config.mean or own.mean,
        config.std or own.std,
        own.by_brightest,
        own.is_logits if config.output is None else config.output == "logits",
    )
