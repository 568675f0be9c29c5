"""Tells whether a GPU can be used no more, without importing the library that says so."""


def is_lost(error: BaseException) -> bool:
    """Tell whether an error, or one that it was raised from, means that the GPU failed.

    After such an error, an illegal access or one of the hardware, CUDA refuses every further call of the process: only
    another process can work. Running out of memory is none of them.
    """
    chain: BaseException | None = error
    while chain is not None:
        kinds = {(kind.__module__.split(".")[0], kind.__name__) for kind in type(chain).__mro__}
        if ("torch", "AcceleratorError") in kinds and "out of memory" not in str(chain):
            return True
        chain = chain.__cause__ or chain.__context__
    return False
