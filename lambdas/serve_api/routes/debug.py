"""Routes of debug sessions: what masked edits with `debug` have kept."""

from functools import cache
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from lambdas.serve_api.deps import Deps

if TYPE_CHECKING:
    from lambdas.serve_api.artmancer.debug_sessions import Sessions


def debug_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()

    @cache
    def sessions() -> "Sessions":
        # Imported when first asked for: few requests are about sessions, and a cold start should not pay for them.
        from lambdas.serve_api.artmancer.debug_sessions import Sessions  # noqa: PLC0415

        return Sessions(deps, router)

    @router.get("/api/debug/sessions")
    def list_sessions() -> Response[Any]:
        return sessions().listed()

    @router.get("/api/debug/sessions/<name>")
    def read_session(name: str) -> Response[Any]:
        return sessions().session(name)

    @router.delete("/api/debug/sessions/<name>")
    def delete_session(name: str) -> Response[Any]:
        return sessions().deleted(name)

    @router.get("/api/debug/sessions/<name>/images/<image>")
    def read_image(name: str, image: str) -> Response[Any]:
        return sessions().image(name, image)

    @router.get("/api/debug/sessions/<name>/download")
    def download_session(name: str) -> Response[Any]:
        return sessions().archive(name)

    @router.post("/api/debug/cleanup")
    def clean_up() -> Response[Any]:
        return sessions().cleaned_up()

    @router.get("/api/debug/status")
    def status() -> Response[Any]:
        return sessions().status()

    return router
