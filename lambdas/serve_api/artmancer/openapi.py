"""The part of the OpenAPI document that has the routes of the ArtMancer server."""

from typing import Any

from pydantic import BaseModel

from backlot.views import ErrorAnswer
from lambdas.serve_api.artmancer.debug_sessions import KEEP_LAST_N
from lambdas.serve_api.artmancer.debug_views import (
    DebugCleanup,
    DebugDeleted,
    DebugSession,
    DebugSessionList,
    DebugStatus,
)
from lambdas.serve_api.artmancer.health_views import ModelHealth, SystemHealth
from lambdas.serve_api.artmancer.requests import GenerationRequest
from lambdas.serve_api.artmancer.views import (
    CancelledEdit,
    EditAnswer,
    EditResult,
    EditStatus,
    MultiResults,
    OldError,
    SubmittedEdit,
)
from lambdas.serve_api.http_requests import MAX_WAIT_S
from lambdas.serve_api.openapi_parts import answered, forbidden, ref, task_id, throttled, unprocessable

TAG, DEBUG_TAG = "masked-edit", "debug"

VIEWS: tuple[type[BaseModel], ...] = (
    SubmittedEdit,
    CancelledEdit,
    EditStatus,
    EditAnswer,
    EditResult,
    MultiResults,
    OldError,
    DebugSessionList,
    DebugSession,
    DebugDeleted,
    DebugCleanup,
    DebugStatus,
    ModelHealth,
    SystemHealth,
)

#: A white picture of 16 x 16 pixels.
_PIXELS = "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAEUlEQVR42mP8z4AKmBhGtAAAIBABH+35zCgAAAAASUVORK5CYII="

_JSON = "application/json"


def paths() -> dict[str, Any]:
    """Return the paths."""
    return _task_paths() | _stream_paths() | _debug_paths() | _machine_paths()


def held_responses() -> dict[str, Any]:
    """Return the answers of a route that holds its answer, beside that with the result."""
    return {
        "202": answered("The task, which goes on.", EditAnswer),
        "303": {"description": "For a page: where to go on waiting."},
        "400": answered("A picture is missing, or cannot be read.", OldError),
        "403": forbidden(),
        "409": answered("The task was cancelled.", OldError),
        "413": answered("The body is too long; upload the pictures first.", ErrorAnswer),
        "422": unprocessable(),
        "429": throttled(),
        "500": answered("The edit failed.", ErrorAnswer),
        "503": answered("The model is not deployed, or not there for the moment.", ErrorAnswer),
    }


