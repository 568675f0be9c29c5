"""The end of an execution: what no state could record is recorded, and each task is counted once."""

from dataclasses import dataclass
from typing import Protocol

from backlot.clock import Clock
from backlot.errors import Aborted, NotStarted, TimedOut, Unexpected
from backlot.submission import Executions
from backlot.tasks import Status, Task, parse_execution_name

#: What the state machine that delivers webhooks is called, beside those of the operations.
WEBHOOK_MACHINE = "deliver-webhook"

#: Ends of an execution, as Step Functions calls them, that may have left the task open.
_UNRECORDED = {"TIMED_OUT": TimedOut, "ABORTED": Aborted, "FAILED": Unexpected}


class TaskSettler(Protocol):
    """The part of the task store that the settlement needs."""

    def fail(self, task_id: str, *, retries: int, error_name: str, error_message: str, now_ms: int) -> Task | None:
        """End a task as failed, if it is open and this is its current execution."""

    def settle(self, task_id: str, *, retries: int, now_ms: int) -> Task | None:
        """Note that a finished task was counted, and return it; None if it was noted, is open or is retried since."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""


class CompletedCounter(Protocol):
    """Counts completed tasks."""

    def add(self, name: str) -> None:
        """Count one more of an operation."""


class TaskCounter(Protocol):
    """Publishes a finished task's metrics."""

    def ended(self, task: Task) -> None:
        """Count a task that has ended."""


@dataclass(frozen=True)
class Settlement:
    """Settles executions.

    Args:
        tasks: the task store.
        executions: where the delivery of webhooks is started.
        metrics: where ended tasks are counted.
        completed: how many tasks of each operation were completed since the first.
        clock: Unix time in milliseconds.
    """

    tasks: TaskSettler
    executions: Executions
    metrics: TaskCounter
    completed: CompletedCounter
    clock: Clock

    def settle(self, execution_name: str, status: str) -> Task | None:
        """Settle one execution; harmless when it is done again.

        Args:
            execution_name: the task id, followed by `.<n>` for the n-th retry of a task.
            status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED.

        Returns:
            The task, if this call counted it.

        Raises:
            NotStarted: the delivery of its webhook cannot be started for the moment; to be settled again.
        """
        task_id, retries = parse_execution_name(execution_name)
        error = _UNRECORDED.get(status)
        if error is not None:
            self.tasks.fail(
                task_id,
                retries=retries,
                error_name=error.__name__,
                error_message=error.sentence,
                now_ms=self.clock(),
            )
        self._tell(task_id, retries)
        task = self.tasks.settle(task_id, retries=retries, now_ms=self.clock())
        if task is not None:
            self.metrics.ended(task)
            if task.status is Status.COMPLETED:
                self.completed.add(task.operation)
        return task

    def _tell(self, task_id: str, retries: int) -> None:
        """Start the delivery of the task's webhook, if somebody wants one; doing so again changes nothing."""
        task = self.tasks.get(task_id)
        if task is None or task.callback_url is None or not task.status.is_final or task.retries != retries:
            return
        if not self.executions.start(WEBHOOK_MACHINE, task.execution_name, {"task_id": task_id, "attempt": 0}):
            raise NotStarted()
