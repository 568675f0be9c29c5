"""Routes of masked edits as the ArtMancer server's second generation had them: tasks, and streams of their events."""

import time
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from backlot.errors import TaskHasEnded
from backlot.tasks import Status, Task
from lambdas.serve_api import http_requests
from lambdas.serve_api.artmancer_pictures import MAX_BASE64_CHARS, MAX_PICTURE_BYTES, small_file
from lambdas.serve_api.artmancer_requests import warnings_of
from lambdas.serve_api.artmancer_views import (
    CancelledEdit,
    EditResult,
    MultiResult,
    MultiResults,
    SubmittedEdit,
    request_id,
    said,
)
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.editor import Editor, answer
from lambdas.serve_api.event_stream import event_stream
from lambdas.serve_api.http_requests import OldRefusal
from lambdas.serve_api.routes.tasks import cancelled, wait_for_end

#: What `POST /api/generate/multi-steps` compares.
STEPS = (5, 10, 25)


def edits_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes of tasks."""
    router = APIGatewayRouter()
    editor = Editor(deps, router)

    @router.post("/api/generate/async")
    def submit() -> Response[Any]:
        task, ignored = editor.submit(is_async=True)
        return answer(200, SubmittedEdit(task_id=task.task_id, warnings=warnings_of(ignored)))

    @router.post("/api/generate/async/cancel/<task_id>")
    def cancel(task_id: str) -> Response[Any]:
        message = f"Async generation task {task_id} marked for cancellation"
        try:
            cancelled(deps, editor.owned(task_id))
        except TaskHasEnded:
            message = f"Async generation task {task_id} has ended already"
        return answer(200, CancelledEdit(success=True, message=message, task_id=task_id))

    @router.get("/api/generate/status/<task_id>")
    def status(task_id: str) -> Response[Any]:
        return answer(200, editor.status(editor.ended(task_id)))

    @router.get("/api/generate/result/<task_id>")
    def result(task_id: str) -> Response[Any]:
        task = editor.completed(task_id)
        return answer(200, EditResult(task_id=task_id, image_url=task.result_url, **editor.parts(task)))

    @router.get("/api/generate/result-image/<task_id>")
    def result_image(task_id: str) -> Response[Any]:
        task = editor.completed(task_id)
        kind, image = small_file(editor.picture(task))
        if len(image) > MAX_PICTURE_BYTES:
            return Response(302, headers={"Location": task.result_url or ""})
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "x-api-key"}
        return Response(200, content_type=kind, body=image, headers=headers)

    return router


def held_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes whose answers are held until there is something to say."""
    router = APIGatewayRouter()
    editor = Editor(deps, router)

    @router.get("/api/generate/held/<task_id>")
    def held(task_id: str) -> Response[Any]:
        return editor.answered(
            editor.owned(task_id), editor.held_before(), hold_s=http_requests.asked_hold_s(editor.event), place=""
        )

    @router.get("/api/generate/stream/<task_id>")
    def stream(task_id: str) -> Response[Any]:
        try:
            task = editor.owned(task_id)
        except OldRefusal as error:
            return event_stream([("none", {"error": error.detail})])
        return editor.stream(task, place="")

    @router.post("/api/generate/stream")
    def submit_and_stream() -> Response[Any]:
        task, _ = editor.submit(is_async=True)
        return editor.stream(task, place="stream/")

    @router.post("/api/generate/multi-steps")
    def multi_steps() -> Response[Any]:
        tasks = [editor.submit(is_async=True, steps=steps)[0] for steps in STEPS]
        deadline = time.monotonic() + http_requests.asked_hold_s(router.current_event)
        ended = [wait_for_end(deps, task, max(deadline - time.monotonic(), 0)) for task in tasks]
        results = [_one_of_several(editor, task, steps) for task, steps in zip(ended, STEPS, strict=True)]
        return answer(200, MultiResults(base_request_id=tasks[0].task_id, steps=list(STEPS), results=results))

    return router


def _one_of_several(editor: Editor, task: Task, steps: int) -> MultiResult:
    if task.status is not Status.COMPLETED:
        error = said(task) or f"Task not completed yet. Current status: {editor.status(task).status}"
        return MultiResult(step=steps, task_id=task.task_id, error=error)
    parts = editor.parts(task, MAX_BASE64_CHARS // len(STEPS))
    return MultiResult(
        step=steps, task_id=task.task_id, path=task.result_url, request_id=request_id(task), error=None, **parts
    )
