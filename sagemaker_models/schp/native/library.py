"""Builds and loads the kernels, and lays their arguments out."""

import ctypes
import hashlib
import platform
import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent

FILES = ("kernels.h", "kernels.c", "maps.c", "run.c")

FLAGS = ("-O3", "-march=x86-64-v4", "-mavx512vnni", "-shared", "-fPIC", "-lpthread")


class Map(ctypes.Structure):
    """A map of floats that is enlarged to a result's size."""

    _fields_ = (("values", ctypes.c_void_p), ("height", ctypes.c_int32), ("width", ctypes.c_int32))


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


def build(folder: Path) -> Path | None:
    """Compile the kernels unless they are there; None without a C compiler."""
    text = b"".join((SOURCES / name).read_bytes() for name in FILES)
    made = folder / f"kernels-{hashlib.sha256(text).hexdigest()[:16]}.so"
    if made.exists():
        return made
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    fresh = made.with_suffix(".new")
    subprocess.run([compiler, *FLAGS, "-o", str(fresh), *(str(SOURCES / name) for name in FILES[1:])], check=True, capture_output=True)
    fresh.replace(made)
    return made
