"""How the replaced image server's clients send pictures and get them: in base64, within requests and answers."""

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response

from backlot.errors import BacklotError, CallerError, ImageTooLarge, RequestTooLarge
from backlot.operations import operation_named
from backlot.tasks import Status, Task
from lambdas.serve_api import http_requests
from lambdas.serve_api.artmancer.pictures import MAX_PICTURE_BYTES
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.http_requests import MAX_WAIT_S, OldRefusal
from lambdas.serve_api.routes.tasks import join_checked, wait_for_end

if TYPE_CHECKING:
    from backlot.images.codecs import Picture

#: Largest picture that is worked on here, pixels: a function has the memory for several copies of it.
MAX_PIXELS = 16_000_000

_DATA_URL = re.compile(r"data:[\w.+/-]*(?:;[\w=.-]+)*;base64,", re.IGNORECASE)


def decoded(text: str) -> bytes:
    """Return a picture's bytes from base64, with or without the beginning of a `data:` URL.

    Raises:
        ValueError: it is no base64.
    """
    head = _DATA_URL.match(text)
    try:
        return base64.b64decode(re.sub(r"\s", "", text[head.end() :] if head else text), validate=True)
    except binascii.Error as error:
        raise ValueError("it is not valid base64") from error


def opened(data: bytes) -> "Picture":
    """Return a picture that is to be worked on here.

    Raises:
        ImageTooLarge: it has more than `MAX_PIXELS` pixels.
        backlot.errors.CallerError: it cannot be read.
    """
    # Imported here, because most requests carry no picture and should not wait for the decoder.
    from backlot.images.codecs import decode, read_header  # noqa: PLC0415

    header = read_header(data)
    if header.width * header.height > MAX_PIXELS:
        raise ImageTooLarge(reason=f"it has {header.width}x{header.height} pixels, {MAX_PIXELS} are allowed here")
    return decode(data)


def encoded(data: bytes) -> str:
    """Return a picture in base64.

    Raises:
        RequestTooLarge: it does not fit into an answer.
    """
    if len(data) > MAX_PICTURE_BYTES:
        raise RequestTooLarge(size_bytes=len(data), limit_bytes=MAX_PICTURE_BYTES)
    return base64.b64encode(data).decode("ascii")


def run(deps: Deps, name: str, values: dict[str, Any], owner: str) -> Task:
    """Do an operation while the client waits; the same request sent again joins the task that is at work.

    Args:
        name: of the operation.
        values: its request.
        owner: id of the API key.

    Raises:
        lambdas.serve_api.http_requests.BadRequest: fields are wrong.
        backlot.errors.BacklotError: the stage cannot do it.
    """
    operation = operation_named(name)
    request = http_requests.check(values, operation.request, deps.request_context)
    return wait_for_end(deps, join_checked(deps, operation, request, owner=owner).task, MAX_WAIT_S)


def result(deps: Deps, task: Task, failed: str) -> bytes:
    """Return the first picture of a task that has ended.

    Args:
        failed: how the old server began its sentence about a failure of its own.

    Raises:
        OldRefusal: the task has made none, is not done yet, or the picture is too large for an answer; it says which.
    """
    known = {"request_id": task.task_id}
    if not task.status.is_final:
        raise OldRefusal(503, "The model is still starting; send the same request again in a few seconds", **known)
    if task.status is Status.CANCELLED:
        raise OldRefusal(409, "The request was cancelled", **known)
    if task.status is not Status.COMPLETED:
        words = task.public_error_message or failed
        is_callers = task.error is not None and issubclass(task.error, CallerError)
        raise OldRefusal(400 if is_callers else 500, words if is_callers else f"{failed}: {words}", **known)
    url = task.steps[-1].result_url
    key = deps.request_context.images.own_key(url)
    try:
        return deps.objects.get(str(key), MAX_PICTURE_BYTES)
    except BacklotError as error:
        raise OldRefusal(413, f"{error}; the picture lies at {url}", result_url=url, **known) from error


def json_answer(status: int, body: dict[str, Any]) -> Response[Any]:
    """Answer with JSON."""
    return Response(status, content_type="application/json", body=body, headers={"Cache-Control": "no-store"})
