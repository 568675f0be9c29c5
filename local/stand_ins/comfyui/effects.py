"""What stands for a diffusion model's picture: a camera move, looks and insets, marked as a stand-in's."""

import hashlib
import textwrap
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from local.stand_ins import drawings
from local.stand_ins.comfyui import camera, edits

Picture = NDArray[np.float32]

#: Further pictures are shown in frames of this share of the width, and of the height at most.
INSET = 0.26

#: Longest words on the label, characters.
LABEL_CHARS = 80

#: Strength of the grain by which seeds differ.
GRAIN = 0.012


@dataclass(frozen=True)
class Wish:
    """What a sampler was asked for.

    Args:
        text: the instruction.
        pictures: the picture to change and others to bring in, each (H, W, 3).
        seed: lets results differ slightly.
        steps: of the sampler.
        denoise: 0 to 1, how much of the picture may change.
        settings: models and whatever else makes a result another one.
    """

    text: str
    pictures: tuple[Picture, ...]
    seed: int
    steps: int
    denoise: float
    settings: str


def draw(wish: Wish, width: int, height: int, index: int = 0) -> Picture:
    """Draw what was wished for; the same picture for the same wish, size and index.

    Args:
        wish: what was asked for.
        width: pixels.
        height: pixels.
        index: which picture of its batch.

    Shapes:
        (height, width, 3) float32 RGB of 0 to 1.
    """
    if not wish.pictures:
        drawn = drawings.draw(f"{wish.text} (seed {wish.seed})", [], width, height, index=index, of=index + 1)
        return np.asarray(cv2.cvtColor(drawn, cv2.COLOR_BGR2RGB) / 255, np.float32)
    digest = hashlib.sha256(f"{wish.seed} {index} {wish.steps} {wish.settings} {wish.text}".encode()).digest()
    rng = np.random.default_rng(np.frombuffer(digest, np.uint32))
    base = _covering(wish.pictures[0], width, height)
    changed, words = _changed(base, wish.text, jitter=float(rng.uniform(-1.5, 1.5)))
    shown = _with_insets(base + (changed - base) * np.float32(wish.denoise), wish.pictures[1:])
    grain = rng.standard_normal((height, width, 1), np.float32) * np.float32(GRAIN)
    return _labelled(np.clip(shown + grain, 0, 1), f"{words} · seed {wish.seed}")


def _changed(base: Picture, text: str, *, jitter: float) -> tuple[Picture, str]:
    move = camera.read(text)
    names = edits.looks(text)
    if move is None:
        return edits.applied(base, names), " + ".join(names) or "unchanged"
    # What is said of the camera is no look of its own.
    names = [name for name in names if not name.startswith("tint ")]
    return edits.applied(camera.turned(base, move, jitter), names), " + ".join([f"camera {move.words}", *names])


def _covering(picture: Picture, width: int, height: int) -> Picture:
    """Scale and cut a picture so that it fills a size."""
    scale = max(width / picture.shape[1], height / picture.shape[0])
    size = (max(round(picture.shape[1] * scale), width), max(round(picture.shape[0] * scale), height))
    scaled = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.clip(scaled[top : top + height, left : left + width], 0, 1)


def _with_insets(picture: Picture, others: tuple[Picture, ...]) -> Picture:
    """Lay further pictures over the lower edge, in white frames."""
    result = picture.copy()
    height, width = picture.shape[:2]
    gap = max(2, width // 60)
    left = gap
    for other in others:
        scale = min(INSET * width / other.shape[1], INSET * 1.3 * height / other.shape[0])
        small = cv2.resize(other, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        frame = max(1, gap // 4)
        framed = np.pad(small, ((frame, frame), (frame, frame), (0, 0)), constant_values=1)
        top = height - framed.shape[0] - gap * 3
        right = min(left + framed.shape[1], width)
        if top < 0 or right <= left:
            break
        result[top : top + framed.shape[0], left:right] = framed[:, : right - left]
        left = right + gap
    return result


def _labelled(picture: Picture, words: str) -> Picture:
    image = Image.fromarray((picture * 255).astype(np.uint8))
    unit = max(8, round(min(image.size) / 44))
    painter = ImageDraw.Draw(image, "RGBA")
    painter.rectangle((0, image.height - 1.7 * unit, image.width, image.height), fill=(8, 8, 12, 170))
    font = ImageFont.load_default(unit)
    text = textwrap.shorten(f"stand-in · {words}", LABEL_CHARS, placeholder=" …")
    painter.text((unit * 0.7, image.height - 1.45 * unit), text, font=font, fill=(255, 208, 96, 255))
    return np.asarray(image, np.float32) / np.float32(255)
