"""Reads what a request carries beside its path: the key's id, the body, the wait that it asks for."""

import base64
import binascii
import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent
from pydantic import BaseModel, ConfigDict, ValidationError

from backlot.errors import ApiKeyMissing, OperationNotFound, RequestTooLarge
from backlot.operations import RequestContext, catalogue, operation_named
from backlot.submission import MAX_KEY_CHARS
from backlot.tasks import Status, TaskCursor

#: Longest wait, seconds: the gateway gives up after 29.
MAX_WAIT_S = 25.0

#: Largest body, bytes. Lambda takes events of 6 MB, in which a body may be written a third longer than it is; the
#: gateway takes 10 MB. Source: the services' quotas, read 2026-11-20.
MAX_BODY_BYTES = 4_500_000

#: How many tasks a page of a listing has, without a wish and at most.
DEFAULT_PAGE, MAX_PAGE = 20, 100

#: Longest text of a request that an error repeats, characters.
MAX_ECHO_CHARS = 200

_PREFER_WAIT = re.compile(r"(?:^|[,;\s])wait=(\d+)\b")

Body = TypeVar("Body", bound=BaseModel)


class _Anything(BaseModel):
    """An object with any fields."""

    model_config = ConfigDict(extra="allow")


class BadRequest(Exception):
    """A request that cannot be read; carries the problems in the old shape.

    Args:
        problems: each with `type`, `loc`, `msg` and `input`.
    """

    def __init__(self, *problems: dict[str, Any]) -> None:
        self.problems = list(problems)
        super().__init__("bad request")


class OldRefusal(Exception):
    """A refusal in the words of a replaced server, which its clients compare.

    Args:
        status: HTTP status.
        detail: the words.
        more: what the answer says beside them.
    """

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        self.status = status
        self.detail = detail
        self.more = more
        super().__init__(detail)


def owner(event: APIGatewayProxyEvent) -> str:
    """Return the id of the API key with which the gateway let the request in.

    Raises:
        ApiKeyMissing: it does not say.
    """
    key_id = event.request_context.identity.api_key_id
    if not key_id:
        raise ApiKeyMissing()
    return key_id


def parse_body(event: APIGatewayProxyEvent, model: type[Body], context: RequestContext | None = None) -> Body:
    """Read and check a body.

    Raises:
        BadRequest: it is no JSON object, or fields are missing or wrong; every problem is named.
        RequestTooLarge: it has more than `MAX_BODY_BYTES` bytes.
    """
    body = body_bytes(event)
    if len(body) > MAX_BODY_BYTES:
        raise RequestTooLarge(size_bytes=len(body), limit_bytes=MAX_BODY_BYTES)
    if not body.strip():
        raise BadRequest(problem("missing", ["body"], "Field required", None))
    try:
        return model.model_validate_json(body, context=context)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise BadRequest(*(_reported(each) for each in found)) from error


def check(values: dict[str, Any], model: type[Body], context: RequestContext) -> Body:
    """Check a request that did not come as JSON.

    Raises:
        BadRequest: fields are wrong; every problem is named.
    """
    try:
        return model.model_validate(values, context=context)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        raise BadRequest(*(_reported(each) for each in found)) from error


def json_object(event: APIGatewayProxyEvent) -> dict[str, Any]:
    """Read a body of which nobody knows yet which model it is.

    Raises:
        BadRequest: it is no JSON object.
        RequestTooLarge: it has more than `MAX_BODY_BYTES` bytes.
    """
    return parse_body(event, _Anything, RequestContext()).model_extra or {}


def idempotency_key(event: APIGatewayProxyEvent) -> str | None:
    """Return the `Idempotency-Key`, None without one.

    Raises:
        BadRequest: it is empty or too long.
    """
    value = event.headers.get("Idempotency-Key")
    if value is None:
        return None
    if not 1 <= len(value.strip()) <= MAX_KEY_CHARS:
        message = f"Header should have 1 to {MAX_KEY_CHARS} characters"
        raise BadRequest(problem("header_length", ["header", "Idempotency-Key"], message, value))
    return value.strip()


