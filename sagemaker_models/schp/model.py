"""SCHP as the model server hosts it: a picture in, body masks out."""

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from backlot.errors import CallerError
from backlot.images.codecs import decode, flatten
from sagemaker_models.schp.checkpoint import find_checkpoint, read_checkpoint
from sagemaker_models.schp.choose import BackendUnavailable, Choice, Chooser
from sagemaker_models.schp.config import Config, Regions, foreign_labels, read_config
from sagemaker_models.schp.labels import DataSet
from sagemaker_models.schp.masks import bounds_of, cover, encode_flat, encode_photo, masks_of
from sagemaker_models.schp.preprocess import Letterbox, Pixels, letterbox
from sagemaker_models.serving.model import File, ModelError, Outputs, Request, WeightsInvalid

log = logging.getLogger(__name__)

PNG = "image/png"


class SchpParameters(BaseModel):
    """What a request may ask for.

    Args:
        regions: label sets that take the place of the configured ones, by region.
        output: masks of 0 and 255, or the photo with one green rectangle over each region's bounding box.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: Regions | None = None
    output: Literal["binary", "bounding-rectangle"] = "binary"


class Schp:
    """Body masks by human parsing. The weights folder holds one published `.pth`, maybe a `config.yaml`."""

    name = "schp"
    max_batch = 1
    Parameters: type[BaseModel] = SchpParameters
    inputs = ("image",)

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._loaded: tuple[Choice, DataSet, Config] | None = None
        self._about: dict[str, Any] = {}

    def load(self, weights: Path) -> None:
        """Read the checkpoint and choose a backend.

        Args:
            weights: a folder.

        Raises:
            WeightsInvalid: the checkpoint or the configuration cannot be used.
        """
        own = weights / "config.yaml"
        try:
            config = read_config(own) if own.exists() else read_config()
            checkpoint = read_checkpoint(find_checkpoint(weights))
            choice = Chooser(checkpoint, config, weights).choose()
        except BackendUnavailable as error:
            raise WeightsInvalid(str(error)) from error
        self._folder, self._loaded = weights, (choice, checkpoint.data_set, config)
        self._about = {
            "engine": self.name,
            "device": "cuda" if choice.backend.name == "cuda" else "cpu",
            "backend": choice.backend.name,
            "backends_refused": choice.refused,
            "agreement_with_fp32": choice.agreement,
            "data_set": checkpoint.data_set.name,
            "checkpoint_sha256": checkpoint.sha256,
        }
        log.info("model loaded", extra=self._about)

    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        """Make the masks of each request's picture."""
        return [self._run(request) for request in requests]

    def release(self) -> None:
        """Give the weights' memory back; the next run loads them again."""
        self._loaded = None

    def describe(self) -> dict[str, Any]:
        """Return backend, data set and checkpoint."""
        return dict(self._about)

    def _run(self, request: Request) -> Outputs | ModelError:
        choice, data_set, config = self._ready()
        regions = config.regions[data_set.name] | (request.parameters.regions or {})
        if problem := foreign_labels(regions, data_set):
            return ModelError("LabelsRefused", f"The labels are refused: {problem}.")
        try:
            rgb = _pixels(request.inputs["image"])
        except CallerError as error:
            return ModelError(type(error).__name__, str(error))
        box = Letterbox(rgb.shape[1], rgb.shape[0], data_set.size_px)
        labels = choice.label(choice.backend.run(letterbox(rgb, box)), box)
        return _outputs(rgb, labels, regions, request.parameters.output)

    def _ready(self) -> tuple[Choice, DataSet, Config]:
        if self._loaded is None:
            if self._folder is None:
                raise RuntimeError("load comes before run")
            self.load(self._folder)
        if self._loaded is None:
            raise RuntimeError("load left nothing behind")
        return self._loaded


def _pixels(data: bytes) -> Pixels:
    """Decode to RGB or grey, upright, what is transparent on white."""
    pixels = flatten(decode(data).pixels)
    return np.asarray(pixels if pixels.mode == "L" else pixels.convert("RGB"), np.uint8)


def _outputs(rgb: Pixels, labels: Pixels, regions: Regions, output: str) -> Outputs:
    masks: dict[str, Pixels] = masks_of(labels, dict[str, tuple[int, ...]](regions.items()))
    bounds = {region: bounds_of(mask) for region, mask in masks.items()}
    if output == "binary":
        files = {region: encode_flat(mask) for region, mask in masks.items()}
    else:
        photo = rgb if rgb.ndim == 3 else np.repeat(rgb[:, :, None], 3, axis=2)
        files = {region: encode_photo(cover(photo, bounds[region])) for region in masks}
    files["seg_map"] = encode_flat(labels)
    found = {
        region: {"pixels": int(np.count_nonzero(mask)), "box": asdict(box) if (box := bounds[region]) else None}
        for region, mask in masks.items()
    }
    size = {"width": labels.shape[1], "height": labels.shape[0]}
    return Outputs({name: File(body, PNG) for name, body in files.items()}, {"regions": found, **size})
