"""`task_store`: the tasks' records, written only under conditions, so that a finished task never moves again."""

from typing import Any

from backlot.aws.dynamodb import Refused, Table
from backlot.tasks import OPEN, Status, Task

#: The index of the replaced servers' table: all attributes, by status and time of submission.
STATUS_INDEX = "status-created_at-index"

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

    def fail(self, task_id: str, *, error_name: str, error_message: str, now_ms: int) -> Task | None:
        """End a task as failed, if it is open, and return it; None if it has ended or does not exist."""
        written = self._table.update(
            task_id,
            "SET #status = :failed, error_name = :name, error_message = :message, "
            "completed_ms = :now, updated_at = :now_s",
            condition=_IS_OPEN,
            names={"#status": "status"},
            values={
                **_OPEN,
                ":failed": Status.FAILED.value,
                ":name": error_name,
                ":message": error_message,
                ":now": now_ms,
                ":now_s": now_ms // 1000,
            },
        )
        return None if isinstance(written, Refused) else Task.from_record(written)

    def settle(self, task_id: str, now_ms: int) -> Task | None:
        """Note that a finished task was counted, and return it; None if that was noted before or it is not finished."""
        written = self._table.update(
            task_id,
            "SET settled_ms = :now",
            condition=f"attribute_exists(task_id) AND attribute_not_exists(settled_ms) AND NOT {_IS_OPEN}",
            names={"#status": "status"},
            values={**_OPEN, ":now": now_ms},
        )
        return None if isinstance(written, Refused) else Task.from_record(written)

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
