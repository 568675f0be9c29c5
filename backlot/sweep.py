"""The sweep: finds tasks that nothing else would move any more."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from pydantic import ValidationError

from backlot.assets import FACE_PREFIX
from backlot.clock import Clock
from backlot.errors import DeadLettered
from backlot.faces import KEEP_S
from backlot.operations import Lane, operation_named
from backlot.steps import OWN_MODELS, Running, WorkItem
from backlot.submission import Executions, start
from backlot.tasks import Task

#: A task that is pending for longer than the first may have no execution; after the second it has waited in a queue.
UNSTARTED_AFTER_S, UNSTARTED_BEFORE_S = 120, 1800

#: How many tasks and messages one sweep looks at.
MAX_TASKS, MAX_MESSAGES = 100, 500

#: After how long a model that is at work is looked at, seconds.
SILENT_AFTER_S = 60

#: For how long dead letters are hidden while a sweep reads them, seconds.
HIDDEN_S = 50


class DeadLetter(Protocol):
    """A message in a dead-letter queue."""

    @property
    def body(self) -> str:
        """The work item."""

    @property
    def receives(self) -> int:
        """How often it was received."""


class DeadLetters(Protocol):
    """A dead-letter queue."""

    @property
    def name(self) -> str:
        """The queue's name."""

    def peek(self, *, at_most: int, hidden_s: int) -> Iterator[DeadLetter]:
        """Look at messages without taking them."""


class FaceObjects(Protocol):
    """The bucket's pictures of faces."""

    def delete_older(self, prefix: str, before_s: int) -> int:
        """Delete objects that were written before then, Unix seconds; return how many."""


class SweptTasks(Protocol):
    """The part of the task store that the sweep needs."""

    def processing(self, *, before_s: int, limit: int) -> list[Task]:
        """Return tasks at work that were submitted before then."""

    def pending(self, *, after_s: int, before_s: int, limit: int) -> list[Task]:
        """Return tasks that were submitted in a span of time and that no worker has taken yet."""


class RunningSteps(Protocol):
    """The part of the step ledger that the sweep needs."""

    def running(self, task_id: str, step: str) -> Running | None:
        """Return what a step waits for."""


class LookSender(Protocol):
    """The queue of work for models of our own."""

    def send_in_turn(self, item: WorkItem) -> None:
        """Send an item whose model is to be looked at."""


class TokenFailer(Protocol):
    """Answers a state machine with an error."""

    def fail(self, token: str, error_name: str, error_message: str) -> None:
        """Send the error; too late is no error."""


@dataclass(frozen=True)
class Swept:
    """What a sweep found.

    Args:
        dead_letters: messages whose tasks were told that they failed; they stay in the queue for a person.
        unreadable: messages in the dead-letter queue that are no work items.
        started: tasks whose execution was started, or found to exist.
        not_started: tasks whose execution could not be started.
        faces_deleted: pictures of faces whose hour was over.
        looked_for: steps whose model is looked at, because nothing was heard of it.
    """

    dead_letters: int = 0
    unreadable: int = 0
    started: int = 0
    not_started: int = 0
    faces_deleted: int = 0
    looked_for: int = 0


@dataclass(frozen=True)
class Sweep:
    """Sweeps.

    Args:
        tasks: the task store.
        executions: starts executions.
        dead_letters: the dead-letter queues.
        tokens: answers state machines.
        faces: the bucket's pictures of faces.
        steps: the step ledger.
        looks: the queue of work for models of our own.
        clock: Unix time in milliseconds.
    """

    tasks: SweptTasks
    executions: Executions
    dead_letters: list[DeadLetters]
    tokens: TokenFailer
    faces: FaceObjects
    steps: RunningSteps
    looks: LookSender
    clock: Clock

    def run(self) -> Swept:
        """Fail the tasks of dead letters, start what was never started, delete old faces, look for silent models."""
        failed, unreadable = self._fail_dead_letters()
        now_s = self.clock() // 1000
        unstarted = self.tasks.pending(
            after_s=now_s - UNSTARTED_BEFORE_S, before_s=now_s - UNSTARTED_AFTER_S, limit=MAX_TASKS
        )
        started = [start(self.executions, task) for task in unstarted]
        deleted = self.faces.delete_older(FACE_PREFIX, now_s - KEEP_S)
        return Swept(failed, unreadable, sum(started), len(started) - sum(started), deleted, self._look(now_s))

    def _look(self, now_s: int) -> int:
        """Let somebody look at the models of steps that have waited for long: their notification may be lost."""
        looked_for = 0
        for task in self.tasks.processing(before_s=now_s - SILENT_AFTER_S, limit=MAX_TASKS):
            operation = operation_named(task.operation)
            for step in operation.steps if Lane.MODEL in operation.lanes else ():
                running = self.steps.running(task.task_id, step)
                if running is not None and running.provider == OWN_MODELS:
                    self.looks.send_in_turn(running.item)
                    looked_for += 1
        return looked_for

    def _fail_dead_letters(self) -> tuple[int, int]:
        failed = unreadable = 0
        for queue in self.dead_letters:
            for message in queue.peek(at_most=MAX_MESSAGES, hidden_s=HIDDEN_S):
                try:
                    item = WorkItem.model_validate_json(message.body)
                except ValidationError:
                    unreadable += 1
                    continue
                error = DeadLettered(receives=message.receives, queue=queue.name)
                self.tokens.fail(item.task_token, type(error).__name__, str(error))
                failed += 1
        return failed, unreadable
