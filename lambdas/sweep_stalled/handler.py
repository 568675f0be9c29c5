"""Finds what nothing else would: tasks of dead letters, tasks that were never started, old faces, silent models.

Trigger: EventBridge Scheduler, every minute.
Input: none.
Output: none; what was found, in the log.
Errors: whatever AWS raises.
Retries: the next minute.
Idempotency: a token is answered once, an execution is started once, and dead letters are only looked at.
"""

from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.aws.clients import client
from backlot.aws.dynamodb import Table
from backlot.aws.s3 import Bucket
from backlot.aws.sqs import Queue
from backlot.aws.step_ledger import DynamoStepLedger
from backlot.aws.stepfunctions import Executions, TaskTokens
from backlot.aws.task_store import TaskStore
from backlot.clock import now_ms
from backlot.sweep import Sweep
from lambdas.sweep_stalled.settings import Settings

logger = Logger()
tracer = Tracer()


@cache
def _deps() -> Sweep:
    settings = Settings.from_environment()
    sqs, states, dynamodb = client("sqs"), client("stepfunctions"), client("dynamodb")
    return Sweep(
        tasks=TaskStore(Table(dynamodb, settings.task_store, "task_id")),
        executions=Executions(states, settings.state_machine_prefix),
        dead_letters=[Queue(sqs, url) for url in settings.dead_letter_queue_urls.split(",")],
        tokens=TaskTokens(states),
        faces=Bucket(client("s3"), settings.bucket),
        steps=DynamoStepLedger(Table(dynamodb, settings.idempotency_table, "id"), days=settings.task_days),
        looks=Queue(sqs, settings.model_queue_url),
        clock=now_ms,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Sweep once."""
    del event, context
    logger.info("swept", **asdict(_deps().run()))
