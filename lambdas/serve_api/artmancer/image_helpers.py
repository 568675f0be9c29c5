"""Small helpers of the replaced image server: `POST /api/image-utils/...`.

Removing a background is a task of ours; the others are arithmetic on pixels, done here. `extract-object` has the answer
of the first generation unless the request says `"version": 3`, in its body or its query: nothing else tells the two
generations' clients apart.
"""

from typing import TYPE_CHECKING, Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from backlot.errors import BacklotError
from backlot.inline_images import InlineImages
from lambdas.serve_api import http_requests
from lambdas.serve_api.artmancer import old_pictures
from lambdas.serve_api.artmancer.old_pictures import json_answer
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.http_requests import OldRefusal
from lambdas.serve_api.multipart import Form, multipart_form
from lambdas.serve_api.routes.tasks import store

# Most requests carry no picture and should not wait for the decoder: it is imported where it is needed.
if TYPE_CHECKING:
    from PIL import Image

#: Longest side of a picture without its background, pixels.
REMOVED_SIDE_PX = 1024

#: What clients that name no other shadow get: to the right, down, opacity, width of the blur.
SHADOW = (3, 5, 0.4, 21)


def remove_background(deps: Deps, event: APIGatewayProxyEvent, owner: str) -> Response[Any]:
    """Answer `POST /api/image-utils/remove-bg`, with a PNG.

    Args:
        owner: id of the API key.
    """
    body = _without_background(deps, multipart_form(event), owner)
    return Response(200, content_type="image/png", body=body, headers={"Cache-Control": "no-store"})


def extract_object(event: APIGatewayProxyEvent) -> Response[Any]:
    """Answer `POST /api/image-utils/extract-object`."""
    body = http_requests.json_object(event)
    is_third = _version(event, body) == "3"
    try:
        return json_answer(200, {"success": True, "extracted_image": _extracted(body, is_third), "error": None})
    except (ValueError, BacklotError) as error:
        if is_third:
            return json_answer(400, {"detail": str(error)})
        return json_answer(200, {"success": False, "extracted_image": None, "error": str(error)})


def add_shadow_preview(event: APIGatewayProxyEvent) -> Response[Any]:
    """Answer `POST /api/image-utils/add-shadow-preview`, with 200 always."""
    body = http_requests.json_object(event)
    try:
        return json_answer(200, {"success": True, "preview_image": _shadowed(body), "error": None})
    except (ValueError, TypeError, BacklotError) as error:
        return json_answer(200, {"success": False, "preview_image": None, "error": str(error)})


def _without_background(deps: Deps, form: Form, owner: str) -> bytes:
    file = form.files.get("file")
    if file is None or not file.content_type.startswith("image/"):
        raise OldRefusal(400, "File must be an image. Supported formats: PNG, JPEG, JPG, WEBP")
    inline = InlineImages(deps.settings.bucket)
    failed = "Error removing background"
    try:
        image_url = inline.keep_bytes(file.body)
    except BacklotError as error:
        raise OldRefusal(400, f"{failed}: {error}") from error
    store(deps, inline)
    values = {"image_url": image_url, "quality": "fast", "max_side": REMOVED_SIDE_PX}
    return old_pictures.result(deps, old_pictures.run(deps, "remove-background", values, owner), failed)


def _extracted(body: dict[str, Any], is_third: bool) -> str:
    from backlot.images import cut_outs  # noqa: PLC0415

    picture, mask = _picture(body, "image"), _picture(body, "mask")
    return _png(cut_outs.on_white_square(picture, mask) if is_third else cut_outs.cut_out(picture, mask))


def _shadowed(body: dict[str, Any]) -> str:
    from backlot.images import cut_outs  # noqa: PLC0415

    names = ("shadow_offset_x", "shadow_offset_y", "shadow_opacity", "blur_radius")
    right, down, opacity, blur = (float(body.get(name, usual)) for name, usual in zip(names, SHADOW, strict=True))
    if not (abs(right) <= 4096 and abs(down) <= 4096 and 0 <= opacity <= 1 and 1 <= blur <= 255):
        raise ValueError("shadow_opacity lies between 0 and 1, blur_radius between 1 and 255, offsets within 4096 px")
    return _png(
        cut_outs.with_shadow(
            _picture(body, "extracted_image"),
            _picture(body, "mask") if body.get("mask") else None,
            offset=(round(right), round(down)),
            opacity=opacity,
            blur_px=round(blur),
        )
    )


def _picture(body: dict[str, Any], name: str) -> "Image.Image":
    if not isinstance(body.get(name), str) or not body[name]:
        raise ValueError(f"'{name}' must be an image in base64")
    try:
        return old_pictures.opened(old_pictures.decoded(body[name])).pixels
    except ValueError as error:
        raise ValueError(f"'{name}' cannot be read: {error}") from error


def _png(pixels: "Image.Image") -> str:
    from backlot.images import codecs  # noqa: PLC0415

    return old_pictures.encoded(codecs.encode_png(codecs.Picture(pixels)))


def _version(event: APIGatewayProxyEvent, body: dict[str, Any]) -> str:
    return str(body.get("version") or (event.query_string_parameters or {}).get("version") or "")
