"""What a file is, by its content alone: its name says whatever a graph wants it to say."""

from collections.abc import Callable
from dataclasses import dataclass

#: How much of a file's beginning decides, bytes.
HEAD_BYTES = 64

#: Containers of the MP4 family that hold a still picture which is not read here.
_STILLS = (b"avif", b"avis", b"heic", b"heix", b"mif1")


@dataclass(frozen=True)
class MediaType:
    """A kind of file that is stored.

    Args:
        content_type: as objects carry it.
        ending: of objects' keys.
        is_image: whether Pillow reads its size.
    """

    content_type: str
    ending: str
    is_image: bool = False


def _riff(kind: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(b"RIFF") and head[8:12] == kind


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(starts)


def _is_mpeg_audio(head: bytes) -> bool:
    """Tell whether a frame of layer 3 begins, or the notes before the first one."""
    return head.startswith(b"ID3") or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2)


#: The first that fits counts.
_KINDS: tuple[tuple[MediaType, Callable[[bytes], bool]], ...] = (
    (MediaType("image/png", "png", is_image=True), _begins(b"\x89PNG\r\n\x1a\n")),
    (MediaType("image/jpeg", "jpg", is_image=True), _begins(b"\xff\xd8\xff")),
    (MediaType("image/webp", "webp", is_image=True), _riff(b"WEBP")),
    (MediaType("image/gif", "gif", is_image=True), _begins(b"GIF87a", b"GIF89a")),
    (MediaType("video/quicktime", "mov"), lambda head: head[4:12] == b"ftypqt  "),
    (MediaType("video/mp4", "mp4"), lambda head: head[4:8] == b"ftyp" and head[8:12] not in _STILLS),
    (MediaType("video/webm", "webm"), lambda head: head.startswith(b"\x1a\x45\xdf\xa3") and b"webm" in head),
    (MediaType("audio/wav", "wav"), _riff(b"WAVE")),
    (MediaType("audio/flac", "flac"), _begins(b"fLaC")),
    (MediaType("audio/ogg", "ogg"), _begins(b"OggS")),
    (MediaType("audio/mpeg", "mp3"), _is_mpeg_audio),
)


def media_type(head: bytes) -> MediaType | None:
    """Tell what a file is.

    Args:
        head: its first `HEAD_BYTES` bytes.

    Returns:
        Its type; None if it is nothing that is stored.
    """
    return next((kind for kind, fits in _KINDS if fits(head)), None)
