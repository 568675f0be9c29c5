"""Large files that requests name, such as a task's checkpoint: on the local disk, known by their hash.

They are published while the server runs and switched without a deployment: whoever asks says which file is meant. The
hash makes sure that it is that one, and the ones used longest ago go when there is no more room.
"""

import tempfile
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from sagemaker_models.serving.errors import Busy, InvocationError, RequestFault
from sagemaker_models.serving.model import LocalFile
from sagemaker_models.serving.request import StoredFile
from sagemaker_models.serving.storage import Storage


@dataclass
class _Entry:
    """A file that is here, and how many requests use it."""

    file: LocalFile
    size_bytes: int
    holders: int


class FileCache:
    """Files from S3; threads may share it.

    Args:
        storage: where they lie.
        prefix: beginning of all addresses that are fetched; empty if none is.
        limit_bytes: room on the disk.
        parent: where a folder for them is made; None for the system's own.
    """

    def __init__(self, storage: Storage, prefix: str, limit_bytes: int, parent: Path | None = None) -> None:
        self._storage = storage
        self._prefix = prefix
        self._limit_bytes = limit_bytes
        self._parent = parent
        self._folder: Path | None = None
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._entries_lock = threading.Lock()
        self._download_lock = threading.Lock()

    def hold(self, name: str, wanted: StoredFile) -> LocalFile:
        """Return a file, fetched if it is not here; it stays until it is let go.

        Raises:
            RequestFault: its address is none that is fetched, it is not there, too long, or has another hash.
            ServerFault: S3 refuses, or does not answer, or the disk does.
            Busy: all that is here is in use, so that there is no room.
        """
        if not self._prefix or not wanted.uri.startswith(self._prefix) or "/../" in wanted.uri:
            raise _refused(name, f"{wanted.uri} is not below {self._prefix or 'any prefix that is configured'}")
        held = self._held(wanted.sha256)
        if held is not None:
            return held
        with self._download_lock:
            return self._held(wanted.sha256) or self._downloaded(name, wanted)

    def let_go(self, file: LocalFile) -> None:
        """Say that a file that was held is not used any more."""
        with self._entries_lock:
            self._entries[file.sha256].holders -= 1

    def _held(self, sha256: str) -> LocalFile | None:
        with self._entries_lock:
            entry = self._entries.get(sha256)
            if entry is None:
                return None
            self._entries.move_to_end(sha256)
            entry.holders += 1
            return entry.file

    def _downloaded(self, name: str, wanted: StoredFile) -> LocalFile:
        size_bytes = self._storage.size(wanted.uri)
        if size_bytes is None:
            raise _refused(name, f"there is no object {wanted.uri}")
        if size_bytes > self._limit_bytes:
            raise _refused(name, f"{wanted.uri} has {size_bytes} bytes, {self._limit_bytes} are allowed")
        self._make_room(size_bytes)
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="backlot-files-", dir=self._parent))
        path = self._folder / wanted.sha256
        try:
            found = self._storage.download(wanted.uri, path)
            if found != wanted.sha256:
                raise _refused(name, f"{wanted.uri} has the hash {found}, not {wanted.sha256}")
        except InvocationError:
            path.unlink(missing_ok=True)
            raise
        file = LocalFile(path, wanted.sha256)
        with self._entries_lock:
            self._entries[wanted.sha256] = _Entry(file, size_bytes, holders=1)
        return file

    def _make_room(self, size_bytes: int) -> None:
        with self._entries_lock:
            used_bytes = sum(entry.size_bytes for entry in self._entries.values())
            for sha256, entry in [*self._entries.items()]:
                if used_bytes + size_bytes <= self._limit_bytes:
                    return
                if entry.holders == 0:
                    del self._entries[sha256]
                    entry.file.path.unlink(missing_ok=True)
                    used_bytes -= entry.size_bytes
            if used_bytes + size_bytes > self._limit_bytes:
                raise Busy("Overloaded", "the disk is full of files that other requests use")


def _refused(name: str, reason: str) -> InvocationError:
    return RequestFault("FileRefused", f"files.{name}: {reason}")
