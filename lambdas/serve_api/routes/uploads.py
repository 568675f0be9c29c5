"""The route of uploads."""

import uuid
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.router import APIGatewayRouter
from pydantic import BaseModel, ConfigDict, Field

from backlot.assets import MAX_IMAGE_BYTES, UPLOAD_ENDINGS, UPLOAD_PREFIX
from backlot.aws.uploads import FORM_LIFE_S
from backlot.views import UploadForm
from lambdas.serve_api import http_requests
from lambdas.serve_api.deps import Deps


class UploadRequest(BaseModel):
    """What is to be uploaded."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    content_type: str = Field(pattern=f"^({'|'.join(UPLOAD_ENDINGS)})$", examples=["image/jpeg"])
    size_bytes: int = Field(ge=1, le=MAX_IMAGE_BYTES)


def uploads_router(deps: Deps) -> APIGatewayRouter:
    """Return the routes."""
    router = APIGatewayRouter()

    @router.post("/api/v1/uploads")
    def make_upload() -> Response[Any]:
        event = router.current_event
        http_requests.owner(event)
        wanted = http_requests.parse_body(event, UploadRequest)
        key = f"{UPLOAD_PREFIX}{uuid.uuid4()}.{UPLOAD_ENDINGS[wanted.content_type]}"
        form = deps.uploads.form(key, content_type=wanted.content_type, size_bytes=wanted.size_bytes)
        answer = UploadForm(
            url=form["url"],
            fields=form["fields"],
            image_url=f"s3://{deps.settings.bucket}/{key}",
            expires_at=deps.clock() // 1000 + FORM_LIFE_S,
        )
        return Response(
            201,
            content_type="application/json",
            body=answer.model_dump(mode="json"),
            headers={"Cache-Control": "no-store"},
        )

    return router
