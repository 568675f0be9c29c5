"""Pictures for requests, and what came back."""

import io

import numpy as np
from PIL import Image


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def portrait(seed: int = 0) -> bytes:
    """A red square on noise of green; every seed is another person's."""
    pixels = np.zeros((400, 300, 3), np.uint8)
    pixels[..., 1] = np.random.default_rng(seed).integers(100, 220, (400, 300))
    pixels[150:250, 100:200, 0], pixels[150:250, 100:200, 1] = 250, np.arange(100) % (40 + seed)
    return png(pixels)


def landscape(width: int = 288, height: int = 256) -> bytes:
    """A picture without red, so that nobody is in it."""
    pixels = np.full((height, width, 3), 120, np.uint8)
    pixels[..., 0] = 0
    pixels[:, :, 2] = np.linspace(0, 255, width)
    return png(pixels)


def opened(file) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(file.body))).astype(np.int64)
