"""Taking a request in: one task, one execution, however often the request is sent with the same idempotency key."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from backlot.clock import Clock
from backlot.errors import IdempotencyKeyReused, NotStarted, TaskNotFailed, Unexpected
from backlot.faces import FaceKeeper
from backlot.image_urls import ImageUrlPolicy
from backlot.operations import Operation, OperationRequest
from backlot.tasks import Status, Task, new_task_id

#: How long an idempotency key is remembered, seconds.
KEY_LIFE_S = 86_400

#: How long after its submission a task can be joined by the same request, seconds.
JOIN_S = 900

#: Longest idempotency key, characters.
MAX_KEY_CHARS = 255


class SubmittedTasks(Protocol):
    """The part of the task store that a submission needs."""

    def add(self, task: Task) -> Task | None:
        """Write a new task; return the one that already has its id, if there is one."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""

    def reopen(self, task: Task, now_ms: int) -> Task | None:
        """Make a failed task pending for another execution, and return it; None if it has not failed."""

    def fail(self, task_id: str, *, retries: int, error_name: str, error_message: str, now_ms: int) -> Task | None:
        """End a task as failed, if it is open and was retried as often as that."""


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
        faces: keeps pictures that come within requests.
        clock: Unix time in milliseconds.
        days: how long tasks are kept.
    """

    tasks: SubmittedTasks
    keys: SubmissionKeys
    executions: Executions
    images: ImageUrlPolicy
    faces: FaceKeeper
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
        return self._submit(
            operation,
            self._values(request),
            # Not what was decided about it: a seed that is chosen for a request is another one each time it is sent.
            asked=request.model_dump(mode="json"),
            owner=owner,
            idempotency_key=idempotency_key,
            life_s=KEY_LIFE_S,
        )

    def join(self, operation: Operation, request: OperationRequest, *, owner: str) -> Submission:
        """Store a task and start its execution, or join one of the same owner with the same content.

        A task that was submitted within `JOIN_S` is joined, whether it runs or is completed. One that failed is retried
        if that may help, and taken as it is if not. A cancelled one is not joined.
        """
        values = self._values(request)
        key = _digest("join", operation.name, json.dumps(values, sort_keys=True))
        joined = self._submit(operation, values, asked=values, owner=owner, idempotency_key=key, life_s=JOIN_S)
        task = joined.task
        if task.status is Status.CANCELLED:
            key = _digest(key, task.task_id)
            return self._submit(operation, values, asked=values, owner=owner, idempotency_key=key, life_s=JOIN_S)
        if task.error is not None and task.error.retry:
            return Submission(self.retry(task), is_new=False, is_started=True)
        return joined

    def _values(self, request: OperationRequest) -> dict[str, Any]:
        return request.resolved(self.images).kept(self.faces).model_dump(mode="json")

    def _submit(
        self,
        operation: Operation,
        values: dict[str, Any],
        *,
        asked: dict[str, Any],
        owner: str,
        idempotency_key: str | None,
        life_s: int,
    ) -> Submission:
        now_ms = self.clock()
        task_id = self._task_id(operation, asked, owner, idempotency_key, life_s)
        task = Task.submitted(
            task_id=task_id, operation=operation.name, owner=owner, request=values, now_ms=now_ms, days=self.days
        )
        existing = self.tasks.add(task)
        if existing is not None and existing.status is not Status.PENDING:
            return Submission(existing, is_new=False, is_started=True)
        task = existing or task
        return Submission(task, is_new=existing is None, is_started=start(self.executions, task))

    def retry(self, task: Task) -> Task:
        """Let a failed task run again; steps that were done and paid are taken over.

        Raises:
            TaskNotFailed: it has not failed.
            NotStarted: Step Functions cannot start it for the moment; it stays failed.
        """
        reopened = self.tasks.reopen(task, self.clock())
        if reopened is None:
            raise TaskNotFailed(status=(self.tasks.get(task.task_id) or task).status)
        if not start(self.executions, reopened):
            self.tasks.fail(
                task.task_id,
                retries=reopened.retries,
                error_name=task.error_name or Unexpected.__name__,
                error_message=task.error_message or Unexpected.sentence,
                now_ms=self.clock(),
            )
            raise NotStarted()
        return reopened

    def _task_id(
        self, operation: Operation, asked: dict[str, Any], owner: str, idempotency_key: str | None, life_s: int
    ) -> str:
        """Return a new id, or the one that the idempotency key is bound to."""
        task_id = new_task_id()
        if idempotency_key is None:
            return task_id
        fingerprint = _digest(operation.name, json.dumps(asked, sort_keys=True))
        bound_id, bound_fingerprint = self.keys.claim(
            _digest(owner, idempotency_key),
            task_id=task_id,
            fingerprint=fingerprint,
            now_s=self.clock() // 1000,
            life_s=life_s,
        )
        if bound_fingerprint != fingerprint:
            raise IdempotencyKeyReused()
        return bound_id


def start(executions: Executions, task: Task) -> bool:
    """Start a task's execution; doing so again changes nothing."""
    return executions.start(task.operation, task.execution_name, {"task_id": task.task_id, "request": task.request})


def _digest(*parts: str) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
