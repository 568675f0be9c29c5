"""What memory is in use, and whether an error means that it ran out, without importing the libraries that know."""

import ctypes
import gc
import resource
import sys
from pathlib import Path

_STATM = Path("/proc/self/statm")


def memory_in_use() -> dict[str, int]:
    """Return what memory the process has, bytes.

    Returns:
        `total`, `allocated` (by tensors) and `reserved` (by torch) of the GPU if torch uses one, else the process'
        `rss`; nothing where the system does not tell that.
    """
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        device = torch.cuda.current_device()
        return {
            "total": torch.cuda.get_device_properties(device).total_memory,
            "allocated": torch.cuda.memory_allocated(device),
            "reserved": torch.cuda.memory_reserved(device),
        }
    if not _STATM.exists():
        return {}
    return {"rss": int(_STATM.read_text(encoding="ascii").split()[1]) * resource.getpagesize()}


def give_back() -> None:
    """Give the system what is free; glibc keeps the most of it for later, hundreds of megabytes of a model's."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or one that it was raised from, means that memory ran out."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, MemoryError) or _is_torchs(chain) or _is_opencvs(chain) or _is_onnxruntimes(chain):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def _is_torchs(error: BaseException) -> bool:
    named = any(
        kind.__name__ == "OutOfMemoryError" and kind.__module__.split(".")[0] == "torch" for kind in type(error).__mro__
    )
    # On a CPU, torch has no class of its own for it; nor where CUDA itself, and not torch's own pool, has none left.
    told = ("DefaultCPUAllocator", "CUDA error: out of memory")
    return named or (isinstance(error, RuntimeError) and any(words in str(error) for words in told))


def _is_opencvs(error: BaseException) -> bool:
    # StsNoMem of OpenCV's error codes.
    return type(error).__module__.split(".")[0] == "cv2" and getattr(error, "code", None) == -4


def _is_onnxruntimes(error: BaseException) -> bool:
    # It has no class of its own for it: the first words are its arena's, the others those of C++ and of CUDA.
    said = str(error)
    words = ("Failed to allocate memory", "bad_alloc", "bad allocation", "out of memory")
    return type(error).__module__.split(".")[0] == "onnxruntime" and any(each in said for each in words)
