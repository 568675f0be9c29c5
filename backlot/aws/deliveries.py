"""Messages of a work queue as a function gets them: done, or given back for a later time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.steps import WAITING, Outcome

#: A lease outlives the function by this much, seconds, so that it cannot end while its holder is still at work.
LEASE_MARGIN_S = 5

#: After how long a message is tried again that failed for a reason of ours, seconds: 5, 10, 20 …
FIRST_RETRY_S = 5


class Delayer(Protocol):
    """The queue that a message came from."""

    def delay(self, receipt_handle: str, seconds: int) -> None:
        """Let a message that was received be seen again after some seconds."""


class ComesBack(Exception):
    """The message stays in the queue; raised to report it as not done."""


@dataclass(frozen=True)
class Delivery:
    """What a step runner wants to know of a message beside its body.

    Args:
        receipt: unique to this delivery of the message.
        sent_ms: when the message was sent, Unix milliseconds.
        lease_ms: how long the function can be at work at most.
    """

    receipt: str
    sent_ms: int
    lease_ms: int


def take(
    record: SQSRecord,
    context: LambdaContext,
    *,
    queue: Delayer,
    run: Callable[[str, Delivery], Outcome],
    logger: Logger,
) -> None:
    """Do one message, or give it back for a later time.

    Args:
        record: the message.
        context: of the function that got it.
        queue: that it came from.
        run: does what the body says.
        logger: of the function.

    Raises:
        ComesBack: another delivery is at work.
        Exception: whatever `run` raises; the message is tried again.
    """
    receives = int(record.attributes.approximate_receive_count)
    delivery = Delivery(
        receipt=f"{record.message_id}/{context.aws_request_id}",
        sent_ms=int(record.attributes.sent_timestamp),
        lease_ms=context.get_remaining_time_in_millis() + LEASE_MARGIN_S * 1000,
    )
    try:
        outcome = run(record.body, delivery)
    except Exception:
        logger.exception("step given back", receives=receives)
        queue.delay(record.receipt_handle, FIRST_RETRY_S * 2 ** (receives - 1))
        raise
    if outcome.kind == WAITING:
        queue.delay(record.receipt_handle, outcome.wait_ms // 1000 + 1)
        raise ComesBack(f"another delivery is at work for {outcome.wait_ms} ms at most")
    logger.info("step finished", outcome=outcome.kind, error=outcome.error_name, receives=receives)
