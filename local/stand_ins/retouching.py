"""Classical retouching: objects put in, and colour casts taken out.

Pixels are RGB, (H, W, 3) uint8; masks (H, W) uint8, white within. The same input gives the same result.
"""

import colorsys
import hashlib

import cv2
import numpy as np
from numpy.typing import NDArray

from local.stand_ins.faces import Pixels

#: Objects are cut out on a copy of this size, pixels.
CUT_PX = 320

#: Edges tell the light's colour better than areas, of which one may fill the picture: Minkowski norm of their mean, and
#: blur before. Source: van de Weijer, Gevers and Gijsenij, Edge-Based Color Constancy, 2007.
EDGE_NORM, EDGE_BLUR_PX = 5, 1.5

#: A clipped highlight is taken for white if its other channels are as alike as this.
WHITE = 0.86

#: Words for colours, and their hue and saturation.
HUES = {
    "red": (0.0, 0.75),
    "orange": (0.07, 0.8),
    "brown": (0.07, 0.5),
    "yellow": (0.14, 0.8),
    "green": (0.35, 0.6),
    "blue": (0.6, 0.7),
    "purple": (0.77, 0.5),
    "pink": (0.92, 0.45),
    "white": (0.1, 0.03),
    "grey": (0.6, 0.05),
    "gray": (0.6, 0.05),
    "black": (0.6, 0.0),
}


def put_in(picture: Pixels, cut: Pixels, shape: Pixels) -> Pixels:
    """Lay an object over a picture, with soft edges, in the picture's light, and its shadow under it.

    Args:
        picture: that it is laid over.
        cut: the object where it is to be, black around.
        shape: its mask.
    """
    inside = shape >= 128
    if not inside.any():
        return picture
    size = _size_of(inside)
    eroded = cv2.erode(shape, np.ones((3, 3), np.uint8))
    alpha = cv2.GaussianBlur(eroded, (0, 0), max(0.8, size / 150)).astype(np.float32)[:, :, None] / 255
    moved = np.roll(shape, (max(1, round(size * 0.03)), max(1, round(size * 0.02))), (0, 1))
    shadow = cv2.GaussianBlur(moved, (0, 0), max(1.0, size * 0.03)).astype(np.float32)[:, :, None] / 255
    ground = picture * (1 - 0.4 * shadow)
    # What is under the object tells its light: it takes over a part of the difference.
    difference = picture[inside].mean() - cut[inside].mean()
    lit = np.clip(cut.astype(np.float32) + 0.2 * difference, 0, 255)
    return np.asarray(ground * (1 - alpha) + lit * alpha, np.uint8)


def drawn(picture: Pixels, mask: Pixels, prompt: str, seed: int) -> Pixels:
    """Put a ball into a mask: of the colour that the prompt names, else of one that follows from prompt and seed."""
    rows, columns = np.nonzero(mask >= 128)
    middle = (float(columns.min() + columns.max()) / 2, float(rows.min() + rows.max()) / 2)
    radius = 0.46 * min(int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1)
    down, right = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]].astype(np.float32)
    x, y = (right - middle[0]) / radius, (down - middle[1]) / radius
    z = np.sqrt(np.clip(1 - x * x - y * y, 0, 1))
    light = np.array((-0.45, -0.62, 0.64))
    shade = np.clip(x * light[0] + y * light[1] + z * light[2], 0, 1)
    glint = np.clip(2 * z * (x * light[0] + y * light[1] + z * light[2]) - light[2], 0, 1) ** 24
    colour = np.array(_colour(prompt, seed), np.float32)
    ball = 255 * (colour * (0.22 + 0.78 * shade[:, :, None]) + 0.55 * glint[:, :, None])
    shape = np.where(x * x + y * y <= 1, 255, 0).astype(np.uint8)
    shape[mask < 128] = 0
    return put_in(picture, np.asarray(np.clip(ball, 0, 255), np.uint8), shape)


def outline(reference: Pixels) -> Pixels:
    """Mask what is in the middle of a picture (GrabCut); all but the margin if nothing stands out."""
    height, width = reference.shape[:2]
    scale = min(1.0, CUT_PX / max(height, width))
    small = cv2.resize(reference, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    rows, columns = small.shape[:2]
    left, top = max(1, columns // 14), max(1, rows // 14)
    box = (left, top, columns - 2 * left, rows - 2 * top)
    labels = np.zeros((rows, columns), np.uint8)
    cv2.setRNGSeed(0)
    cv2.grabCut(small, labels, box, np.zeros((1, 65)), np.zeros((1, 65)), 4, cv2.GC_INIT_WITH_RECT)
    found = np.where(np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)), 255, 0).astype(np.uint8)
    if cv2.countNonZero(found) < 0.02 * rows * columns:
        found[top : rows - top, left : columns - left] = 255
    return np.asarray(cv2.resize(found, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def balanced(picture: Pixels) -> Pixels:
    """Take the light's colour out: each channel is divided by its share of the light."""
    smoothed = cv2.GaussianBlur(picture, (0, 0), EDGE_BLUR_PX).astype(np.float32) / 255
    across, down = (cv2.Sobel(smoothed, cv2.CV_32F, *way, ksize=3) for way in ((1, 0), (0, 1)))
    edges = np.sqrt(across**2 + down**2).astype(np.float64)
    # What is clipped says nothing of the colour.
    bright = np.asarray((picture > 250).any(axis=2), np.uint8)
    edges[cv2.dilate(bright, np.ones((9, 9), np.uint8)) > 0] = 0
    light = (edges**EDGE_NORM).mean(axis=(0, 1)) ** (1 / EDGE_NORM) + 1e-6
    gains = light.mean() / light
    gains *= picture.mean() / max(1e-6, (picture * gains).mean())
    corrected = picture * gains
    # A channel that was clipped has lost a part of its light: it stays bright, and where the other two say that the
    # highlight is white, all three become so.
    clipped = np.clip((picture - 225.0) / 30, 0, 1)
    others = np.take_along_axis(corrected, np.argsort(picture, axis=2)[:, :, :2], axis=2)
    grey = others.max(axis=2, keepdims=True)
    alike = others.min(axis=2, keepdims=True) / np.maximum(grey, 1)
    white = clipped.max(axis=2, keepdims=True) * np.clip((alike - WHITE) / 0.08, 0, 1)
    corrected += clipped * np.maximum(picture - corrected, 0)
    corrected += white * (grey - corrected)
    return np.asarray(np.clip(corrected + 0.5, 0, 255), np.uint8)


def grained(picture: Pixels, mask: Pixels, seed: int) -> Pixels:
    """Add grain under a mask, so that another seed makes another picture."""
    noise = np.random.default_rng(seed).normal(0, 1.6, picture.shape[:2]).astype(np.float32)
    return np.asarray(np.clip(picture + (noise * (mask / 255))[:, :, None] + 0.5, 0, 255), np.uint8)


def _size_of(inside: NDArray[np.bool_]) -> float:
    return float(np.sqrt(max(1, int(inside.sum()))))


def _colour(prompt: str, seed: int) -> tuple[float, float, float]:
    for word in prompt.lower().replace(",", " ").split():
        if word in HUES:
            hue, saturation = HUES[word]
            return colorsys.hsv_to_rgb(hue, saturation, 0.15 if word == "black" else 0.95)
    digest = hashlib.sha256(f"{prompt}/{seed}".encode()).digest()
    return colorsys.hsv_to_rgb(digest[0] / 255, 0.6, 0.9)
