"""Routes about the machines behind the API, as the ArtMancer server had them: are they there, and what do they hold."""

import time
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from backlot.assets import MODEL_REQUEST_PREFIX
from backlot.aws.clients import AWS_ERRORS
from backlot.operations import operation_named
from lambdas.serve_api import http_requests
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.editor import MODEL, answer
from lambdas.serve_api.health_views import ModelHealth, SystemHealth

#: The old server's services, and the operation that does the work of each.
SERVICES = {"job_manager": "masked-edit", "segmentation": "smart-mask", "image_utils": "remove-background"}

#: A model that has answered within this time is hot, milliseconds.
HOT_MS = 300_000

#: How long a report is repeated instead of looking again, seconds: the routes need no key.
HEALTH_S = 15.0

logger = Logger(child=True)


def machines_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()
    reports: dict[str, tuple[float, ModelHealth | SystemHealth]] = {}

    def report(name: str) -> ModelHealth | SystemHealth:
        if name not in reports or time.monotonic() - reports[name][0] > HEALTH_S:
            made = model_health(deps) if name == "model" else system_health(deps)
            reports[name] = (time.monotonic(), made)
        return reports[name][1]

    @router.get("/ping")
    def ping() -> dict[str, Any]:
        return {"status": "healthy"}

    @router.get("/api")
    def root() -> dict[str, Any]:
        return {"message": "ArtMancer API is running", "version": "2.1.0"}

    @router.get("/api/health")
    def health() -> Response[Any]:
        return answer(200, report("model"))

    @router.get("/api/system/health")
    def whole_health() -> Response[Any]:
        return answer(200, report("system"))

    @router.post("/api/clear-cache")
    def clear_cache() -> Response[Any]:
        http_requests.owner(router.current_event)
        try:
            release(deps)
            body = {"success": True, "message": "Cache cleared"}
        except AWS_ERRORS:
            logger.exception("caches cannot be cleared")
            body = {"success": False, "message": "The machines cannot be told at the moment; try again"}
        return Response(200, content_type="application/json", body=body, headers={"Cache-Control": "no-store"})

    return router


def release(deps: Deps) -> None:
    """Tell every machine to drop what it keeps in memory: GPU workers by their item, models' servers by an object."""
    deps.gpus.clear_caches(deps.clock())
    for endpoint in deps.settings.model_endpoints.values():
        key = f"{MODEL_REQUEST_PREFIX}{endpoint}/release"
        deps.objects.put(key, str(deps.clock()).encode(), content_type="text/plain", cache_control="no-store")


def model_health(deps: Deps) -> ModelHealth:
    """Report on the model of masked edits, without waking it: by its endpoint, and by what it last said of itself."""
    fleet, known = deps.fleets[MODEL].state(), deps.model_states.of(MODEL)
    runs = fleet.instances > 0
    is_hot = runs and known is not None and deps.clock() - known.at_ms < HOT_MS
    state = "hot" if is_hot else "warm" if runs else "cold"
    said = known.said if known else {}
    device = str(said.get("device", "unknown"))
    info: dict[str, str | int | float | bool] = {
        "device": device,
        "cuda_available": device.startswith("cuda"),
        "mps_available": False,
        "xpu_available": False,
        "state": state,
    }
    if "device_name" in said:
        info["device_name"] = str(said["device_name"])
    # Memory is somebody's only while he is there.
    memory = said.get("memory", {}) if runs else {}
    info |= {f"memory_{name}": size for name, size in memory.items() if isinstance(size, int)}
    if known is not None:
        info["last_activity_seconds_ago"] = max(deps.clock() - known.at_ms, 0) // 1000
    return ModelHealth(status="healthy", model_loaded=runs, device=device, device_info=info, state=state)


def system_health(deps: Deps) -> SystemHealth:
    """Report on the endpoints that do the work of the old server's services."""
    services = {name: _service(deps, operation_named(operation).models[0]) for name, operation in SERVICES.items()}
    is_well = all(service["status"] == "healthy" for service in services.values())
    return SystemHealth(status="healthy" if is_well else "degraded", services=services)


def _service(deps: Deps, model: str) -> dict[str, str]:
    fleet = deps.fleets[model].state()
    if not fleet.in_service:
        return {"status": "unhealthy", "service": model, "error": "its endpoint is not in service"}
    return {"status": "healthy", "service": model, "state": "warm" if fleet.instances else "cold"}
