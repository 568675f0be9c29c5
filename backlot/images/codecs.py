"""Pictures from untrusted bytes, and back: sniffed, limited before they are decoded, upright, in three modes only."""

import base64
import io
import struct
import zlib
from dataclasses import dataclass

from PIL import (
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageChops,
    ImageCms,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from backlot.assets import MAX_IMAGE_BYTES
from backlot.errors import ImageShapeRefused, ImageTooLarge, ImageUnreadable

#: Largest input, pixels as decoded.
MAX_IMAGE_PIXELS = 50_000_000

#: The models refuse sides below 10 px (Qwen3-VL) or 15 px (SeeDream) and aspect ratios beyond 16:1 (SeeDream); read
#: 2026-11-20.
MIN_SIDE_PX = 15
MAX_ASPECT = 16.0

#: Largest colour profile that is kept, bytes; those of cameras and screens have a few kilobytes.
MAX_PROFILE_BYTES = 1_000_000

#: Where an ICC profile says what it is and which colours it describes (ICC.1:2022, 7.2).
_ICC_SIGNATURE, _ICC_COLOURS = slice(36, 40), slice(16, 20)

#: Where a PNG says how many bits a channel has (PNG, 11.2.1).
_PNG_DEPTH = 24

#: Decoders that may run on foreign bytes. A JPEG can turn out as MPO, which is how phones store several in one file.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

#: What Pillow's decoders raise on broken input.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, IndexError, KeyError, TypeError, struct.error, zlib.error)

# Importing a plugin registers its decoder; all others stay unknown.
_PLUGINS = (BmpImagePlugin, GifImagePlugin, JpegImagePlugin, PngImagePlugin, TiffImagePlugin, WebPImagePlugin)

# Pillow's own limit warns first and raises later; ours below is exact and has its own error.
Image.MAX_IMAGE_PIXELS = None


@dataclass(frozen=True)
class Picture:
    """A decoded picture: its pixels, what their values mean, and nothing else that its file carried.

    Args:
        pixels: upright, mode L, RGB or RGBA, 8 bits a channel.
        icc_profile: the colour profile that the values are meant in, if the file had one that fits the mode.
    """

    pixels: Image.Image
    icc_profile: bytes | None = None

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.pixels.width

    @property
    def height(self) -> int:
        """Height in pixels."""
        return self.pixels.height


@dataclass(frozen=True)
class Header:
    """What the first bytes of a file say: its format, and its size as stored, before any rotation."""

    content_type: str
    width: int
    height: int


def read_header(data: bytes) -> Header:
    """Sniff a file's format and size without decoding pixels.

    Args:
        data: the file, or enough of its beginning.

    Raises:
        ImageUnreadable: no allowed format is recognised.
        ImageTooLarge: it has more than `MAX_IMAGE_PIXELS` pixels.
    """
    image = _open(data)
    return Header(Image.MIME["JPEG" if image.format == "MPO" else str(image.format)], image.width, image.height)


def verify(data: bytes) -> Header:
    """Decode a file to its end, whatever its size in bytes, and tell what it is.

    Raises:
        ImageUnreadable: the format is not allowed, or the file is broken or cut off.
        ImageTooLarge: it has more than `MAX_IMAGE_PIXELS` pixels.
    """
    try:
        _open(data).load()
    except _BROKEN as error:
        raise ImageUnreadable(reason=f"it is broken or cut off ({_brief(error)})") from error
    return read_header(data)


def decode(data: bytes) -> Picture:
    """Decode a still picture, turned upright by its EXIF orientation.

    Grey stays L (16 bits are scaled to 8), palettes become RGB; whatever has transparency becomes RGBA, a single
    transparent colour included; CMYK goes through its profile. Notes of any kind (EXIF, texts, comments) are dropped.

    Args:
        data: a complete file of at most `backlot.assets.MAX_IMAGE_BYTES` bytes.

    Raises:
        ImageUnreadable: the format is not allowed, the file is broken or cut off, or it is animated.
        ImageTooLarge: too many bytes or pixels.
        ImageShapeRefused: a side or the aspect ratio is outside the models' limits.
    """
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageTooLarge(reason=f"it has {len(data)} bytes, {MAX_IMAGE_BYTES} are allowed")
    image = _open(data)
    _check_shape(image.width, image.height)
    try:
        if image.format != "MPO" and getattr(image, "is_animated", False):
            raise ImageUnreadable(reason="it has several frames; a still picture is needed")
        image.load()
        profile = image.info.get("icc_profile")
        upright = ImageOps.exif_transpose(image)
        if image.format == "PNG":
            _scale_transparent_colour(upright, data[_PNG_DEPTH])
        pixels, keeps_values = _plain(upright, profile)
    except _BROKEN as error:
        raise ImageUnreadable(reason=f"it is broken or cut off ({_brief(error)})") from error
    # Pillow's encoders write some of these notes unasked.
    pixels.info = {}
    return Picture(pixels, profile if keeps_values and _describes(profile, pixels.mode) else None)


def encode_png(picture: Picture) -> bytes:
    """Encode without loss.

    Level 3 of zlib is about three times faster than Pillow's default on photographs, for a few percent of size.
    """
    buffer = io.BytesIO()
    picture.pixels.save(buffer, "PNG", compress_level=3, icc_profile=picture.icc_profile)
    return buffer.getvalue()


def encode_jpeg(picture: Picture, *, max_side: int, quality: int) -> bytes:
    """Encode a copy for a model to look at: transparent parts on white, no larger than asked.

    Args:
        max_side: longest side of the copy, pixels.
        quality: JPEG quality, 1 to 95.
    """
    pixels = flatten(picture.pixels).convert("RGB")
    pixels.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    profile = picture.icc_profile if _describes(picture.icc_profile, "RGB") else None
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=quality, subsampling=0 if quality > 90 else 2, icc_profile=profile)
    return buffer.getvalue()


