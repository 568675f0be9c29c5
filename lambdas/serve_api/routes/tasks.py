"""Routes of tasks: submit, read, list, cancel and retry, under the names of both of the replaced servers."""

import time
from dataclasses import replace
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from backlot.errors import NotDeployed, QueueFull, TaskHasEnded, TaskNotFound
from backlot.inline_images import InlineImages
from backlot.operations import Lane, Operation, OperationRequest, operation_named
from backlot.submission import Submission
from backlot.tasks import Task, is_task_id
from backlot.views import JobView, SubmittedJob, SubmittedTask, TaskPage, TaskView, View
from backlot.work_items import Cancellation
from lambdas.serve_api import http_requests
from lambdas.serve_api.deps import Deps

#: First and longest pause between two looks at a task that a client waits for, seconds, and how pauses grow after the
#: time within which light tasks end: the answer to a click is late by 0.04 s at most. 25 seconds take 142 looks.
FIRST_LOOK_S, LONGEST_LOOK_S, GROWTH, LIGHT_S = 0.04, 0.25, 1.1, 1.5

logger = Logger(child=True)


def tasks_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()

    @router.post("/api/v1/<operation>/tasks")
    def submit_task(operation: str) -> Response[Any]:
        submission, wait_s = _submit(router, deps, operation)
        task = wait_for_end(deps, submission.task, wait_s)
        label = operation_named(operation).label
        answer = SubmittedTask(
            task_id=task.task_id,
            message=f"{label} task submitted successfully",
            job_id=task.task_id,
            status=task.status,
            result_url=task.result_url,
            result_s3_uri=task.result_url,
            error=task.public_error_message,
        )
        views: list[View] = [answer, TaskView.of(task)] if wait_s else [answer]
        return _answer(200 if wait_s and task.status.is_final else 202, *views, waited=wait_s)

    @router.post("/api/v1/<operation>/jobs")
    def submit_job(operation: str) -> Response[Any]:
        submission, wait_s = _submit(router, deps, operation)
        task = wait_for_end(deps, submission.task, wait_s)
        answer = SubmittedJob(
            job_id=task.task_id,
            status=task.status,
            result_url=task.result_url,
            result_s3_uri=task.result_url,
            error=task.public_error_message,
        )
        # What the browser talked to accepted the GPU's jobs with 202, the paid API service its own with 200.
        is_accepted = operation_named(operation).lane is Lane.GPU and not (wait_s and task.status.is_final)
        return _answer(202 if is_accepted else 200, JobView.of(task) if wait_s else answer, waited=wait_s)

    @router.get("/api/v1/tasks/<task_id>")
    def read_task(task_id: str) -> Response[Any]:
        return _answer(200, TaskView.of(_read(router, deps, task_id, "Task")))

    @router.get("/api/v1/jobs/<task_id>")
    def read_job(task_id: str) -> Response[Any]:
        return _answer(200, JobView.of(_read(router, deps, task_id, "Job")))

    @router.get("/api/v1/tasks")
    def list_tasks() -> Response[Any]:
        query = http_requests.task_query(router.current_event)
        tasks, more = deps.tasks.owned_by(http_requests.owner(router.current_event), **query)
        page = TaskPage(tasks=[TaskView.of(task) for task in tasks], next_cursor=more.encode() if more else None)
        return _answer(200, page)

    @router.delete("/api/v1/tasks/<task_id>")
    def cancel_task(task_id: str) -> Response[Any]:
        return _answer(200, TaskView.of(cancelled(deps, owned_task(router, deps, task_id, "Task"))))

    @router.post("/api/v1/tasks/<task_id>/retry")
    def retry_task(task_id: str) -> Response[Any]:
        return _answer(202, TaskView.of(deps.submissions.retry(owned_task(router, deps, task_id, "Task"))))

    @router.get("/api/v1/<operation>/jobs/<task_id>")
    def read_operation_job(operation: str, task_id: str) -> Response[Any]:
        operation_named(operation)
        return read_job(task_id)

    return router


def _submit(router: APIGatewayRouter, deps: Deps, name: str) -> tuple[Submission, float]:
    event = router.current_event
    operation = operation_named(name)
    wait_s = http_requests.asked_wait_s(event)
    inline = InlineImages(deps.settings.bucket)
    request = http_requests.parse_body(event, operation.request, replace(deps.request_context, inline=inline))
    key = http_requests.idempotency_key(event)
    owner = http_requests.owner(event)
    return submit_checked(deps, operation, request, inline, owner=owner, idempotency_key=key), wait_s


