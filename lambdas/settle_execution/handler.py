"""Settles executions that have ended: records what no state could record, and counts every task once.

Trigger: EventBridge, "Step Functions Execution Status Change" with a final status.
Input: the event's `detail.name` and `detail.status`.
Output: none; metrics in the log, and the delivery of the webhook if the client wants one.
Errors: whatever DynamoDB raises.
Retries: EventBridge's, twice.
Idempotency: both writes are conditional; an event that comes again changes and counts nothing.
"""

from functools import cache

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.aws.clients import client
from backlot.aws.cloudwatch import OperationMetrics
from backlot.aws.counters import Counters
from backlot.aws.dynamodb import Table
from backlot.aws.stepfunctions import Executions
from backlot.aws.task_store import TaskStore
from backlot.clock import now_ms
from backlot.settlement import Settlement
from lambdas.settle_execution.settings import Settings

logger = Logger()
tracer = Tracer()


@cache
def _deps() -> Settlement:
    settings = Settings.from_environment()
    dynamodb = client("dynamodb")
    return Settlement(
        tasks=TaskStore(Table(dynamodb, settings.task_store, "task_id")),
        executions=Executions(client("stepfunctions"), settings.state_machine_prefix),
        metrics=OperationMetrics(),
        completed=Counters(Table(dynamodb, settings.idempotency_table, "id")),
        clock=now_ms,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: LambdaContext) -> None:
    """Settle one execution."""
    del context
    name, status = event.detail["name"], event.detail["status"]
    task = _deps().settle(name, status)
    logger.info(
        "execution settled",
        task_id=name,
        execution_status=status,
        counted=task is not None,
        task_status=task.status if task else None,
        error=task.error_name if task else None,
    )
