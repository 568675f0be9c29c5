"""The GPU workers as one: when one of them was last heard of, and whether they are to drop what they keep."""

from backlot.aws.dynamodb import Refused, Table

_KEY = "gpu-fleet"

#: Holds for every item, there or not.
_ALWAYS = "attribute_not_exists(id) OR attribute_exists(id)"


class GpuFleet:
    """One item of the idempotency table.

    Args:
        table: the idempotency table, whose key is `id`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def beat(self, now_ms: int) -> int:
        """Note that a worker is well; return when caches were last to be cleared, Unix milliseconds, 0 for never."""
        written = self._table.update(_KEY, "SET seen_ms = :now", condition=_ALWAYS, values={":now": now_ms})
        return 0 if isinstance(written, Refused) else int(written.get("clear_cache_ms", 0))

    def clear_caches(self, now_ms: int) -> None:
        """Let every worker's ComfyUI drop its models and kept results."""
        self._table.update(_KEY, "SET clear_cache_ms = :now", condition=_ALWAYS, values={":now": now_ms})

    def seen_ms(self) -> int | None:
        """Return when a worker was last heard of, Unix milliseconds; None if none ever was."""
        record = self._table.get(_KEY) or {}
        return int(record["seen_ms"]) if "seen_ms" in record else None
