"""Segmentation as the model server hosts it: a picture and a click in, a mask out; or a picture without background."""

import gc
import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageChops
from pydantic import BaseModel

from backlot.errors import CallerError
from backlot.images.codecs import Picture, decode, encode_png, flatten
from sagemaker_models.schp.masks import encode_flat
from sagemaker_models.segment import checkpoint
from sagemaker_models.segment.backgrounds import Background, alpha_of, score_of
from sagemaker_models.segment.config import Config, read_config
from sagemaker_models.segment.embeddings import Embedding, EmbeddingCache
from sagemaker_models.segment.errors import Refused, mask_empty, task_unavailable
from sagemaker_models.segment.masks import Pixels, described, grown, mask_of, softened
from sagemaker_models.segment.parameters import Quality, SegmentParameters
from sagemaker_models.segment.prompts import prompt_of
from sagemaker_models.segment.sam import Sam
from sagemaker_models.serving.metrics import log
from sagemaker_models.serving.model import File, ModelError, Outputs, Request

PNG = "image/png"


@dataclass(frozen=True)
class _Loaded:
    """What is in memory.

    Args:
        sam: None if the folder has none.
        embeddings: of pictures that it looked at.
        backgrounds: networks by quality, those that the folder has.
    """

    sam: Sam | None
    embeddings: EmbeddingCache
    backgrounds: dict[Quality, Background]


class Segment:
    """Masks of what is pointed at, and pictures without their backgrounds. The weights folder: see `checkpoint.py`.

    Several requests run at once: SAM looks at one picture at a time, and clicks on known pictures do not wait for that.
    """

    name = "segment"
    max_batch = 1
    Parameters: type[BaseModel] = SegmentParameters
    inputs = ("image",)
    optional_inputs = ("guide",)

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._loaded: _Loaded | None = None
        self._about: dict[str, Any] = {}
        self._loading = threading.Lock()

    def load(self, weights: Path) -> None:
        """Check the folder, and load what it has.

        Args:
            weights: a folder.

        Raises:
            WeightsInvalid: it cannot be used.
        """
        found, config = checkpoint.look(weights), read_config(weights)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        half = _half(config, device)
        sam, prompts = checkpoint.load_sam(found.prompts, device, half) if found.prompts else (None, None)
        backgrounds = {each: checkpoint.load_background(path, config) for each, path in found.backgrounds.items()}
        self._folder = weights
        self._loaded = _Loaded(sam, EmbeddingCache(config.embedding_cache_mb * 10**6), backgrounds)
        self._about = {
            "engine": self.name,
            "device": device,
            "precision": str(half or torch.float32).removeprefix("torch."),
            "prompts": prompts,
            "backgrounds": {each: network.describe() for each, network in backgrounds.items()},
        }
        log("INFO", "model loaded", model=self.name, **self._about)

    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        """Do each request's task."""
        return [self._run(request) for request in requests]

    def release(self) -> None:
        """Give the memory of weights, networks and embeddings back; the next run loads the weights again."""
        self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def describe(self) -> dict[str, Any]:
        """Return device, what was loaded, and what is kept of pictures."""
        loaded = self._loaded
        return {**self._about, "embeddings": loaded.embeddings.describe() if loaded else None}

    def _run(self, request: Request) -> Outputs | ModelError:
        loaded, asked = self._ready(), request.parameters
        try:
            if asked.task == "mask":
                return _mask(loaded, request)
            return _background(loaded, request)
        except Refused as error:
            return ModelError(error.code, str(error))
        except CallerError as error:
            return ModelError(type(error).__name__, str(error))

    def _ready(self) -> _Loaded:
        with self._loading:
            if self._loaded is None:
                if self._folder is None:
                    raise RuntimeError("load comes before run")
                self.load(self._folder)
            if self._loaded is None:
                raise RuntimeError("load left nothing behind")
            return self._loaded


