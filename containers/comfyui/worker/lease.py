"""Keeps a message and its step ours while they are at work."""

import asyncio
from typing import Protocol

from aws_lambda_powertools import Logger

from backlot.aws.clients import AWS_ERRORS
from backlot.clock import Clock
from backlot.steps import Holder

#: The message stays hidden for longer than the step is held, so that whoever gets it next can take the step at once.
MARGIN_S = 5

logger = Logger()


class Renewable(Protocol):
    """The part of the step ledger that is needed here."""

    def renew(self, holder: Holder, *, now_ms: int, lease_ms: int) -> None:
        """Hold the step for longer; LeaseLost if another worker has taken it since."""


class Delayer(Protocol):
    """The queue that a message came from."""

    def delay(self, receipt_handle: str, seconds: int) -> None:
        """Let a message that was received be seen again after some seconds."""


class Lease:
    """Of one message.

    Args:
        holder: of the step.
        receipt_handle: of the message.
        lease_s: how long both are ours without a renewal, seconds.
        ledger: of the step.
        queue: of the message.
        clock: Unix time in milliseconds.
    """

    def __init__(
        self, holder: Holder, receipt_handle: str, lease_s: int, *, ledger: Renewable, queue: Delayer, clock: Clock
    ) -> None:
        self._holder = holder
        self._receipt_handle = receipt_handle
        self._lease_s = lease_s
        self._ledger = ledger
        self._queue = queue
        self._clock = clock

    async def keep(self) -> None:
        """Renew both whenever a third of their time is over; until cancelled.

        Raises:
            LeaseLost: another worker has taken the step.
        """
        while True:
            await asyncio.sleep(self._lease_s / 3)
            renewing = asyncio.ensure_future(asyncio.to_thread(self._renew))
            try:
                await asyncio.shield(renewing)
            except asyncio.CancelledError:
                # A renewal that comes late would hold what was given back meanwhile.
                await asyncio.gather(renewing, return_exceptions=True)
                raise
            except AWS_ERRORS:
                logger.warning("the lease was not renewed", exc_info=True)

    def _renew(self) -> None:
        self._ledger.renew(self._holder, now_ms=self._clock(), lease_ms=self._lease_s * 1000)
        self._queue.delay(self._receipt_handle, self._lease_s + MARGIN_S)
