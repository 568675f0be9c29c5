"""The models on the host's disk.

    <folder>/.store/<sha256>          a file whose size and hash were found right; its name is the proof
    <folder>/.store/<sha256>.partial  a file that is still coming
    <folder>/<comfyui folder>/<name>  a link to it, for every file of the manifest

A file is hashed once, when it comes: a host that starts another worker finds it by its name. What no manifest asked for
since longest goes first when there is no room.
"""

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic

from containers.comfyui.models.settings import ModelFile

#: Writes an object of the bucket to a path.
Download = Callable[[str, Path], None]

#: Files that come at once: while one is hashed, the network brings another.
AT_ONCE = 3


class ModelsMissing(Exception):
    """The models cannot be brought; the message is a sentence for the operator."""


class ModelStore:
    """The folder of models.

    Args:
        folder: on the host's disk.
        limit_bytes: how much models may fill.
        download: brings a file; ModelsMissing if there is none.
        say: is told what happens.
    """

    def __init__(self, folder: Path, limit_bytes: int, download: Download, say: Callable[[str], None] = print) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._download = download
        self._say = say
        self._store = folder / ".store"

    def hold(self, models: Sequence[ModelFile]) -> None:
        """Bring what is missing, and link exactly these models.

        Raises:
            ModelsMissing: they do not fit, one is not in the bucket, or what came is something else.
        """
        wanted = {model.sha256: model for model in models}
        self._store.mkdir(parents=True, exist_ok=True)
        self._forget_unfinished(wanted)
        missing = [model for sha256, model in wanted.items() if not (self._store / sha256).exists()]
        self._make_room(wanted, sum(model.size_bytes for model in missing))
        with ThreadPoolExecutor(AT_ONCE) as threads:
            list(threads.map(self._bring, missing))
        for sha256 in wanted:
            os.utime(self._store / sha256)
        self._link(models)
        self._say(f"{len(models)} models are there, {len(missing)} of them new")

    def _forget_unfinished(self, wanted: dict[str, ModelFile]) -> None:
        for path in list(self._store.iterdir()):
            model = wanted.get(path.name)
            if path.suffix == ".partial" or (model and path.stat().st_size != model.size_bytes):
                path.unlink()

    def _make_room(self, wanted: Iterable[str], coming_bytes: int) -> None:
        there = {path: path.stat() for path in self._store.iterdir()}
        used = sum(each.st_size for each in there.values())
        kept = set(wanted)
        oldest = sorted((path for path in there if path.name not in kept), key=lambda path: there[path].st_mtime_ns)
        for path in oldest:
            if used + coming_bytes <= self._limit_bytes:
                return
            path.unlink()
            used -= there[path].st_size
            self._say(f"{path.name[:12]}… was not used for longest and has made room")
        if used + coming_bytes > self._limit_bytes:
            needed, limit = (used + coming_bytes) / 1e9, self._limit_bytes / 1e9
            raise ModelsMissing(f"the models have {needed:.1f} GB, and {limit:.1f} GB are theirs: see gpu.cache_gb")

    def _bring(self, model: ModelFile) -> None:
        began, partial = monotonic(), self._store / f"{model.sha256}.partial"
        self._download(model.key, partial)
        size = partial.stat().st_size
        if size != model.size_bytes:
            raise ModelsMissing(f"{model.name}: {model.key} has {size} bytes, {model.size_bytes} were published")
        with partial.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        if sha256 != model.sha256:
            raise ModelsMissing(f"{model.name}: {model.key} has the hash {sha256}, {model.sha256} was published")
        partial.rename(self._store / model.sha256)
        self._say(f"{model.name}: {size / 1e9:.2f} GB in {monotonic() - began:.1f} s")

    def _link(self, models: Sequence[ModelFile]) -> None:
        links = {self._folder / model.folder / model.name: Path("..", ".store", model.sha256) for model in models}
        for path in self._folder.glob("[!.]*/*"):
            if path.is_symlink() and path not in links:
                path.unlink()
        for number, (path, target) in enumerate(links.items()):
            path.parent.mkdir(exist_ok=True)
            fresh = self._store / f"{number}.partial"
            fresh.symlink_to(target)
            fresh.replace(path)
