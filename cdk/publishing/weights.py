"""Weights on this machine: which files they are, their hash, and whether the model takes them."""

import hashlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from cdk.packaging import ROOT
from cdk.publishing.check import REFUSED
from cdk.publishing.errors import NotPublished

#: The models' own environment.
MODELS_PYTHON = ROOT / ".build" / "models" / "bin" / "python"


@dataclass(frozen=True)
class File:
    """One file.

    Args:
        path: on this machine.
        sha256: of its content, in hex.
        size_bytes: of its content.
    """

    path: Path
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class Weights:
    """A file, or a folder of files.

    Args:
        path: as the operator named it.
        files: by the name that each has for the model.
        sha256: of the one file; of a folder, that of its listing as `sha256sum` writes it, sorted by name.
    """

    path: Path
    files: dict[str, File]
    sha256: str

    @classmethod
    def at(cls, path: Path) -> Self:
        """Read and hash what lies at a path; hidden files do not count.

        Raises:
            NotPublished: there is nothing, or an empty file.
        """
        if path.is_dir():
            names = sorted(each.relative_to(path) for each in path.rglob("*") if each.is_file())
            shown = [name for name in names if not any(part.startswith(".") for part in name.parts)]
            files = {name.as_posix(): _file(path / name) for name in shown}
            listing = "".join(f"{files[name].sha256}  {name}\n" for name in sorted(files))
            sha256 = hashlib.sha256(listing.encode()).hexdigest()
        elif path.is_file():
            files = {path.name: _file(path)}
            sha256 = files[path.name].sha256
        else:
            raise NotPublished(f"there is no file or folder {path}")
        if not files:
            raise NotPublished(f"the folder {path} holds no file")
        return cls(path, files, sha256)

    @property
    def size_bytes(self) -> int:
        """All files' size."""
        return sum(file.size_bytes for file in self.files.values())

    def only(self, sha256: str) -> "Weights":
        """Return the one file that has a hash.

        Raises:
            NotPublished: there is none.
        """
        for name, file in self.files.items():
            if file.sha256 == sha256:
                return Weights(file.path, {Path(name).name: file}, sha256)
        raise NotPublished(f"no file of {self.path} has the hash {sha256}; was it changed meanwhile?")

    def check(self, model: str, python: Path = MODELS_PYTHON) -> dict[str, Any]:
        """Let the model's own loading code check them; return what it says they are.

        Args:
            model: name of the model.
            python: interpreter that has what the model needs.

        Raises:
            NotPublished: the model refuses them, or the check itself cannot run.
        """
        if not python.exists():
            raise NotPublished(f"the models' environment is not installed: {python} does not exist; run make models")
        command = [str(python), "-m", "cdk.publishing.check", model, str(self.path.resolve())]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode == REFUSED:
            raise NotPublished(f"these are no weights of {model}: {done.stderr.strip()}")
        if done.returncode != 0:
            sys.stderr.write(done.stderr)
            raise NotPublished(f"the check of {model}'s weights failed, see above")
        described: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return described


def _file(path: Path) -> File:
    with path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    size = path.stat().st_size
    if size == 0:
        raise NotPublished(f"{path} is empty")
    return File(path, sha256, size)
