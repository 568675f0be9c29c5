"""From a portrait to the tokens that FLUX is given: whose face it is, and what it looks like.

Source: ToTheBeginning/PuLID, `pulid/pipeline_flux.py` at 1aa2fc7, read 2026-11-21. What differs is said where it does.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor

from sagemaker_models.flux import antelope, faces, parsing, pulid, vision
from sagemaker_models.flux.faces import Detector, Embedder, Pixels
from sagemaker_models.flux.tensors import fill, read, visual
from sagemaker_models.serving.model import WeightsInvalid

#: Files beside the folder `flux/`; the vision tower's may also be safetensors.
PULID, TOWER, PARSER = "pulid_flux_v0.9.1.safetensors", "eva02_clip_l_336", "parsing_bisenet.pth"

#: Longer sides of a portrait are brought down to this, pixels.
LONGEST_PX = 1024

#: OpenAI CLIP's, with which the vision tower was trained.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Identity:
    """Whose picture is to be made.

    Args:
        tokens: (1,queries,identity).
        box: of the face in the portrait: left, top, right, bottom, pixels.
        faces: how many were found.
    """

    tokens: Tensor
    box: tuple[float, float, float, float]
    faces: int


class IdentityEncoder:
    """Reads portraits.

    Args:
        detector: finds the face; the largest is taken, in all that follows.
        embedder: says whose it is.
        parser: tells the face from what is around it.
        tower: says what it looks like.
        encoder: PuLID's.
    """

    def __init__(
        self,
        detector: Detector,
        embedder: Embedder,
        *,
        parser: parsing.Parser,
        tower: vision.Tower,
        encoder: pulid.Encoder,
    ) -> None:
        self._detector, self._embedder = detector, embedder
        self._parser, self._tower, self._encoder = parser, tower, encoder

    @cached_property
    def nobody(self) -> Tensor:
        """Tokens of no face, for the pass that guidance steers away from; (1,queries,identity)."""
        sizes, like = self._encoder.sizes, self._encoder.latents
        face = torch.zeros(1, sizes.face, device=like.device, dtype=like.dtype)
        level = torch.zeros(1, self._tower.pos_embed.shape[1], sizes.vision, device=like.device, dtype=like.dtype)
        with torch.no_grad():
            return self._encoder(face, [level] * pulid.LEVELS)

    @torch.no_grad()
    def encode(self, rgb: Pixels) -> Identity | None:
        """Return whose portrait it is; None if no face is found.

        Shapes: rgb (H,W,3)
        """
        rgb, factor = reduced(rgb)
        found = self._detector.find(rgb)
        face = faces.largest(found)
        aligned = faces.align(rgb, face) if face else None
        if face is None or aligned is None:
            return None
        whose = torch.from_numpy(self._embedder.embed(rgb, face))[None]
        looks, levels = self._tower(self._seen(aligned))
        looks = looks / looks.norm(dim=1, keepdim=True)
        described = torch.cat((whose.to(looks), looks), dim=1)
        left, top, right, bottom = (edge / factor for edge in face.box)
        return Identity(self._encoder(described, levels), (left, top, right, bottom), len(found))

    def _seen(self, aligned: Pixels) -> Tensor:
        """Return what the vision tower looks at: the face in grey on white.

        Shapes: aligned (512,512,3) → (1,3,336,336)
        """
        weight = self._tower.head.weight
        pixels = torch.from_numpy(aligned).to(weight.device).permute(2, 0, 1)[None].float() / 255
        grey = parsing.features_of(self._parser, pixels)
        # torchvision 0.15.2, which the published code names, enlarges and reduces tensors without smoothing them first.
        side_px = self._tower.image_px
        small = F.interpolate(grey, (side_px, side_px), mode="bicubic", align_corners=False)
        mean, std = (torch.tensor(values, device=weight.device).view(1, 3, 1, 1) for values in (MEAN, STD))
        return ((small - mean) / std).to(weight.dtype)


def reduced(rgb: Pixels) -> tuple[Pixels, float]:
    """Return a picture whose longer side has at most `LONGEST_PX`, and by what its sides were multiplied.

    Shapes: rgb (H,W,3) → (h,w,3)
    """
    height, width = rgb.shape[:2]
    factor = LONGEST_PX / max(height, width)
    if factor >= 1:
        return rgb, 1.0
    size = (int(width * factor), int(height * factor))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_LANCZOS4), np.uint8), factor


@dataclass(frozen=True)
class Parts:
    """What identities need beside FLUX.

    Args:
        encoder: reads portraits.
        modules: that FLUX is given.
    """

    encoder: IdentityEncoder
    modules: torch.nn.ModuleList


def is_there(folder: Path) -> bool:
    """Tell whether a folder has PuLID's weights at all."""
    return (folder / PULID).is_file()


def numbers(folder: Path) -> int:
    """Return how many numbers the weights have, by their files' sizes: two bytes each.

    Raises:
        WeightsInvalid: a file is missing.
    """
    return sum(path.stat().st_size for path in (folder / PULID, tower_file(folder))) // 2


def tower_file(folder: Path) -> Path:
    """Return the file of the vision tower.

    Raises:
        WeightsInvalid: there is none.
    """
    found = [path for ending in (".safetensors", ".pt") if (path := folder / f"{TOWER}{ending}").is_file()]
    if not found:
        raise WeightsInvalid(f"{folder} lacks {TOWER}.pt; it is EVA02_CLIP_L_336_psz14_s6B.pt of QuanSun/EVA-CLIP")
    return found[0]


def load(
    folder: Path,
    *,
    sizes: pulid.Sizes,
    tower_sizes: vision.Sizes,
    device: str,
    dtype: torch.dtype,
) -> Parts:
    """Load what identities need, from the folder that also has `flux/`.

    Raises:
        WeightsInvalid: a file is missing, broken, or not the published one.
    """
    with torch.device("meta"):
        injected, tower, parser = pulid.Pulid(sizes), vision.Tower(tower_sizes), parsing.Parser()
    fill(injected, read(folder / PULID), PULID, dtype)
    source = tower_file(folder)
    fill(tower, visual(read(source)), source.name, dtype)
    fill(parser, read(folder / PARSER), PARSER, torch.float32)
    for module in (injected, tower, parser):
        module.to(device)
    encoder = IdentityEncoder(
        antelope.Scrfd(folder / antelope.FOLDER / antelope.DETECTOR),
        antelope.ArcFace(folder / antelope.FOLDER / antelope.EMBEDDER),
        parser=parser,
        tower=tower,
        encoder=injected.pulid_encoder,
    )
    return Parts(encoder, injected.pulid_ca)
