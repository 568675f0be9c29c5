"""Waiting for what happens elsewhere."""

import time
from collections.abc import Callable
from typing import Any

import pytest

#: Longest wait for anything, seconds.
LIMIT_S = 60.0


def until(condition: Callable[[], Any], what: str, limit_s: float = LIMIT_S) -> Any:
    """Return the first true value of a condition, looked at ten times a second."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.1)
    pytest.fail(f"not within {limit_s:.0f} s: {what}")
