"""Nodes for sounds and videos, and the lossless coding of a sound."""

import hashlib
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from local.stand_ins.comfyui.nodes.images import Images

#: Samples in one frame of a FLAC file.
BLOCK = 4096


@dataclass(frozen=True)
class Sound:
    """A sound.

    Args:
        samples: (channels, samples) int16.
        rate: samples in a second.
    """

    samples: NDArray[np.int16]
    rate: int


@dataclass(frozen=True)
class Video:
    """Frames, and how many of them are shown in a second; what sounds with them is left out."""

    frames: Images
    fps: float


def flac(sound: Sound) -> bytes:
    """Encode a sound as FLAC, 16 bits, without making it smaller.

    Source:
        RFC 9639, sections 8 and 9.
    """
    channels, total = sound.samples.shape
    # 20 bits rate, 3 bits channels, 5 bits sample size, 36 bits length.
    described = sound.rate << 44 | (channels - 1) << 41 | 15 << 36 | total
    digest = hashlib.md5(np.ascontiguousarray(sound.samples.T).astype("<i2").tobytes(), usedforsecurity=False).digest()
    info = struct.pack(">HH", BLOCK, BLOCK) + bytes(6) + described.to_bytes(8, "big") + digest
    frames = [_frame(sound.samples[:, begin : begin + BLOCK], begin // BLOCK) for begin in range(0, total, BLOCK)]
    return b"fLaC" + bytes([0x80]) + len(info).to_bytes(3, "big") + info + b"".join(frames)


def _frame(samples: NDArray[np.int16], number: int) -> bytes:
    channels, length = samples.shape
    # Fixed block size; its length follows in 16 bits, the rate is the stream's, 16 bits a sample.
    head = bytes([0xFF, 0xF8, 0x70, (channels - 1) << 4 | 0b1000]) + _coded(number) + (length - 1).to_bytes(2, "big")
    body = head + bytes([_crc(head, 8, 0x07)])
    for channel in samples:
        body += bytes([0b10]) + channel.astype(">i2").tobytes()
    return body + _crc(body, 16, 0x8005).to_bytes(2, "big")


def _coded(number: int) -> bytes:
    """Code a frame's number as UTF-8 codes a character, but without UTF-8's gaps."""
    return chr(number).encode("utf-8", "surrogatepass")


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    top, mask, value = 1 << (bits - 1), (1 << bits) - 1, 0
    for byte in data:
        value ^= byte << (bits - 8)
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
    return value


def _empty_audio(duration: float, sample_rate: int, channels: int) -> tuple[Any, ...]:
    return (Sound(np.zeros((channels, round(duration * sample_rate)), np.int16), sample_rate),)


def _create_video(images: Images, fps: float, audio: Sound | None = None) -> tuple[Any, ...]:  # noqa: ARG001
    return (Video(images, fps),)


NODES: Mapping[str, Callable[..., tuple[Any, ...]]] = {"EmptyAudio": _empty_audio, "CreateVideo": _create_video}
