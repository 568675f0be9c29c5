"""What can go wrong: with a request, under the names of `backlot/errors.py`, and with a network."""


class Refused(Exception):
    """The request cannot be done as it is.

    Args:
        code: as in `ModelError`.
        message: one sentence for the caller, as the error of that name begins it.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class OutputInvalid(Exception):
    """A network made values that are no numbers, or none that a network of its kind makes."""


def input_refused(reason: str) -> Refused:
    """Return the error of an input that does not fit what is asked."""
    return Refused("InputRefused", f"The input is refused: {reason}")


def mask_empty(reason: str) -> Refused:
    """Return the error of a mask without a pixel; clients look for its first three words."""
    return Refused("MaskEmpty", f"No masks found: {reason}")


def task_unavailable(reason: str) -> Refused:
    """Return the error of a task whose weights are not there."""
    return Refused("TaskUnavailable", f"The model cannot do this here: {reason}")
