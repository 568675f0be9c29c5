"""Builds the layer of dependencies without Docker, once for each platform and lock file; and our own code, compiled.

Both are read-only where they run, so a function without byte code in them compiles what it imports at every cold start.
Byte code belongs to a minor version of Python: there is some when the Python that builds is of the version that will
run, which is always so in local mode. It is marked as never to be checked against its source.

`python -m cdk.packaging` builds the layers of all stages ahead of time, so that a later synthesis needs no network.
"""

import compileall
import hashlib
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from py_compile import PycInvalidationMode

from cdk.config import DEV, PROD, Platform

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "layer.txt"
LAYERS = ROOT / ".build" / "layers"
CODE = ROOT / ".build" / "code"

#: Packages of ours that functions import.
OURS = ("backlot", "lambdas")

#: Tags of the wheels that run on Amazon Linux 2023 (glibc 2.34), newest first.
_MANYLINUX = ("manylinux_2_34", "manylinux_2_28", "manylinux_2_17", "manylinux2014")

#: What packages bring along and a function never reads.
_LEFT_OUT = ("**/__pycache__", "**/tests", "**/*.pyi", "**/py.typed", "bin")


def layer_directory(target: Platform) -> Path:
    """Return the folder of the layer for a platform, built if it is not there yet.

    The folder's name holds the hash of the lock file, so that it is built again when that changes.

    Raises:
        subprocess.CalledProcessError: pip cannot install the locked packages for the platform.
    """
    recipe = repr((_MANYLINUX, _LEFT_OUT, _can_compile_for(target)))
    digest = hashlib.sha256(LOCK.read_bytes() + recipe.encode()).hexdigest()[:12]
    directory = LAYERS / f"{digest}-{_tag(target)}-{target.architecture}"
    if not directory.exists():
        partial = directory.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        _install(target, partial / "python")
        if _can_compile_for(target):
            _compile(partial / "python", "/opt/python")
        partial.rename(directory)
    return directory


def layer_archive(target: Platform) -> Path:
    """Return the layer as a zip file, built if it is not there yet, so that no deployment has to pack it.

    Raises:
        subprocess.CalledProcessError: see `layer_directory`.
    """
    directory = layer_directory(target)
    archive = directory.with_suffix(".zip")
    if not archive.exists():
        packed = shutil.make_archive(f"{directory}.partial", "zip", directory)
        Path(packed).rename(archive)
    return archive


def code_directory(target: Platform) -> Path:
    """Return the folder that has the packages of ours, compiled for a platform if this Python can.

    The folder's name holds the hash of the sources, so that it is made again when they change.
    """
    if not _can_compile_for(target):
        return ROOT
    sources = sorted(path for package in OURS for path in (ROOT / package).rglob("*") if _is_source(path))
    digest = hashlib.sha256()
    for path in sources:
        digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    directory = CODE / f"{digest.hexdigest()[:12]}-{_tag(target)}"
    if not directory.exists():
        CODE.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(dir=CODE, suffix=".partial"))
        for package in OURS:
            shutil.copytree(ROOT / package, partial / package, ignore=shutil.ignore_patterns("__pycache__"))
        _compile(partial, "/var/task")
        for earlier in set(CODE.glob(f"*-{_tag(target)}")) - {directory}:
            shutil.rmtree(earlier, ignore_errors=True)
        try:
            partial.rename(directory)
        except OSError:
            # Somebody else was quicker.
            shutil.rmtree(partial)
    return directory


def _tag(target: Platform) -> str:
    return f"python{target.python.replace('.', '')}"


def _is_source(path: Path) -> bool:
    return path.is_file() and path.parent.name != "__pycache__"


def _can_compile_for(target: Platform) -> bool:
    return target.python == f"{sys.version_info.major}.{sys.version_info.minor}"


def _compile(directory: Path, place: str) -> None:
    """Compile all below a folder, as it will lie at a place."""
    compileall.compile_dir(
        directory,
        quiet=2,
        maxlevels=99,
        stripdir=str(directory),
        prependdir=place,
        invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
    )


def _install(target: Platform, directory: Path) -> None:
    machine = {"arm64": "aarch64", "x86_64": "x86_64"}[target.architecture]
    tags = [argument for tag in _MANYLINUX for argument in ("--platform", f"{tag}_{machine}")]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-compile", "--no-deps", "--require-hashes", "--only-binary=:all:", "--implementation", "cp"),
            *("--python-version", target.python, *tags),
            *("--target", str(directory), "--requirement", str(LOCK)),
        ],
        check=True,
        stdout=sys.stderr,
    )
    for pattern in _LEFT_OUT:
        for path in list(directory.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def host_platform() -> Platform:
    """Return the platform of this interpreter, on which the emulator runs functions."""
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    return Platform.model_validate({"python": f"3.{sys.version_info.minor}", "architecture": architecture})


def main() -> None:
    """Build the layers of stage `local` and of the stages on AWS."""
    for each in (host_platform(), DEV.platform, PROD.platform):
        print(layer_archive(each))


if __name__ == "__main__":
    main()
