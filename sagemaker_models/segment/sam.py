"""SAM 2.1: looks at a picture once, and finds what is pointed at as often as asked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor

from sagemaker_models.segment.embeddings import Embedding
from sagemaker_models.segment.errors import OutputInvalid
from sagemaker_models.segment.masks import Map, Pixels
from sagemaker_models.segment.prompts import Prompt

#: ImageNet's, of red, green and blue; what SAM 2.1 was trained with.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Frame:
    """What the network wants to be shown.

    Args:
        size_px: side of the square into which a picture is pressed.
        mean: of red, green and blue, in 0 to 1.
        std: likewise.
    """

    size_px: int = 1024
    mean: tuple[float, ...] = MEAN
    std: tuple[float, ...] = STD

    def pixels_of(self, rgb: Pixels) -> Tensor:
        """Return the network's input, without regard for the picture's proportions.

        Shapes: rgb (H,W,3) → (1,3,n,n) float32, (v/255 - mean)/std

        Source: transformers 5.23.0, `Sam2ImageProcessor`, which needs torchvision: its resize is this function of torch
        on bytes, smoothed where it makes smaller.
        """
        values = torch.from_numpy(rgb).permute(2, 0, 1)[None]
        size = (self.size_px, self.size_px)
        small = F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True).float()
        mean, std = (torch.tensor(each).view(1, 3, 1, 1) * 255 for each in (self.mean, self.std))
        return (small - mean) / std


@dataclass(frozen=True)
class Found:
    """What SAM takes for the thing that is meant.

    Args:
        logits: above 0 where it is.
        score: the share that SAM expects mask and thing to have in common (IoU), about 0 to 1.

    Shapes: logits (h,w)
    """

    logits: Map
    score: float


class Sam:
    """A loaded network.

    Args:
        network: transformers' `Sam2Model`, in fp32, in its place.
        frame: of its input.
        device: `cpu` or `cuda`.
        half: the number type in which it looks at pictures; None for fp32.
    """

    def __init__(self, network: Any, frame: Frame, device: str, half: torch.dtype | None) -> None:
        self._network, self._frame, self._device, self._half = network, frame, device, half

    def embed(self, rgb: Pixels) -> Embedding:
        """Look at a picture.

        Shapes: rgb (H,W,3)
        """
        pixels = self._frame.pixels_of(rgb).to(self._device)
        with torch.inference_mode(), torch.autocast(self._device, self._half, enabled=self._half is not None):
            maps = self._network.get_image_embeddings(pixels)
        return Embedding(tuple(maps), rgb.shape[1], rgb.shape[0])

    def find(self, embedding: Embedding, prompt: Prompt) -> Found:
        """Find what is pointed at.

        A single click has three readings (thing, part, group), and the surest is taken. For a box or several points SAM
        has one, which it replaces by the surest of the three where it is not stable.

        Raises:
            OutputInvalid: the weights are damaged, or a number type is too narrow for them.
        """
        scale = self._frame.size_px / torch.tensor([embedding.width, embedding.height], dtype=torch.float32)
        points, labels, boxes = None, None, None
        if prompt.points:
            points = (torch.tensor(prompt.points) * scale)[None, None].to(self._device)
            labels = torch.tensor(prompt.labels)[None, None].to(self._device)
        if prompt.box is not None:
            boxes = (torch.tensor(prompt.box).view(2, 2) * scale).view(1, 1, 4).to(self._device)
        with torch.inference_mode():
            made = self._network(
                image_embeddings=[each.float() for each in embedding.maps],
                input_points=points,
                input_labels=labels,
                input_boxes=boxes,
                multimask_output=prompt.is_ambiguous,
            )
        scores = made.iou_scores[0, 0].cpu().numpy()
        logits = made.pred_masks[0, 0, int(scores.argmax())].cpu().numpy()
        if not (np.isfinite(scores).all() and np.isfinite(logits).all()):
            raise OutputInvalid(
                "SAM made values that are no numbers; its weights are damaged, or half is too narrow for them"
            )
        return Found(logits, float(scores.max()))
