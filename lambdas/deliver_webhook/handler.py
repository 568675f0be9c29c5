"""Tries once to tell a client's server that a task has ended.

Trigger: the state machine `deliver-webhook`.
Input: `task_id`, and `attempt`, how many were made before.
Output: `outcome`, `wait_s` and the next `attempt`; see `backlot.callbacks`.
Errors: whatever AWS raises; a receiver's faults are outcomes.
Retries: the state machine's.
Idempotency: the receiver's, by `webhook-id`.
"""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.aws.clients import client
from backlot.aws.dynamodb import Table
from backlot.aws.secrets import WebhookSecret
from backlot.aws.task_store import TaskStore
from backlot.callbacks import Callbacks
from backlot.clock import now_ms
from backlot.image_urls import ImageUrlPolicy
from backlot.providers.webhooks import WebhookPoster
from lambdas.deliver_webhook.settings import Settings

logger = Logger()
tracer = Tracer()


@cache
def _deps() -> Callbacks:
    settings = Settings.from_environment()
    return Callbacks(
        tasks=TaskStore(Table(client("dynamodb"), settings.task_store, "task_id")),
        poster=WebhookPoster(ImageUrlPolicy.of("", "", settings.insecure_hosts)),
        master=WebhookSecret(client("secretsmanager"), settings.webhook_secret).value(),
        clock=now_ms,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Try once."""
    del context
    attempt = int(event["attempt"])
    made = _deps().deliver(event["task_id"], attempt)
    logger.info("webhook tried", task_id=event["task_id"], attempt=attempt, outcome=made.outcome)
    return {"outcome": made.outcome, "wait_s": made.wait_s, "attempt": attempt + 1}
