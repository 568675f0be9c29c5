"""Does what a queue message asks for, once, however often the message comes."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

from pydantic import BaseModel, ValidationError

from backlot.clock import Clock
from backlot.errors import BacklotError, MaybePaid, Unexpected
from backlot.steps._ledger import Claimed, Done, Ended, Held, Holder, Lost, StepLedger
from backlot.steps._step import Step, StepDeps, StepRun, Stopwatch, WorkItem
from backlot.tasks import StepOutput, Task

#: What a message may find when it arrives: the step is done now, was answered before, or has to wait.
ANSWERED, WAITING, DROPPED = "answered", "waiting", "dropped"


class TaskStarter(Protocol):
    """The part of the task store that a worker needs."""

    def start(self, task_id: str, now_ms: int) -> Task | None:
        """Mark a task as processing and return it; None if it has ended or does not exist."""


class TaskTokens(Protocol):
    """Answers a state machine. An answer that comes too late is no error."""

    def succeed(self, token: str, output: dict[str, Any]) -> None:
        """Send the step's output."""

    def fail(self, token: str, error_name: str, error_message: str) -> None:
        """Send the step's error."""


@dataclass(frozen=True)
class Outcome:
    """What became of a message.

    Args:
        kind: ANSWERED, WAITING or DROPPED.
        wait_ms: for WAITING, after how long to look again.
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
        deps: what steps may use.
        clock: Unix time in milliseconds.
    """

    tasks: TaskStarter
    ledger: StepLedger
    tokens: TaskTokens
    deps: StepDeps
    clock: Clock

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
            return Outcome(DROPPED)
        holder = Holder(item.task_id, item.step, item.attempt, receipt)
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
            case Claimed(answer=answer):
                return self._work(item, holder, task, answer, received_ms, sent_ms)

    def _work(
        self, item: WorkItem, holder: Holder, task: Task, answer: dict[str, Any] | None, received_ms: int, sent_ms: int
    ) -> Outcome:
        watch = Stopwatch()
        step_run = StepRun(
            task_id=item.task_id,
            created_ms=task.created_ms,
            kept_answer=answer,
            pay=lambda provider, call: self._pay(holder, watch, provider, call),
            watch=watch,
            deps=self.deps,
        )
        try:
            step, request = _parse(item)
            output = step.run(request, step_run)
        except BacklotError as error:
            return self._end(item, holder, error)
        except BaseException:
            self.ledger.release(holder)
            raise
        timings = watch.timings().model_copy(
            update={
                "queued_s": max(received_ms - sent_ms, 0) / 1000,
                "processing_s": (self.clock() - received_ms) / 1000,
            }
        )
        output = output.model_copy(update={"timings": timings})
        self.ledger.done(holder, output)
        return self._succeed(item, output)

    def _pay(
        self, holder: Holder, watch: Stopwatch, provider: str, call: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        self.ledger.paying(holder, provider)
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
