"""Signatures of webhooks that were received, in the idempotency table."""

import hashlib

from backlot.aws.dynamodb import Refused, Table

#: Longer than a signature is valid, seconds.
KEEP_S = 3600


class DynamoSeenSignatures:
    """The signatures, one item each.

    Args:
        table: the idempotency table, whose key is `id`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def remember(self, signature: str, now_s: int) -> bool:
        """Remember a webhook; False if it was seen before."""
        digest = hashlib.sha256(signature.encode()).hexdigest()
        written = self._table.update(
            f"webhook#{digest}",
            "SET expires_at = :expiry",
            condition="attribute_not_exists(id)",
            values={":expiry": now_s + KEEP_S},
        )
        return not isinstance(written, Refused)
