"""Masked edits for clients of the ArtMancer server: taken in, waited for, and answered in its words."""

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from backlot.errors import CallerError, ImageNotFetched, TaskNotFound, TransientError, Unexpected
from backlot.operations import operation_named
from backlot.tasks import Status, Task
from backlot.views import ErrorDetail, View
from lambdas.serve_api import http_requests
from lambdas.serve_api.artmancer.event_stream import event_stream
from lambdas.serve_api.artmancer.machine_reports import MODEL
from lambdas.serve_api.artmancer.pictures import MAX_BASE64_CHARS, MAX_RESULT_BYTES, in_base64
from lambdas.serve_api.artmancer.requests import WITHOUT_EFFECT, Edit, GenerationRequest, translated, warnings_of
from lambdas.serve_api.artmancer.views import (
    DONE,
    FINAL,
    DebugInfo,
    EditAnswer,
    EditStatus,
    details,
    old_status,
    said,
)
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.http_requests import OldRefusal
from lambdas.serve_api.routes.tasks import followed, owned_task, submit_checked, wait_for_end

OPERATION = "masked-edit"

#: So many redirects are sent for one request: a page's fetch follows 20. Source: WHATWG Fetch, 4.4, read 2026-11-21.
MAX_HOPS = 18

#: How long the state of the model's endpoint is taken for true, seconds.
FLEET_S = 15.0

#: First and longest pause between two looks at a task whose events are sent, seconds, and how pauses grow.
FIRST_LOOK_S, LONGEST_LOOK_S, GROWTH = 0.1, 0.5, 1.3


