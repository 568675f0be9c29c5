"""How far tasks are, apart from their records: a write of a record is a write of all its indexes, and has its size."""

from backlot.aws.dynamodb import Table
from backlot.tasks import Progress, Task

#: How long an item is kept after it was last written, seconds; whoever follows a task does so while it runs.
_KEPT_S = 86_400


class TaskProgress:
    """Items of the idempotency table, one a task.

    Args:
        table: the idempotency table, whose key is `id`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def note(self, task_id: str, progress: Progress) -> None:
        """Note how far a task is, unless something newer was noted."""
        self._table.update(
            _key(task_id),
            "SET progress = :progress, at_ms = :at, expires_at = :expiry",
            condition="attribute_not_exists(id) OR at_ms <= :at",
            values={
                ":progress": progress.model_dump_json(exclude_none=True),
                ":at": progress.at_ms,
                ":expiry": progress.at_ms // 1000 + _KEPT_S,
            },
        )

    def of(self, task: Task) -> Progress | None:
        """Return how far a task is in its present attempt; None if nothing was heard of it."""
        if task.started_ms is None:
            return None
        record = self._table.get(_key(task.task_id))
        if record is None or int(record["at_ms"]) < task.started_ms:
            return None
        return Progress.model_validate_json(record["progress"])


def _key(task_id: str) -> str:
    return f"progress#{task_id}"