def asked_wait_s(event: APIGatewayProxyEvent) -> float:
    """Return how long the answer may be held, seconds: `?wait=20`, or `Prefer: wait=20`; 0 without either.

    Raises:
        BadRequest: `?wait=` is no number of seconds.
    """
    query = (event.query_string_parameters or {}).get("wait")
    if query is None:
        preferred = _PREFER_WAIT.search(event.headers.get("Prefer") or "")
        return min(float(preferred[1]), MAX_WAIT_S) if preferred else 0.0
    if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", query):
        message = f"Input should be a number of seconds; answers are held for {MAX_WAIT_S:.0f} at most"
        raise BadRequest(problem("float_parsing", ["query", "wait"], message, query))
    return min(float(query), MAX_WAIT_S)


def asked_hold_s(event: APIGatewayProxyEvent) -> float:
    """Return how long an answer may be held that is held without being asked to: `MAX_WAIT_S`, or what is asked for.

    Raises:
        BadRequest: `?wait=` is no number of seconds.
    """
    is_asked = "wait" in (event.query_string_parameters or {}) or _PREFER_WAIT.search(event.headers.get("Prefer") or "")
    return asked_wait_s(event) if is_asked else MAX_WAIT_S


def task_query(event: APIGatewayProxyEvent) -> dict[str, Any]:
    """Return which tasks a listing asks for: `status`, `operation`, `limit`, `after`.

    Raises:
        BadRequest: a parameter cannot be read; every problem is named.
    """
    query = event.query_string_parameters or {}
    problems: list[dict[str, Any]] = []

    def read(name: str, kind: str, message: str, parse: Callable[[str], Any], default: Any = None) -> Any:
        try:
            return parse(query[name]) if query.get(name) else default
        except (ValueError, OperationNotFound):
            problems.append(problem(kind, ["query", name], message, query[name]))
            return default

    statuses, names = ", ".join(Status), ", ".join(catalogue())
    found = {
        "status": read("status", "enum", f"Input should be one of {statuses}", Status),
        "operation": read(
            "operation", "enum", f"Input should be one of {names}", lambda name: operation_named(name).name
        ),
        "limit": read("limit", "int_range", f"Input should be 1 to {MAX_PAGE}", _page_size, DEFAULT_PAGE),
        "after": read("cursor", "cursor", "Input should be the next_cursor of another page", TaskCursor.decode),
    }
    if problems:
        raise BadRequest(*problems)
    return found


def _page_size(text: str) -> int:
    size = int(text)
    if not 1 <= size <= MAX_PAGE:
        raise ValueError(text)
    return size


def problem(kind: str, location: list[str | int], message: str, value: Any) -> dict[str, Any]:
    """Return one problem in the old shape."""
    return {"type": kind, "loc": location, "msg": message, "input": _echo(value)}


def body_bytes(event: APIGatewayProxyEvent) -> bytes:
    """Return the body's bytes; the gateway sends some content types in base64."""
    raw = event.raw_event.get("body") or ""
    if not event.is_base64_encoded:
        return str(raw).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(raw, validate=True)
    except (binascii.Error, ValueError):
        return b"\xff"


def _reported(error: Any) -> dict[str, Any]:
    kind = "model_attributes_type" if error["type"] == "model_type" else error["type"]
    value = None if kind == "json_invalid" else error["input"]
    return problem(kind, ["body", *error["loc"]], error["msg"], value)


def _echo(value: Any) -> Any:
    """Return a value as it may be repeated in an answer: long texts are cut, deep structures named only."""
    if isinstance(value, str):
        return value if len(value) <= MAX_ECHO_CHARS else value[:MAX_ECHO_CHARS] + "…"
    if isinstance(value, bool | int | None):
        return value if not isinstance(value, int) or abs(value) < 2**53 else str(value)[:MAX_ECHO_CHARS]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {str(key)[:MAX_ECHO_CHARS]: _flat(inner) for key, inner in list(value.items())[:20]}
    return [_flat(inner) for inner in value[:20]] if isinstance(value, list) else str(value)[:MAX_ECHO_CHARS]


def _flat(value: Any) -> Any:
    return f"<{type(value).__name__}>" if isinstance(value, dict | list) else _echo(value)