def _mask(loaded: _Loaded, request: Request) -> Outputs:
    """Find what is pointed at.

    Raises:
        Refused: there is no SAM, or nothing is found.
        CallerError: a picture cannot be read.
    """
    sam, asked, data = loaded.sam, request.parameters, request.inputs["image"]
    if sam is None:
        raise task_unavailable(f"the weights have no {checkpoint.PROMPTS}/, that is SAM 2.1")
    began = time.perf_counter()
    embedding, kept = loaded.embeddings.get(hashlib.sha256(data).hexdigest(), lambda: _looked_at(sam, data))
    embedded = time.perf_counter()
    width, height = embedding.width, embedding.height
    prompt = prompt_of(asked, width, height, _guide(request.inputs.get("guide")))
    found = sam.find(embedding, prompt)
    decoded = time.perf_counter()
    mask = mask_of(found.logits, width, height)
    if not mask.any():
        raise mask_empty("nothing stands out where the request points")
    mask = grown(mask, asked.grow_px)
    if not mask.any():
        raise mask_empty(f"nothing is left of what was found once {-asked.grow_px} px are taken away from its border")
    values = {
        **described(mask),
        "score": round(found.score, 4),
        "prompt": prompt.origin,
        "embedding": "kept" if kept else "made",
    }
    file = File(encode_flat(softened(mask) if asked.soften else mask), PNG)
    timings = _timings(embed_s=embedded - began, decode_s=decoded - embedded, finish_s=time.perf_counter() - decoded)
    return Outputs({"mask": file}, {**values, "timings": timings})


def _background(loaded: _Loaded, request: Request) -> Outputs:
    """Make the background transparent; what was transparent stays so.

    Raises:
        Refused: there is no such network, or it finds no subject.
        CallerError: the picture cannot be read.
    """
    asked: SegmentParameters = request.parameters
    network = loaded.backgrounds.get(asked.quality)
    if network is None:
        have = ", ".join(loaded.backgrounds) or "no other"
        raise task_unavailable(f"the weights have no {checkpoint.BACKGROUNDS}/{asked.quality}.onnx; they have {have}")
    began = time.perf_counter()
    picture = decode(request.inputs["image"])
    pixels = picture.pixels
    if asked.max_side is not None:
        pixels.thumbnail((asked.max_side, asked.max_side), Image.Resampling.LANCZOS)
    rgb = _rgb(pixels)
    prepared = time.perf_counter()
    probability = network.probability(rgb)
    looked = time.perf_counter()
    alpha = alpha_of(probability, *pixels.size)
    cut_out = pixels.convert("RGBA")
    mask = ImageChops.multiply(Image.fromarray(alpha), cut_out.getchannel("A"))
    cut_out.putalpha(mask)
    # A profile for values of grey says nothing about those of RGB.
    profile = picture.icc_profile if pixels.mode != "L" else None
    files = {
        "image": File(encode_png(Picture(cut_out, profile)), PNG),
        "mask": File(encode_flat(np.asarray(mask, np.uint8)), PNG),
    }
    subject = np.where(alpha > 127, np.uint8(255), np.uint8(0))
    values = {**described(subject), "score": round(score_of(probability), 4), "quality": asked.quality}
    timings = _timings(prepare_s=prepared - began, network_s=looked - prepared, finish_s=time.perf_counter() - looked)
    return Outputs(files, {**values, "timings": timings})


def _looked_at(sam: Sam, data: bytes) -> Embedding:
    return sam.embed(_rgb(decode(data).pixels))


def _rgb(pixels: Image.Image) -> Pixels:
    """Return red, green and blue, what is transparent on white."""
    return np.array(flatten(pixels).convert("RGB"), np.uint8)


def _guide(data: bytes | None) -> Pixels | None:
    return None if data is None else np.asarray(flatten(decode(data).pixels).convert("L"), np.uint8)


def _timings(**seconds: float) -> dict[str, float]:
    return {name: round(value, 4) for name, value in seconds.items()}


def _half(config: Config, device: str) -> torch.dtype | None:
    """Return the number type in which pictures are looked at; None for fp32."""
    if device == "cuda":
        # Older GPUs only imitate bfloat16.
        half = torch.bfloat16 if torch.cuda.get_device_capability() >= (8, 0) else torch.float16
        return None if config.precision == "fp32" else half
    has_bf16 = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if config.precision == "half" or (config.precision == "auto" and has_bf16) else None
