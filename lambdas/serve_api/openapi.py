"""The OpenAPI document, made from the catalogue and the views, and the page that shows it.

It is imported when it is first asked for, so that a cold start of the API does not pay for it.
"""

import json
from importlib.resources import files
from typing import Any

from aws_lambda_powertools.event_handler.openapi.swagger_ui import generate_swagger_html
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backlot.operations import Lane, Operation, catalogue, operation_named
from backlot.submission import MAX_KEY_CHARS
from backlot.tasks import Status
from backlot.views import (
    AcceptedMasks,
    ComponentStats,
    ErrorAnswer,
    JobView,
    SigningSecret,
    SubmittedJob,
    SubmittedTask,
    TaskEvent,
    TaskPage,
    TaskView,
    UploadForm,
    ValidationAnswer,
)
from lambdas.serve_api.artmancer import openapi as openapi_artmancer
from lambdas.serve_api.artmancer import openapi_images
from lambdas.serve_api.artmancer.requests import GenerationRequest
from lambdas.serve_api.artmancer.views import EditAnswer
from lambdas.serve_api.http_requests import DEFAULT_PAGE, MAX_PAGE, MAX_WAIT_S
from lambdas.serve_api.identity_views import GenerateAnswer, StatusAnswer
from lambdas.serve_api.openapi_parts import (
    answered,
    forbidden,
    read_responses,
    ref,
    task_id,
    throttled,
    unprocessable,
)
from lambdas.serve_api.routes.uploads import UploadRequest

#: What `POST /api/generate` makes.
GENERATES = "identity-portrait"

DESCRIPTION = """\
Image operations of a short-drama studio. Submit a request, get a task, read it until it is `completed`, `failed` or
`cancelled`; `?wait=20` holds an answer until the task ends. Every call but those of the group *service* needs the
header `x-api-key`. A task belongs to the key that submitted it.
"""

_VIEWS: tuple[type[BaseModel], ...] = (
    AcceptedMasks,
    ComponentStats,
    SubmittedTask,
    SubmittedJob,
    TaskView,
    TaskPage,
    JobView,
    UploadForm,
    SigningSecret,
    TaskEvent,
    GenerateAnswer,
    StatusAnswer,
    ErrorAnswer,
    ValidationAnswer,
    *openapi_artmancer.VIEWS,
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
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY_CHARS},
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
    requests: list[type[BaseModel]] = [
        *(operation.request for operation in operations),
        UploadRequest,
        GenerationRequest,
    ]
    _, definitions = models_json_schema(
        [(model, "validation") for model in requests] + [(model, "serialization") for model in _VIEWS],
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
        "paths": paths
        | _read_paths()
        | _upload_path()
        | _generate_paths()
        | openapi_images.paths()
        | openapi_artmancer.paths()
        | _mask_component_paths()
        | _service_paths(),
        "webhooks": {
            "task_ended": {
                "post": {
                    "summary": "A task with a callback_url has ended",
                    "requestBody": {"content": {"application/json": {"schema": ref(TaskEvent)}}},
                    "responses": {"2XX": {"description": "It was received; anything else is tried again, but 410."}},
                }
            }
        },
        "components": {
            "schemas": definitions["$defs"],
            "securitySchemes": {"api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"}},
        },
    }


def _submit_paths(operation: Operation) -> dict[str, Any]:
    body = {
        "required": True,
        "content": {"application/json": {"schema": ref(operation.request), "example": operation.example}},
    }
    shared = {"tags": [operation.name], "parameters": [_PREFER, _IDEMPOTENCY_KEY], "requestBody": body}
    errors = {"403": forbidden(), "422": unprocessable(), "429": throttled()}
    accepted = answered("The task is accepted.", SubmittedJob)
    has_ended = answered("The task has ended while the answer was held.", SubmittedJob)
    return {
        f"/api/v1/{operation.name}/tasks": {
            "post": {
                **shared,
                "operationId": f"submit_{operation.module}_task",
                "summary": operation.title,
                "description": operation.description,
                "responses": {
                    "200": answered("The task has ended while the answer was held.", SubmittedTask),
                    "202": answered("The task is accepted.", SubmittedTask),
                    **errors,
                },
            }
        },
        f"/api/v1/{operation.name}/jobs": {
            "post": {
                **shared,
                "operationId": f"submit_{operation.module}_job",
                "summary": f"{operation.title} (older clients)",
                "description": "The same with the answer that the replaced servers gave.",
                "responses": {
                    **({"200": has_ended, "202": accepted} if operation.lane is Lane.GPU else {"200": accepted}),
                    **errors,
                },
            }
        },
        f"/api/v1/{operation.name}/jobs/{{id}}": {
            "get": {
                "tags": [operation.name],
                "operationId": f"read_{operation.module}_job",
                "summary": "Read a task (older clients)",
                "parameters": [task_id(), _WAIT_QUERY],
                "responses": read_responses(JobView),
            }
        },
    }


