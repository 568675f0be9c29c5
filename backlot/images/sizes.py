"""Output sizes of SeeDream: the eight listed ones, the automatic choice, and each model's limits."""

import re
from dataclasses import dataclass

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

#: Aspect ratios that the API takes, width over height.
MIN_ASPECT, MAX_ASPECT = 1 / 16, 16.0

_SIZE = re.compile(r"(\d{1,5})x(\d{1,5})")


@dataclass(frozen=True)
class SizeLimits:
    """What a model accepts as `size`.

    Args:
        tiers: names of resolutions whose shape the model chooses itself.
        min_px: smallest product of width and height.
        max_px: largest product of width and height.
    """

    tiers: tuple[str, ...]
    min_px: int
    max_px: int


#: By a part of the model's id, most particular first. Source: the vendor's SDK and ComfyUI's ByteDance nodes, read
#: 2026-11-20.
_LIMITS: dict[str, SizeLimits] = {
    "seedream-5-0-pro": SizeLimits(("1K", "1.5K", "2K"), 921_600, 4_624_220),
    "seedream-5-0-flash": SizeLimits(("1K", "1.5K", "2K"), 921_600, 4_624_220),
    "seedream-5-0": SizeLimits(("2K", "3K"), 3_686_400, 10_404_496),
    "seedream-4-5": SizeLimits(("2K", "4K"), 3_686_400, 16_777_216),
    "seedream-4-0": SizeLimits(("1K", "2K", "4K"), 921_600, 16_777_216),
}


def size_limits(model: str) -> SizeLimits:
    """Return the limits of a SeeDream model; an unknown id (an `ep-…` endpoint) gets those of 4.0."""
    return next((limits for part, limits in _LIMITS.items() if part in model), _LIMITS["seedream-4-0"])


def parse_size(text: str) -> tuple[int, int] | None:
    """Read `2048x1152`; None for anything of another form."""
    match = _SIZE.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None


def size_problem(size: str, model: str) -> str | None:
    """Tell what is wrong with an explicit size for a model.

    Args:
        size: `WxH` in pixels, or a tier such as `2K`.

    Returns:
        A sentence, or None if the model takes the size.
    """
    limits = size_limits(model)
    if size in limits.tiers:
        return None
    pixels = parse_size(size)
    allowed = f"'auto', {', '.join(limits.tiers)}, or WIDTHxHEIGHT such as 2048x2048"
    if pixels is None:
        return f"must be {allowed}"
    width, height = pixels
    if not limits.min_px <= width * height <= limits.max_px:
        return f"must have {limits.min_px} to {limits.max_px} pixels, {size} has {width * height}"
    if not MIN_ASPECT <= width / height <= MAX_ASPECT:
        return f"must have an aspect ratio of 1:16 to 16:1, {size} has {width / height:.3g}:1"
    return None


def automatic_size(width: int, height: int) -> str:
    """Choose the listed size whose aspect ratio is nearest to a picture's.

    The distance is |w_i/h_i - w/h|; a tie goes to the earlier entry of `LISTED_SIZES`.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
    """
    ratio = width / height
    best = min(LISTED_SIZES.values(), key=lambda size: abs(size[0] / size[1] - ratio))
    return f"{best[0]}x{best[1]}"
