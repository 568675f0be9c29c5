"""Hands work to models of our own.

Trigger: `model_tasks_queue.fifo`, one message at a time in each group, partial batch responses.
Input: `backlot.steps.WorkItem` as the message's body.
Output: an invocation of the model's asynchronous endpoint, whose answer `receive_model_result` takes; or the step's
output or error, sent to the state machine by the item's token, if it is known already.
Errors: those of `backlot.errors` answer the token; anything else leaves the message in the queue, and its group waits.
Retries: transient errors by the state machine, with a new message; a lost function by the queue, three receives in all.
Idempotency: task id and step, in the step ledger; a model is not asked again while it may be at work.
"""

from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.aws.clients import client
from backlot.aws.deliveries import Delivery, take
from backlot.aws.sqs import Queue
from backlot.model_lane import compose
from backlot.steps import Outcome, StepRunner, WorkItem
from lambdas.invoke_model.settings import Settings

logger = Logger()
tracer = Tracer()
# A batch is one message: a message that is given back has none behind it that could overtake it.
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


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
    take(record, lambda_context, queue=_deps().queue, run=_run, logger=logger)


def _run(body: str, delivery: Delivery) -> Outcome:
    item = WorkItem.model_validate_json(body)
    logger.append_keys(task_id=item.task_id, operation=item.operation, step=item.step)
    return _deps().runner.run(item, **asdict(delivery))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Work on a batch."""
    return dict(process_partial_response(event=event, record_handler=run_item, processor=processor, context=context))
