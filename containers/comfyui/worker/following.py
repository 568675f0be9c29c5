"""Follows a prompt to its end.

ComfyUI's events tell at once what happens; its history and its queue tell it for certain, and are asked every few
seconds whatever the events say.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from aws_lambda_powertools import Logger

from backlot.comfyui.client import ComfyuiClient, NotListening, Unreachable
from backlot.comfyui.events import Began, Broke, Event, PromptLeft, Succeeded
from backlot.errors import WorkflowStalled, WorkflowTimedOut
from containers.comfyui.worker.comfyui import Comfyui, Events
from containers.comfyui.worker.ends import PromptLost, read_end

#: How often history and queue are asked while events come, and while they do not, seconds.
_POLL_S, _POLL_DEAF_S = 3.0, 0.5

#: Pauses before a history entry is looked for that has to be there in a moment, seconds; together about 10 s.
_ENTRY_PAUSES_S = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 3.0)

logger = Logger()


class Onlooker(Protocol):
    """Whoever wants to know how far a prompt is."""

    @property
    def node(self) -> str | None:
        """The node that runs."""

    def see(self, event: Event) -> None:
        """Take an event in."""


@dataclass(frozen=True)
class Limits:
    """How long a prompt may take.

    Args:
        prompt_s: from its beginning to its end, seconds.
        stall_s: without any sign of progress, seconds.
    """

    prompt_s: float
    stall_s: float


class Follower:
    """Follows one prompt.

    Args:
        comfyui: that runs it.
        prompt_id: of it.
        limits: of its time.
        onlooker: sees its events.
    """

    def __init__(self, comfyui: Comfyui, prompt_id: str, limits: Limits, onlooker: Onlooker) -> None:
        self._comfyui = comfyui
        self._prompt_id = prompt_id
        self._limits = limits
        self._onlooker = onlooker
        self._client_id = comfyui.client_id
        self._began = self._heard = time.monotonic()
        self._ahead: int | None = None

    async def follow(self, events: Events) -> float:
        """Return when the prompt has succeeded.

        Returns:
            How long ComfyUI had it, seconds.

        Raises:
            NodeBroke: a node raised.
            PromptLost: ComfyUI does not know it any more, or somebody interrupted it.
            NotListening: ComfyUI is gone.
            WorkflowStalled: nothing was heard of it for too long.
            WorkflowTimedOut: it took too long.
        """
        next_poll = self._began + _POLL_S
        while True:
            event = await _next(events, min(next_poll, self._deadline) - time.monotonic())
            if event is not None and await self._hear(event):
                return time.monotonic() - self._began
            if event is None or time.monotonic() >= next_poll:
                if await self._poll():
                    return time.monotonic() - self._began
                next_poll = time.monotonic() + (_POLL_DEAF_S if self._is_deaf else _POLL_S)
            self._check_limits()

    @property
    def _is_deaf(self) -> bool:
        """Whether the prompt's events went to a socket that is closed."""
        return not self._comfyui.is_up or self._comfyui.client_id != self._client_id

    async def _hear(self, event: Event) -> bool:
        """Take in an event; tell whether the prompt has succeeded."""
        self._heard = time.monotonic()
        if isinstance(event, Succeeded):
            return True
        if isinstance(event, PromptLeft | Broke):
            read_end(await entry(self._comfyui.client, self._prompt_id))
            return True
        if isinstance(event, Began):
            # What ComfyUI did before, with another prompt say, is not this one's time.
            self._began = self._heard
        self._onlooker.see(event)
        return False

    async def _poll(self) -> bool:
        """Ask history and queue; tell whether the prompt has succeeded.

        ComfyUI moves a prompt from its queue to its history in one go, so that a look at the history before and one
        after the look at the queue cannot both miss it.
        """
        client = self._comfyui.client
        try:
            for _ in range(2):
                found = await client.history(self._prompt_id)
                if found is not None:
                    read_end(found)
                    return True
                ids = [queued.prompt_id for queued in await client.queue()]
                if self._prompt_id in ids:
                    self._note_place(ids.index(self._prompt_id))
                    return False
        except NotListening:
            raise
        except Unreachable as error:
            logger.warning("ComfyUI does not answer", reason=str(error))
            return False
        raise PromptLost("ComfyUI knows nothing of it")

    def _note_place(self, ahead: int) -> None:
        if ahead != self._ahead:
            self._heard, self._ahead = time.monotonic(), ahead

    @property
    def _deadline(self) -> float:
        """When a limit is reached if nothing is heard any more."""
        return min(self._began + self._limits.prompt_s, self._heard + self._limits.stall_s)

    def _check_limits(self) -> None:
        now = time.monotonic()
        if now >= self._began + self._limits.prompt_s:
            raise WorkflowTimedOut(limit_s=f"{self._limits.prompt_s:g}")
        if now >= self._heard + self._limits.stall_s:
            raise WorkflowStalled(limit_s=f"{self._limits.stall_s:g}", node=self._onlooker.node or "-")


async def entry(client: ComfyuiClient, prompt_id: str) -> dict[str, Any]:
    """Return the history entry of a prompt that has ended; it is written a moment after the end is told.

    Raises:
        PromptLost: it does not come.
    """
    for pause_s in _ENTRY_PAUSES_S:
        await asyncio.sleep(pause_s)
        found = await client.history(prompt_id)
        if found is not None:
            return found
    raise PromptLost("its history entry does not come")


async def _next(events: Events, wait_s: float) -> Event | None:
    with suppress(TimeoutError):
        async with asyncio.timeout(max(wait_s, 0)):
            return await events.get()
    return None
