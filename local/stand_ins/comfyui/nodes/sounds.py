"""Nodes for sounds and videos, and the coding of silence, the only sound that there is."""

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.stand_ins.comfyui.nodes.images import Images

#: Samples in one frame of a FLAC file.
BLOCK = 4096


@dataclass(frozen=True)
class Silence:
    """A sound of nothing.

    Args:
        length: samples.
        rate: samples in a second.
        channels: 1 or 2.
    """

    length: int
    rate: int
    channels: int


@dataclass(frozen=True)
class Video:
    """Frames, and how many of them are shown in a second; what sounds with them is left out."""

    frames: Images
    fps: float


def flac(sound: Silence) -> bytes:
    """Encode silence as FLAC, 16 bits.

    Source:
        RFC 9639, sections 8 and 9.
    """
    # 20 bits rate, 3 bits channels, 5 bits sample size, 36 bits length.
    described = sound.rate << 44 | (sound.channels - 1) << 41 | 15 << 36 | sound.length
    digest = hashlib.md5(bytes(2 * sound.channels * sound.length), usedforsecurity=False).digest()
    info = struct.pack(">HH", BLOCK, BLOCK) + bytes(6) + described.to_bytes(8, "big") + digest
    frames = [
        _frame(number, min(BLOCK, sound.length - begin), sound.channels)
        for number, begin in enumerate(range(0, sound.length, BLOCK))
    ]
    return b"fLaC" + bytes([0x80]) + len(info).to_bytes(3, "big") + info + b"".join(frames)


def _frame(number: int, length: int, channels: int) -> bytes:
    """Encode samples that are all 0; a frame's number is coded as UTF-8 codes a character."""
    # Blocks of one size, which follows in 16 bits; the rate is the stream's; 16 bits a sample.
    coded = chr(number).encode("utf-8", "surrogatepass")
    head = bytes([0xFF, 0xF8, 0x70, (channels - 1) << 4 | 0b1000]) + coded + (length - 1).to_bytes(2, "big")
    constant = bytes([0, 0, 0])
    body = head + bytes([_crc(head, 8, 0x07)]) + constant * channels
    return body + _crc(body, 16, 0x8005).to_bytes(2, "big")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    top, mask, value = 1 << (bits - 1), (1 << bits) - 1, 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
    return value


def _empty_audio(duration: float, sample_rate: int, channels: int) -> tuple[Any, ...]:
    return (Silence(round(duration * sample_rate), sample_rate, channels),)


def _create_video(images: Images, fps: float, audio: Silence | None = None) -> tuple[Any, ...]:  # noqa: ARG001
    return (Video(images, fps),)


NODES: Mapping[str, Callable[..., tuple[Any, ...]]] = {"EmptyAudio": _empty_audio, "CreateVideo": _create_video}
