"""Taking a request in: one task, one execution, however often the request is sent with the same idempotency key."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from backlot.clock import Clock
from backlot.errors import IdempotencyKeyReused
from backlot.image_urls import ImageUrlPolicy
from backlot.operations import Operation, OperationRequest
from backlot.tasks import Status, Task, new_task_id

#: How long an idempotency key is remembered, seconds.
KEY_LIFE_S = 86_400

#: Longest idempotency key, characters.
MAX_KEY_CHARS = 255


class TaskAdder(Protocol):
    """The part of the task store that a submission needs."""

    def add(self, task: Task) -> Task | None:
        """Write a new task; return the one that already has its id, if there is one."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""


class SubmissionKeys(Protocol):
    """Remembers idempotency keys."""

    def claim(self, key: str, *, task_id: str, fingerprint: str, now_s: int, life_s: int) -> tuple[str, str]:
        """Bind a key to a task unless it is bound; return the task id and the fingerprint that it is bound to."""


class Executions(Protocol):
    """Starts executions."""

    def start(self, operation: str, name: str, execution_input: dict[str, Any]) -> bool:
        """Start an execution unless it exists; False if that is not possible for the moment."""


@dataclass(frozen=True)
class Submission:
    """What became of a request.

    Args:
        task: the task, new or not.
        is_new: whether this request made it.
        is_started: whether its execution exists; if not, the sweep starts it.
    """

    task: Task
    is_new: bool
    is_started: bool


@dataclass(frozen=True)
class Submissions:
    """Takes requests in.

    Args:
        tasks: the task store.
        keys: remembers idempotency keys.
        executions: starts executions.
        images: which image URLs are ours.
        clock: Unix time in milliseconds.
        days: how long tasks are kept.
    """

    tasks: TaskAdder
    keys: SubmissionKeys
    executions: Executions
    images: ImageUrlPolicy
    clock: Clock
    days: int

    def submit(
        self, operation: Operation, request: OperationRequest, *, owner: str, idempotency_key: str | None
    ) -> Submission:
        """Store a task and start its execution.

        Args:
            request: checked.
            owner: id of the API key.
            idempotency_key: the client's name for this request, if it gave one.

        Raises:
            IdempotencyKeyReused: the key was used by this owner with another request within the last day.
        """
        now_ms = self.clock()
        values = request.resolved(self.images).model_dump(mode="json")
        task_id = self._task_id(operation, values, owner, idempotency_key, now_ms // 1000)
        task = Task.submitted(
            task_id=task_id, operation=operation.name, owner=owner, request=values, now_ms=now_ms, days=self.days
        )
        existing = self.tasks.add(task)
        if existing is not None and existing.status is not Status.PENDING:
            return Submission(existing, is_new=False, is_started=True)
        task = existing or task
        return Submission(task, is_new=existing is None, is_started=start(self.executions, task))

    def _task_id(
        self, operation: Operation, values: dict[str, Any], owner: str, idempotency_key: str | None, now_s: int
    ) -> str:
        """Return a new id, or the one that the idempotency key is bound to."""
        task_id = new_task_id()
        if idempotency_key is None:
            return task_id
        fingerprint = _digest(operation.name, json.dumps(values, sort_keys=True))
        bound_id, bound_fingerprint = self.keys.claim(
            _digest(owner, idempotency_key), task_id=task_id, fingerprint=fingerprint, now_s=now_s, life_s=KEY_LIFE_S
        )
        if bound_fingerprint != fingerprint:
            raise IdempotencyKeyReused()
        return bound_id


def start(executions: Executions, task: Task) -> bool:
    """Start a task's execution; doing so again changes nothing."""
    return executions.start(task.operation, task.task_id, {"task_id": task.task_id, "request": task.request})


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
