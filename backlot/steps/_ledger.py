"""The step ledger: a step of a task is claimed by one worker at a time, paid once, and its result is kept.

A record goes through three states, and is held under a lease while somebody works on it:

    (none) ──claim──▶ claimed ──paying──▶ paying ──answered──▶ claimed, with the answer ──done──▶ done
                         ▲                   │                            │
                         └───────────────── ended (an attempt failed) ────┘

`paying` is written before a paid call is sent. Whoever finds it after the lease has run out knows that a call was
sent and its answer lost, and does not send a second one. The record remembers which attempts ended and how, so that a
message which comes twice gets the same answer twice.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from backlot.tasks import StepOutput


@dataclass(frozen=True)
class Claimed:
    """The step is ours until the lease runs out; `answer` is what an earlier run paid for, if it was kept."""

    answer: dict[str, Any] | None


@dataclass(frozen=True)
class Held:
    """Another worker holds the step until then, Unix milliseconds."""

    until_ms: int


@dataclass(frozen=True)
class Done:
    """The step was done before, with this result."""

    output: StepOutput


@dataclass(frozen=True)
class Ended:
    """This very attempt ended before with this error."""

    error_name: str
    error_message: str


@dataclass(frozen=True)
class Lost:
    """A worker sent a paid call and vanished before it kept the answer; the step is ours, to say so."""

    provider: str


Claim = Claimed | Held | Done | Ended | Lost


@dataclass(frozen=True)
class Holder:
    """Who asks: one delivery of one message.

    Args:
        task_id: of the task.
        step: of the step.
        attempt: of the message, see `WorkItem`.
        receipt: unique to the delivery.
    """

    task_id: str
    step: str
    attempt: str
    receipt: str


class StepLedger(Protocol):
    """Where the records are kept. All writes are conditional; LeaseLost says that another worker holds the step."""

    def claim(self, holder: Holder, *, now_ms: int, lease_ms: int) -> Claim:
        """Take the step if nobody has it, or tell why not."""

    def paying(self, holder: Holder, provider: str) -> None:
        """Note that a paid call is about to be sent to a provider."""

    def answered(self, holder: Holder, answer: dict[str, Any]) -> None:
        """Keep a paid call's answer."""

    def done(self, holder: Holder, output: StepOutput) -> None:
        """Keep the step's result; it is never done again."""

    def ended(self, holder: Holder, error_name: str, error_message: str) -> None:
        """Give the step back after this attempt ended with an error; an answer that was paid for stays."""

    def release(self, holder: Holder) -> None:
        """Let the lease run out at once, so that the same message can be tried again; nothing else changes."""


class LeaseLost(Exception):
    """Another worker has taken the step since it was claimed."""
