"""The REST API.

Trigger: API Gateway, Lambda proxy integration, for every path.
Input: `APIGatewayProxyEvent`; the body is the operation's request model.
Output: the views of `views.py`; problems of a body as `{"detail": [{type, loc, msg, input}]}`.
Errors: `backlot.errors` by `http_status.py`; whatever has no name is logged and answered with 500.
Retries: the client's, safe with `Idempotency-Key`.
Idempotency: task id = execution name; see `backlot.submission`.
"""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.settings import starts_from_snapshot
from lambdas.serve_api.app import build_app
from lambdas.serve_api.deps import Deps, compose
from lambdas.serve_api.settings import Settings

logger = Logger()


@cache
def _deps() -> Deps:
    return compose(Settings.from_environment())


@cache
def _app() -> APIGatewayRestResolver:
    return build_app(_deps())


if starts_from_snapshot():
    _app()


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one request."""
    answer = _app().resolve(event, context)
    logger.info("request served", method=event["httpMethod"], resource=event["resource"], status=answer["statusCode"])
    return answer