class Editor:
    """What the routes of masked edits do.

    Args:
        deps: of the API.
        router: whose event is at hand.
    """

    def __init__(self, deps: Deps, router: APIGatewayRouter) -> None:
        self.deps = deps
        self._router = router
        self._cold: tuple[float, bool] | None = None

    @property
    def event(self) -> APIGatewayProxyEvent:
        """The request that is answered."""
        return self._router.current_event

    def is_cold(self) -> bool:
        """Tell whether no instance of the model runs."""
        if self._cold is None or time.monotonic() - self._cold[0] > FLEET_S:
            self._cold = (time.monotonic(), self.deps.fleets[MODEL].state().instances == 0)
        return self._cold[1]

    def submit(self, *, is_async: bool, steps: int | None = None) -> tuple[Task, tuple[str, ...]]:
        """Take the request in.

        Args:
            is_async: whether it came by a route of tasks.
            steps: instead of the request's own.

        Returns:
            The task, and what of the request has no effect.
        """
        asked = http_requests.parse_body(self.event, GenerationRequest)
        key = http_requests.idempotency_key(self.event)
        if steps is not None:
            asked, key = asked.model_copy(update={"num_inference_steps": steps}), key and f"{key}/{steps}"
        context, bucket = self.deps.request_context, self.deps.settings.bucket
        edit: Edit = translated(asked, context, bucket, is_async=is_async)
        submission = submit_checked(
            self.deps,
            operation_named(OPERATION),
            edit.request,
            edit.inline,
            owner=http_requests.owner(self.event),
            idempotency_key=key,
        )
        return submission.task, edit.ignored

    def owned(self, task_id: str) -> Task:
        """Return a masked edit of the caller, and how far it is.

        Raises:
            OldRefusal: there is none.
        """
        try:
            task = owned_task(self._router, self.deps, task_id, "Task")
        except TaskNotFound as error:
            raise _not_found(task_id) from error
        if task.operation != OPERATION:
            raise _not_found(task_id)
        return followed(self.deps, task)

    def status(self, task: Task) -> EditStatus:
        """Describe a task."""
        return EditStatus.of(task, self.is_cold)

    def completed(self, task_id: str) -> Task:
        """Return a masked edit of the caller that is completed; one that is not is waited for as the caller asks.

        Raises:
            OldRefusal: there is none, it failed, or it goes on.
        """
        task = self.ended(task_id)
        if task.status is Status.FAILED:
            raise OldRefusal(500, said(task) or "Generation failed")
        if task.status is not Status.COMPLETED:
            raise OldRefusal(400, f"Task not completed yet. Current status: {old_status(task, self.is_cold)}")
        return task

    def ended(self, task_id: str) -> Task:
        """Return a masked edit of the caller once it has ended, or as it is when the caller's `wait` is over.

        Raises:
            OldRefusal: there is none.
        """
        wait_s = http_requests.asked_wait_s(self.event)
        task = self.owned(task_id)
        return followed(self.deps, wait_for_end(self.deps, task, wait_s)) if wait_s else task

    def picture(self, task: Task) -> bytes:
        """Return a completed task's PNG.

        Raises:
            OldRefusal: it is not kept any more.
        """
        key = self.deps.request_context.images.own_key(task.result_url or "") or ""
        try:
            return self.deps.objects.get(key, MAX_RESULT_BYTES)
        except ImageNotFetched as error:
            raise OldRefusal(500, "Result not available") from error

    def parts(self, task: Task, limit_chars: int = MAX_BASE64_CHARS) -> dict[str, Any]:
        """Return a completed task's `image`, `debug_info` and `warnings`, the pictures within a limit."""
        sent = in_base64(self.picture(task), limit_chars)
        warnings = [sent.note] if sent.note else []
        debug_info = self._debug_info(task, limit_chars - len(sent.text), warnings)
        return {"image": sent.text, "debug_info": debug_info, "warnings": warnings}

    def _debug_info(self, task: Task, room_chars: int, warnings: list[str]) -> DebugInfo | None:
        kept = details(task).get("debug")
        if not kept:
            return None
        images: list[str] = []
        for key in kept["images"]:
            try:
                sent = in_base64(self.deps.objects.get(key, room_chars * 3 // 4))
            except CallerError:
                warnings.append("Not all conditional images are in the answer; see /api/debug/sessions.")
                break
            images.append(sent.text)
            room_chars -= len(sent.text)
        return DebugInfo.of(task, kept, images)

    def answered(self, task: Task, ignored: tuple[str, ...], *, hold_s: float, place: str) -> Response[Any]:
        """Answer as the synchronous server did, once the task has ended or the time is over.

        A page is sent to go on waiting by a redirect, which its fetch follows by itself; others get the task with 202.

        Args:
            ignored: what of the request has no effect.
            hold_s: how long to wait, seconds.
            place: of the route that goes on waiting, relative to this one.
        """
        task = wait_for_end(self.deps, task, hold_s)
        warnings = warnings_of(ignored)
        if task.status is Status.COMPLETED:
            parts = self.parts(task)
            parts["warnings"] = warnings + parts["warnings"]
            return answer(200, EditAnswer.of(task, self.is_cold, **parts))
        if task.status.is_final:
            return _failed(task)
        if hold_s and (onward := self._onward(f"{place}{task.task_id}", ignored)):
            return onward
        task = followed(self.deps, task)
        return answer(202, EditAnswer.of(task, self.is_cold, image=None, debug_info=None, warnings=warnings))

    def held_before(self) -> tuple[str, ...]:
        """Return what of the request has no effect, as an earlier hold has passed it on."""
        names = (self.event.query_string_parameters or {}).get("ignored", "").split(",")
        return tuple(name for name in WITHOUT_EFFECT if name in names)

    def stream(self, task: Task, *, place: str) -> Response[Any]:
        """Answer with the task's events until it has ended or the time is over.

        An EventSource comes again by itself and says what it has seen; it is answered as soon as there is more. Any
        other script of a page reads one answer to its end and takes this for the task's: it is sent to go on waiting.
        """
        headers = self.event.headers
        seen = headers.get("Last-Event-ID")
        statuses = list(self._statuses(task, seen, http_requests.asked_hold_s(self.event)))
        has_ended = bool(statuses) and statuses[-1].status in FINAL
        is_event_source = seen is not None or "no-cache" in (headers.get("Cache-Control") or "")
        if not has_ended and not is_event_source and (onward := self._onward(f"{place}{task.task_id}", ())):
            return onward
        return event_stream(self._event(task, status) for status in statuses)

    def _event(self, task: Task, status: EditStatus) -> tuple[str, dict[str, Any]]:
        body = status.model_dump(mode="json")
        if status.status == DONE:
            body["result"] = self.parts(self.deps.tasks.get(task.task_id) or task)["image"]
        return _mark(status), body

    def _statuses(self, task: Task, seen: str | None, hold_s: float) -> Iterator[EditStatus]:
        """Look at a task, and return its state as often as it is another one."""
        deadline, pause, last = time.monotonic() + hold_s, FIRST_LOOK_S, seen
        while True:
            status = self.status(followed(self.deps, task))
            if _mark(status) != last or status.status in FINAL:
                last = _mark(status)
                yield status
                if seen is not None:
                    return
            left = deadline - time.monotonic()
            if status.status in FINAL or left <= 0:
                return
            time.sleep(min(pause, left))
            pause = min(pause * GROWTH, LONGEST_LOOK_S)
            task = self.deps.tasks.get(task.task_id) or task

    def _onward(self, place: str, ignored: tuple[str, ...]) -> Response[Any] | None:
        """Return a redirect by which a page's fetch goes on waiting; None for others, and after too many."""
        hop = (self.event.query_string_parameters or {}).get("hop", "0")
        hops = int(hop) if hop.isdecimal() and len(hop) < 4 else MAX_HOPS
        is_page = bool(self.event.headers.get("Origin")) or self.event.headers.get("Sec-Fetch-Mode") == "cors"
        if not is_page or hops >= MAX_HOPS:
            return None
        query = f"hop={hops + 1}" + (f"&ignored={quote(','.join(ignored))}" if ignored else "")
        return Response(303, body="", headers={"Location": f"{place}?{query}", "Cache-Control": "no-store"})


def answer(status: int, view: View) -> Response[Any]:
    """Answer with a view."""
    headers = {"Cache-Control": "no-store"}
    return Response(status, content_type="application/json", body=view.model_dump(mode="json"), headers=headers)


def _failed(task: Task) -> Response[Any]:
    """Answer for a task that made nothing: what the caller can mend with 422, which the old client shows as it is."""
    if task.status is Status.CANCELLED:
        raise OldRefusal(409, "Generation cancelled")
    error = task.error or Unexpected
    status = 422 if issubclass(error, CallerError) else 503 if issubclass(error, TransientError) else 500
    detail = ErrorDetail.of(error, said(task) or error.meaning())
    body = {"detail": detail.message, "error": detail.model_dump(), "task_id": task.task_id}
    return Response(status, content_type="application/json", body=body, headers={"Cache-Control": "no-store"})


def _not_found(task_id: str) -> OldRefusal:
    return OldRefusal(404, f"Task {task_id[: http_requests.MAX_ECHO_CHARS]} not found")


def _mark(status: EditStatus) -> str:
    return status.status if status.current_step is None else f"{status.status}-{status.current_step}"
