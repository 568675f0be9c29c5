"""The OpenAPI document, made from the catalogue and the views, and the page that shows it.

It is imported when it is first asked for, so that a cold start of the API does not pay for it.
"""

import json
from importlib.resources import files
from typing import Any

from aws_lambda_powertools.event_handler.openapi.swagger_ui import generate_swagger_html
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backlot.operations import Operation, catalogue
from lambdas.serve_api.http_requests import MAX_WAIT_S
from lambdas.serve_api.views import (
    ErrorAnswer,
    JobView,
    SubmittedJob,
    SubmittedTask,
    TaskView,
    ValidationAnswer,
)

DESCRIPTION = """\
Image operations of a short-drama studio. Submit a request, get a task, read it until it is `completed`, `failed` or
`cancelled`; `?wait=20` holds an answer until the task ends. Every call but those of the group *service* needs the
header `x-api-key`. A task belongs to the key that submitted it.
"""

_VIEWS: tuple[type[BaseModel], ...] = (
    SubmittedTask,
    SubmittedJob,
    TaskView,
    JobView,
    ErrorAnswer,
    ValidationAnswer,
)

_WAIT_QUERY = {
    "name": "wait",
    "in": "query",
    "description": f"Hold the answer until the task ends, at most this many seconds; {MAX_WAIT_S:.0f} at most.",
    "schema": {"type": "number", "minimum": 0},
}
_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=20` holds the answer until the task ends, at most 20 seconds.",
    "schema": {"type": "string", "examples": ["wait=20"]},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "Your name for this request: sent again within a day, it returns the same task.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


def document_json() -> str:
    """Return the document as JSON."""
    return json.dumps(document(), ensure_ascii=False)


def docs_page() -> str:
    """Return the page that shows the document, complete in itself: it loads nothing from elsewhere."""
    assets = files("aws_lambda_powertools.event_handler.openapi.swagger_ui")
    return generate_swagger_html(
        document_json(),
        (assets / "swagger-ui-bundle.min.js").read_text("utf-8"),
        (assets / "swagger-ui.min.css").read_text("utf-8"),
        "",
        None,
        persist_authorization=True,
    )


def document() -> dict[str, Any]:
    """Return the OpenAPI 3.1 document."""
    operations = list(catalogue().values())
    models = [*(operation.request for operation in operations), *_VIEWS]
    _, definitions = models_json_schema(
        [(model, "validation" if index < len(operations) else "serialization") for index, model in enumerate(models)],
        ref_template="#/components/schemas/{model}",
    )
    paths: dict[str, Any] = {}
    for operation in operations:
        paths |= _submit_paths(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Backlot", "version": "1.0.0", "description": DESCRIPTION},
        "servers": [{"url": "."}],
        "security": [{"api_key": []}],
        "paths": paths | _read_paths() | _service_paths(),
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _submit_paths(operation: Operation) -> dict[str, Any]:
    body = {
        "required": True,
        "content": {"application/json": {"schema": _ref(operation.request), "example": operation.example}},
    }
    shared = {"tags": [operation.name], "parameters": [_PREFER, _IDEMPOTENCY_KEY], "requestBody": body}
    errors = {"403": _forbidden(), "422": _unprocessable(), "429": _throttled()}
    return {
        f"/api/v1/{operation.name}/tasks": {
            "post": {
                **shared,
                "operationId": f"submit_{operation.module}_task",
                "summary": operation.title,
                "description": operation.description,
                "responses": {
                    "200": _json("The task has ended while the answer was held.", SubmittedTask),
                    "202": _json("The task is accepted.", SubmittedTask),
                    **errors,
                },
            }
        },
        f"/api/v1/{operation.name}/jobs": {
            "post": {
                **shared,
                "operationId": f"submit_{operation.module}_job",
                "summary": f"{operation.title} (older clients)",
                "description": "The same with the answer that the paid API service gave.",
                "responses": {"200": _json("The task is accepted.", SubmittedJob), **errors},
            }
        },
        f"/api/v1/{operation.name}/jobs/{{id}}": {
            "get": {
                "tags": [operation.name],
                "operationId": f"read_{operation.module}_job",
                "summary": "Read a task (older clients)",
                "parameters": [_id(), _WAIT_QUERY],
                "responses": _read_responses(JobView),
            }
        },
    }


def _read_paths() -> dict[str, Any]:
    return {
        f"/api/v1/{kind}s/{{id}}": {
            "get": {
                "tags": ["tasks"],
                "operationId": f"read_{kind}",
                "summary": f"Read a task as a {kind}",
                "parameters": [_id(), _WAIT_QUERY],
                "responses": _read_responses(view),
            }
        }
        for kind, view in (("task", TaskView), ("job", JobView))
    }


def _service_paths() -> dict[str, Any]:
    def get(summary: str, kind: str, *, open_to_all: bool = True) -> dict[str, Any]:
        answer = {"200": {"description": summary, "content": {kind: {}}}}
        security: dict[str, Any] = {"security": []} if open_to_all else {}
        return {"get": {"tags": ["service"], "summary": summary, "responses": answer, **security}}

    return {
        "/api/v1/operations": get(
            "The operations, with the schemas of their requests.", "application/json", open_to_all=False
        ),
        "/health": get("Whether all is well, and what is missing.", "application/json"),
        "/openapi.json": get("This document.", "application/json"),
        "/docs": get("This document as a page.", "text/html"),
    }


def _id() -> dict[str, Any]:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "format": "uuid"}}


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _json(description: str, model: type[BaseModel]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": _ref(model)}}}


def _read_responses(view: type[BaseModel]) -> dict[str, Any]:
    return {
        "200": _json("The task.", view),
        "403": _forbidden(),
        "404": _json("No task of this id belongs to the key.", ErrorAnswer),
        "422": _unprocessable(),
        "429": _throttled(),
    }


def _unprocessable() -> dict[str, Any]:
    schema = {"anyOf": [_ref(ValidationAnswer), _ref(ErrorAnswer)]}
    return {"description": "The request is wrong.", "content": {"application/json": {"schema": schema}}}


def _forbidden() -> dict[str, Any]:
    return _json("The API key is missing or unknown.", ErrorAnswer)


def _throttled() -> dict[str, Any]:
    return _json("The key's rate or quota is used up.", ErrorAnswer)
