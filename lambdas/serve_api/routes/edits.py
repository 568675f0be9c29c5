"""Routes of masked edits as the ArtMancer server's second generation had them: tasks, and streams of their events."""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from lambdas.serve_api.deps import Deps

if TYPE_CHECKING:
    from lambdas.serve_api.artmancer.edits import Edits


def edits_of(deps: Deps, router: APIGatewayRouter) -> "Callable[[], Edits]":
    """Return what makes the answers, made when it is first asked for: a cold start does not pay for its models."""

    @cache
    def edits() -> "Edits":
        from lambdas.serve_api.artmancer.edits import Edits  # noqa: PLC0415

        return Edits(deps, router)

    return edits


def edits_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()
    edits = edits_of(deps, router)

    @router.post("/api/generate/async")
    def submit() -> Response[Any]:
        return edits().submitted()

    @router.post("/api/generate/async/cancel/<task_id>")
    def cancel(task_id: str) -> Response[Any]:
        return edits().cancelled(task_id)

    @router.get("/api/generate/status/<task_id>")
    def status(task_id: str) -> Response[Any]:
        return edits().state(task_id)

    @router.get("/api/generate/result/<task_id>")
    def result(task_id: str) -> Response[Any]:
        return edits().result(task_id)

    @router.get("/api/generate/result-image/<task_id>")
    def result_image(task_id: str) -> Response[Any]:
        return edits().result_image(task_id)

    @router.get("/api/generate/held/<task_id>")
    def held(task_id: str) -> Response[Any]:
        return edits().held(task_id)

    @router.get("/api/generate/stream/<task_id>")
    def stream(task_id: str) -> Response[Any]:
        return edits().stream_of(task_id)

    @router.post("/api/generate/stream")
    def submit_and_stream() -> Response[Any]:
        return edits().submitted_and_streamed()

    @router.post("/api/generate/multi-steps")
    def multi_steps() -> Response[Any]:
        return edits().multi_steps()

    return router
