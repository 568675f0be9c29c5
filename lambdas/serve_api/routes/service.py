"""Routes about the service itself: what it can do, how it is called, whether it is well."""

import time
from functools import cache
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from backlot.aws.secrets import variable
from backlot.callbacks import secret_of, written
from backlot.operations import catalogue
from backlot.operations.body_masks import OPERATION as BODY_MASKS
from backlot.operations.identity_portrait import FLUX, OWN
from backlot.operations.identity_portrait import OPERATION as PORTRAITS
from backlot.views import SigningSecret
from lambdas.serve_api import http_requests
from lambdas.serve_api.deps import Deps

#: How long a health report is repeated instead of looking again, seconds: the route needs no key.
HEALTH_S = 15.0

#: A GPU worker that was not heard of for longer is not there, milliseconds; workers report every ten seconds.
WORKER_SILENT_MS = 30_000


def service_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()
    reports: list[tuple[float, dict[str, Any]]] = []

    @router.get("/health")
    def health() -> dict[str, Any]:
        if not reports or time.monotonic() - reports[-1][0] > HEALTH_S:
            reports[:] = [(time.monotonic(), _health(deps))]
        return reports[-1][1]

    @router.get("/api/v1/operations")
    def operations() -> dict[str, Any]:
        return _operations()

    @router.get("/api/v1/webhook-secret")
    def webhook_secret() -> Response[Any]:
        secret = secret_of(deps.webhooks.value(), http_requests.owner(router.current_event))
        body = SigningSecret(secret=written(secret)).model_dump()
        return Response(200, content_type="application/json", body=body, headers={"Cache-Control": "no-store"})

    @router.get("/openapi.json")
    def openapi() -> Response[str]:
        return Response(200, content_type="application/json", body=_openapi())

    @router.get("/docs")
    def docs() -> Response[str]:
        # The page links to its document in this way.
        if (router.current_event.query_string_parameters or {}).get("format") == "json":
            return openapi()
        return Response(200, content_type="text/html", body=_docs())

    return router


def _health(deps: Deps) -> dict[str, Any]:
    """Report as the replaced servers did, always with HTTP 200, and say what is missing."""
    own_portraits = deps.settings.portrait_route == OWN
    # A stage that makes portraits itself needs fal for requests alone that name that route.
    needed = {
        provider
        for operation in catalogue().values()
        for provider in operation.providers
        if not (own_portraits and operation is PORTRAITS)
    }
    providers = sorted(needed | ({"mask-assets"} if deps.settings.delivers_masks else set()))
    fleet = deps.fleets[BODY_MASKS.models[0]].state()
    keys = {provider: deps.keys.is_set(provider) for provider in providers}
    missing = [variable(provider) for provider, is_set in keys.items() if is_set is False]
    store = deps.task_table.is_reachable()
    seen_ms = deps.gpus.seen_ms() if store else None
    # The lane sleeps without workers while nothing is to do, so that this is no issue: work that waits too long is.
    has_worker = seen_ms is not None and deps.clock() - seen_ms <= WORKER_SILENT_MS
    no_flux = FLUX in deps.settings.closed_models.split(",")
    issues = [
        *(f"{name} is not set" for name in missing),
        *(["the providers' keys cannot be looked at"] if None in keys.values() else []),
        *([] if store else ["task_store cannot be read"]),
        *([] if fleet.in_service else ["the endpoint of body-masks is not in service"]),
        *(["portraits are to be made by flux, which is not deployed"] if own_portraits and no_flux else []),
    ]
    return {
        "status": "degraded" if issues else "healthy",
        "message": "; ".join(issues) or "all is well",
        "missing_env_vars": missing or None,
        "issues": issues or None,
        "components": {
            "dynamodb": "healthy" if store else "unhealthy: task_store cannot be read",
            "comfyui": "healthy" if has_worker else "unhealthy: no GPU worker runs; the first task starts one",
        },
        "comfyui_status": "healthy" if has_worker else "unhealthy",
        "stage": deps.settings.stage,
        # What the mask component said of itself.
        "queue_size": deps.tasks.open_count("body-masks") if store else 0,
        "segmentation_ready": fleet.in_service,
        # What IdentityLens' server said of itself.
        "version": "1.0.0",
        "provider": OWN if own_portraits else "fal.ai",
    }


@cache
def _operations() -> dict[str, Any]:
    return {
        "operations": [
            {
                "name": operation.name,
                "title": operation.title,
                "description": operation.description,
                "lane": operation.lane,
                "submit": f"/api/v1/{operation.name}/tasks",
                "steps": operation.steps,
                "providers": operation.providers,
                "request_schema": operation.request.model_json_schema(),
                "example": operation.example,
                "estimated_cost_usd": round(sum(item.usd for item in operation.estimate()), 6),
            }
            for operation in catalogue().values()
        ]
    }


# Imported when first asked for: a cold start of the API does not pay for its documentation.
@cache
def _openapi() -> str:
    from lambdas.serve_api.openapi import document_json  # noqa: PLC0415

    return document_json()


@cache
def _docs() -> str:
    from lambdas.serve_api.openapi import docs_page  # noqa: PLC0415

    return docs_page()
