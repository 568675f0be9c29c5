"""What SageMaker tells of models of our own: kept once, and the step that waits for it goes on with it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import AliasPath, BaseModel, ConfigDict, Field

from backlot.aws.sagemaker import Origin, origin_of
from backlot.clock import Clock
from backlot.steps import WAITING, Job, JobAnswers, Outcome, Running, WorkItem

#: Whoever asked the model gives the step back within this time, milliseconds; a look is taken every so many seconds.
GIVEN_BACK_MS, LOOK_S = 15_000, 0.05


class Notification(BaseModel):
    """SageMaker's message about one invocation.

    Args:
        inference_id: that we gave.
        input_location: of the request.
        output_location: of the answer, None if there is none.
        failure_reason: why there is none.

    Source: SageMaker's developer guide, asynchronous inference, read 2026-11-20.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    inference_id: str = Field(validation_alias="inferenceId")
    input_location: str = Field(validation_alias=AliasPath("requestParameters", "inputLocation"))
    output_location: str | None = Field(
        default=None, validation_alias=AliasPath("responseParameters", "outputLocation")
    )
    failure_reason: str | None = Field(default=None, validation_alias="failureReason")


class Answers(Protocol):
    """Reads answers of models."""

    def output(self, location: str) -> dict[str, Any] | None:
        """Return the answer that lies at a location of ours; None if none does."""

    def failed(self, reason: str, job: Job | None) -> dict[str, Any]:
        """Return a failed request's answer in the form in which it is kept."""


class Steps(JobAnswers, Protocol):
    """The step ledger."""

    def running(self, task_id: str, step: str) -> Running | None:
        """Return what a step waits for."""


class Runner(Protocol):
    """Runs work items."""

    def run(self, item: WorkItem, *, receipt: str, sent_ms: int, lease_ms: int) -> Outcome:
        """Do a work item, or repeat the answer that it got before."""


class Notes(Protocol):
    """Remembers what models say of themselves."""

    def note(self, location: str | None, answer: Mapping[str, Any] | None) -> None:
        """Note what an answer at a location says of its model."""


class StillHeld(Exception):
    """Another function holds the step for too long; the sweep finds it."""


@dataclass(frozen=True)
class ModelResults:
    """Takes notifications.

    Args:
        steps: the step ledger.
        models: reads what models answered.
        runner: goes on with steps.
        clock: Unix time in milliseconds.
        notes: remembers what models say of themselves.
        sleep: waits, seconds.
    """

    steps: Steps
    models: Answers
    runner: Runner
    clock: Clock
    notes: Notes
    sleep: Callable[[float], None] = time.sleep

    def receive(self, told: Notification, *, receipt: str, lease_ms: int) -> Outcome | None:
        """Take one notification.

        Args:
            receipt: unique to this delivery.
            lease_ms: how long the function can be at work at most.

        Returns:
            What became of the step; None if nobody waits for this answer.

        Raises:
            StillHeld: the step is not given back in time.
        """
        origin = origin_of(told.input_location)
        answer = None if origin is None else self._answer(told, origin)
        if origin is None or answer is None:
            return None
        adopted = self.steps.adopt(
            origin.task_id,
            origin.step,
            nonce=origin.nonce,
            request_id=told.inference_id,
            answer=answer,
            now_ms=self.clock(),
        )
        outcome = None if adopted is None else self._go_on(adopted.item, receipt, lease_ms)
        self.notes.note(told.output_location, answer)
        return outcome

    def _answer(self, told: Notification, origin: Origin) -> dict[str, Any] | None:
        if told.output_location is not None:
            return self.models.output(told.output_location)
        running = self.steps.running(origin.task_id, origin.step)
        reason = told.failure_reason or "SageMaker gives no reason"
        return self.models.failed(reason, running.job if running else None)

    def _go_on(self, item: WorkItem, receipt: str, lease_ms: int) -> Outcome:
        began_ms = self.clock()
        while self.clock() - began_ms < GIVEN_BACK_MS:
            outcome = self.runner.run(item, receipt=receipt, sent_ms=began_ms, lease_ms=lease_ms)
            if outcome.kind != WAITING:
                return outcome
            self.sleep(LOOK_S)
        raise StillHeld(f"{item.task_id} {item.step}")
