"""Keeping the paid APIs' rate limits, by all workers together."""

from typing import Protocol

from pydantic import BaseModel, ConfigDict


class RateLimit(BaseModel):
    """What an account may ask of a provider.

    Args:
        requests_per_minute: calls begun in a minute; None for no limit.
        concurrent: calls at work at once; None for no limit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests_per_minute: int | None = None
    concurrent: int | None = None

    @property
    def interval_ms(self) -> int:
        """Time between two calls at the full rate, milliseconds; 0 without a limit."""
        return -(-60_000 // self.requests_per_minute) if self.requests_per_minute else 0

    @property
    def burst(self) -> int:
        """How many calls may begin at once after a pause: those of ten seconds."""
        return max(1, (self.requests_per_minute or 0) // 6)


class Pacing(Protocol):
    """Tells when a provider may be called: a slot in time, and a seat while the call is at work."""

    def reserve_slot(self, provider: str, now_ms: int) -> int:
        """Return from when on a call may begin, Unix milliseconds; nobody else gets this slot."""

    def take_seat(self, provider: str, holder: str, *, now_ms: int, until_ms: int) -> bool:
        """Take one of the provider's seats, until it is left or the time is over; False if all are taken."""

    def leave_seat(self, provider: str, holder: str) -> None:
        """Give the seat back, if one is held."""