def _route(method: str, name: str, summary: str, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    shared = {"tags": [more.pop("tag", TAG)], "operationId": name, "summary": summary}
    return {method: shared | more | {"responses": responses | {"403": forbidden(), "429": throttled()}}}


def _body(*, example: bool = False) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": ref(GenerationRequest)}
    if example:
        content["example"] = {
            "prompt": "an empty beach",
            "input_image": _PIXELS,
            "conditional_images": [_PIXELS],
            "task_type": "removal",
        }
    return {"required": True, "content": {_JSON: content}}


def _submitted(success: dict[str, Any]) -> dict[str, Any]:
    kept = {status: each for status, each in held_responses().items() if status in ("400", "413", "422", "503")}
    return {"200": success, **kept}


def _not_found() -> dict[str, Any]:
    return {"404": answered("The key has no such task.", OldError)}


def _task_paths() -> dict[str, Any]:
    wait = {"name": "wait", "in": "query", "schema": {"type": "number", "minimum": 0}}
    of_task: dict[str, Any] = {"parameters": [task_id(), wait]}
    not_yet = {
        "400": answered("The task has not ended.", OldError),
        "500": answered("The edit failed.", OldError),
        "422": unprocessable(),
        **_not_found(),
    }
    webp = {"description": "WebP, at most 2560 px long.", "content": {"image/webp": {}}}
    elsewhere = {"302": {"description": "The PNG, if it is too long for an answer."}}
    return {
        "/api/generate/async": _route(
            "post",
            "submit_edit",
            "Submit a masked edit",
            _submitted(answered("The task.", SubmittedEdit)),
            requestBody=_body(example=True),
        ),
        "/api/generate/async/cancel/{id}": _route(
            "post",
            "cancel_edit",
            "Cancel a masked edit",
            {"200": answered("It is cancelled, or had ended.", CancelledEdit), **_not_found()},
            parameters=[task_id()],
        ),
        "/api/generate/status/{id}": _route(
            "get",
            "read_edit_status",
            "How far a masked edit is",
            {"200": answered("Its state.", EditStatus), "422": unprocessable(), **_not_found()},
            **of_task,
        ),
        "/api/generate/result/{id}": _route(
            "get",
            "read_edit_result",
            "The picture of a masked edit, in base64",
            {"200": answered("It.", EditResult), **not_yet},
            **of_task,
        ),
        "/api/generate/result-image/{id}": _route(
            "get",
            "read_edit_image",
            "The picture of a masked edit, as a small file",
            {"200": webp, **elsewhere, **not_yet},
            **of_task,
        ),
    }


def _stream_paths() -> dict[str, Any]:
    events = {
        "description": "The events so far, each an `EditStatus`; the last one has the picture in base64 as `result`.",
        "content": {"text/event-stream": {}},
    }
    onward = {"303": {"description": "For a page: where to go on waiting."}}
    return {
        "/api/generate/held/{id}": _route(
            "get",
            "wait_for_edit",
            "Go on waiting for the answer of /api/generate",
            {"200": answered("The edited picture.", EditAnswer), **held_responses(), **_not_found()},
            parameters=[task_id()],
        ),
        "/api/generate/stream/{id}": _route(
            "get",
            "stream_edit",
            "The events of a masked edit",
            {"200": events, **onward},
            parameters=[task_id()],
            description=(
                f"Held for {MAX_WAIT_S:.0f} s at most, or with `Last-Event-ID` until there is another event; an "
                "EventSource comes again by itself."
            ),
        ),
        "/api/generate/stream": _route(
            "post",
            "submit_and_stream_edit",
            "Submit a masked edit and get its events",
            _submitted(events) | onward,
            requestBody=_body(),
        ),
        "/api/generate/multi-steps": _route(
            "post",
            "submit_edits_of_several_steps",
            "Submit a masked edit with 5, 10 and 25 steps, as three tasks",
            _submitted(answered("Those that have ended, and where to read the others.", MultiResults)),
            requestBody=_body(),
        ),
    }


def _debug_paths() -> dict[str, Any]:
    name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    image = {"name": "image", "in": "path", "required": True, "schema": {"type": "string"}}
    keep = {
        "name": "keep_last_n",
        "in": "query",
        "schema": {"type": "integer", "minimum": 0, "default": KEEP_LAST_N},
    }
    not_found = {"404": answered("The key has no such session.", OldError)}
    elsewhere = {"302": {"description": "A link to it, if it is too long for an answer."}}

    def file(kind: str) -> dict[str, Any]:
        return {"200": {"description": "It.", "content": {kind: {}}}, **elsewhere, **not_found}

    session = _route(
        "get",
        "read_debug_session",
        "What a task has kept",
        {"200": answered("It.", DebugSession), **not_found},
        parameters=[name],
        tag=DEBUG_TAG,
    ) | _route(
        "delete",
        "delete_debug_session",
        "Delete a session",
        {"200": answered("It is deleted.", DebugDeleted), **not_found},
        parameters=[name],
        tag=DEBUG_TAG,
    )
    return {
        "/api/debug/sessions": _route(
            "get",
            "list_debug_sessions",
            "The key's own sessions, newest first",
            {"200": answered("They.", DebugSessionList)},
            tag=DEBUG_TAG,
            description="Masked edits with `debug` keep their conditional images, what was asked, and a log.",
        ),
        "/api/debug/sessions/{name}": session,
        "/api/debug/sessions/{name}/images/{image}": _route(
            "get",
            "read_debug_image",
            "One of a session's pictures",
            file("image/png"),
            parameters=[name, image],
            tag=DEBUG_TAG,
        ),
        "/api/debug/sessions/{name}/download": _route(
            "get",
            "download_debug_session",
            "All of a session",
            file("application/zip"),
            parameters=[name],
            tag=DEBUG_TAG,
        ),
        "/api/debug/cleanup": _route(
            "post",
            "clean_up_debug_sessions",
            "Delete all but the newest sessions",
            {"200": answered("How many.", DebugCleanup), "422": unprocessable()},
            parameters=[keep],
            tag=DEBUG_TAG,
        ),
        "/api/debug/status": _route(
            "get",
            "read_debug_status",
            "How much is kept",
            {"200": answered("So much.", DebugStatus)},
            tag=DEBUG_TAG,
        ),
    }


def _machine_paths() -> dict[str, Any]:
    def opened(summary: str, model: type[BaseModel] | None = None) -> dict[str, Any]:
        plain = {"description": summary, "content": {_JSON: {}}}
        answer = answered(summary, model) if model else plain
        return {"get": {"tags": ["service"], "summary": summary, "security": [], "responses": {"200": answer}}}

    told = {"description": "They are told, or `success` is false.", "content": {_JSON: {}}}
    return {
        "/ping": opened("Whether somebody is there."),
        "/api": opened("Who is there."),
        "/api/health": opened("Whether the model of masked edits runs, and on what.", ModelHealth),
        "/api/system/health": opened("Whether the models' endpoints are in service.", SystemHealth),
        "/api/clear-cache": _route(
            "post",
            "clear_cache",
            "Let GPU workers and models' servers give back the memory that they hold",
            {"200": told},
            tag="service",
        ),
    }
