"""Pictures for tests: files as encoders write them, and files as only a hex editor would."""

import io
import struct
import zlib
from collections.abc import Iterable

from PIL import Image, ImageCms


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def plain(width: int = 40, height: int = 30, colour: str = "teal") -> bytes:
    return saved(Image.new("RGB", (width, height), colour), "PNG")


def halves(mode: str, left: object, right: object, size: tuple[int, int] = (40, 20)) -> Image.Image:
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def raw_png(
    size: tuple[int, int], *, depth: int, colour_type: int, row: bytes, chunks: Iterable[tuple[bytes, bytes]] = ()
) -> bytes:
    """Write a PNG of equal rows, bit by bit as its header says, with any chunks before the pixels."""
    before = b"".join(png_chunk(name, data) for name, data in chunks)
    pixels = png_chunk(b"IDAT", zlib.compress((b"\0" + row) * size[1]))
    return _png_header(size, depth, colour_type) + before + pixels + png_chunk(b"IEND", b"")


def boasting_png(width: int, height: int) -> bytes:
    """Write a PNG that claims a size and has next to no pixels."""
    pixels = png_chunk(b"IDAT", zlib.compress(bytes(1000)))
    return _png_header((width, height), 8, 0) + pixels + png_chunk(b"IEND", b"")


def _png_header(size: tuple[int, int], depth: int, colour_type: int) -> bytes:
    header = struct.pack(">IIBBBBB", *size, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header)


def png_chunks(data: bytes) -> list[bytes]:
    """Return the names of a PNG's chunks."""
    names, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        names.append(data[at + 4 : at + 8])
        at += length + 12
    return names


def jpeg_segments(data: bytes) -> set[int]:
    """Return the markers of a JPEG's segments up to its pixels."""
    markers, at = set(), 2
    while data[at + 1] != 0xDA:
        markers.add(data[at + 1])
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return markers


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def profile_for(colours: bytes) -> bytes:
    """Return the sRGB profile, relabelled as one of other colours."""
    profile = srgb_profile()
    return profile[:16] + colours + profile[20:]
