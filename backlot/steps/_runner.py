"""Does what a queue message asks for, once, however often the message comes."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from backlot.clock import Clock
from backlot.errors import BacklotError, Cancelled, MaybePaid, Unexpected
from backlot.pacing import Pacing
from backlot.steps._jobs import JobPolicy, Jobs, StillRunning
from backlot.steps._ledger import Claimed, Done, Ended, Held, Holder, Lost, Overtaken, StepLedger, Unsure
from backlot.steps._step import Step, StepDeps, StepRun, Stopwatch
from backlot.tasks import StepOutput, Task
from backlot.work_items import Cancellation, WorkItem

#: What may become of a message: its token is answered, it has to come back, it was sent again for later, or it is not
#: needed any more.
ANSWERED, WAITING, PUT_OFF, DROPPED = "answered", "waiting", "put off", "dropped"

#: Longest time for which SQS hides a message that is sent, seconds.
LONGEST_WAIT_S = 900

#: Pause before all seats of a provider are tried again, milliseconds.
SEATS_TAKEN_MS = 2000


class TaskStarter(Protocol):
    """The part of the task store that a worker needs."""

    def start(self, task_id: str, now_ms: int) -> Task | None:
        """Mark a task as processing and return it; None if it has ended or does not exist."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""


class TaskTokens(Protocol):
    """Answers a state machine. An answer that comes too late is no error."""

    def succeed(self, token: str, output: dict[str, Any]) -> None:
        """Send the step's output."""

    def fail(self, token: str, error_name: str, error_message: str) -> None:
        """Send the step's error."""


class WorkSender(Protocol):
    """The queue that work items come from."""

    def send(self, item: WorkItem, *, delay_s: int) -> None:
        """Send an item, to be seen after some seconds."""


@dataclass(frozen=True)
class Outcome:
    """What became of a message.

    Args:
        kind: ANSWERED, WAITING, PUT_OFF or DROPPED.
        wait_ms: for WAITING and PUT_OFF, after how long it is looked at again.
        error_name: of the error that was sent, if it was one.
        output: of the step, if it was done.
    """

    kind: str
    wait_ms: int = 0
    error_name: str | None = None
    output: StepOutput | None = None


