"""What the stand-in of an image model draws: landscapes out of noise, references laid side by side, and what was asked.

Nobody shall take it for a model's work: each picture says STAND-IN and the prompt that it was drawn for.
"""

import colorsys
import hashlib
import textwrap
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from local.stand_ins.faces import Pixels

Canvas = NDArray[np.float32]

#: Longest side of the canvas that is drawn on before it is scaled to the size that was asked for, pixels.
CANVAS_PX = 1024

#: Up to so many references melt into each other; more are laid out as tiles.
MELTING = 3

#: Longest piece of the prompt that is written on the picture, characters.
CAPTION_CHARS = 220


def draw(prompt: str, references: list[Pixels], width: int, height: int, *, index: int, of: int) -> Pixels:
    """Draw a picture that differs by prompt and by index.

    Args:
        prompt: what was asked for; it is written on the picture.
        references: shown in the picture, if there are any.
        width: pixels.
        height: pixels.
        index: which picture of its batch, counted from 0.
        of: how many the batch has.

    Shapes:
        references (h, w, 3), result (height, width, 3), all uint8 BGR.
    """
    seed = hashlib.sha256(f"{index}/{prompt}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(seed, np.uint32))
    scale = min(1.0, CANVAS_PX / max(width, height))
    size = (max(round(width * scale), 16), max(round(height * scale), 16))
    canvas = _landscape(rng, *size) if not references else _graded(rng, _laid_out(references, *size))
    pixels = np.asarray(np.clip(canvas * 255, 0, 255), np.uint8)
    large = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LANCZOS4)
    return _captioned(np.asarray(large, np.uint8), prompt, f"STAND-IN  {index + 1} / {of}")


def _landscape(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """Draw a sky with a sun, and ridges before it, the nearer the darker."""
    hue = float(rng.random())
    top, horizon, near = (
        _colour(hue, 0.45, 0.35),
        _colour(hue + float(rng.uniform(0.08, 0.2)), 0.35, 0.95),
        _colour(hue + 0.55, 0.5, 0.12),
    )
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    sky = (top + (horizon - top) * np.clip(rows / 0.7, 0, 1)) * (0.92 + 0.16 * _clouds(rng, width, height)[..., None])
    canvas = _with_sun(rng, np.asarray(sky, np.float32))
    ridges = int(rng.integers(4, 7))
    columns = np.arange(height, dtype=np.float32)[:, None]
    for number in range(ridges):
        depth = (number + 1) / ridges
        line = height * (0.42 + 0.42 * depth + (0.16 - 0.08 * depth) * _ridge(rng, width))
        inside = np.clip(columns - line[None, :], 0, 1)[..., None]
        canvas = canvas * (1 - inside) + (horizon + (near - horizon) * depth**0.8) * inside
    return np.asarray(canvas, np.float32)


def _with_sun(rng: np.random.Generator, sky: Canvas) -> Canvas:
    height, width = sky.shape[:2]
    centre = (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.2, 0.45))
    radius = min(width, height) * rng.uniform(0.05, 0.11)
    rows, columns = np.mgrid[0:height, 0:width]
    distance = np.hypot(columns - centre[0], rows - centre[1]) / radius
    light = np.clip(1.5 - distance, 0, 1) * 0.8 + 0.35 * np.exp(-((distance / 4) ** 2))
    return np.asarray(sky + (1 - sky) * np.clip(light, 0, 1)[..., None], np.float32)


def _clouds(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """Add up noise of five sizes, each half as strong as the one before; values of 0 to 1."""
    total = np.zeros((height, width), np.float32)
    for octave in range(5):
        cells = (2 + 2**octave, 3 + 2 ** (octave + 1))
        noise = rng.random(cells, dtype=np.float32)
        total += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC) / 2**octave
    return np.asarray((total - total.min()) / (total.max() - total.min()), np.float32)


def _ridge(rng: np.random.Generator, width: int) -> Canvas:
    """Return a line of noise, -1 to 1, one value a column."""
    line = np.zeros(width, np.float32)
    for octave in range(6):
        knots = rng.uniform(-1, 1, 3 + 2 ** (octave + 1)).astype(np.float32)
        line += cv2.resize(knots[None, :], (width, 1), interpolation=cv2.INTER_CUBIC)[0] / 1.9**octave
    return np.asarray(line / np.abs(line).max(), np.float32)


