"""Jobs of providers that work for long: bought once, waited for without a worker, and cancelled with their task."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from backlot.clock import Clock
from backlot.errors import BacklotError, Cancelled, MaybePaid, ProviderAnswerInvalid, ProviderTimedOut
from backlot.operations import operation_named
from backlot.steps._ledger import Claimed, Holder, Job, StepLedger, Unsure
from backlot.steps._models import NAME as OWN_MODELS
from backlot.steps._step import StepDeps, Stopwatch
from backlot.tasks import Status, Task
from backlot.work_items import Cancellation, WorkItem

#: Longest pause between two looks at a job whose webhook has not come, milliseconds.
LONGEST_LOOK_MS = 120_000


class JobProvider(Protocol):
    """A provider that works for long."""

    def look(self, *, key: str, job: Job) -> dict[str, Any] | None:
        """Return a job's answer in the form in which it is kept; None while it is at work or cannot be asked."""

    def read(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return what a job has made; a BacklotError if it failed."""

    def cancel(self, *, key: str, job: Job) -> None:
        """Cancel a job; one that has ended stays as it is."""

    def overdue(self, limit_s: float) -> BacklotError:
        """Return the error of a job that took longer than we wait."""

    def unheard(self) -> BacklotError:
        """Return the error of a job of which nothing was heard, so that nobody knows whether it was bought."""


class TaskReader(Protocol):
    """The part of the task store that jobs need."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""


class TokenFailer(Protocol):
    """Answers a state machine with an error."""

    def fail(self, token: str, error_name: str, error_message: str) -> None:
        """Send the error; too late is no error."""


class StillRunning(Exception):
    """The job is at work; the step is to be run again later.

    Args:
        pause_ms: after this time, milliseconds, unless the webhook comes first.
    """

    def __init__(self, pause_ms: int) -> None:
        self.pause_ms = pause_ms
        super().__init__(f"the next look is in {pause_ms} ms")


#: Takes a provider's name, who holds the step, and the job's nonce; returns what the provider is told, so that its
#: result finds the step.
ResultAddress = Callable[[str, Holder, str], str]


def webhook_address(public_url: Callable[[], str]) -> ResultAddress:
    """Return the addresses of our webhooks.

    Args:
        public_url: returns where the providers reach us, without a trailing slash.
    """

    def address(provider: str, holder: Holder, nonce: str) -> str:
        query = urlencode({"task": holder.task_id, "step": holder.step, "nonce": nonce})
        return f"{public_url()}/webhooks/{provider}?{query}"

    return address


@dataclass(frozen=True)
class JobPolicy:
    """How jobs are waited for.

    Args:
        address: says where a provider is to send a job's result, see `ResultAddress`.
        first_look_ms: after how long a job is looked at whose webhook has not come, milliseconds.
        limit_ms: longest wait for a job, its time in the provider's queue included, milliseconds.
    """

    address: ResultAddress
    first_look_ms: int
    limit_ms: int

    def pause_ms(self, age_ms: int) -> int:
        """Return how long to wait before the next look: as long as the job is old, within bounds."""
        return min(max(age_ms, self.first_look_ms), LONGEST_LOOK_MS)


@dataclass(frozen=True)
class Jobs:
    """Buys jobs, looks at them, cancels them.

    Args:
        ledger: where they are kept.
        tasks: tells which tasks were cancelled.
        tokens: where state machines are answered.
        deps: the providers and their keys.
        policy: how jobs are waited for.
        clock: Unix time in milliseconds.
    """

    ledger: StepLedger
    tasks: TaskReader
    tokens: TokenFailer
    deps: StepDeps
    policy: JobPolicy
    clock: Clock

    def answer(
        self,
        holder: Holder,
        item: WorkItem,
        claim: Claimed,
        watch: Stopwatch,
        provider: str,
        submit: Callable[[str], Job],
    ) -> dict[str, Any]:
        """Return what a step's job has made; buy the job if that was not done.

        Args:
            item: the message that waits for the job.
            submit: buys the job; takes the address for its result.

        Raises:
            StillRunning: there is no answer yet.
            Cancelled: the task has ended meanwhile.
            BacklotError: it failed, and the next attempt buys another one; or it takes longer than the policy allows,
                and was cancelled.
        """
        answer, bought_ms = claim.answer, claim.bought_ms
        if answer is None and claim.job is not None:
            answer = self._look(holder, claim.job, bought_ms, provider)
        elif answer is None:
            bought_ms = self.clock()
            answer = self._buy(holder, item, provider, submit)
        else:
            watch.add("provider_s", max(claim.answered_ms - bought_ms, 0) / 1000)
        if claim.answer is None:
            watch.add("provider_s", (self.clock() - bought_ms) / 1000)
        if answer is None:
            raise StillRunning(self.policy.pause_ms(self.clock() - bought_ms))
        try:
            return self._client(provider).read(answer)
        except BacklotError:
            self.ledger.forgotten(holder)
            raise

    def pause_ms(self, unsure: Unsure) -> int:
        """Return how long to wait for the webhook of a job of which nobody knows whether it was bought.

        Raises:
            BacklotError: it would have come by now.
        """
        age_ms = self.clock() - unsure.since_ms
        if age_ms > self.policy.limit_ms:
            raise self._client(unsure.provider).unheard()
        return self.policy.pause_ms(age_ms)

    def cancel(self, cancellation: Cancellation) -> None:
        """Answer the token that a cancelled task waits for, and cancel the job that it has bought."""
        task = self.tasks.get(cancellation.cancelled_task_id)
        if task is None or task.status is not Status.CANCELLED:
            return
        for step in operation_named(cancellation.operation).steps:
            running = self.ledger.running(task.task_id, step)
            if running is None:
                continue
            self.tokens.fail(running.item.task_token, Cancelled.__name__, Cancelled.sentence)
            if running.job is not None and running.provider is not None:
                self._cancel(running.provider, running.job)

    def _buy(
        self, holder: Holder, item: WorkItem, provider: str, submit: Callable[[str], Job]
    ) -> dict[str, Any] | None:
        nonce = secrets.token_hex(16)
        address = self.policy.address(provider, holder, nonce)
        self.ledger.submitting(holder, provider, nonce=nonce, item=item)
        if self._is_over(holder.task_id):
            raise Cancelled()
        try:
            job = submit(address)
        except (MaybePaid, ProviderTimedOut, ProviderAnswerInvalid) as error:
            # If it was bought, the webhook tells; until then the record says that nobody knows.
            raise StillRunning(self.policy.first_look_ms) from error
        answer = self.ledger.submitted(holder, job)
        if answer is None and self._is_over(holder.task_id):
            # Whoever cancelled it before the job was kept could not know of the job.
            self._cancel(provider, job)
            raise Cancelled()
        return answer

    def _look(self, holder: Holder, job: Job, bought_ms: int, provider: str) -> dict[str, Any] | None:
        answer = self._client(provider).look(key=self.deps.keys.key(provider), job=job)
        if answer is not None:
            self.ledger.answered(holder, answer)
        elif self.clock() - bought_ms > self.policy.limit_ms:
            self._cancel(provider, job)
            self.ledger.forgotten(holder)
            raise self._client(provider).overdue(self.policy.limit_ms / 1000)
        return answer

    def _cancel(self, provider: str, job: Job) -> None:
        """Cancel a job as well as possible: what it costs if that fails is the job, which was wanted once."""
        try:
            # Models of our own know us by our role: nobody keeps a key for them.
            key = "" if provider == OWN_MODELS else self.deps.keys.key(provider)
            self._client(provider).cancel(key=key, job=job)
        except BacklotError:
            return

    def _is_over(self, task_id: str) -> bool:
        task = self.tasks.get(task_id)
        return task is None or task.status.is_final

    def _client(self, provider: str) -> JobProvider:
        client: JobProvider = self.deps.providers[provider]
        return client
