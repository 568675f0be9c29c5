"""Where results lie in the bucket, and how our own masks are told from other pictures."""

import hashlib
import re
from datetime import UTC, datetime

#: One year, in seconds: a key is never written with other content, so that the CDN and browsers may keep it.
CACHE_CONTROL = "public, max-age=31536000, immutable"

MASK_PREFIX = "images/face_swap/"
SEEDREAM_PREFIX = "seedream/"

_MASK_KEY = re.compile(re.escape(MASK_PREFIX) + r"\d{8}_\d{6}_[0-9a-f]{16}\.png")

#: File name endings by content type; what SeeDream answers with, and PNG for what we draw ourselves.
_ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"}


def result_key(prefix: str, task_id: str, step: str, created_ms: int, content_type: str) -> str:
    """Name the object of a step's result: `<prefix><UTC YYYYMMDD_HHMMSS>_<16 hex>.<ending>`.

    The name follows from the task and the step alone, so that a step which is run again after a crash writes the same
    object and leaves nothing behind; it cannot be guessed without the task's id.

    Args:
        created_ms: when the task was submitted, Unix milliseconds.
        content_type: one of image/png, image/jpeg, image/webp.
    """
    moment = datetime.fromtimestamp(created_ms / 1000, UTC)
    digest = hashlib.sha256(f"{task_id}/{step}".encode()).hexdigest()[:16]
    return f"{prefix}{moment:%Y%m%d_%H%M%S}_{digest}.{_ENDINGS[content_type]}"


def is_mask_key(key: str | None) -> bool:
    """Tell whether an object key is that of a masked picture of ours."""
    return key is not None and _MASK_KEY.fullmatch(key) is not None