def _laid_out(references: list[Pixels], width: int, height: int) -> Canvas:
    """Show the references: a few melt into each other along the longer side, many lie in tiles."""
    if len(references) > MELTING:
        return _tiles(references, width, height)
    turned = height > width
    long, short = (height, width) if turned else (width, height)
    edges = np.linspace(0, long, len(references) + 1)
    feather = 0.16 * long / len(references)
    position = np.arange(long, dtype=np.float32)
    canvas = np.zeros((height, width, 3), np.float32)
    total = np.zeros(long, np.float32)
    for reference, (begin, end) in zip(references, pairwise(edges), strict=True):
        first, last = max(int(begin - feather), 0), min(int(end + feather), long)
        weight = np.clip((position - begin) / feather + 0.5, 0, 1) * np.clip((end - position) / feather + 0.5, 0, 1)
        weight = np.maximum(weight, 1e-4)[first:last].astype(np.float32)
        total[first:last] += weight
        if turned:
            canvas[first:last] += weight[:, None, None] * _covering(reference, short, last - first)
        else:
            canvas[:, first:last] += weight[None, :, None] * _covering(reference, last - first, short)
    return canvas / (total[:, None, None] if turned else total[None, :, None])


def _tiles(references: list[Pixels], width: int, height: int) -> Canvas:
    columns = int(np.ceil(np.sqrt(len(references) * width / height)))
    rows = int(np.ceil(len(references) / columns))
    gap = max(2, round(0.008 * max(width, height)))
    canvas = np.full((height, width, 3), 0.07, np.float32)
    for number, reference in enumerate(references):
        row, column = divmod(number, columns)
        in_row = min(columns, len(references) - row * columns)
        left, right = (round(width * place / in_row) + gap for place in (column, column + 1))
        top, bottom = (round(height * place / rows) + gap for place in (row, row + 1))
        right, bottom = min(right - gap, width - gap), min(bottom - gap, height - gap)
        canvas[top:bottom, left:right] = _covering(reference, right - left, bottom - top)
    return canvas


def _covering(picture: Pixels, width: int, height: int) -> Canvas:
    """Scale and crop a picture so that it covers a rectangle; the upper part stays, where heads are."""
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = (max(round(picture.shape[1] * scale), width), max(round(picture.shape[0] * scale), height))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (size[0] - width) // 2, (size[1] - height) // 4
    return np.asarray(scaled[top : top + height, left : left + width] / np.float32(255), np.float32)


def _graded(rng: np.random.Generator, canvas: Canvas) -> Canvas:
    """Smooth surfaces as a painter does, and light the picture with two colours of its own."""
    smooth = cv2.bilateralFilter(canvas, 7, 0.12, 5)
    hue = float(rng.random())
    dark, light = _colour(hue, 0.7, 0.35), _colour(hue + float(rng.uniform(0.3, 0.6)), 0.45, 1.0)
    grey = cv2.cvtColor(smooth, cv2.COLOR_BGR2GRAY)[..., None]
    toned = dark + (light - dark) * grey
    slope = _clouds(rng, canvas.shape[1], canvas.shape[0])[..., None]
    return np.asarray(smooth + (0.3 + 0.4 * slope) * (toned - smooth), np.float32)


def _captioned(pixels: Pixels, prompt: str, label: str) -> Pixels:
    image = Image.fromarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
    unit = max(12, round(min(image.size) / 36))
    font, small = ImageFont.load_default(unit), ImageFont.load_default(round(unit * 0.8))
    words = textwrap.shorten(prompt, CAPTION_CHARS, placeholder=" …")
    lines = textwrap.wrap(words, max(8, round(1.65 * image.width / unit)))
    painter = ImageDraw.Draw(image, "RGBA")
    band = round(unit * (1.35 * len(lines) + 2.3))
    painter.rectangle((0, image.height - band, image.width, image.height), fill=(8, 8, 12, 150))
    text_at = (unit, image.height - band + round(0.6 * unit))
    painter.text(text_at, label, font=small, fill=(255, 208, 96, 255))
    for number, line in enumerate(lines):
        painter.text((unit, text_at[1] + unit * (1.2 + 1.35 * number)), line, font=font, fill=(255, 255, 255, 235))
    return np.asarray(cv2.cvtColor(np.asarray(image), cv2.COLOR_RGB2BGR), np.uint8)


def _colour(hue: float, saturation: float, value: float) -> Canvas:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return np.array([blue, green, red], np.float32)