def flatten(pixels: Image.Image) -> Image.Image:
    """Lay a picture with transparency on white; others are returned as they are."""
    if pixels.mode != "RGBA":
        return pixels
    white = Image.new("RGBA", pixels.size, "white")
    return Image.alpha_composite(white, pixels).convert("RGB")


def data_url(content_type: str, data: bytes) -> str:
    """Write bytes as a `data:` URL in base64."""
    return f"data:{content_type};base64,{base64.b64encode(data).decode('ascii')}"


def _open(data: bytes) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        kind = "it is empty" if not data else "its content is not JPEG, PNG, WebP, GIF, BMP or TIFF"
        raise ImageUnreadable(reason=kind) from error
    except _BROKEN as error:
        raise ImageUnreadable(reason=f"its header is broken ({_brief(error)})") from error
    if image.width * image.height > MAX_IMAGE_PIXELS:
        raise ImageTooLarge(reason=f"it has {image.width}x{image.height} pixels, {MAX_IMAGE_PIXELS} are allowed")
    return image


def _check_shape(width: int, height: int) -> None:
    if min(width, height) < MIN_SIDE_PX:
        raise ImageShapeRefused(reason=f"{width}x{height} px, each side needs at least {MIN_SIDE_PX}")
    if max(width, height) / min(width, height) > MAX_ASPECT:
        raise ImageShapeRefused(reason=f"{width}x{height} px, the longer side may be {MAX_ASPECT:.0f} times the other")


def _scale_transparent_colour(image: Image.Image, depth: int) -> None:
    """Bring a PNG's transparent colour to the scale to which Pillow brings the pixels.

    Pillow scales grey of 2 and 4 bits up to 8 and takes the upper half of the 16 bits of RGB, and leaves the colour.
    """
    colour = image.info.get("transparency")
    if image.mode == "L" and isinstance(colour, int) and depth < 8:
        image.info["transparency"] = colour * (255 // (2**depth - 1))
    if image.mode == "RGB" and isinstance(colour, tuple) and depth == 16:
        image.info["transparency"] = tuple(value >> 8 for value in colour)


def _describes(profile: bytes | None, mode: str) -> bool:
    """Tell whether a colour profile is one for values of a mode: grey for L, RGB for RGB and RGBA."""
    if not profile or len(profile) > MAX_PROFILE_BYTES or profile[_ICC_SIGNATURE] != b"acsp":
        return False
    return profile[_ICC_COLOURS] == (b"GRAY" if mode == "L" else b"RGB ")


def _plain(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, bool]:
    """Bring any mode to L, RGB or RGBA; also tell whether the values are still those that a profile describes."""
    mode = image.mode
    if mode == "RGBA" or (mode in ("L", "RGB") and "transparency" not in image.info):
        return image, True
    if mode in ("L", "RGB"):
        return image.convert("RGBA"), True
    if mode == "1":
        return _plain(image.convert("L"), profile)
    if mode.startswith("I;16"):
        return _from_16_bits(image), True
    if mode in ("I", "F"):
        raise ImageUnreadable(reason="its pixels have 32 bits a channel; 8 or 16 are read")
    if mode == "CMYK":
        return _from_cmyk(image, profile), False
    if mode in ("P", "PA", "LA", "La", "RGBa"):
        return image.convert("RGBA" if mode != "P" or "transparency" in image.info else "RGB"), True
    return image.convert("RGB"), False


def _from_16_bits(image: Image.Image) -> Image.Image:
    grey = image.convert("I").point(lambda value: value / 257).convert("L")
    colour = image.info.get("transparency")
    if colour is None:
        return grey
    # Compared by halves, because Pillow looks values up in modes of 8 bits only.
    stored = image.tobytes()
    low, high = (Image.frombytes("L", image.size, stored[half::2]) for half in (0, 1))
    differs = ImageChops.lighter(
        low.point([255 * (value != colour & 255) for value in range(256)]),
        high.point([255 * (value != colour >> 8) for value in range(256)]),
    )
    return Image.merge("RGBA", (grey, grey, grey, differs))


def _from_cmyk(image: Image.Image, profile: bytes | None) -> Image.Image:
    if profile:
        try:
            source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            converted = None
        if converted is not None:
            return converted
    return image.convert("RGB")


def _brief(error: Exception) -> str:
    return str(error)[:120] or type(error).__name__
