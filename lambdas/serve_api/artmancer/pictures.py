"""Pictures in answers of the ArtMancer server's kind: within the answer, and so within what Lambda can answer."""

import base64
import io
from dataclasses import dataclass

#: Longest base64 of an answer, characters: Lambda answers with 6 MB. Source: the service's quotas, read 2026-11-21.
MAX_BASE64_CHARS = 5_600_000

#: The same as bytes.
MAX_PICTURE_BYTES = MAX_BASE64_CHARS * 3 // 4

#: Largest result that is read, bytes.
MAX_RESULT_BYTES = 100_000_000

#: The old server's WebP.
WEBP_MAX_SIDE_PX, WEBP_QUALITY = 2560, 80

#: What a picture that is too long as PNG becomes, the first that fits: quality and longest side of a JPEG.
_SMALLER = ((95, None), (90, 4096), (85, 2560), (80, 1280))


@dataclass(frozen=True)
class SentPicture:
    """A picture as it goes into an answer.

    Args:
        text: base64.
        note: what was done to it, None if it is the file itself.
    """

    text: str
    note: str | None = None


def in_base64(data: bytes, limit_chars: int = MAX_BASE64_CHARS) -> SentPicture:
    """Return a picture for an answer: the file itself, or a JPEG if that is too long."""
    if len(data) <= limit_chars * 3 // 4:
        return SentPicture(base64.b64encode(data).decode())
    from PIL import Image  # noqa: PLC0415 - most answers have no picture, and should not wait for the decoder

    image = Image.open(io.BytesIO(data)).convert("RGB")
    jpeg, note = b"", ""
    for quality, side_px in _SMALLER:
        if side_px is not None:
            image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS)
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, subsampling=0)
        jpeg, note = buffer.getvalue(), f"image is a JPEG of {image.width}x{image.height} at quality {quality}"
        if len(jpeg) <= limit_chars * 3 // 4:
            break
    return SentPicture(base64.b64encode(jpeg).decode(), f"{note}: the PNG is too long for an answer, see image_url.")


def small_file(data: bytes) -> tuple[str, bytes]:
    """Return a picture as the old server's WebP, at most `WEBP_MAX_SIDE_PX` long, or the PNG if that cannot be made.

    Returns:
        Its content type and its bytes.
    """
    from PIL import Image  # noqa: PLC0415 - see above

    buffer = io.BytesIO()
    try:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        image.thumbnail((WEBP_MAX_SIDE_PX, WEBP_MAX_SIDE_PX), Image.Resampling.LANCZOS)
        image.save(buffer, "WEBP", quality=WEBP_QUALITY)
    except OSError:
        return "image/png", data
    return "image/webp", buffer.getvalue()