def _read_paths() -> dict[str, Any]:
    paths: dict[str, Any] = {
        f"/api/v1/{kind}s/{{id}}": {
            "get": {
                "tags": ["tasks"],
                "operationId": f"read_{kind}",
                "summary": f"Read a task as a {kind}",
                "parameters": [task_id(), _WAIT_QUERY],
                "responses": read_responses(view),
            }
        }
        for kind, view in (("task", TaskView), ("job", JobView))
    }
    paths["/api/v1/tasks/{id}"]["delete"] = {
        "tags": ["tasks"],
        "operationId": "cancel_task",
        "summary": "Cancel a task",
        "description": "What has not begun does not begin; a job is cancelled, a paid call is not waited for.",
        "parameters": [task_id()],
        "responses": read_responses(TaskView) | {"409": answered("The task has ended already.", ErrorAnswer)},
    }
    paths["/api/v1/tasks/{id}/retry"] = {
        "post": {
            "tags": ["tasks"],
            "operationId": "retry_task",
            "summary": "Retry a failed task",
            "description": "The task runs again under its id; steps that were done and paid are taken over.",
            "parameters": [task_id()],
            "responses": {
                "202": answered("The task is pending again.", TaskView),
                **{status: answer for status, answer in read_responses(TaskView).items() if status != "200"},
                "409": answered("The task has not failed.", ErrorAnswer),
            },
        }
    }
    paths["/api/v1/webhook-secret"] = {
        "get": {
            "tags": ["tasks"],
            "operationId": "read_webhook_secret",
            "summary": "Read the secret that signs the key's webhooks",
            "responses": {"200": answered("The secret.", SigningSecret), "403": forbidden(), "429": throttled()},
        }
    }
    paths["/api/v1/tasks"] = {
        "get": {
            "tags": ["tasks"],
            "operationId": "list_tasks",
            "summary": "List the key's own tasks, newest first",
            "description": "A page may have fewer tasks than asked for, even none, while `next_cursor` names another.",
            "parameters": _list_parameters(),
            "responses": {
                "200": answered("A page.", TaskPage),
                "403": forbidden(),
                "422": unprocessable(),
                "429": throttled(),
            },
        }
    }
    return paths


def _generate_paths() -> dict[str, Any]:
    operation = operation_named(GENERATES)
    either = {"anyOf": [ref(operation.request), ref(GenerationRequest)]}
    return {
        "/api/generate": {
            "post": {
                "tags": [operation.name, openapi_artmancer.TAG],
                "operationId": "generate",
                "summary": f"{operation.title} (the IdentityLens app), or edit a masked part (the ArtMancer client)",
                "description": (
                    f"Held for {MAX_WAIT_S:.0f} s at most. A body with `identity_packet` is a portrait: error 2001 "
                    "with a `task_id` means that it goes on, and the same request joins it; errors are in Turkish, or "
                    "in English with `Accept-Language: en`. A body with `input_image` is a masked edit: what takes "
                    "longer is answered with 202 and the task, or for a page, whose fetch follows by itself, with a "
                    "redirect to go on waiting."
                ),
                "parameters": [_PREFER, _IDEMPOTENCY_KEY],
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": either, "example": operation.example}},
                },
                "responses": {
                    "200": _answered_either("The portrait or an error of the app's catalogue; the edited picture."),
                    **openapi_artmancer.held_responses(),
                },
            }
        },
        "/api/status/{id}": {
            "get": {
                "tags": [operation.name],
                "operationId": "read_generate_status",
                "summary": "Read a portrait's task (the IdentityLens app)",
                "parameters": [task_id()],
                "responses": read_responses(StatusAnswer),
            }
        },
    }


def _answered_either(description: str) -> dict[str, Any]:
    schema = {"anyOf": [ref(GenerateAnswer), ref(EditAnswer)]}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _mask_component_paths() -> dict[str, Any]:
    text = {"type": "string"}
    form = {
        "type": "object",
        "required": ["user_image", "user_id", "job_id"],
        "properties": {
            "user_image": {"type": "string", "format": "binary"},
            "user_id": text,
            "job_id": text,
            "provider": {**text, "enum": ["qwen"], "default": "qwen"},
        },
    }
    refused = {"400": {"description": "The provider is another one."}, "422": unprocessable()}
    return {
        "/process": {
            "post": {
                "tags": ["body-masks"],
                "operationId": "process",
                "summary": "Mask upper and lower body (clients of the mask component)",
                "description": "The masks are delivered to the stage's mask asset service, if it has one.",
                "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}},
                "responses": {
                    "200": answered("The picture is accepted.", AcceptedMasks),
                    "403": forbidden(),
                    **refused,
                    "429": answered("The queue is full, or the key's rate or quota is used up.", ErrorAnswer),
                },
            }
        },
        "/stats": {
            "get": {
                "tags": ["body-masks"],
                "operationId": "read_stats",
                "summary": "How much there is to do (clients of the mask component)",
                "responses": {"200": answered("The figures.", ComponentStats), "403": forbidden(), "429": throttled()},
            }
        },
    }


def _upload_path() -> dict[str, Any]:
    return {
        "/api/v1/uploads": {
            "post": {
                "tags": ["uploads"],
                "operationId": "make_upload",
                "summary": "Upload an image",
                "description": "Answers with a form; post the image with it, then name `image_url` in requests.",
                "requestBody": {
                    "required": True,
                    "content": {"application/json": {"schema": ref(UploadRequest)}},
                },
                "responses": {
                    "201": answered("The form.", UploadForm),
                    "403": forbidden(),
                    "422": unprocessable(),
                    "429": throttled(),
                },
            }
        }
    }


def _list_parameters() -> list[dict[str, Any]]:
    schemas: dict[str, dict[str, Any]] = {
        "status": {"type": "string", "enum": list(Status)},
        "operation": {"type": "string", "enum": list(catalogue())},
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": DEFAULT_PAGE},
        "cursor": {"type": "string", "description": "`next_cursor` of the page before."},
    }
    return [{"name": name, "in": "query", "schema": schema} for name, schema in schemas.items()]


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
