"""Which faces lie in the bucket, in the idempotency table."""

from backlot.aws.dynamodb import Refused, Table


class DynamoFaceMemory:
    """The faces, one item each.

    Args:
        table: the idempotency table, whose key is `id`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def is_stored(self, digest: str, *, since_s: int) -> bool:
        """Tell whether a face was stored since then, Unix seconds."""
        seen = self._table.update(
            f"face#{digest}",
            "SET times = times + :one",
            condition="stored_at >= :since",
            values={":since": since_s, ":one": 1},
        )
        return not isinstance(seen, Refused)

    def stored(self, digest: str, *, now_s: int, keep_s: int) -> None:
        """Remember that a face was stored."""
        self._table.update(
            f"face#{digest}",
            "SET stored_at = :now, times = :one, expires_at = :expiry",
            condition="attribute_not_exists(id) OR stored_at <= :now",
            values={":now": now_s, ":one": 1, ":expiry": now_s + keep_s},
        )
