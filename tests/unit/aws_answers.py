"""Real boto3 clients whose answers are written by a test; nothing is sent."""

from collections.abc import Callable
from typing import Any

import boto3
from botocore.exceptions import EndpointConnectionError
from botocore.stub import Stubber


def answering(service: str, *answers: dict[str, Any] | tuple[str, int] | tuple[str, int, dict[str, Any]]) -> Any:
    """Return a client of a service.

    Args:
        answers: one for each call, as `{"operation": {...}}`, or as an error's code, status and fields.
    """
    client = _client(service)
    stubber = Stubber(client)
    for answer in answers:
        if isinstance(answer, dict):
            ((operation, body),) = answer.items()
            stubber.add_response(operation, body)
        else:
            operation_and_code, status, *fields = answer
            operation, code = operation_and_code.split(":")
            stubber.add_client_error(operation, code, "", status, modeled_fields=fields[0] if fields else None)
    stubber.activate()
    return client


def unreachable(service: str) -> Any:
    """Return a client of a service that cannot be reached."""
    client = _client(service)

    def break_off(**_: object) -> None:
        raise EndpointConnectionError(endpoint_url="https://aws.example")

    client.meta.events.register("before-send", break_off)
    return client


def heard(client: Any) -> list[dict[str, Any]]:
    """Return the list that the arguments of all calls of a client will be added to."""
    calls: list[dict[str, Any]] = []
    remember: Callable[..., None] = lambda params, **_: calls.append(dict(params))  # noqa: E731
    client.meta.events.register_first("provide-client-params", remember)
    return calls


def _client(service: str) -> Any:
    return boto3.client(service, region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
