"""Stand-in of the segmentation model: clicks, boxes and subjects by classical methods, marked as what it is.

What is seen of a picture is kept, as the real model keeps its embedding: a small copy, its colours, and the person in
it, if a face says where one is. A click then costs one run of GrabCut. It is a true result of the flow, on true pixels,
and says nothing about the real model.
"""

import hashlib
import threading
import time
from collections import OrderedDict
from typing import Any

import numpy as np

from backlot.images.codecs import Picture, decode, flatten
from local.stand_ins.faces import Pixels
from local.stand_ins.model import StandInModel, png
from local.stand_ins.objects import Seen, alpha, contrast, enlarged, find, look, subject
from sagemaker_models.segment.errors import Refused, mask_empty
from sagemaker_models.segment.masks import described, grown, softened
from sagemaker_models.segment.parameters import SegmentParameters
from sagemaker_models.segment.prompts import prompt_of
from sagemaker_models.serving.model import ModelError, Outputs, Request

#: Memory for what was seen of pictures, bytes.
KEPT_BYTES = 64_000_000


class Segments(StandInModel):
    """Masks and cut-outs without weights."""

    name = "segment"
    Parameters = SegmentParameters
    inputs = ("image",)
    optional_inputs = ("guide",)

    def __init__(self) -> None:
        self._kept: OrderedDict[str, Seen] = OrderedDict()
        self._lock = threading.Lock()

    def release(self) -> None:
        """Forget what was seen."""
        with self._lock:
            self._kept.clear()

    def describe(self) -> dict[str, Any]:
        """Say that it is a stand-in, and what is kept of pictures."""
        with self._lock:
            sizes = [seen.size_bytes for seen in self._kept.values()]
        kept = {"pictures": len(sizes), "bytes": sum(sizes), "limit_bytes": KEPT_BYTES}
        return {**super().describe(), "embeddings": kept}

    def answer(self, request: Request) -> Outputs | ModelError:
        """Do a request's task."""
        try:
            return self._mask(request) if request.parameters.task == "mask" else _background(request)
        except Refused as error:
            return ModelError(error.code, str(error))

    def _mask(self, request: Request) -> Outputs:
        asked, began = request.parameters, time.perf_counter()
        seen, was_kept = self._look(request.inputs["image"])
        looked = time.perf_counter()
        prompt = prompt_of(asked, seen.width, seen.height, _guide(request.inputs.get("guide")))
        found = find(seen, prompt)
        decoded = time.perf_counter()
        mask = grown(enlarged(found, seen.width, seen.height), asked.grow_px)
        if not mask.any():
            raise mask_empty(f"nothing is left of what was found once {-asked.grow_px} px are taken from its border")
        values = {
            **described(mask),
            "score": contrast(seen, found),
            "prompt": prompt.origin,
            "embedding": "kept" if was_kept else "made",
            "timings": {"embed_s": round(looked - began, 4), "decode_s": round(decoded - looked, 4)},
        }
        return Outputs({"mask": png(softened(mask) if asked.soften else mask)}, values)

    def _look(self, data: bytes) -> tuple[Seen, bool]:
        """Return what was seen of a picture, and whether it was before."""
        key = hashlib.sha256(data).hexdigest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key], True
        made = look(decode(data))
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > 1 and sum(seen.size_bytes for seen in self._kept.values()) > KEPT_BYTES:
                self._kept.popitem(last=False)
        return made, False


def _background(request: Request) -> Outputs:
    """Make the background transparent."""
    asked, began = request.parameters, time.perf_counter()
    picture = decode(request.inputs["image"])
    pixels = picture.pixels
    if asked.max_side is not None:
        pixels.thumbnail((asked.max_side, asked.max_side))
    seen = look(Picture(pixels))
    found = subject(seen)
    opacity = alpha(found, seen, np.asarray(flatten(pixels).convert("L"), np.uint8), fine=asked.quality == "best")
    cut_out = np.asarray(pixels.convert("RGBA"), np.uint8).copy()
    cut_out[..., 3] = (cut_out[..., 3].astype(np.uint16) * opacity // 255).astype(np.uint8)
    mask = np.ascontiguousarray(cut_out[..., 3])
    values = {
        **described(np.where(mask > 127, np.uint8(255), np.uint8(0))),
        "score": contrast(seen, found),
        "quality": asked.quality,
        "timings": {"network_s": round(time.perf_counter() - began, 4)},
    }
    return Outputs({"image": png(cut_out), "mask": png(mask)}, values)


def _guide(data: bytes | None) -> Pixels | None:
    return None if data is None else np.asarray(flatten(decode(data).pixels).convert("L"), np.uint8)
