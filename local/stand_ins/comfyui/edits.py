"""Looks that an instruction asks for, by its words, each a classical filter."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]
Look = Callable[[Picture], NDArray[Any]]

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
        changed = _tinted(picture, int(name[5:])) if name.startswith("tint ") else _LOOKS[name][1](picture)
        picture = np.clip(changed, 0, 1).astype(np.float32)
    return picture


def _scaled(red: float, green: float, blue: float) -> Look:
    return lambda picture: picture * [red, green, blue]


def _grey(picture: NDArray[Any]) -> NDArray[Any]:
    return np.repeat(np.dot(picture, _GREY)[..., None], 3, axis=2)


def _saturated(picture: NDArray[Any], factor: float) -> NDArray[Any]:
    grey = _grey(picture)
    return np.asarray(grey + (picture - grey) * factor)


def _night(picture: Picture) -> NDArray[Any]:
    return np.asarray(picture**1.25 * [0.5, 0.62, 1.0] * _vignette(picture, 0.6))


def _sunset(picture: Picture) -> NDArray[Any]:
    rows = np.linspace(1, 0, picture.shape[0])[:, None, None]
    return picture * [1.14, 0.93, 0.72] + rows * [0.16, 0.07, -0.02]


def _sketch(picture: Picture) -> NDArray[Any]:
    grey = np.dot(picture, _GREY)
    soft = cv2.GaussianBlur(1 - grey, (0, 0), max(grey.shape) / 90)
    lines = np.clip(grey / np.maximum(1 - soft, 0.05), 0, 1)
    return np.repeat(lines[..., None], 3, axis=2)


def _cartoon(picture: Picture) -> NDArray[Any]:
    pixels = (picture * 255).astype(np.uint8)
    smooth = cv2.pyrMeanShiftFiltering(pixels, 6, 26)
    grey = cv2.medianBlur(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY), 7)
    lines = cv2.adaptiveThreshold(grey, 1, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 15, 5)
    return np.asarray(_saturated(smooth / 255, 1.35) * (0.2 + 0.8 * lines[..., None]))


def _painting(picture: Picture) -> NDArray[Any]:
    pixels = (picture * 255).astype(np.uint8)
    return cv2.edgePreservingFilter(pixels, flags=cv2.NORMCONV_FILTER, sigma_s=45, sigma_r=0.5) / 255


def _snow(picture: Picture) -> NDArray[Any]:
    height, width = picture.shape[:2]
    points = (np.random.default_rng(7).random((height, width)) > 0.9985).astype(np.float32)
    flakes = cv2.GaussianBlur(cv2.dilate(points, np.ones((3, 3))), (0, 0), max(1.0, width / 700))
    cold = _saturated(picture, 0.7) * [0.95, 1.0, 1.1] + 0.08
    return np.asarray(cold + np.clip(flakes * 1.5, 0, 1)[..., None])


def _rain(picture: Picture) -> NDArray[Any]:
    height, width = picture.shape[:2]
    drops = (np.random.default_rng(8).random((height, width)) > 0.997).astype(np.float32)
    length = max(9, height // 40)
    streaks = cv2.filter2D(drops, -1, np.eye(length, dtype=np.float32) / 3)
    return np.asarray(_saturated(picture, 0.55) * [0.75, 0.82, 0.92] + streaks[..., None] * 0.35)


def _vignette(picture: Picture, edge: float) -> NDArray[Any]:
    height, width = picture.shape[:2]
    rows, columns = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None, :]
    return (1 - (1 - edge) * (rows**2 + columns**2) / 2)[..., None]


def _tinted(picture: Picture, hue: int) -> NDArray[Any]:
    colour = 0.62 + 0.38 * np.cos(hue / 128 * np.pi + np.array([0, 2, 4]) * np.pi / 3)
    grey = _grey(picture)
    return np.asarray(picture * 0.45 + (colour * grey * 0.9 + grey**2 * 0.35) * 0.55)


def _form(words: str) -> re.Pattern[str]:
    return re.compile(words, re.IGNORECASE)


#: The order is that of application: what changes shapes comes before what changes colours.
_LOOKS: dict[str, tuple[re.Pattern[str], Look]] = {
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
    "sepia": (_form(r"sepia|vintage|old photo|retro|复古|怀旧"), lambda it: _grey(it) * [1.08, 0.88, 0.64]),
    "black and white": (_form(r"black[- ]and[- ]white|monochrome|gr[ae]yscale|黑白"), _grey),
    "vivid": (_form(r"vivid|vibrant|colou?rful|saturat|鲜艳"), lambda picture: _saturated(picture, 1.7)),
    "contrast": (_form(r"contrast|dramatic|cinematic|对比|电影"), lambda picture: (picture - 0.5) * 1.4 + 0.5),
    "bright": (_form(r"bright|lighter|亮"), lambda picture: picture**0.62),
    "dark": (_form(r"\bdark|moody|暗"), lambda picture: picture**1.5 * _vignette(picture, 0.6)),
}
