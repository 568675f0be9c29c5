"""For which share of its time the GPU has a graph."""

import time
from collections.abc import Callable


class BusyShare:
    """Adds up time.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = clock()
        self._busy_since: float | None = None
        self._busy_s = 0.0

    def note(self, is_busy: bool) -> None:
        """Note that the GPU gets a graph, or has none any more."""
        now = self._clock()
        if self._busy_since is not None:
            self._busy_s += now - self._busy_since
        self._busy_since = now if is_busy else None

    def take(self) -> float:
        """Return the share since it was last taken, 0 to 1, and begin anew."""
        now = self._clock()
        self.note(self._busy_since is not None)
        elapsed, busy_s = now - self._since, self._busy_s
        self._since, self._busy_s = now, 0.0
        return busy_s / elapsed if elapsed > 0 else 0.0
