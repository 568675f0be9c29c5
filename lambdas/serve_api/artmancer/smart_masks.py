"""Masks for clients of the replaced image server: `POST /api/smart-mask` and what belongs to it.

Its two generations differ in what may be sent; all of it is taken. Sentences that its browser compares stay as they
were: `No masks found` (a hint, no error), and `Image ID not found or expired` (it sends the picture again).
"""

import math
from collections.abc import Callable
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from backlot.errors import BacklotError, TaskHasEnded, TaskNotFound
from backlot.inline_images import InlineImages
from backlot.operations.smart_mask import MAX_GROW_PX
from backlot.tasks import Task
from lambdas.serve_api import http_requests
from lambdas.serve_api.artmancer import old_pictures
from lambdas.serve_api.artmancer.old_pictures import json_answer
from lambdas.serve_api.deps import Deps
from lambdas.serve_api.http_requests import OldRefusal
from lambdas.serve_api.routes.tasks import cancelled, store

MASK, BACKGROUND = "smart-mask", "remove-background"

#: Growth of a mask where a request says nothing, pixels: of the first generation, of the second one, and of `detect`.
FIRST_GROW_PX, SECOND_GROW_PX, DETECT_GROW_PX = 10, 0, 5

#: Fields that only clients of the second generation send.
_SECOND = {"border_adjustment", "auto_detect", "mask", "model_type"}

FAILED = "Mask generation failed"


def click(deps: Deps, event: APIGatewayProxyEvent, owner: str) -> Response[Any]:
    """Answer `POST /api/smart-mask`.

    Args:
        owner: id of the API key.
    """
    return json_answer(200, _click(deps, http_requests.json_object(event), owner))


def detect(deps: Deps, event: APIGatewayProxyEvent, owner: str) -> Response[Any]:
    """Answer `POST /api/smart-mask/detect`, with 200 always."""
    body = http_requests.json_object(event)
    try:
        return json_answer(200, {"success": True, "mask": _detect(deps, body, owner), "error": None})
    except (OldRefusal, BacklotError, http_requests.BadRequest) as error:
        return json_answer(200, {"success": False, "mask": None, "error": _words(error)})


def cancel(deps: Deps, request_id: str, owned: Callable[[], Task]) -> Response[Any]:
    """Answer `POST /api/smart-mask/cancel/<request_id>`.

    Args:
        owned: returns the caller's task of this id; raises TaskNotFound.
    """
    try:
        cancelled(deps, owned())
    except TaskNotFound:
        return json_answer(404, {"detail": f"Request {request_id[:64]} not found"})
    except TaskHasEnded as error:
        return json_answer(200, {"success": False, "message": str(error), "request_id": request_id})
    return json_answer(200, {"success": True, "message": "Request cancelled", "request_id": request_id})


def _click(deps: Deps, body: dict[str, Any], owner: str) -> dict[str, Any]:
    """Make a mask, or find out why there is none."""
    if not body.get("image") and not body.get("image_id"):
        raise OldRefusal(400, "Either 'image' or 'image_id' must be provided")
    prompt = _prompt(body)
    if not (prompt or body.get("mask") or body.get("auto_detect")):
        raise OldRefusal(400, "Either 'points' or 'bbox' must be provided")
    inline, now_s = InlineImages(deps.settings.bucket), deps.clock() // 1000
    if body.get("image"):
        image_url = _kept(deps, inline, body["image"], "Failed to cache image")
        image_id = deps.known_images.remember(owner, image_url, now_s=now_s)
    else:
        image_id = str(body["image_id"])
        image_url = deps.known_images.url_of(owner, image_id, now_s=now_s) or ""
    if not image_url:
        raise OldRefusal(404, f"Image ID not found or expired: {image_id[:64]}")
    if not prompt and body.get("mask"):
        prompt = {"guide_url": _kept(deps, inline, body["mask"], "Failed to read mask")}
    store(deps, inline)
    try:
        mask, request_id = _mask(deps, body, {"image_url": image_url, **prompt}, owner)
    except OldRefusal as refusal:
        # The next click need not bring the picture again.
        raise OldRefusal(refusal.status, str(refusal), image_id=image_id, **refusal.more) from refusal
    return {
        "success": True,
        "mask_base64": old_pictures.encoded(mask),
        "image_id": image_id,
        "request_id": request_id,
        "error": None,
    }


