"""The end of an execution: what no state could record is recorded, and each task is counted once."""

from dataclasses import dataclass
from typing import Protocol

from backlot.clock import Clock
from backlot.errors import Aborted, TimedOut, Unexpected
from backlot.tasks import Task

#: Ends of an execution, as Step Functions calls them, that may have left the task open.
_UNRECORDED = {"TIMED_OUT": TimedOut, "ABORTED": Aborted, "FAILED": Unexpected}


class TaskSettler(Protocol):
    """The part of the task store that the settlement needs."""

    def fail(self, task_id: str, *, error_name: str, error_message: str, now_ms: int) -> Task | None:
        """End a task as failed, if it is open."""

    def settle(self, task_id: str, now_ms: int) -> Task | None:
        """Note that a finished task was counted, and return it; None if that was noted before or it is not finished."""


class TaskCounter(Protocol):
    """Publishes a finished task's metrics."""

    def ended(self, task: Task) -> None:
        """Count a task that has ended."""


@dataclass(frozen=True)
class Settlement:
    """Settles executions.

    Args:
        tasks: the task store.
        metrics: where ended tasks are counted.
        clock: Unix time in milliseconds.
    """

    tasks: TaskSettler
    metrics: TaskCounter
    clock: Clock

    def settle(self, execution_name: str, status: str) -> Task | None:
        """Settle one execution; harmless when it is done again.

        Args:
            execution_name: the task id, followed by `.<n>` for the n-th retry of a task.
            status: SUCCEEDED, FAILED, TIMED_OUT or ABORTED.

        Returns:
            The task, if this call counted it.
        """
        task_id = execution_name.split(".", 1)[0]
        error = _UNRECORDED.get(status)
        if error is not None:
            self.tasks.fail(task_id, error_name=error.__name__, error_message=error.sentence, now_ms=self.clock())
        task = self.tasks.settle(task_id, self.clock())
        if task is not None:
            self.metrics.ended(task)
        return task
