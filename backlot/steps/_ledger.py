"""The step ledger: a step of a task is claimed by one worker at a time, paid once, and its result is kept.

A record goes through three states, and is held under a lease while somebody works on it:

    (none) ──claim──▶ claimed ──paying──▶ paying ──answered──▶ claimed, with the answer ──done──▶ done
                         ▲                   │                            │
                         └───────────────── ended (an attempt failed) ────┘

`paying` is written before a paid call is sent. Whoever finds it after the lease has run out knows that a call was
sent and its answer lost, and does not send a second one. The record remembers which attempts ended and how, so that a
message which comes twice gets the same answer twice.

A step that has to wait, for a provider's rate limit say, is put off: its message is sent again with the next turn. The
record knows the turn, so that a copy of an earlier message does not wait a second time beside it.

A provider that works for long sells a job, whose answer comes later. The record then goes another way:

    claimed ──submitting──▶ paying, with a nonce ──submitted──▶ submitted ──answered──▶ claimed, with the answer
                                   │                                │                         ▲
                                   └───── adopted: the provider told us by its webhook ───────┘

The nonce is random and part of the URL that the provider is told to call, so that nobody else can aim at the step. A
job whose number got lost between `submitting` and `submitted` is still found by it. `forgotten` drops a job that
failed, so that the next attempt buys another one.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from backlot.tasks import StepOutput
from backlot.work_items import WorkItem


class Job(BaseModel):
    """A job that a provider works on, as its answer to the submission names it.

    Args:
        request_id: the provider's number.
        status_url: where it says how far it is.
        response_url: where its answer is.
        cancel_url: where it can be cancelled.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    request_id: str
    status_url: str
    response_url: str
    cancel_url: str


@dataclass(frozen=True)
class Claimed:
    """The step is ours until the lease runs out.

    Args:
        answer: what an earlier run paid for, if it was kept.
        slot_ms: when this attempt may call its provider, if that was decided before, Unix milliseconds.
        job: what an earlier run bought and the provider works on.
        bought_ms: when that was, Unix milliseconds.
        answered_ms: when the answer was kept, Unix milliseconds.
    """

    answer: dict[str, Any] | None = None
    slot_ms: int | None = None
    job: Job | None = None
    bought_ms: int = 0
    answered_ms: int = 0


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


@dataclass(frozen=True)
class Unsure:
    """Nobody knows whether a job was bought at that time; if it was, the provider's webhook will say so.

    Args:
        provider: of the job.
        since_ms: when the submission was noted, Unix milliseconds.
    """

    provider: str
    since_ms: int


@dataclass(frozen=True)
class Overtaken:
    """The message was sent again since, with a later turn."""


Claim = Claimed | Held | Done | Ended | Lost | Unsure | Overtaken


@dataclass(frozen=True)
class Holder:
    """Who asks: one delivery of one message.

    Args:
        task_id: of the task.
        step: of the step.
        attempt: of the message, see `WorkItem`.
        turn: of the message.
        receipt: unique to the delivery.
    """

    task_id: str
    step: str
    attempt: str
    turn: int
    receipt: str

    @property
    def execution(self) -> str:
        """Name of the task's execution that the attempt belongs to."""
        return self.attempt.rpartition("/")[0]


class StepLedger(Protocol):
    """Where the records are kept. All writes are conditional; LeaseLost says that another worker holds the step."""

    def claim(self, holder: Holder, *, now_ms: int, lease_ms: int) -> Claim:
        """Take the step if nobody has it, or tell why not."""

    def renew(self, holder: Holder, *, now_ms: int, lease_ms: int) -> None:
        """Hold the step for longer."""

    def paying(self, holder: Holder, provider: str) -> None:
        """Note that a paid call is about to be sent to a provider."""

    def answered(self, holder: Holder, answer: dict[str, Any]) -> None:
        """Keep a paid call's answer."""

    def submitting(self, holder: Holder, provider: str, *, nonce: str, item: WorkItem) -> None:
        """Note that a job is about to be bought, by which nonce its webhook is known, and who waits for it."""

    def submitted(self, holder: Holder, job: Job) -> dict[str, Any] | None:
        """Keep a job that was bought; return its answer if the webhook was quicker."""

    def forgotten(self, holder: Holder) -> None:
        """Drop a job and its answer, because it failed."""

    def running(self, task_id: str, step: str) -> "Running | None":
        """Return what a step waits for: a job, or its turn."""

    def decided(self, holder: Holder, value: dict[str, Any]) -> dict[str, Any]:
        """Keep what a step decides when it first asks; return it, or what was decided before in this execution."""

    def done(self, holder: Holder, output: StepOutput) -> None:
        """Keep the step's result; it is never done again."""

    def ended(self, holder: Holder, error_name: str, error_message: str) -> None:
        """Give the step back after this attempt ended with an error; an answer that was paid for stays."""

    def put_off(self, holder: Holder, *, slot_ms: int, item: WorkItem) -> None:
        """Give the step back for the next turn, which `item` is, and remember when it may call its provider."""

    def release(self, holder: Holder) -> None:
        """Let the lease run out at once, so that the same message can be tried again; nothing else changes."""


@dataclass(frozen=True)
class Running:
    """The job that a step waits for, if it has bought one and its number is known, and the message that waits."""

    job: Job | None
    provider: str | None
    item: WorkItem


class JobAnswers(Protocol):
    """The ledger as the receiver of webhooks uses it: it holds no step."""

    def adopt(
        self, task_id: str, step: str, *, nonce: str, request_id: str, answer: dict[str, Any], now_ms: int
    ) -> "Adopted | None":
        """Keep a job's answer, unless the step is done or has an answer, or the nonce or the job is another."""


@dataclass(frozen=True)
class Adopted:
    """An answer was kept.

    Args:
        item: the message to send, so that a worker goes on.
        is_held: whether a worker is at the step at this moment.
    """

    item: WorkItem
    is_held: bool


class LeaseLost(Exception):
    """Another worker has taken the step since it was claimed."""
