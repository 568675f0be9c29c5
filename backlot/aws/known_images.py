"""Pictures that were sent once and are named by an id from then on, in the idempotency table."""

import uuid

from backlot.aws.dynamodb import Table

#: How long an id is good for, seconds; the picture itself lies in the bucket for longer.
KNOWN_S = 3600

#: Longest text that is looked up, characters.
MAX_ID_CHARS = 64


class KnownImages:
    """The ids, one item each; an id is worth nothing to another API key than its own.

    Args:
        table: the idempotency table, whose key is `id`.
    """

    def __init__(self, table: Table) -> None:
        self._table = table

    def remember(self, owner: str, image_url: str, *, now_s: int) -> str:
        """Return a new id of a picture.

        Args:
            owner: id of the API key that sent it.
            image_url: where it lies.
            now_s: Unix seconds.
        """
        image_id = str(uuid.uuid4())
        self._table.update(
            f"image#{image_id}",
            "SET image_url = :url, held_by = :owner, expires_at = :expiry",
            condition="attribute_not_exists(id)",
            values={":url": image_url, ":owner": owner, ":expiry": now_s + KNOWN_S},
        )
        return image_id

    def url_of(self, owner: str, image_id: str, *, now_s: int) -> str | None:
        """Return where a picture lies; None if the id is unknown, too old, or another API key's."""
        item = self._table.get(f"image#{image_id}") if len(image_id) <= MAX_ID_CHARS else None
        # DynamoDB deletes what has expired within days, not at once.
        if item is None or item["held_by"] != owner or int(item["expires_at"]) <= now_s:
            return None
        return str(item["image_url"])
