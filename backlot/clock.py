"""Time, in the one form in which records keep it."""

import time
from collections.abc import Callable

#: A source of Unix time in milliseconds; tests pass their own.
Clock = Callable[[], int]


def now_ms() -> int:
    """Return the Unix time in milliseconds."""
    return time.time_ns() // 1_000_000
