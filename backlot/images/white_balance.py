"""White balance by classical methods: one gain for each channel. Pillow only."""

from dataclasses import dataclass

from PIL import Image, ImageStat

#: Bounds of a channel's gain: beyond them a picture is not tinted but of one colour.
LEAST_GAIN, MOST_GAIN = 0.5, 2.0

#: What the ends of the scales of temperature and tint change, as a share of a channel.
TEMPERATURE_SHARE, TINT_SHARE = 0.3, 0.2

#: Ends of those scales.
FULL = 100.0

#: Values that count for the mean: what is black or burnt out has no colour any more.
_DARK, _BURNT = 5, 250


@dataclass(frozen=True)
class Gains:
    """By what each channel's values are multiplied."""

    red: float
    green: float
    blue: float


def grey_world(picture: Image.Image) -> Gains:
    """Return the gains that make a picture's mean colour grey: the mean of all channels over each channel's own.

    Args:
        picture: mode L, RGB or RGBA; transparent pixels do not count, nor do black and burnt out ones.

    Source: Buchsbaum, A spatial processor model for object colour perception, 1980.
    """
    rgb = picture.convert("RGB")
    counted = rgb.convert("L").point(lambda value: 255 * (_DARK < value < _BURNT))
    if picture.mode == "RGBA":
        counted.paste(0, (0, 0), picture.getchannel("A").point(lambda value: 255 * (value < 128)))
    if counted.getbbox() is None:
        return Gains(1, 1, 1)
    red, green, blue = ImageStat.Stat(rgb, counted).mean
    grey = (red + green + blue) / 3
    return Gains(*(_bounded(grey / max(mean, 1.0)) for mean in (red, green, blue)))


def by_hand(temperature: float, tint: float) -> Gains:
    """Return the gains of a temperature and a tint.

    With t and u the shares of the scales: red 1 + 0.3·t, green 1 - 0.2·u, blue 1 - 0.3·t.

    Args:
        temperature: -100, cold, to 100, warm.
        tint: -100, green, to 100, magenta.
    """
    warm = TEMPERATURE_SHARE * min(max(temperature / FULL, -1), 1)
    return Gains(1 + warm, 1 - TINT_SHARE * min(max(tint / FULL, -1), 1), 1 - warm)


def balanced(picture: Image.Image, gains: Gains) -> Image.Image:
    """Apply gains; transparency stays.

    Args:
        picture: mode L, RGB or RGBA.

    Returns:
        Mode RGB or RGBA.
    """
    kept = picture if picture.mode == "RGBA" else picture.convert("RGB")
    red, green, blue, *alpha = kept.split()
    channels = [
        channel.point(lambda value, gain=gain: min(round(value * gain), 255))
        for channel, gain in ((red, gains.red), (green, gains.green), (blue, gains.blue))
    ]
    return Image.merge(kept.mode, (*channels, *alpha))


def _bounded(gain: float) -> float:
    return min(max(gain, LEAST_GAIN), MOST_GAIN)
