"""`POST /api/generate` and what belongs to it: two old servers shared the path, the body's shape tells whose it is."""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from backlot.errors import BacklotError
from backlot.identity_errors import language
from backlot.operations import operation_named
from backlot.operations.identity_portrait import IdentityPortraitRequest
from backlot.views import View
from lambdas.serve_api import http_requests
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.http_requests import MAX_WAIT_S, BadRequest
from lambdas.serve_api.identity_views import GenerateAnswer, StatusAnswer
from lambdas.serve_api.routes.edits import edits_of
from lambdas.serve_api.routes.tasks import join_checked, owned_task, wait_for_end

OPERATION = "identity-portrait"


def generate_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()
    edits = edits_of(deps, router)

    @router.post("/api/generate")
    def generate() -> Response[Any]:
        event = router.current_event
        body = http_requests.json_object(event)
        # IdentityLens sends a packet; clients of the ArtMancer server send an input picture.
        if "identity_packet" in body:
            return _answer(200, _portrait(deps, event))
        if "input_image" in body:
            return edits().generate()
        message = "Field required: identity_packet (for a portrait) or input_image (for a masked edit)"
        raise BadRequest(http_requests.problem("missing", ["body"], message, None))

    @router.get("/api/status/<task_id>")
    def status(task_id: str) -> Response[Any]:
        task = owned_task(router, deps, task_id, "Request")
        return _answer(200, StatusAnswer.of(task, _language(router.current_event), deps.clock()))

    @router.post("/api/batch-generate")
    def batch_generate() -> Response[Any]:
        body = {"detail": "Batch generation not yet implemented"}
        return Response(501, content_type="application/json", body=body)

    return router


def _portrait(deps: Deps, event: APIGatewayProxyEvent) -> GenerateAnswer:
    """Make a portrait, or join the one that is being made for the same request; hold the answer until it is done."""
    spoken = _language(event)
    operation = operation_named(OPERATION)
    request = http_requests.parse_body(event, IdentityPortraitRequest, deps.request_context)
    owner = http_requests.owner(event)
    try:
        submission = join_checked(deps, operation, request, owner=owner)
    except BacklotError as error:
        return GenerateAnswer.refused(type(error), spoken, problem=error.fields.get("problem"))
    return GenerateAnswer.of(wait_for_end(deps, submission.task, MAX_WAIT_S), spoken)


def _language(event: APIGatewayProxyEvent) -> str:
    return language(event.headers.get("Accept-Language"))


def _answer(status: int, view: View) -> Response[Any]:
    headers = {"Cache-Control": "no-store"}
    return Response(status, content_type="application/json", body=view.model_dump(mode="json"), headers=headers)
