"""The routes of the replaced mask component: `POST /process` and `GET /stats`."""

import re
import uuid
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from backlot.assets import UPLOAD_ENDINGS, UPLOAD_PREFIX
from backlot.operations import operation_named
from backlot.operations.body_masks import OPERATION as BODY_MASKS
from backlot.operations.body_masks import BodyMasksRequest
from backlot.views import AcceptedMasks, ComponentStats
from lambdas.serve_api import http_requests
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.multipart import Form, multipart_form
from lambdas.serve_api.routes.tasks import check_room

OPERATION = "body-masks"

#: What a client has to send, in the order in which problems are named.
_REQUIRED = ("user_image", "user_id", "job_id")

#: The only provider that there ever was.
PROVIDER = "qwen"


def mask_component_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()

    @router.post("/process")
    def process() -> Response[Any]:
        event = router.current_event
        owner, form = http_requests.owner(event), multipart_form(event)
        missing = [name for name in _REQUIRED if not (form.fields.get(name) or form.files.get(name))]
        if missing:
            raise http_requests.BadRequest(
                *(http_requests.problem("missing", ["body", name], "Field required", None) for name in missing)
            )
        refusal = _refusal(form)
        if refusal is not None:
            return refusal
        check_room(deps, operation_named(OPERATION))
        return _answer(200, _accept(deps, form, owner))

    @router.get("/stats")
    def stats() -> Response[Any]:
        fleet = deps.fleets[BODY_MASKS.models[0]].state()
        answer = ComponentStats(
            queue_max=deps.settings.queue_max[OPERATION],
            queue_current=deps.tasks.open_count(OPERATION),
            workers=fleet.instances * deps.settings.model_concurrency,
            jobs_processed=deps.counters.read(OPERATION),
            uptime_sec=max(deps.clock() // 1000 - fleet.created_s, 0) if fleet.created_s else 0,
        )
        return _answer(200, answer)

    return router


def _refusal(form: Form) -> Response[Any] | None:
    provider = form.fields.get("provider", PROVIDER)
    if provider != PROVIDER:
        shown = provider[: http_requests.MAX_ECHO_CHARS]
        return _detail(400, f"Invalid provider: {shown}. Only '{PROVIDER}' is supported.")
    image = form.files.get("user_image")
    if image is None or not re.match(r"image/", image.content_type):
        return _detail(422, "Invalid file type. Expected image file.")
    return None


def _accept(deps: Deps, form: Form, owner: str) -> AcceptedMasks:
    # Imported here, because most requests carry no image and should not wait for the decoder.
    from backlot.images.codecs import read_header  # noqa: PLC0415

    image = form.files["user_image"]
    content_type = read_header(image.body).content_type
    key = f"{UPLOAD_PREFIX}{uuid.uuid4()}.{UPLOAD_ENDINGS[content_type]}"
    values = {
        "image_url": f"s3://{deps.settings.bucket}/{key}",
        "user_id": form.fields["user_id"],
        "job_id": form.fields["job_id"],
        "deliver": deps.settings.delivers_masks,
    }
    request = http_requests.check(values, BodyMasksRequest, deps.request_context)
    deps.uploads.put(key, image.body, content_type=content_type)
    operation = operation_named(OPERATION)
    submission = deps.submissions.submit(operation, request, owner=owner, idempotency_key=None)
    deps.metrics.accepted(operation.name)
    return AcceptedMasks(job_id=form.fields["job_id"], task_id=submission.task.task_id)


def _detail(status: int, sentence: str) -> Response[Any]:
    return Response(status, content_type="application/json", body={"detail": sentence})


def _answer(status: int, view: AcceptedMasks | ComponentStats) -> Response[Any]:
    headers = {"Cache-Control": "no-store"}
    return Response(status, content_type="application/json", body=view.model_dump(mode="json"), headers=headers)
