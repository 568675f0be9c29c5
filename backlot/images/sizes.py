"""Output sizes of SeeDream: the eight listed ones, the automatic choice, and what a model makes of a size."""

import re
from collections.abc import Iterable
from fractions import Fraction

from backlot.seedream_models import MODELS, SeedreamModel

#: Listed sizes by aspect ratio, in the order in which a tie is decided (the paid API service's own list).
LISTED_SIZES: dict[str, tuple[int, int]] = {
    "1:1": (2048, 2048),
    "4:3": (2304, 1728),
    "3:4": (1728, 2304),
    "16:9": (2560, 1440),
    "9:16": (1440, 2560),
    "3:2": (2496, 1664),
    "2:3": (1664, 2496),
    "21:9": (3024, 1296),
}

#: How many times the longer side may be the shorter one.
MAX_ASPECT = 16

# Not `\d`, which takes the digits of every script: the text goes to the API as it is.
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


def parse_size(text: str) -> tuple[int, int] | None:
    """Read `2048x1152`; None for anything of another form."""
    match = _SIZE.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def size_problem(size: str, model: SeedreamModel) -> str | None:
    """Tell what is wrong with an explicit size for a model.

    Args:
        size: `WxH` in pixels, or a tier such as `2K`.

    Returns:
        A sentence, or None if the model takes the size.
    """
    if size in model.tiers:
        return None
    pixels = parse_size(size)
    if pixels is None:
        return _form(model.tiers)
    width, height = pixels
    others = f"; or send 'auto', {' or '.join(model.tiers)}"
    if not model.min_px <= width * height <= model.max_px:
        return f"must have {model.min_px} to {model.max_px} pixels, {size} has {width * height}{others}"
    if max(width, height) > MAX_ASPECT * min(width, height):
        return f"must have an aspect ratio of 1:16 to 16:1, {size} has {width / height:.3g}:1{others}"
    return None


def form_problem(size: str) -> str | None:
    """Tell whether an explicit size has a form that no model takes."""
    tiers = sorted({tier for model in MODELS.values() for tier in model.tiers}, key=lambda tier: float(tier[:-1]))
    return None if size in tiers or parse_size(size) else _form(tiers)


def _form(tiers: Iterable[str]) -> str:
    return f"must be 'auto', {', '.join(tiers)}, or WIDTHxHEIGHT such as 2048x2048"


def listed_size(aspect_ratio: str) -> str:
    """Return the listed size of a listed aspect ratio; every model takes all of them."""
    width, height = LISTED_SIZES[aspect_ratio]
    return f"{width}x{height}"


def automatic_size(width: int, height: int) -> str:
    """Choose the listed size whose aspect ratio is nearest to a picture's.

    The distance is |w_i/h_i - w/h|; a tie goes to the earlier entry of `LISTED_SIZES`.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
    """
    # Floats would decide some ties by their last bit.
    ratio = Fraction(width, height)
    return listed_size(min(LISTED_SIZES, key=lambda name: abs(Fraction(*LISTED_SIZES[name]) - ratio)))
