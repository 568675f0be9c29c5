"""Counters that outlive what they count: how many tasks of an operation were completed."""

from backlot.aws.dynamodb import Table


class Counters:
    """One item for each counter.

    Args:
        table: the idempotency table, whose key is `id`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, name: str) -> None:
        """Count one more."""
        self._table.update(
            _key(name),
            "ADD completed :one",
            condition="attribute_not_exists(id) OR attribute_exists(id)",
            values={":one": 1},
        )

    def read(self, name: str) -> int:
        """Return the count."""
        return int((self._table.get(_key(name)) or {}).get("completed", 0))


def _key(name: str) -> str:
    return f"count#{name}"
