"""Routes about the machines behind the API, as the ArtMancer server had them: are they there, and what do they hold."""

import time
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from backlot.assets import MODEL_REQUEST_PREFIX
from backlot.aws.clients import AWS_ERRORS
from lambdas.serve_api import http_requests
from lambdas.serve_api.deps import Deps

#: How long a report is repeated instead of looking again, seconds: the routes need no key.
HEALTH_S = 15.0

logger = Logger(child=True)


def machines_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()
    reports: dict[str, tuple[float, dict[str, Any]]] = {}

    def report(name: str) -> Response[Any]:
        # Imported when first asked for: a cold start does not pay for reports.
        from lambdas.serve_api.artmancer.machine_reports import model_health, system_health  # noqa: PLC0415

        if name not in reports or time.monotonic() - reports[name][0] > HEALTH_S:
            made = model_health(deps) if name == "model" else system_health(deps)
            reports[name] = (time.monotonic(), made.model_dump(mode="json"))
        return _answer(reports[name][1])

    @router.get("/ping")
    def ping() -> dict[str, Any]:
        return {"status": "healthy"}

    @router.get("/api")
    def root() -> dict[str, Any]:
        return {"message": "ArtMancer API is running", "version": "2.1.0"}

    @router.get("/api/health")
    def health() -> Response[Any]:
        return report("model")

    @router.get("/api/system/health")
    def whole_health() -> Response[Any]:
        return report("system")

    @router.post("/api/clear-cache")
    def clear_cache() -> Response[Any]:
        http_requests.owner(router.current_event)
        try:
            release(deps)
            body = {"success": True, "message": "Cache cleared"}
        except AWS_ERRORS:
            logger.exception("caches cannot be cleared")
            body = {"success": False, "message": "The machines cannot be told at the moment; try again"}
        return _answer(body)

    return router


def release(deps: Deps) -> None:
    """Tell every machine to drop what it keeps in memory: GPU workers by their item, models' servers by an object."""
    deps.gpus.clear_caches(deps.clock())
    for endpoint in deps.settings.model_endpoints.values():
        key = f"{MODEL_REQUEST_PREFIX}{endpoint}/release"
        deps.objects.put(key, str(deps.clock()).encode(), content_type="text/plain", cache_control="no-store")


def _answer(body: dict[str, Any]) -> Response[Any]:
    return Response(200, content_type="application/json", body=body, headers={"Cache-Control": "no-store"})