def submit_checked(
    deps: Deps,
    operation: Operation,
    request: OperationRequest,
    inline: InlineImages,
    *,
    owner: str,
    idempotency_key: str | None,
) -> Submission:
    """Take a checked request in.

    Args:
        inline: the pictures that came with it.
        owner: id of the API key.
        idempotency_key: the client's name for the request, if it gave one.

    Raises:
        NotDeployed: the stage has no machines for it.
        QueueFull: as many tasks wait or run as the stage takes.
        IdempotencyKeyReused: the key was used with another request.
    """
    check_room(deps, operation, getattr(request, "route", None))
    store(deps, inline)
    submission = deps.submissions.submit(operation, request, owner=owner, idempotency_key=idempotency_key)
    if submission.is_new:
        deps.metrics.accepted(operation.name)
    if not submission.is_started:
        logger.warning("the execution will be started by the sweep")
    logger.append_keys(task_id=submission.task.task_id, operation=operation.name)
    return submission


def join_checked(deps: Deps, operation: Operation, request: OperationRequest, *, owner: str) -> Submission:
    """Take a checked request in, or join the task that is at work for the same one.

    Args:
        owner: id of the API key.

    Raises:
        backlot.errors.BacklotError: the stage cannot do it, or the request cannot be kept.
    """
    check_room(deps, operation, getattr(request, "route", None))
    submission = deps.submissions.join(operation, request, owner=owner)
    if submission.is_new:
        deps.metrics.accepted(operation.name)
    return submission


def store(deps: Deps, inline: InlineImages) -> None:
    """Put a request's pictures into the bucket."""
    for key, (content_type, data) in inline.found.items():
        deps.uploads.put(key, data, content_type=content_type)


def check_room(deps: Deps, operation: Operation, route: str | None = None) -> None:
    """Refuse a request that nobody would do, or if as many tasks of its operation wait or run as the stage takes.

    Args:
        route: that the request asks for, where its operation has several.

    Raises:
        NotDeployed: the stage has no machines for it, or not all of its models.
        QueueFull: as many wait or run.
    """
    closed_lanes, closed_models = deps.settings.closed_lanes.split(","), deps.settings.closed_models.split(",")
    if operation.lane in closed_lanes or not set(operation.models_of(route)).isdisjoint(closed_models):
        raise NotDeployed(operation=operation.name)
    most = deps.settings.queue_max.get(operation.name)
    if most is not None and deps.tasks.open_count(operation.name) >= most:
        raise QueueFull()


def _read(router: APIGatewayRouter, deps: Deps, task_id: str, kind: str) -> Task:
    """Return a task of the caller, held until it ends if the caller asked for that.

    Raises:
        TaskNotFound: there is none, or it belongs to another key.
    """
    wait_s = http_requests.asked_wait_s(router.current_event)
    return followed(deps, wait_for_end(deps, owned_task(router, deps, task_id, kind), wait_s))


def followed(deps: Deps, task: Task) -> Task:
    """Return a task with how far it is, if its machines tell."""
    operation = operation_named(task.operation)
    if operation.lane is Lane.GPU:
        return task.model_copy(update={"progress": deps.progress.of(task)})
    models = operation.models_of(task.request.get("route"))
    return task.model_copy(update={"progress": deps.model_progress.of(task, models)}) if models else task


def owned_task(router: APIGatewayRouter, deps: Deps, task_id: str, kind: str) -> Task:
    """Return a task of the caller.

    Raises:
        TaskNotFound: there is none, or it belongs to another key.
    """
    task = deps.tasks.get(task_id) if is_task_id(task_id) else None
    if task is None or task.owner != http_requests.owner(router.current_event):
        raise TaskNotFound(kind=kind)
    logger.append_keys(task_id=task_id, operation=task.operation)
    return task


def cancelled(deps: Deps, task: Task) -> Task:
    """End a task as cancelled.

    Raises:
        TaskHasEnded: it has ended before.
    """
    ended = deps.tasks.cancel(task.task_id, deps.clock())
    if ended is None:
        raise TaskHasEnded(status=(deps.tasks.get(task.task_id) or task).status)
    # A worker ends what the task waits for at a provider; what no worker has taken yet ends when one takes it. Workers
    # of the GPU lane look at the records of their tasks.
    if ended.started_ms is not None and operation_named(task.operation).lane is not Lane.GPU:
        deps.queue.send(Cancellation(cancelled_task_id=task.task_id, operation=task.operation), delay_s=0)
    return ended


def wait_for_end(deps: Deps, task: Task, wait_s: float) -> Task:
    """Look at a task until it has ended or the time is over."""
    began = time.monotonic()
    pause = FIRST_LOOK_S
    while not task.status.is_final and (left := began + wait_s - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        if time.monotonic() - began > LIGHT_S:
            pause = min(pause * GROWTH, LONGEST_LOOK_S)
        task = deps.tasks.get(task.task_id) or task
    return task


def _answer(status: int, *views: View, waited: float = 0.0) -> Response[Any]:
    body: dict[str, Any] = {}
    for view in views:
        body |= view.model_dump(mode="json")
    headers = {"Cache-Control": "no-store"}
    if waited:
        headers["Preference-Applied"] = f"wait={waited:g}"
    return Response(status, content_type="application/json", body=body, headers=headers)
