"""From labels to what a request gets: masks, the map of labels, or the photo with a rectangle."""

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

Name = TypeVar("Name", bound=str)

GREEN = (0, 255, 0)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Bounds:
    """The tight box around a region, in pixels; right and bottom are the first ones outside."""

    left: int
    top: int
    right: int
    bottom: int


def mask_of(labels: Pixels, wanted: tuple[int, ...]) -> Pixels:
    """Return 255 where a label is wanted, else 0."""
    table = np.zeros(256, np.uint8)
    table[list(wanted)] = 255
    return np.asarray(cv2.LUT(labels, table), np.uint8)


def bounds_of(mask: Pixels) -> Bounds | None:
    """Return the tight box around a mask; None if the mask is empty."""
    left, top, width, height = cv2.boundingRect(mask)
    return Bounds(left, top, left + width, top + height) if width else None


def cover(rgb: Pixels, bounds: Bounds | None) -> Pixels:
    """Return a photo with one solid green rectangle, or as it is if there are no bounds."""
    if bounds is None:
        return rgb
    made = rgb.copy()
    made[bounds.top : bounds.bottom, bounds.left : bounds.right] = GREEN
    return made


def masks_of(labels: Pixels, regions: Mapping[Name, tuple[int, ...]]) -> dict[Name, Pixels]:
    """Return the mask of each region."""
    return {region: mask_of(labels, wanted) for region, wanted in regions.items()}


def encode_flat(values: Pixels) -> bytes:
    """Encode one channel with large even areas as an 8-bit grey PNG.

    Every row is stored as its difference from the row above (PNG, 9.2, filter 2), which is 0 nearly everywhere, and
    packed by run lengths.
    """
    height, width = values.shape
    rows = np.empty((height, width + 1), np.uint8)
    rows[:, 0] = 2
    rows[0, 1:] = values[0]
    np.subtract(values[1:], values[:-1], out=rows[1:, 1:])
    packer = zlib.compressobj(1, zlib.DEFLATED, 15, 9, zlib.Z_RLE)
    packed = packer.compress(rows.data) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", packed), _chunk(b"IEND", b"")))


def encode_photo(rgb: Pixels) -> bytes:
    """Encode a photo as an RGB PNG, quickly rather than small."""
    done, made = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 1])
    if not done:
        raise ValueError("the photo cannot be encoded")
    return made.tobytes()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
