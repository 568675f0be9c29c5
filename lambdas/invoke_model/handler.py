"""Hands work to models of our own.

Trigger: `model_tasks_queue.fifo`, one message at a time in each group, partial batch responses.
Input: `backlot.steps.WorkItem` as the message's body.
Output: an invocation of the model's asynchronous endpoint, whose answer `receive_model_result` takes; or the step's
output or error, sent to the state machine by the item's token, if it is known already.
Errors: those of `backlot.errors` answer the token; anything else leaves the message in the queue, and its group waits.
Retries: transient errors by the state machine, with a new message; a lost function by the queue, three receives in all.
Idempotency: task id and step, in the step ledger; a model is not asked again while it may be at work.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.batch import SqsFifoPartialProcessor, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.aws.clients import client
from backlot.aws.sqs import Queue
from backlot.model_lane import compose
from backlot.steps import WAITING, StepRunner, WorkItem
from lambdas.invoke_model.settings import Settings

logger = Logger()
tracer = Tracer()
processor = SqsFifoPartialProcessor()

#: A lease outlives the function by this much, seconds, so that it cannot end while its holder is still at work.
LEASE_MARGIN_S = 5

#: After how long a message is tried again that failed for a reason of ours, seconds: 5, 10, 20 …
FIRST_RETRY_S = 5


class ComesBack(Exception):
    """The message stays in the queue; raised to report it as not done."""


@dataclass(frozen=True)
class Deps:
    """Made once in the composition root."""

    runner: StepRunner
    queue: Queue


@cache
def _deps() -> Deps:
    settings = Settings.from_environment()
    runner, _, _ = compose(settings)
    return Deps(runner, Queue(client("sqs"), settings.queue_url))


def run_item(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Do one message, or give it back for a later time."""
    receives = int(record.attributes.approximate_receive_count)
    try:
        item = WorkItem.model_validate_json(record.body)
        logger.append_keys(task_id=item.task_id, operation=item.operation, step=item.step)
        outcome = _deps().runner.run(
            item,
            receipt=f"{record.message_id}/{lambda_context.aws_request_id}",
            sent_ms=int(record.attributes.sent_timestamp),
            lease_ms=lambda_context.get_remaining_time_in_millis() + LEASE_MARGIN_S * 1000,
        )
    except Exception:
        logger.exception("step given back", receives=receives)
        _deps().queue.delay(record.receipt_handle, FIRST_RETRY_S * 2 ** (receives - 1))
        raise
    if outcome.kind == WAITING:
        _deps().queue.delay(record.receipt_handle, outcome.wait_ms // 1000 + 1)
        raise ComesBack(f"another delivery is at work for {outcome.wait_ms} ms at most")
    logger.info("step handed over", outcome=outcome.kind, error=outcome.error_name, receives=receives)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on a batch."""
    return dict(process_partial_response(event=event, record_handler=run_item, processor=processor, context=context))
