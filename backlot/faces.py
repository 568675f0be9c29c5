"""Pictures of faces that come within requests: checked once, stored for an hour by their content, and then deleted."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from backlot.assets import FACE_PREFIX
from backlot.clock import Clock

#: How long a face is kept after it was stored, seconds.
KEEP_S = 3600

#: Stored again when it came so long after the last time, seconds: whoever sends it has at least the rest of the hour.
STORE_AGAIN_S = 1800

#: Stored copies have at most this side; the identity's encoder looks at far less.
MAX_SIDE_PX, QUALITY = 1536, 95


class FaceObjects(Protocol):
    """The bucket."""

    def put(self, key: str, body: bytes, *, content_type: str, cache_control: str) -> None:
        """Write an object."""


class FaceMemory(Protocol):
    """Remembers which faces lie in the bucket."""

    def is_stored(self, digest: str, *, since_s: int) -> bool:
        """Tell whether a face was stored since then, Unix seconds."""

    def stored(self, digest: str, *, now_s: int, keep_s: int) -> None:
        """Remember that a face was stored."""


class FaceKeeper(Protocol):
    """Keeps pictures of faces."""

    def keep(self, data: bytes, check: Callable[[bytes], bytes]) -> str:
        """Return where a picture lies, as an s3:// URL."""


@dataclass(frozen=True)
class Faces:
    """Keeps pictures of faces.

    Args:
        objects: the bucket.
        memory: remembers which faces lie there.
        bucket: its name.
        clock: Unix time in milliseconds.
    """

    objects: FaceObjects
    memory: FaceMemory
    bucket: str
    clock: Clock

    def keep(self, data: bytes, check: Callable[[bytes], bytes]) -> str:
        """Store a picture, unless it was stored a short time ago.

        Args:
            data: as it came; its hash is its name.
            check: refuses a picture that cannot be used; returns what is stored, a JPEG.

        Returns:
            Where it lies, `s3://<bucket>/faces/<sha256>.jpg`.
        """
        digest = hashlib.sha256(data).hexdigest()
        key = f"{FACE_PREFIX}{digest}.jpg"
        now_s = self.clock() // 1000
        if not self.memory.is_stored(digest, since_s=now_s - STORE_AGAIN_S):
            self.objects.put(key, check(data), content_type="image/jpeg", cache_control="private, no-store")
            self.memory.stored(digest, now_s=now_s, keep_s=KEEP_S)
        return f"s3://{self.bucket}/{key}"
