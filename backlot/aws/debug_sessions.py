"""Debug sessions: what tasks have kept of their work because they were asked to, by the API key that asked."""

import re
from dataclasses import dataclass
from typing import Protocol

from backlot.assets import DEBUG_PREFIX

#: What sessions are called, and the pictures in them; anything else is not looked up.
#: Compiled when first used: a cold start does not pay for it.
_NAME = r"\d{8}_\d{6}_[0-9a-f]{8}"
_ARCHIVE = "session.zip"
_IMAGE = r"\d{2}_[A-Za-z0-9_]{1,60}\.png"


@dataclass(frozen=True)
class KeptFile:
    """A file of a session.

    Args:
        name: of the file.
        size_bytes: of it.
    """

    name: str
    size_bytes: int

    @property
    def is_image(self) -> bool:
        """Whether it is one of the session's pictures."""
        return re.fullmatch(_IMAGE, self.name) is not None


class Objects(Protocol):
    """The bucket."""

    def listed(self, prefix: str) -> list[tuple[str, int]]:
        """Return keys and sizes of the objects below a prefix."""

    def get(self, key: str, max_bytes: int) -> bytes:
        """Read an object."""

    def put(self, key: str, body: bytes, *, content_type: str, cache_control: str) -> None:
        """Write an object."""

    def delete(self, keys: list[str]) -> None:
        """Delete objects."""


class DebugSessions:
    """The sessions in the bucket, see `backlot.assets.debug_prefix`.

    Args:
        objects: the bucket.
    """

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def of(self, owner: str) -> dict[str, list[KeptFile]]:
        """Return an owner's sessions and their files, newest first."""
        return self._found(owner, "")

    def files(self, owner: str, name: str) -> list[KeptFile]:
        """Return a session's files by name; none if there is no such session."""
        return self._found(owner, name).get(name, []) if re.fullmatch(_NAME, name) else []

    def key(self, owner: str, name: str, file: KeptFile) -> str:
        """Return the key of a session's file."""
        return f"{DEBUG_PREFIX}{owner}/{name}/{file.name}"

    def read(self, owner: str, name: str, file: KeptFile) -> bytes:
        """Return a session's file.

        Raises:
            ImageNotFetched: it was deleted meanwhile.
        """
        return self._objects.get(self.key(owner, name, file), file.size_bytes)

    def keep_archive(self, owner: str, name: str, body: bytes) -> KeptFile:
        """Keep a session's files as one beside them; it is none of them, and goes with them."""
        file = KeptFile(_ARCHIVE, len(body))
        self._objects.put(
            self.key(owner, name, file), body, content_type="application/zip", cache_control="private, no-store"
        )
        return file

    def delete(self, owner: str, names: list[str]) -> None:
        """Delete sessions."""
        for name in names:
            files = [*self.files(owner, name), KeptFile(_ARCHIVE, 0)]
            self._objects.delete([self.key(owner, name, file) for file in files])

    def _found(self, owner: str, name: str) -> dict[str, list[KeptFile]]:
        folder = f"{DEBUG_PREFIX}{owner}/"
        found: dict[str, list[KeptFile]] = {}
        for key, size_bytes in self._objects.listed(f"{folder}{name}/" if name else folder):
            session, _, file = key.removeprefix(folder).partition("/")
            if re.fullmatch(_NAME, session) and file and file != _ARCHIVE:
                found.setdefault(session, []).append(KeptFile(file, size_bytes))
        return {session: sorted(found[session], key=lambda each: each.name) for session in sorted(found, reverse=True)}
