"""What the routes of the ArtMancer server's second generation answer: tasks, and streams of their events."""

import time
from typing import Any

from aws_lambda_powertools.event_handler import Response

from backlot.errors import TaskHasEnded
from backlot.tasks import Status, Task
from lambdas.serve_api import http_requests
from lambdas.serve_api.artmancer.editor import Editor, answer
from lambdas.serve_api.artmancer.event_stream import event_stream
from lambdas.serve_api.artmancer.pictures import MAX_BASE64_CHARS, MAX_PICTURE_BYTES, small_file
from lambdas.serve_api.artmancer.requests import warnings_of
from lambdas.serve_api.artmancer.views import (
    CancelledEdit,
    EditResult,
    MultiResult,
    MultiResults,
    SubmittedEdit,
    request_id,
    said,
)
from lambdas.serve_api.http_requests import OldRefusal
from lambdas.serve_api.routes.tasks import cancelled, wait_for_end

#: What `POST /api/generate/multi-steps` compares.
STEPS = (5, 10, 25)

#: What is left of a hold at least, once the request is taken in, seconds.
SHORTEST_HOLD_S = 0.01


class Edits(Editor):
    """Each method answers a route."""

    def generate(self) -> Response[Any]:
        """Edit a picture, and answer with it."""
        began, hold_s = time.monotonic(), http_requests.asked_hold_s(self.event)
        task, ignored = self.submit(is_async=False)
        # Pictures take their time on the way in and out, and the gateway gives up after 29 seconds.
        left_s = hold_s and max(hold_s - (time.monotonic() - began), SHORTEST_HOLD_S)
        return self.answered(task, ignored, hold_s=left_s, place="generate/held/")

    def held(self, task_id: str) -> Response[Any]:
        """Go on waiting for an edit."""
        hold_s = http_requests.asked_hold_s(self.event)
        return self.answered(self.owned(task_id), self.held_before(), hold_s=hold_s, place="")

    def submitted(self) -> Response[Any]:
        """Take an edit in."""
        task, ignored = self.submit(is_async=True)
        return answer(200, SubmittedEdit(task_id=task.task_id, warnings=warnings_of(ignored)))

    def cancelled(self, task_id: str) -> Response[Any]:
        """Cancel an edit."""
        message = f"Async generation task {task_id} marked for cancellation"
        try:
            cancelled(self.deps, self.owned(task_id))
        except TaskHasEnded:
            message = f"Async generation task {task_id} has ended already"
        return answer(200, CancelledEdit(success=True, message=message, task_id=task_id))

    def state(self, task_id: str) -> Response[Any]:
        """Tell how far an edit is."""
        return answer(200, self.status(self.ended(task_id)))

    def result(self, task_id: str) -> Response[Any]:
        """Answer with an edit's picture in base64."""
        task = self.completed(task_id)
        return answer(200, EditResult(task_id=task_id, image_url=task.result_url, **self.parts(task)))

    def result_image(self, task_id: str) -> Response[Any]:
        """Answer with an edit's picture as a small file."""
        task = self.completed(task_id)
        kind, image = small_file(self.picture(task))
        if len(image) > MAX_PICTURE_BYTES:
            return Response(302, body="", headers={"Location": task.result_url or ""})
        headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "x-api-key"}
        return Response(200, content_type=kind, body=image, headers=headers)

    def stream_of(self, task_id: str) -> Response[Any]:
        """Answer with an edit's events."""
        try:
            task = self.owned(task_id)
        except OldRefusal as error:
            return event_stream([("none", {"error": error.detail})])
        return self.stream(task, place="")

    def submitted_and_streamed(self) -> Response[Any]:
        """Take an edit in, and answer with its events."""
        task, _ = self.submit(is_async=True)
        return self.stream(task, place="stream/")

    def multi_steps(self) -> Response[Any]:
        """Take an edit in with several numbers of steps, and answer with those that are done."""
        tasks = [self.submit(is_async=True, steps=steps)[0] for steps in STEPS]
        deadline = time.monotonic() + http_requests.asked_hold_s(self.event)
        ended = [wait_for_end(self.deps, task, max(deadline - time.monotonic(), 0)) for task in tasks]
        results = [self._one_of_several(task, steps) for task, steps in zip(ended, STEPS, strict=True)]
        return answer(200, MultiResults(base_request_id=tasks[0].task_id, steps=list(STEPS), results=results))

    def _one_of_several(self, task: Task, steps: int) -> MultiResult:
        if task.status is not Status.COMPLETED:
            error = said(task) or f"Task not completed yet. Current status: {self.status(task).status}"
            return MultiResult(step=steps, task_id=task.task_id, error=error)
        parts = self.parts(task, MAX_BASE64_CHARS // len(STEPS))
        return MultiResult(
            step=steps, task_id=task.task_id, path=task.result_url, request_id=request_id(task), error=None, **parts
        )
