"""Rate limits of providers in the idempotency table: one item that counts slots, and one for each seat."""

import random

from backlot.aws.dynamodb import Refused, Table
from backlot.pacing import RateLimit


class DynamoPacing:
    """Slots by the generic cell rate algorithm; seats as leases.

    Args:
        table: the idempotency table, whose key is `id`.
        limits: by provider; one that is not named has none.
    """

    def __init__(self, table: Table, limits: dict[str, RateLimit]) -> None:
        self._table = table
        self._limits = limits
        self._seats: dict[tuple[str, str], int] = {}

    def reserve_slot(self, provider: str, now_ms: int) -> int:
        """Return from when on a call may begin, Unix milliseconds; nobody else gets this slot."""
        limit = self._limits.get(provider, RateLimit())
        interval_ms = limit.interval_ms
        if not interval_ms:
            return now_ms
        earliest_ms = now_ms - (limit.burst - 1) * interval_ms
        while True:
            behind = self._table.update(
                f"slots#{provider}",
                "SET next_ms = next_ms + :interval",
                condition="next_ms > :earliest",
                values={":interval": interval_ms, ":earliest": earliest_ms},
            )
            if not isinstance(behind, Refused):
                return int(behind["next_ms"]) - interval_ms
            first = self._table.update(
                f"slots#{provider}",
                "SET next_ms = :next",
                condition="attribute_not_exists(id) OR next_ms <= :earliest",
                values={":next": earliest_ms + interval_ms, ":earliest": earliest_ms},
            )
            if not isinstance(first, Refused):
                return earliest_ms

    def take_seat(self, provider: str, holder: str, *, now_ms: int, until_ms: int) -> bool:
        """Take one of the provider's seats, until it is left or the time is over; False if all are taken."""
        seats = self._limits.get(provider, RateLimit()).concurrent
        if seats is None:
            return True
        # In a random order, so that workers do not all try the same seat first.
        for seat in random.sample(range(seats), seats):
            taken = self._table.update(
                _seat(provider, seat),
                "SET holder = :holder, until_ms = :until",
                condition="attribute_not_exists(id) OR until_ms < :now",
                values={":holder": holder, ":until": until_ms, ":now": now_ms},
            )
            if not isinstance(taken, Refused):
                self._seats[(provider, holder)] = seat
                return True
        return False

    def leave_seat(self, provider: str, holder: str) -> None:
        """Give the seat back, if one is held."""
        seat = self._seats.pop((provider, holder), None)
        if seat is not None:
            self._table.update(
                _seat(provider, seat),
                "SET until_ms = :zero",
                condition="holder = :holder",
                values={":zero": 0, ":holder": holder},
            )


def _seat(provider: str, number: int) -> str:
    return f"seat#{provider}#{number}"
