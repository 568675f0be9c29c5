"""Results that providers send by themselves: checked, kept once, and handed to a worker."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from backlot.clock import Clock
from backlot.steps import JobAnswers, WorkItem

#: A worker that is at the step has given it back by then, seconds.
LATER_S = 2


class SignatureRefused(Exception):
    """A webhook is not the provider's; nobody is told why."""


class Replayed(Exception):
    """A webhook came again, to the bit."""


class Received(StrEnum):
    """What became of a webhook."""

    KEPT = "kept"
    IGNORED = "ignored"


class Signatures(Protocol):
    """Verifies a provider's webhooks."""

    def verify(self, headers: Mapping[str, str], body: bytes) -> str:
        """Return what names this very webhook; SignatureRefused if it is not the provider's."""


class SeenSignatures(Protocol):
    """Remembers webhooks."""

    def remember(self, signature: str, now_s: int) -> bool:
        """Remember a webhook; False if it was seen before."""


class WorkSender(Protocol):
    """The queue that workers listen to."""

    def send(self, item: WorkItem, *, delay_s: int) -> None:
        """Send an item, to be seen after some seconds."""


@dataclass(frozen=True)
class Webhooks:
    """Takes the webhooks of one provider.

    Args:
        signatures: tells the provider's webhooks from others.
        seen: remembers them.
        read: turns a webhook's body into the answer that is kept.
        answers: the step ledger.
        queue: where a worker is told to go on.
        clock: Unix time in milliseconds.
    """

    signatures: Signatures
    seen: SeenSignatures
    read: Callable[[dict[str, Any]], dict[str, Any]]
    answers: JobAnswers
    queue: WorkSender
    clock: Clock

    def receive(self, headers: Mapping[str, str], query: Mapping[str, str], body: bytes) -> Received:
        """Take one webhook.

        It is remembered last: one that failed halfway is welcome again.

        Args:
            headers: of the request.
            query: `task`, `step` and `nonce`, as they were in the URL that the provider was given.
            body: as it came.

        Raises:
            SignatureRefused: it is not the provider's.
            Replayed: it was received before.
            backlot.errors.ProviderUnavailable: the provider's keys cannot be had.
        """
        signature = self.signatures.verify(headers, body)
        received = self._take(query, body)
        if not self.seen.remember(signature, self.clock() // 1000):
            raise Replayed()
        return received

    def _take(self, query: Mapping[str, str], body: bytes) -> Received:
        try:
            told = json.loads(body)
            request_id = str(told["request_id"])
            task_id, step, nonce = (query[name] for name in ("task", "step", "nonce"))
        except (ValueError, KeyError, TypeError):
            return Received.IGNORED
        adopted = self.answers.adopt(
            task_id, step, nonce=nonce, request_id=request_id, answer=self.read(told), now_ms=self.clock()
        )
        if adopted is None:
            return Received.IGNORED
        self.queue.send(adopted.item, delay_s=LATER_S if adopted.is_held else 0)
        return Received.KEPT
