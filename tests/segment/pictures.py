"""Drawn pictures, and how they are sent and read."""

import io

import numpy as np
from PIL import Image

from sagemaker_models.segment.parameters import SegmentParameters
from sagemaker_models.serving.model import Request

#: Where the bright square of `scene` lies: left, top, right, bottom.
SQUARE = (40, 20, 100, 80)


def noise(width=120, height=90, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def scene(width=160, height=120, *, dark=10, bright=240):
    """Draw a bright square on dark ground."""
    left, top, right, bottom = SQUARE
    pixels = np.full((height, width, 3), dark, np.uint8)
    pixels[top:bottom, left:right] = bright
    return pixels


def encoded(pixels, kind="PNG", **options):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(file):
    assert file.content_type == "image/png"
    return Image.open(io.BytesIO(file.body))


def request(data, guide=None, **parameters):
    inputs = {"image": data} | ({} if guide is None else {"guide": guide})
    return Request(inputs, SegmentParameters(**parameters), "r-1")


def run(model, data, guide=None, **parameters):
    return model.run([request(data, guide, **parameters)])[0]
