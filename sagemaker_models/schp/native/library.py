"""Builds and loads the kernels, and lays their arguments out."""

import ctypes
import hashlib
import logging
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

SOURCES = Path(__file__).parent

#: Where built kernels are kept; an image brings them along (`python -m sagemaker_models.schp.native`).
BUILT = SOURCES / "built"

#: Where they are kept if that cannot be written.
CACHE = Path.home() / ".cache" / "backlot" / "schp"

FILES = ("kernels.h", "kernels.c", "maps.c", "run.c")

FLAGS = ("-O3", "-march=x86-64-v4", "-mavx512vnni", "-shared", "-fPIC", "-lpthread")


class Map(ctypes.Structure):
    """A map of floats that is enlarged to a result's size."""

    _fields_ = (("values", ctypes.c_void_p), ("height", ctypes.c_int32), ("width", ctypes.c_int32))


class Taps(ctypes.Structure):
    """How the points of a line are mixed from three neighbours."""

    _fields_ = (("first", ctypes.c_void_p), ("weights", ctypes.c_void_p))


_WHOLE = (
    "kind", "height", "width", "channels", "out_height", "out_width", "out_channels", "kernel", "stride", "dilation",
    "is_float", "maps",
)  # fmt: skip

_ADDRESSES = (
    "in_", "out", "weights", "scale", "bias", "zero", "border", "shortcut", "shortcut_scale", "start", "tap_factor",
)  # fmt: skip


class ConvStep(ctypes.Structure):
    """One step; `kernels.h` says what its fields are."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in _WHOLE),
        ("slope", ctypes.c_float),
        ("unused", ctypes.c_int32),
        ("in_stride", ctypes.c_int64),
        ("out_stride", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in _ADDRESSES),
        ("added", Map * 4),
        ("down", Taps),
        ("along", Taps),
    )


def has_vnni() -> bool:
    """Tell whether this processor has what the kernels need."""
    if platform.machine() != "x86_64" or not Path("/proc/cpuinfo").exists():
        return False
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").partition("flags")[2].partition("\n")[0].split()
    return {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni"} <= set(flags)


@cache
def load(path: Path) -> ctypes.CDLL:
    """Load built kernels."""
    library = ctypes.CDLL(str(path))
    library.run_steps.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_int)
    library.run_steps.restype = ctypes.c_int
    return library


def find_or_build() -> Path | None:
    """Return the built kernels: those that were built before, else fresh ones; None without a C compiler."""
    name = f"kernels-{hash_of(*((SOURCES / each).read_bytes() for each in FILES), ' '.join(FLAGS).encode())}.so"
    for folder in (BUILT, CACHE):
        if (folder / name).exists():
            return folder / name
    for folder in (BUILT, CACHE):
        try:
            return _build(folder / name)
        except OSError:
            continue
    return None


def _build(path: Path) -> Path | None:
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        fresh = Path(folder) / path.name
        sources = [str(SOURCES / name) for name in FILES if name.endswith(".c")]
        done = subprocess.run(
            [compiler, *FLAGS, "-o", str(fresh), *sources], check=False, capture_output=True, text=True
        )
        if done.returncode:
            log.warning("kernels cannot be compiled", extra={"compiler": compiler, "problem": done.stderr[-500:]})
            return None
        fresh.replace(path)
    return path


def hash_of(*parts: Any) -> str:
    """Return a short hash of bytes and arrays."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]
