"""Drawn people on cluttered grounds: pictures for calibration that need no data set, and know their own labels."""

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

#: Labels of ATR that are drawn, from the back to the front, with each part's place on a figure of height and width 1:
#: centre x, centre y, half width, half height.
_PARTS = (
    (2, 0.50, 0.10, 0.075, 0.100),
    (12, 0.42, 0.75, 0.050, 0.210),
    (13, 0.58, 0.75, 0.050, 0.210),
    (9, 0.41, 0.96, 0.065, 0.030),
    (10, 0.59, 0.96, 0.065, 0.030),
    (14, 0.27, 0.40, 0.045, 0.180),
    (15, 0.73, 0.40, 0.045, 0.180),
    (6, 0.50, 0.66, 0.140, 0.190),
    (4, 0.50, 0.36, 0.190, 0.180),
    (8, 0.50, 0.53, 0.150, 0.015),
    (11, 0.50, 0.12, 0.055, 0.070),
    (16, 0.76, 0.60, 0.080, 0.070),
)

#: What may stand in a part's place: trousers or skirt, shirt or dress.
_OTHERS = {6: 5, 4: 7}


def draw_figure(size_px: int, seed: int) -> tuple[Pixels, Pixels]:
    """Draw one person of random build, colours and place.

    Returns:
        the picture (n,n,3) BGR, and its labels (n,n), numbered as ATR's.
    """
    random = np.random.default_rng(seed)
    picture, labels = _texture(size_px, random, random.uniform(20, 80)), np.zeros((size_px, size_px), np.uint8)
    height = size_px * random.uniform(0.6, 1.1)
    width = height * random.uniform(0.5, 0.8)
    left = random.uniform(0, max(size_px - width, 1))
    top = random.uniform(0, max(size_px - 0.9 * height, 1))
    for part, x, y, half_width, half_height in _PARTS:
        label = _OTHERS.get(part, part) if random.random() < 0.3 else part
        shape = np.zeros_like(labels)
        centre = (round(left + (x + random.normal(0, 0.01)) * width), round(top + y * height))
        axes = (max(1, round(half_width * width * random.uniform(0.8, 1.3))), max(1, round(half_height * height)))
        cv2.ellipse(shape, centre, axes, float(random.normal(0, 8)), 0, 360, 1, -1)
        inside = shape > 0
        picture[inside] = _texture(size_px, random, random.uniform(8, 45))[inside]
        labels[inside] = label
    return cv2.GaussianBlur(picture, (0, 0), 0.7).astype(np.uint8), labels


def _texture(size_px: int, random: np.random.Generator, strength: float) -> Pixels:
    """Return a random colour with grain of all sizes, the coarser the stronger, as in photographs."""
    made = np.zeros((size_px, size_px, 3), np.float32)
    cells = 2
    while cells <= size_px:
        grain = random.standard_normal((cells, cells, 3)).astype(np.float32)
        made += cv2.resize(grain, (size_px, size_px), interpolation=cv2.INTER_LINEAR) / cells**0.7
        cells *= 4
    made *= strength / max(float(made.std()), 1e-6)
    return np.clip(made + random.uniform(20, 235, 3), 0, 255).astype(np.uint8)
