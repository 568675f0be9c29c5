"""Looks that an instruction asks for, by its words, each a classical filter."""

import hashlib
import re
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

_GREY = np.array([0.299, 0.587, 0.114], np.float32)

#: Instructions to leave everything as it is.
_KEEP = re.compile(r"保持|不变|keep .*(as it is|same|unchanged)|unchanged", re.IGNORECASE)


def looks(text: str) -> list[str]:
    """Return the names of the looks that a text asks for; one of its own hash if it asks for none that is known."""
    found = [name for name, (form, _) in _LOOKS.items() if form.search(text)]
    if found or not text.strip() or _KEEP.search(text):
        return found
    hue = hashlib.sha256(text.encode()).digest()[0]
    return [f"tint {hue}"]


def applied(picture: Picture, names: list[str]) -> Picture:
    """Apply looks one after the other.

    Shapes:
        (H, W, 3) float32 RGB of 0 to 1, in and out.
    """
    for name in names:
        picture = _tinted(picture, int(name[5:])) if name.startswith("tint ") else _LOOKS[name][1](picture)
    return np.clip(picture, 0, 1)


def _scaled(red: float, green: float, blue: float) -> Callable[[Picture], Picture]:
    factors = np.array([red, green, blue], np.float32)
    return lambda picture: picture * factors


def _grey(picture: Picture) -> Picture:
    return np.repeat((picture @ _GREY)[..., None], 3, axis=2)


def _saturated(picture: Picture, factor: float) -> Picture:
    grey = _grey(picture)
    return grey + (picture - grey) * factor


def _night(picture: Picture) -> Picture:
    dark = np.clip(picture, 0, 1) ** 1.6 * np.array([0.42, 0.55, 0.95], np.float32)
    return dark * _vignette(picture, 0.55)


def _sunset(picture: Picture) -> Picture:
    rows = np.linspace(1, 0, picture.shape[0], dtype=np.float32)[:, None, None]
    return picture * np.array([1.14, 0.93, 0.72], np.float32) + rows * np.array([0.16, 0.07, -0.02], np.float32)


def _sketch(picture: Picture) -> Picture:
    grey = np.clip(picture @ _GREY, 0, 1)
    soft = cv2.GaussianBlur(1 - grey, (0, 0), max(grey.shape) / 90)
    lines = np.clip(grey / np.maximum(1 - soft, 0.05), 0, 1)
    return np.repeat(lines[..., None], 3, axis=2)


def _cartoon(picture: Picture) -> Picture:
    smooth = np.asarray(np.clip(picture, 0, 1), np.float32)
    for _ in range(3):
        smooth = cv2.bilateralFilter(smooth, 9, 0.15, 7)
    levels = np.round(smooth * 7) / 7
    grey = (np.clip(picture @ _GREY, 0, 1) * 255).astype(np.uint8)
    lines = cv2.adaptiveThreshold(
        cv2.medianBlur(grey, 5), 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 11, 4
    ).astype(np.float32)
    return _saturated(levels, 1.35) * (0.25 + 0.75 * lines[..., None])


def _painting(picture: Picture) -> Picture:
    pixels = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.stylization(pixels, sigma_s=40, sigma_r=0.35), np.float32) / 255.0


def _snow(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    flakes = (np.random.default_rng(7).random((height, width)) > 0.9985).astype(np.float32)
    flakes = cv2.GaussianBlur(cv2.dilate(flakes, np.ones((3, 3))), (0, 0), max(1.0, width / 700))
    cold = _saturated(picture, 0.7) * np.array([0.95, 1.0, 1.1], np.float32) + 0.08
    return cold + np.clip(flakes * 1.5, 0, 1)[..., None]


def _rain(picture: Picture) -> Picture:
    height, width = picture.shape[:2]
    drops = (np.random.default_rng(8).random((height, width)) > 0.997).astype(np.float32)
    length = max(9, height // 40)
    streaks = cv2.filter2D(drops, -1, np.eye(length, dtype=np.float32) / 3)
    return _saturated(picture, 0.55) * np.array([0.75, 0.82, 0.92], np.float32) + streaks[..., None] * 0.35


def _vignette(picture: Picture, edge: float) -> Picture:
    height, width = picture.shape[:2]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    return np.asarray(1 - (1 - edge) * np.clip((rows**2 + columns**2) / 2, 0, 1), np.float32)[..., None]


def _tinted(picture: Picture, hue: int) -> Picture:
    angle = hue / 256 * 2 * np.pi + np.array([0, 2.094, 4.189])
    colour = (0.62 + 0.38 * np.cos(angle)).astype(np.float32)
    grey = np.clip(_grey(picture), 0, 1)
    toned = colour * grey * 0.9 + grey**2 * 0.35
    return picture * 0.45 + toned * 0.55


def _form(words: str) -> re.Pattern[str]:
    return re.compile(words, re.IGNORECASE)


#: The order is that of application: what changes shapes comes before what changes colours.
_LOOKS: dict[str, tuple[re.Pattern[str], Callable[[Picture], Picture]]] = {
    "painting": (_form(r"paint|watercolou?r|impression|油画|水彩"), _painting),
    "cartoon": (_form(r"cartoon|anime|comic|illustration|卡通|动漫|漫画"), _cartoon),
    "sketch": (_form(r"sketch|pencil|line art|drawing|素描|线稿"), _sketch),
    "blur": (_form(r"\bblur|out of focus|模糊|虚化"), lambda picture: cv2.GaussianBlur(picture, (0, 0), 6)),
    "snow": (_form(r"snow|winter|雪|冬"), _snow),
    "rain": (_form(r"\brain|storm|雨"), _rain),
    "night": (_form(r"night|midnight|moon|夜"), _night),
    "sunset": (_form(r"sunset|sunrise|golden hour|dusk|dawn|日落|日出|黄昏"), _sunset),
    "warm": (_form(r"\bwarm|orange|yellow|gold(?!en hour)|暖|橙|黄"), _scaled(1.18, 1.0, 0.74)),
    "cold": (_form(r"\bcold|\bcool|\bblue|冷|蓝"), _scaled(0.74, 0.94, 1.24)),
    "red": (_form(r"\bred\b|crimson|红"), _scaled(1.3, 0.72, 0.7)),
    "green": (_form(r"\bgreen|forest|绿"), _scaled(0.74, 1.18, 0.72)),
    "purple": (_form(r"purple|violet|magenta|pink|紫|粉"), _scaled(1.12, 0.74, 1.18)),
    "sepia": (_form(r"sepia|vintage|old photo|retro|复古|怀旧"), lambda it: _grey(it) * np.float32([1.08, 0.88, 0.64])),
    "black and white": (_form(r"black[- ]and[- ]white|monochrome|gr[ae]yscale|黑白"), _grey),
    "vivid": (_form(r"vivid|vibrant|colou?rful|saturat|鲜艳"), lambda picture: _saturated(picture, 1.7)),
    "contrast": (_form(r"contrast|dramatic|cinematic|对比|电影"), lambda picture: (picture - 0.5) * 1.4 + 0.48),
    "bright": (_form(r"bright|lighter|亮"), lambda picture: np.clip(picture, 0, 1) ** 0.62),
    "dark": (_form(r"\bdark|moody|暗"), lambda picture: np.clip(picture, 0, 1) ** 1.6 * _vignette(picture, 0.6)),
}
