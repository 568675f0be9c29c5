"""The worker of the paid lane.

Trigger: `cpu_tasks_queue`, partial batch responses.
Input: `backlot.steps.WorkItem` as the message's body, or `backlot.steps.Cancellation`.
Output: the step's output or error, sent to the state machine by the item's token.
Errors: those of `backlot.errors` answer the token; anything else leaves the message in the queue.
Retries: transient errors by the state machine, with a new message; a lost worker by the queue, three receives in all.
Idempotency: task id and step, in the step ledger.
"""

from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import TypeAdapter

from backlot.aws.deliveries import Delivery, take
from backlot.steps import Cancellation, Outcome, WorkItem
from lambdas.run_paid_step.deps import Deps, compose
from lambdas.run_paid_step.settings import Settings

logger = Logger()
tracer = Tracer()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

#: What the queue carries.
_MESSAGE: TypeAdapter[WorkItem | Cancellation] = TypeAdapter(WorkItem | Cancellation)


@cache
def _deps() -> Deps:
    return compose(Settings.from_environment())


def run_item(record: SQSRecord, lambda_context: LambdaContext) -> None:
    """Do one message, or give it back for a later time."""
    take(record, lambda_context, queue=_deps().queue, run=_run, logger=logger)


@tracer.capture_method(capture_response=False)
def _run(body: str, delivery: Delivery) -> Outcome:
    item = _MESSAGE.validate_json(body)
    if isinstance(item, Cancellation):
        logger.append_keys(task_id=item.cancelled_task_id, operation=item.operation)
        return _deps().runner.cancel(item)
    logger.append_keys(task_id=item.task_id, operation=item.operation, step=item.step)
    tracer.put_annotation("task_id", item.task_id)
    return _deps().runner.run(item, **asdict(delivery))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on a batch."""
    return dict(process_partial_response(event=event, record_handler=run_item, processor=processor, context=context))
