"""The resolver: routes, CORS, and the answers to everything that goes wrong."""

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, CORSConfig, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from backlot.errors import BacklotError, Unexpected
from backlot.views import ErrorDetail
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.http_requests import BadRequest, OldRefusal
from lambdas.serve_api.http_status import http_status
from lambdas.serve_api.routes.debug import debug_router
from lambdas.serve_api.routes.edits import edits_router
from lambdas.serve_api.routes.generate import generate_router
from lambdas.serve_api.routes.images import images_router
from lambdas.serve_api.routes.machines import machines_router
from lambdas.serve_api.routes.mask_component import mask_component_router
from lambdas.serve_api.routes.service import service_router
from lambdas.serve_api.routes.tasks import tasks_router
from lambdas.serve_api.routes.uploads import uploads_router

logger = Logger(child=True)


def build_app(deps: Deps) -> APIGatewayRestResolver:
    """Build the resolver."""
    app = APIGatewayRestResolver(cors=_cors(deps.settings.cors_origins))
    app.include_router(tasks_router(deps))
    app.include_router(uploads_router(deps))
    app.include_router(generate_router(deps))
    app.include_router(edits_router(deps))
    app.include_router(debug_router(deps))
    app.include_router(machines_router(deps))
    app.include_router(mask_component_router(deps))
    app.include_router(images_router(deps))
    app.include_router(service_router(deps))

    @app.exception_handler(BadRequest)
    def bad_request(error: BadRequest) -> Response[Any]:
        return _json(422, {"detail": error.problems})

    @app.exception_handler(OldRefusal)
    def refused_as_before(error: OldRefusal) -> Response[Any]:
        return _json(error.status, {"detail": error.detail, **error.more})

    @app.exception_handler(BacklotError)
    def refused(error: BacklotError) -> Response[Any]:
        detail = ErrorDetail.of(type(error), str(error))
        return _json(http_status(error), {"detail": str(error), "error": detail.model_dump()})

    @app.not_found
    def not_found(_: NotFoundError) -> Response[Any]:
        return _json(404, {"detail": "Not Found"})

    @app.exception_handler(Exception)
    def unexpected(error: Exception) -> Response[Any]:
        logger.exception("request failed", exc_info=error)
        detail = ErrorDetail.of(Unexpected, "An unexpected error ended the request")
        return _json(500, {"detail": detail.message, "error": detail.model_dump()})

    return app


def _cors(origins: str) -> CORSConfig:
    first, *others = origins.split(",")
    return CORSConfig(
        allow_origin=first,
        extra_origins=others,
        allow_headers=["Idempotency-Key", "Prefer"],
        expose_headers=["Preference-Applied"],
        max_age=3600,
    )


def _json(status: int, body: dict[str, Any]) -> Response[Any]:
    return Response(status, content_type="application/json", body=body, headers={"Cache-Control": "no-store"})
