"""The prompts that wait, the one that runs, and what became of the others."""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.stand_ins.comfyui.validation import Graph

#: Older entries are forgotten.
MAX_HISTORY = 10_000

_serials = itertools.count()


@dataclass(order=True)
class Prompt:
    """A prompt that was taken.

    Args:
        number: lower ones run first.
        prompt_id: need not be unique.
        graph: what to run, in API format.
        extra_data: what came with it, the client's id among it.
        outputs: ids of the output nodes to run.
    """

    number: float
    prompt_id: str = field(compare=False)
    graph: Graph = field(compare=False)
    extra_data: dict[str, Any] = field(compare=False)
    outputs: list[str] = field(compare=False)
    serial: int = field(default_factory=lambda: next(_serials))

    @property
    def client_id(self) -> str | None:
        """Whose messages its progress goes to."""
        return self.extra_data.get("client_id")

    def shown(self) -> list[Any]:
        """Return it as the queue and the history show it."""
        return [self.number, self.prompt_id, self.graph, self.extra_data, self.outputs]


class PromptQueue:
    """Waiting, running and ended prompts of this process.

    Args:
        changed: is called whenever the number of prompts has changed.
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._woken = asyncio.Event()
        self.pending: list[Prompt] = []
        self.running: Prompt | None = None
        self.history: dict[str, dict[str, Any]] = {}

    @property
    def remaining(self) -> int:
        """How many wait or run."""
        return len(self.pending) + (self.running is not None)

    def wake(self) -> None:
        """Let whoever waits for a prompt look."""
        self._woken.set()

    def put(self, prompt: Prompt) -> None:
        """Add a prompt."""
        heapq.heappush(self.pending, prompt)
        self._changed()
        self.wake()

    async def take(self) -> Prompt | None:
        """Make the next prompt the running one; return None if woken without one."""
        if not self.pending:
            self._woken.clear()
            await self._woken.wait()
        if not self.pending:
            return None
        self.running = heapq.heappop(self.pending)
        self._changed()
        return self.running

    def done(self, entry: dict[str, Any] | None) -> None:
        """End the running prompt.

        Args:
            entry: goes into the history; None leaves it out.
        """
        assert self.running is not None
        if entry is not None:
            if len(self.history) > MAX_HISTORY:
                del self.history[next(iter(self.history))]
            self.history[self.running.prompt_id] = {"prompt": self.running.shown(), **entry}
        self.running = None
        self._changed()

    def delete(self, prompt_id: str) -> bool:
        """Take a waiting prompt out; tell whether there was one."""
        for prompt in self.pending:
            if prompt.prompt_id == prompt_id:
                self.pending.remove(prompt)
                heapq.heapify(self.pending)
                self._changed()
                return True
        return False

    def clear(self) -> None:
        """Take all waiting prompts out."""
        self.pending.clear()
        self._changed()

    def forget(self) -> None:
        """Lose everything, as a restart does."""
        self.pending.clear()
        self.running = None
        self.history.clear()

    def past(self, max_items: int | None, offset: int) -> dict[str, dict[str, Any]]:
        """Return a part of the history.

        Args:
            max_items: at most so many; None for all.
            offset: how many of the oldest to leave out; below 0, the newest are returned.
        """
        if offset < 0:
            offset = max(len(self.history) - max_items, 0) if max_items is not None else 0
        return dict(itertools.islice(self.history.items(), offset, None if max_items is None else offset + max_items))
