"""Idempotency keys of submissions, in the idempotency table."""

from backlot.aws.dynamodb import Refused, Table


class DynamoSubmissionKeys:
    """The keys, one item each.

    Args:
        table: the idempotency table, whose key is `id`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def claim(self, key: str, *, task_id: str, fingerprint: str, now_s: int, life_s: int) -> tuple[str, str]:
        """Bind a key to a task unless it is bound; return the task id and the fingerprint that it is bound to."""
        written = self._table.update(
            f"submit#{key}",
            "SET task_id = :task_id, fingerprint = :fingerprint, expires_at = :expiry",
            condition="attribute_not_exists(id) OR expires_at < :now",
            values={":task_id": task_id, ":fingerprint": fingerprint, ":expiry": now_s + life_s, ":now": now_s},
        )
        item = written.item or {} if isinstance(written, Refused) else written
        return str(item["task_id"]), str(item["fingerprint"])
