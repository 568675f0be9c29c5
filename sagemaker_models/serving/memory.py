"""Tells whether an error means that memory ran out, without importing the libraries that raise it."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error, or one that it was raised from, means that memory ran out."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, MemoryError) or _is_torchs(chain) or _is_opencvs(chain):
            return True
        chain = chain.__cause__ or chain.__context__
    return False


def _is_torchs(error: BaseException) -> bool:
    named = any(
        kind.__name__ == "OutOfMemoryError" and kind.__module__.split(".")[0] == "torch" for kind in type(error).__mro__
    )
    # On a CPU, torch has no class of its own for it.
    return named or (isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error))


def _is_opencvs(error: BaseException) -> bool:
    # StsNoMem of OpenCV's error codes.
    return type(error).__module__.split(".")[0] == "cv2" and getattr(error, "code", None) == -4
