"""Takes the results that providers send by themselves.

Trigger: API Gateway, `POST /webhooks/fal`, without an API key: the provider signs.
Input: the provider's webhook; its URL's query names task, step and nonce, as the submission gave them.
Output: `{"status": "kept"}` or `{"status": "ignored"}`; a message to `cpu_tasks_queue` for what was kept.
Errors: 401 without a word for whatever is not the provider's, 409 for a webhook that came again unchanged, 503 when the
provider's keys cannot be had.
Retries: the provider's, up to ten times in two hours; after that the worker's own look finds the result.
Idempotency: an answer is kept once for each job.
"""

import base64
import json
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.aws.clients import client
from backlot.aws.dynamodb import Table
from backlot.aws.seen_signatures import DynamoSeenSignatures
from backlot.aws.sqs import Queue
from backlot.aws.step_ledger import DynamoStepLedger
from backlot.clock import now_ms
from backlot.errors import ProviderUnavailable
from backlot.providers.fal import webhook_answer
from backlot.providers.fal_signatures import FalSignatures
from backlot.webhooks import Replayed, SignatureRefused, Webhooks
from lambdas.receive_provider_result.settings import Settings

logger = Logger()
tracer = Tracer()


@cache
def _deps() -> Webhooks:
    settings = Settings.from_environment()
    once = Table(client("dynamodb"), settings.idempotency_table, "id")
    return Webhooks(
        signatures=FalSignatures(settings.fal_jwks_url, now_ms),
        seen=DynamoSeenSignatures(once),
        read=webhook_answer,
        answers=DynamoStepLedger(once, days=settings.task_days),
        queue=Queue(client("sqs"), settings.queue_url),
        clock=now_ms,
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Take one webhook."""
    del context
    raw = event.get("body") or ""
    body = base64.b64decode(raw) if event.get("isBase64Encoded") else raw.encode()
    query = event.get("queryStringParameters") or {}
    logger.append_keys(task_id=query.get("task"), step=query.get("step"))
    try:
        status, word = 200, str(_deps().receive(event.get("headers") or {}, query, body))
    except SignatureRefused:
        status, word = 401, "refused"
    except Replayed:
        status, word = 409, "received before"
    except ProviderUnavailable:
        status, word = 503, "try again"
    logger.info("webhook received", status=status, outcome=word)
    return {
        "statusCode": status,
        "headers": {"Content-Type": "application/json", "Cache-Control": "no-store"},
        "body": json.dumps({"status": word}),
    }