def _mask(deps: Deps, body: dict[str, Any], values: dict[str, Any], owner: str) -> tuple[bytes, str]:
    """Return a mask and the id of the task that made it."""
    is_second = not _SECOND.isdisjoint(body)
    usual = SECOND_GROW_PX if is_second else FIRST_GROW_PX
    grow_px = _whole(body.get("border_adjustment", body.get("dilate_amount", usual)), "border_adjustment")
    grow_px, soften = max(-MAX_GROW_PX, min(grow_px, MAX_GROW_PX)), bool(body.get("use_blur"))
    if body.get("model_type") != "birefnet":
        task = old_pictures.run(deps, MASK, {**values, "grow_px": grow_px, "soften": soften}, owner)
        return old_pictures.result(deps, task, FAILED), task.task_id
    whole = {"image_url": values["image_url"], "quality": "best", "output": "mask"}
    task = old_pictures.run(deps, BACKGROUND, whole, owner)
    return _edged(old_pictures.result(deps, task, FAILED), values.get("box"), grow_px, soften=soften), task.task_id


def _edged(mask: bytes, box: list[float] | None, grow_px: int, *, soften: bool) -> bytes:
    """Do with the mask of a whole picture's foreground what the model does with that of a click."""
    # Imported here, because clicks do without it and a cold start should not pay for it.
    from backlot.images import codecs, mask_edges  # noqa: PLC0415

    grey = codecs.decode(mask).pixels.convert("L")
    grey = mask_edges.grown(mask_edges.within(grey, box) if box else grey, grow_px)
    return codecs.encode_png(codecs.Picture(mask_edges.softened(grey) if soften else grey))


def _detect(deps: Deps, body: dict[str, Any], owner: str) -> str:
    """Return the mask of what is in a picture's middle, or where a rough mask is."""
    if not body.get("image"):
        raise OldRefusal(400, "'image' must be provided")
    inline = InlineImages(deps.settings.bucket)
    values: dict[str, Any] = {
        "image_url": _kept(deps, inline, body["image"], "Failed to read image"),
        "grow_px": DETECT_GROW_PX,
    }
    if not body.get("auto_detect", True):
        if not body.get("mask"):
            raise OldRefusal(400, "'mask' must be provided unless 'auto_detect' is set")
        values["guide_url"] = _kept(deps, inline, body["mask"], "Failed to read mask")
    store(deps, inline)
    task = old_pictures.run(deps, MASK, values, owner)
    return old_pictures.encoded(old_pictures.result(deps, task, FAILED))


def _prompt(body: dict[str, Any]) -> dict[str, Any]:
    """Return what is pointed at: points win over a box, as they always did, and both over a text."""
    if body.get("points"):
        points = body["points"]
        if not isinstance(points, list) or not all(_are_numbers(point, 2) for point in points):
            raise OldRefusal(400, "Points must be a list of [x, y] coordinates")
        return {"points": [[max(float(side), 0.0) for side in point] for point in points]}
    if body.get("bbox"):
        if not _are_numbers(body["bbox"], 4):
            raise OldRefusal(400, "Bounding box must be [x1, y1, x2, y2]")
        x1, y1, x2, y2 = (max(float(side), 0.0) for side in body["bbox"])
        if x1 == x2 or y1 == y2:
            raise OldRefusal(400, "Bounding box must be [x1, y1, x2, y2] and have an area")
        return {"box": [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]}
    text = body.get("text")
    if text is not None and not isinstance(text, str):
        raise OldRefusal(400, "'text' must be a text")
    return {"text": text} if text and text.strip() else {}


def _kept(deps: Deps, inline: InlineImages, picture: Any, failed: str) -> str:
    """Return where a picture lies that came in base64, or by its URL."""
    try:
        if str(picture).startswith(("s3://", "https://")):
            deps.request_context.images.check(str(picture))
            return str(picture)
        return inline.keep_bytes(old_pictures.decoded(str(picture)))
    except (ValueError, BacklotError) as error:
        raise OldRefusal(400, f"{failed}: {error}") from error


def _are_numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) == count
        and all(isinstance(value, int | float) and math.isfinite(value) for value in values)
    )


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int | float) or not math.isfinite(value):
        raise OldRefusal(400, f"'{name}' must be a number of pixels")
    return round(value)


def _words(error: Exception) -> str:
    """Return an error in one sentence."""
    if isinstance(error, http_requests.BadRequest):
        return "; ".join(str(each["msg"]) for each in error.problems)
    return str(error)
