"""Routes of the replaced image server beside its edits: masks by clicks, and small helpers.

What they do is imported when one of them is first called: few requests are, and a cold start should not pay for them.
"""

from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter

from lambdas.serve_api import http_requests
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.routes.tasks import owned_task


def images_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()

    def owner() -> str:
        return http_requests.owner(router.current_event)

    @router.post("/api/smart-mask")
    def smart_mask() -> Response[Any]:
        from lambdas.serve_api.artmancer import smart_masks  # noqa: PLC0415

        return smart_masks.click(deps, router.current_event, owner())

    @router.post("/api/smart-mask/detect")
    def detect() -> Response[Any]:
        from lambdas.serve_api.artmancer import smart_masks  # noqa: PLC0415

        return smart_masks.detect(deps, router.current_event, owner())

    @router.post("/api/smart-mask/cancel/<request_id>")
    def cancel(request_id: str) -> Response[Any]:
        from lambdas.serve_api.artmancer import smart_masks  # noqa: PLC0415

        return smart_masks.cancel(deps, request_id, lambda: owned_task(router, deps, request_id, "Request"))

    @router.post("/api/image-utils/remove-bg")
    def remove_background() -> Response[Any]:
        from lambdas.serve_api.artmancer import image_helpers  # noqa: PLC0415

        return image_helpers.remove_background(deps, router.current_event, owner())

    @router.post("/api/image-utils/extract-object")
    def extract_object() -> Response[Any]:
        from lambdas.serve_api.artmancer import image_helpers  # noqa: PLC0415

        owner()
        return image_helpers.extract_object(router.current_event)

    @router.post("/api/image-utils/add-shadow-preview")
    def add_shadow_preview() -> Response[Any]:
        from lambdas.serve_api.artmancer import image_helpers  # noqa: PLC0415

        owner()
        return image_helpers.add_shadow_preview(router.current_event)

    @router.post("/api/image-utils/white-balance")
    def white_balance() -> Response[Any]:
        from lambdas.serve_api.artmancer.white_balance import balance  # noqa: PLC0415

        owner()
        return balance(router.current_event)

    @router.post("/api/white-balance")
    def white_balance_of_the_first_client() -> Response[Any]:
        return white_balance()

    return router
