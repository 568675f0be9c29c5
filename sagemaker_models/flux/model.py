"""FLUX with PuLID as the model server hosts it: a prompt in, maybe a portrait or a picture, and a picture out."""

import gc
import secrets
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel

from backlot.errors import CallerError, NoFaceFound, OutputInvalid
from backlot.images.codecs import Picture, decode, encode_jpeg, encode_png, flatten
from sagemaker_models.flux import checkpoint, identity, pulid, vision
from sagemaker_models.flux.compiling import compile_blocks
from sagemaker_models.flux.config import read_config
from sagemaker_models.flux.identity import Identity, IdentityEncoder, Parts
from sagemaker_models.flux.injection import Wish
from sagemaker_models.flux.licences import Variant, licences_of
from sagemaker_models.flux.machine import this_machine
from sagemaker_models.flux.painter import Painter
from sagemaker_models.flux.parameters import FluxParameters, Order, Refused, order_of
from sagemaker_models.flux.plan import DoesNotFit, Placement, place
from sagemaker_models.flux.prompts import Prompts
from sagemaker_models.serving.metrics import log
from sagemaker_models.serving.model import File, ModelError, Outputs, Request, WeightsInvalid

#: Seeds that are drawn are below this, so that they fit what the operations take.
SEEDS = 2**32

#: Quality of JPEGs.
QUALITY = 95


@dataclass(frozen=True)
class _Loaded:
    """All that a request needs.

    Args:
        parts: of identities, None if the folder has none.
    """

    variant: Variant
    placement: Placement
    painter: Painter
    parts: Parts | None


class Flux:
    """Pictures after a prompt. The weights folder is as `checkpoint.py` says.

    Args:
        sizes: of PuLID's checkpoint; others than the published are for tests.
        tower_sizes: of the vision tower's, likewise.
    """

    name = "flux"
    max_batch = 1
    Parameters: type[BaseModel] = FluxParameters
    inputs: tuple[str, ...] = ()
    optional_inputs = ("portrait", "image")

    def __init__(self, sizes: pulid.Sizes = pulid.PUBLISHED, tower_sizes: vision.Sizes = vision.PUBLISHED) -> None:
        self._sizes, self._tower_sizes = sizes, tower_sizes
        self._folder: Path | None = None
        self._loaded: _Loaded | None = None
        self._about: dict[str, Any] = {}
        # Hooks and schedule belong to the pipeline, which can make one picture at a time.
        self._one = threading.Lock()

    def load(self, weights: Path) -> None:
        """Check the folder, choose a placement by the memory there is, and load.

        Args:
            weights: a folder.

        Raises:
            WeightsInvalid: it cannot be used, or does not fit this machine.
        """
        config, machine = read_config(weights), this_machine()
        found = checkpoint.look(weights, self._sizes)
        try:
            placement = place(machine, found.weights, config.placement)
        except DoesNotFit as error:
            raise WeightsInvalid(str(error)) from error
        licences = licences_of(found.variant, identity=found.has_identity)
        if any(not each["commercial"] for each in licences):
            log("WARNING", "not all parts of the model are for commercial use", model=self.name, licences=licences)
        parts = self._parts(weights, placement) if found.has_identity else None
        pipeline = checkpoint.load(weights, placement)
        if config.compile:
            compile_blocks(pipeline.transformer)
        prompts = Prompts(pipeline, config.prompt_cache_entries)
        painter = Painter(pipeline, parts.modules if parts else None, prompts, placement.device)
        self._folder, self._loaded = weights, _Loaded(found.variant, placement, painter, parts)
        self._about = {
            "engine": self.name,
            "variant": found.variant,
            "identity": found.has_identity,
            "compiled": config.compile,
            **{("placement" if key == "name" else key): value for key, value in asdict(placement).items()},
            "licences": licences,
        }

    def run(self, requests: Sequence[Request]) -> list[Outputs | ModelError]:
        """Make each request's picture."""
        return [self._run(request) for request in requests]

    def release(self) -> None:
        """Give the weights' memory back; the next run loads them again."""
        self._loaded = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def describe(self) -> dict[str, Any]:
        """Return variant, placement, licences, and how often prompts were there already."""
        loaded = self._loaded
        return {**self._about, "prompts": loaded.painter.prompts.describe() if loaded else None}

    def _run(self, request: Request) -> Outputs | ModelError:
        try:
            with self._one:
                return self._paint(request, self._ready())
        except Refused as error:
            return ModelError(error.code, str(error))
        except (CallerError, OutputInvalid) as error:
            return ModelError(type(error).__name__, str(error))

    def _paint(self, request: Request, loaded: _Loaded) -> Outputs:
        asked: FluxParameters = request.parameters
        image, portrait = (_picture(request.inputs.get(name)) for name in ("image", "portrait"))
        if portrait is not None and loaded.parts is None:
            raise Refused("portrait: FLUX without PuLID's weights cannot keep an identity", "TaskUnavailable")
        size = image.size if image else None
        order = order_of(asked, loaded.variant, portrait=portrait is not None, image_size=size)
        seed = secrets.randbelow(SEEDS) if asked.seed is None else asked.seed
        request.progress(0.0)
        whose, wish = None, None
        if portrait is not None and loaded.parts is not None:
            whose, wish = _identity(loaded.parts.encoder, portrait, asked, order)
        texts = loaded.painter.read(order)
        parts = order.steps_run + 1
        pixels = loaded.painter.paint(
            order, texts, seed, image=image, wish=wish, done=lambda steps: request.progress(steps / parts)
        )
        picture = Picture(Image.fromarray(pixels))
        warnings = list(order.warnings)
        if texts[0].needed > order.tokens:
            warnings.append(f"prompt: of its {texts[0].needed} tokens the first {order.tokens} were read")
        values = {
            "width": order.width,
            "height": order.height,
            "seed": seed,
            "steps": order.steps,
            "steps_run": order.steps_run,
            "guidance_scale": order.guidance,
            "max_sequence_length": order.tokens,
            "identity": None if whose is None else {"box": whose.box, "faces": whose.faces},
            "warnings": warnings,
        }
        return Outputs({"image": _file(picture, asked.output_format)}, values)

    def _parts(self, weights: Path, placement: Placement) -> Parts:
        return identity.load(
            weights,
            sizes=self._sizes,
            tower_sizes=self._tower_sizes,
            device=placement.device,
            dtype=getattr(torch, placement.dtype),
        )

    def _ready(self) -> _Loaded:
        if self._loaded is None:
            if self._folder is None:
                raise RuntimeError("load comes before run")
            self.load(self._folder)
        if self._loaded is None:
            raise RuntimeError("load left nothing behind")
        return self._loaded


def _identity(
    encoder: IdentityEncoder, portrait: Image.Image, asked: FluxParameters, order: Order
) -> tuple[Identity, Wish]:
    whose = encoder.encode(np.asarray(portrait))
    if whose is None:
        raise NoFaceFound
    nobody = encoder.nobody if order.is_guided else None
    return whose, Wish(whose.tokens, nobody, asked.id_weight, asked.start_step)


def _picture(data: bytes | None) -> Image.Image | None:
    """Decode to RGB, upright, what is transparent on white."""
    return None if data is None else flatten(decode(data).pixels).convert("RGB")


def _file(picture: Picture, output_format: str) -> File:
    if output_format == "png":
        return File(encode_png(picture), "image/png")
    return File(encode_jpeg(picture, max_side=max(picture.pixels.size), quality=QUALITY), "image/jpeg")
