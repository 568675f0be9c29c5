"""Takes what SageMaker tells of models of our own, and goes on with the steps that wait for it.

Trigger: the topics of success and of failure, which SageMaker alone publishes to.
Input: SageMaker's notification of an asynchronous invocation, in SNS' envelope.
Output: the step's output or error, sent to the state machine by its token.
Errors: whatever AWS raises.
Retries: Lambda's, twice; after that the sweep looks for the answer.
Idempotency: an answer is kept once for each invocation; a notification that comes again changes nothing.
"""

from functools import cache

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.data_classes import SNSEvent, event_source
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic import ValidationError

from backlot.aws.clients import client
from backlot.aws.deliveries import LEASE_MARGIN_S
from backlot.aws.dynamodb import Table
from backlot.aws.model_states import ModelStates
from backlot.clock import now_ms
from backlot.model_lane import compose
from backlot.model_results import ModelResults, Notification
from lambdas.receive_model_result.settings import Settings

logger = Logger()
tracer = Tracer()


@cache
def _deps() -> ModelResults:
    settings = Settings.from_environment()
    runner, sagemaker, ledger = compose(settings)
    once = Table(client("dynamodb"), settings.idempotency_table, "id")
    endpoints = {model: endpoint.name for model, endpoint in settings.model_endpoints.items()}
    states = ModelStates(once, endpoints, now_ms)
    return ModelResults(steps=ledger, models=sagemaker, runner=runner, clock=now_ms, notes=states)


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
@event_source(data_class=SNSEvent)
def handler(event: SNSEvent, context: LambdaContext) -> None:
    """Take a notification."""
    for record in event.records:
        try:
            told = Notification.model_validate_json(record.sns.message)
        except ValidationError:
            logger.warning("notification is not of the known form", message_id=record.sns.message_id)
            continue
        outcome = _deps().receive(
            told,
            receipt=f"{record.sns.message_id}/{context.aws_request_id}",
            lease_ms=context.get_remaining_time_in_millis() + LEASE_MARGIN_S * 1000,
        )
        logger.info(
            "notification taken",
            inference_id=told.inference_id,
            outcome=outcome.kind if outcome else "ignored",
            error=outcome.error_name if outcome else None,
        )
