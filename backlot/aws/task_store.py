"""`task_store`: the tasks' records, written only under conditions, so that a finished task never moves again."""

from typing import Any

from backlot.aws.dynamodb import Refused, Table
from backlot.tasks import OPEN, Delivery, Status, Task, TaskCursor

#: The index of the replaced servers' table: all attributes, by status and time of submission.
STATUS_INDEX = "status-created_at-index"

#: All attributes, by the API key that owns a task and the time of submission.
OWNER_INDEX = "owner-created_ms-index"

#: How many tasks a page of a listing looks at, at most, and how many of them it reads at once.
MAX_READ, READ_AT_ONCE = 1000, 100

_OPEN = {f":{status.value}": status.value for status in OPEN}
_IS_OPEN = f"#status IN ({', '.join(_OPEN)})"


class TaskStore:
    """The table of tasks.

    Args:
        table: `task_store`, whose key is `task_id`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, task: Task) -> Task | None:
        """Write a new task; return the one that already has its id, if there is one."""
        refused = self._table.insert(task.record())
        return Task.from_record(refused.item) if refused and refused.item else None

    def get(self, task_id: str) -> Task | None:
        """Read a task."""
        record = self._table.get(task_id)
        return Task.from_record(record) if record else None

    def start(self, task_id: str, now_ms: int) -> Task | None:
        """Mark a task as processing, if it is open, and return it; None if it has ended or does not exist."""
        written = self._table.update(
            task_id,
            "SET #status = :processing, started_ms = if_not_exists(started_ms, :now), updated_at = :now_s",
            condition=_IS_OPEN,
            names={"#status": "status"},
            values={**_OPEN, ":now": now_ms, ":now_s": now_ms // 1000},
        )
        return None if isinstance(written, Refused) else Task.from_record(written)

    def fail(self, task_id: str, *, retries: int, error_name: str, error_message: str, now_ms: int) -> Task | None:
        """End a task as failed, if it is open and was retried as often as that, and return it; else None."""
        written = self._table.update(
            task_id,
            "SET #status = :failed, error_name = :name, error_message = :message, "
            "completed_ms = :now, updated_at = :now_s",
            condition=f"{_IS_OPEN} AND retries = :retries",
            names={"#status": "status"},
            values={
                **_OPEN,
                ":retries": retries,
                ":failed": Status.FAILED.value,
                ":name": error_name,
                ":message": error_message,
                ":now": now_ms,
                ":now_s": now_ms // 1000,
            },
        )
        return None if isinstance(written, Refused) else Task.from_record(written)

    def settle(self, task_id: str, *, retries: int, now_ms: int) -> Task | None:
        """Note that a finished task was counted, and return it; None if it was noted, is open or is retried since."""
        written = self._table.update(
            task_id,
            "SET settled_ms = :now",
            condition=f"attribute_not_exists(settled_ms) AND NOT {_IS_OPEN} AND retries = :retries",
            names={"#status": "status"},
            values={**_OPEN, ":now": now_ms, ":retries": retries},
        )
        return None if isinstance(written, Refused) else Task.from_record(written)

    def cancel(self, task_id: str, now_ms: int) -> Task | None:
        """End a task as cancelled, if it is open, and return it; None if it has ended or does not exist."""
        written = self._table.update(
            task_id,
            "SET #status = :cancelled, completed_ms = :now, updated_at = :now_s",
            condition=_IS_OPEN,
            names={"#status": "status"},
            values={**_OPEN, ":cancelled": Status.CANCELLED.value, ":now": now_ms, ":now_s": now_ms // 1000},
        )
        return None if isinstance(written, Refused) else Task.from_record(written)

    def reopen(self, task: Task, now_ms: int) -> Task | None:
        """Make a failed task pending for another execution, and return it; None if it has not failed."""
        written = self._table.update(
            task.task_id,
            "SET #status = :pending, retries = retries + :one, updated_at = :now_s "
            "REMOVE error_name, error_message, started_ms, completed_ms, settled_ms",
            condition="#status = :failed AND retries = :retries",
            names={"#status": "status"},
            values={
                ":pending": Status.PENDING.value,
                ":failed": Status.FAILED.value,
                ":retries": task.retries,
                ":one": 1,
                ":now_s": now_ms // 1000,
            },
        )
        return None if isinstance(written, Refused) else Task.from_record(written)

    def note_delivery(self, task_id: str, delivery: Delivery) -> None:
        """Add an attempt to deliver the webhook to a task's record."""
        self._table.update(
            task_id,
            "SET deliveries = list_append(if_not_exists(deliveries, :none), :made)",
            condition="attribute_exists(task_id)",
            values={":none": [], ":made": [delivery.model_dump(exclude_none=True)]},
        )

    def owned_by(
        self, owner: str, *, status: Status | None, operation: str | None, limit: int, after: TaskCursor | None
    ) -> tuple[list[Task], TaskCursor | None]:
        """Return an owner's tasks, newest first, and where the next page begins.

        Tasks of another status or operation are read and left out; a page ends after `MAX_READ` tasks even if it is not
        full, so that it takes no longer however many there are.

        Args:
            owner: id of the API key.
            status: only these, unless it is None.
            operation: only these, unless it is None.
            limit: how many at most.
            after: the last task that the page before looked at.

        Returns:
            The tasks, and the last one that was looked at; None behind the last page.
        """
        found: list[Task] = []
        read = 0
        while read < MAX_READ:
            records, more = self._table.page(
                OWNER_INDEX,
                {"owner": owner},
                after={"owner": owner, "created_ms": after.created_ms, "task_id": after.task_id} if after else None,
                limit=min(MAX_READ - read, READ_AT_ONCE),
            )
            for task in map(Task.from_record, records):
                after = TaskCursor(created_ms=task.created_ms, task_id=task.task_id)
                if status in (None, task.status) and operation in (None, task.operation):
                    found.append(task)
                if len(found) == limit:
                    return found, after
            if not more:
                return found, None
            read += len(records)
        return found, after

    def open_count(self, operation: str) -> int:
        """Return how many tasks of an operation wait or run."""
        return sum(
            self._table.count(
                STATUS_INDEX,
                "#status = :status",
                having="operation = :operation",
                names={"#status": "status"},
                values={":status": status.value, ":operation": operation},
            )
            for status in OPEN
        )

    def processing(self, *, before_s: int, limit: int) -> list[Task]:
        """Return tasks at work that were submitted before then, Unix seconds, oldest first."""
        records: list[dict[str, Any]] = self._table.query(
            STATUS_INDEX,
            "#status = :processing AND created_at < :before",
            names={"#status": "status"},
            values={":processing": Status.PROCESSING.value, ":before": before_s},
            limit=limit,
        )
        return [Task.from_record(record) for record in records]

    def pending(self, *, after_s: int, before_s: int, limit: int) -> list[Task]:
        """Return tasks that were submitted in a span of time and that no worker has taken yet, oldest first.

        Args:
            after_s: Unix seconds.
            before_s: Unix seconds.
            limit: how many at most.
        """
        records: list[dict[str, Any]] = self._table.query(
            STATUS_INDEX,
            "#status = :pending AND created_at BETWEEN :after AND :before",
            names={"#status": "status"},
            values={":pending": Status.PENDING.value, ":after": after_s, ":before": before_s},
            limit=limit,
        )
        return [Task.from_record(record) for record in records]