@dataclass(frozen=True)
class StepRunner:
    """Runs work items.

    Args:
        tasks: where tasks are marked as processing.
        ledger: where steps are claimed and their results kept.
        tokens: where state machines are answered.
        queue: where a step is sent that has to be put off.
        pacing: keeps the providers' rate limits.
        job_policy: how jobs of providers are waited for.
        deps: what steps may use.
        clock: Unix time in milliseconds.
    """

    tasks: TaskStarter
    ledger: StepLedger
    tokens: TaskTokens
    queue: WorkSender
    pacing: Pacing
    job_policy: JobPolicy
    deps: StepDeps
    clock: Clock

    @property
    def jobs(self) -> Jobs:
        """The jobs that steps wait for."""
        return Jobs(self.ledger, self.tasks, self.tokens, self.deps, self.job_policy, self.clock)

    def cancel(self, cancellation: Cancellation) -> Outcome:
        """End what a cancelled task waits for, at our state machine and at the provider."""
        self.jobs.cancel(cancellation)
        return Outcome(ANSWERED, error_name=Cancelled.__name__)

    def run(self, item: WorkItem, *, receipt: str, sent_ms: int, lease_ms: int) -> Outcome:
        """Do a work item, or repeat the answer that it got before.

        Args:
            receipt: unique to this delivery of the message.
            sent_ms: when the message was sent, Unix milliseconds.
            lease_ms: how long this worker can be at work at most.

        Raises:
            Exception: whatever is no error of ours (AWS unavailable, a defect); the step is given back, and the message
                should be, too.
        """
        received_ms = self.clock()
        task = self.tasks.start(item.task_id, received_ms)
        if task is None:
            # The task was cancelled, or its execution is over and does not hear this any more.
            return self._fail(item, Cancelled.__name__, Cancelled.sentence)
        holder = Holder(item.task_id, item.step, item.attempt, item.turn, receipt)
        delivery = _Delivery(item, holder, task, sent_ms, received_ms, received_ms + lease_ms)
        claim = self.ledger.claim(holder, now_ms=received_ms, lease_ms=lease_ms)
        match claim:
            case Held(until_ms=until_ms):
                return Outcome(WAITING, wait_ms=max(until_ms - received_ms, 0))
            case Done(output=output):
                return self._succeed(item, output)
            case Ended(error_name=name, error_message=message):
                return self._fail(item, name, message)
            case Lost(provider=provider):
                return self._end(
                    item, holder, MaybePaid(provider=provider, reason="the worker vanished while it waited")
                )
            case Unsure():
                return self._wait_for_webhook(delivery, claim)
            case Overtaken():
                return Outcome(DROPPED)
            case Claimed():
                return self._take_turn(delivery, claim)

    def _take_turn(self, delivery: "_Delivery", claim: Claimed) -> Outcome:
        """Do the step if its provider's limits allow it now, or put it off."""
        item, holder = delivery.item, delivery.holder
        try:
            step, request = _parse(item)
        except Unexpected as error:
            return self._end(item, holder, error)
        if step.provider is None or claim.answer is not None or claim.job is not None:
            return self._work(delivery, step, request, claim)
        with self._given_back_on_errors(holder):
            slot_ms = claim.slot_ms or self.pacing.reserve_slot(step.provider, delivery.received_ms)
            if slot_ms > delivery.received_ms:
                return self._put_off(delivery, slot_ms, slot_ms)
            if not self.pacing.take_seat(
                step.provider, holder.receipt, now_ms=delivery.received_ms, until_ms=delivery.until_ms
            ):
                return self._put_off(delivery, delivery.received_ms + SEATS_TAKEN_MS, slot_ms)
        try:
            return self._work(delivery, step, request, claim)
        finally:
            self.pacing.leave_seat(step.provider, holder.receipt)

    def _work(self, delivery: "_Delivery", step: Step, request: BaseModel, claim: Claimed) -> Outcome:
        item, holder = delivery.item, delivery.holder
        watch = Stopwatch()
        step_run = StepRun(
            task_id=item.task_id,
            created_ms=delivery.task.created_ms,
            kept_answer=claim.answer,
            pay=lambda provider, call: self._pay(holder, watch, provider, call),
            job=lambda provider, submit: self.jobs.answer(holder, delivery.again, claim, watch, provider, submit),
            retries=item.retries,
            watch=watch,
            deps=self.deps,
            time_left_s=lambda: (delivery.until_ms - self.clock()) / 1000,
            owner=delivery.task.owner,
            decide=lambda value: self.ledger.decided(holder, value),
        )
        try:
            with self._given_back_on_errors(holder):
                output = self._timed(step.run(request, step_run), delivery, claim, watch)
                self.ledger.done(holder, output)
        except StillRunning as running:
            return self._put_off(delivery, delivery.received_ms + running.pause_ms, delivery.received_ms)
        except BacklotError as error:
            return self._end(item, holder, error)
        return self._succeed(item, output)

    @contextmanager
    def _given_back_on_errors(self, holder: Holder) -> Iterator[None]:
        """Give the step back at once when something unforeseen happens; errors of ours are its end."""
        try:
            yield
        except (BacklotError, StillRunning):
            raise
        except BaseException:
            self.ledger.release(holder)
            raise

    def _timed(self, output: StepOutput, delivery: "_Delivery", claim: Claimed, watch: Stopwatch) -> StepOutput:
        began_ms = claim.bought_ms or delivery.received_ms
        timings = watch.timings().model_copy(
            update={
                "queued_s": max(began_ms - delivery.first_sent_ms, 0) / 1000,
                "processing_s": (self.clock() - began_ms) / 1000,
            }
        )
        return output.model_copy(update={"timings": timings})

    def _put_off(self, delivery: "_Delivery", until_ms: int, slot_ms: int) -> Outcome:
        """Send the item again for later. It is sent before the claim is given back, so that it cannot get lost."""
        wait_ms = min(until_ms - delivery.received_ms, LONGEST_WAIT_S * 1000)
        self.queue.send(delivery.again, delay_s=-(-wait_ms // 1000))
        self.ledger.put_off(delivery.holder, slot_ms=slot_ms, item=delivery.again)
        return Outcome(PUT_OFF, wait_ms=wait_ms)

    def _wait_for_webhook(self, delivery: "_Delivery", unsure: Unsure) -> Outcome:
        try:
            pause_ms = self.jobs.pause_ms(unsure)
        except BacklotError as error:
            return self._end(delivery.item, delivery.holder, error)
        return self._put_off(delivery, delivery.received_ms + pause_ms, delivery.received_ms)

    def _pay(
        self, holder: Holder, watch: Stopwatch, provider: str, call: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        self.ledger.paying(holder, provider)
        task = self.tasks.get(holder.task_id)
        if task is None or task.status.is_final:
            raise Cancelled()
        with watch.time("provider_s"):
            answer = call()
        self.ledger.answered(holder, answer)
        return answer

    def _end(self, item: WorkItem, holder: Holder, error: BacklotError) -> Outcome:
        self.ledger.ended(holder, type(error).__name__, str(error))
        return self._fail(item, type(error).__name__, str(error))

    def _fail(self, item: WorkItem, name: str, message: str) -> Outcome:
        self.tokens.fail(item.task_token, name, message)
        return Outcome(ANSWERED, error_name=name)

    def _succeed(self, item: WorkItem, output: StepOutput) -> Outcome:
        self.tokens.succeed(item.task_token, output.model_dump(mode="json"))
        return Outcome(ANSWERED, output=output)


@dataclass(frozen=True)
class _Delivery:
    """A message at work: who holds it, since when, and until when at most (Unix milliseconds)."""

    item: WorkItem
    holder: Holder
    task: Task
    sent_ms: int
    received_ms: int
    until_ms: int

    @property
    def first_sent_ms(self) -> int:
        """When the first message of this attempt was sent."""
        return self.item.first_sent_ms or self.sent_ms

    @property
    def again(self) -> WorkItem:
        """The message with which it goes on later."""
        return self.item.again(self.sent_ms)


def step_named(name: str) -> Step:
    """Return a step of this package.

    Raises:
        KeyError: there is none of this name.
    """
    module = f"backlot.steps.{name.replace('-', '_')}"
    if not re.fullmatch(r"[a-z]+(-[a-z]+)*", name) or find_spec(module) is None:
        raise KeyError(name)
    step: Step = import_module(module).STEP
    return step


def _parse(item: WorkItem) -> tuple[Step, BaseModel]:
    try:
        step = step_named(item.step)
        return step, step.input.model_validate(item.input)
    except (KeyError, ValidationError) as error:
        raise Unexpected() from error
