"""The worker of the paid lane.

Trigger: `cpu_tasks_queue`, partial batch responses.
Input: `backlot.steps.WorkItem` as the message's body, or `backlot.steps.Cancellation`.
Output: the step's output or error, sent to the state machine by the item's token.
Errors: those of `backlot.errors` answer the token; anything else leaves the message in the queue.
Retries: transient errors by the state machine, with a new message; a lost worker by the queue, three receives in all.
Idempotency: task id and step, in the step ledger.
"""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import TypeAdapter

from backlot.steps import WAITING, Cancellation, Outcome, WorkItem
from lambdas.run_paid_step.deps import Deps, compose
from lambdas.run_paid_step.settings import Settings

logger = Logger()
tracer = Tracer()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

#: A lease outlives the function by this much, seconds, so that it cannot end while its holder is still at work.
LEASE_MARGIN_S = 5

#: After how long a message is tried again that failed for a reason of ours, seconds: 5, 10, 20 …
FIRST_RETRY_S = 5


#: What the queue carries.
_MESSAGE: TypeAdapter[WorkItem | Cancellation] = TypeAdapter(WorkItem | Cancellation)


class ComesBack(Exception):
    """The message stays in the queue; raised to report it as not done."""


@cache
def _deps() -> Deps:
    return compose(Settings.from_environment())


def run_item(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Do one message, or give it back for a later time."""
    receives = int(record.attributes.approximate_receive_count)
    try:
        outcome = _run(record, lambda_context)
    except Exception:
        logger.exception("step given back", receives=receives)
        _deps().queue.delay(record.receipt_handle, FIRST_RETRY_S * 2 ** (receives - 1))
        raise
    if outcome.kind == WAITING:
        _deps().queue.delay(record.receipt_handle, outcome.wait_ms // 1000 + 1)
        raise ComesBack(f"another delivery is at work for {outcome.wait_ms} ms at most")
    logger.info("step finished", outcome=outcome.kind, error=outcome.error_name, receives=receives)


@tracer.capture_method(capture_response=False)
def _run(record: SQSRecord, lambda_context: LambdaContext) -> Outcome:
    item = _MESSAGE.validate_json(record.body)
    if isinstance(item, Cancellation):
        logger.append_keys(task_id=item.cancelled_task_id, operation=item.operation)
        return _deps().runner.cancel(item)
    logger.append_keys(task_id=item.task_id, operation=item.operation, step=item.step)
    tracer.put_annotation("task_id", item.task_id)
    return _deps().runner.run(
        item,
        receipt=f"{record.message_id}/{lambda_context.aws_request_id}",
        sent_ms=int(record.attributes.sent_timestamp),
        lease_ms=lambda_context.get_remaining_time_in_millis() + LEASE_MARGIN_S * 1000,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on a batch."""
    return dict(process_partial_response(event=event, record_handler=run_item, processor=processor, context=context))
