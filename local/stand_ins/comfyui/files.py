"""ComfyUI's folders: where uploads, results and previews lie, and how their names are chosen."""

import re
import shutil
from pathlib import Path

KINDS = ("input", "output", "temp")

#: `name [output]` means a file of another folder than the one that is looked in by default.
_ANNOTATION = re.compile(r"(?P<name>.*) \[(?P<kind>input|output|temp)\]")


class OutsideError(ValueError):
    """A name leads out of its folder."""


class Folders:
    """The folders below one root; `temp` is emptied at the start, as ComfyUI does it.

    Args:
        root: is made if it does not exist.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()
        shutil.rmtree(self._root / "temp", ignore_errors=True)
        for kind in KINDS:
            (self._root / kind).mkdir(parents=True, exist_ok=True)

    def of(self, kind: str) -> Path | None:
        """Return the folder of a kind, None if there is no such kind."""
        return self._root / kind if kind in KINDS else None

    def within(self, kind: str, subfolder: str) -> Path:
        """Return a folder below one of the folders.

        Raises:
            OutsideError: it is not below it.
        """
        base = self._root / kind
        folder = (base / subfolder).resolve()
        if not folder.is_relative_to(base):
            raise OutsideError(f"{subfolder} is outside of {kind}")
        return folder

    def find(self, annotated: str) -> Path | None:
        """Return an input by the name that `LoadImage` takes, None if there is none."""
        name, kind = split(annotated)
        path = self._root / (kind or "input") / name
        return path if path.is_file() and path.resolve().is_relative_to(self._root) else None

    def inputs(self) -> list[str]:
        """Return the names that loaders list."""
        return sorted(path.name for path in (self._root / "input").iterdir() if path.is_file())

    def next_path(self, prefix: str, kind: str, suffix: str) -> tuple[Path, str]:
        """Return where the next file with a prefix goes, and its subfolder.

        Names are `<prefix>_<counter>_<suffix>`; the counter goes on after the highest that is there.

        Raises:
            OutsideError: the prefix leads out of the folder.
        """
        subfolder, _, stem = prefix.replace("\\", "/").rpartition("/")
        folder = self.within(kind, subfolder)
        folder.mkdir(parents=True, exist_ok=True)
        form = re.compile(re.escape(stem) + r"_(\d+)_")
        found = (form.match(path.name) for path in folder.iterdir())
        counter = max((int(match[1]) for match in found if match), default=0) + 1
        return folder / f"{stem}_{counter:05}_{suffix}", subfolder


def split(annotated: str) -> tuple[str, str | None]:
    """Split `name [kind]` into name and kind."""
    match = _ANNOTATION.fullmatch(annotated)
    return (match["name"], match["kind"]) if match else (annotated, None)


def free_name(folder: Path, name: str, data: bytes) -> str:
    """Return the name under which an upload is stored: its own, or the first `name (1).png` that is free.

    A file with the same bytes keeps its name.
    """
    stem, dot, suffix = name.rpartition(".")
    counter, chosen = 0, name
    while (folder / chosen).exists() and (folder / chosen).read_bytes() != data:
        counter += 1
        chosen = f"{stem} ({counter}).{suffix}" if dot else f"{name} ({counter})"
    return chosen
