"""The part of the OpenAPI document that has the image helpers of the replaced image server."""

from typing import Any

from lambdas.serve_api.artmancer.views import OldError
from lambdas.serve_api.openapi_parts import forbidden, ref, throttled, unprocessable

_TEXT, _FLAG, _NUMBER = {"type": "string"}, {"type": "boolean"}, {"type": "number"}
_PICTURE = {"type": "string", "description": "In base64, with or without the beginning of a data: URL."}
_PLACE = {"type": "string", "description": "In base64, or the s3:// URL of an upload."}
_DETAIL = ref(OldError)
_HELD = {"description": "The model still starts; the same request sent again joins the task that is at work."}

_POINTS = {"type": "array", "items": {"type": "array", "items": _NUMBER, "minItems": 2, "maxItems": 2}}
_CLICK = {
    "image": _PLACE,
    "image_id": {**_TEXT, "description": "Instead of the picture, for an hour after it was sent."},
    "points": {**_POINTS, "description": "Clicks, pixels; they win over `bbox`."},
    "bbox": {"type": "array", "items": _NUMBER, "minItems": 4, "maxItems": 4},
    "text": {
        **_TEXT,
        "description": "What is meant, without points and box; asked of Qwen3-VL first, which is paid for.",
    },
    "dilate_amount": {**_NUMBER, "default": 10},
    "border_adjustment": {**_NUMBER, "default": 0, "description": "Instead of `dilate_amount`, also below 0."},
    "use_blur": {**_FLAG, "default": False},
    "auto_detect": {**_FLAG, "description": "Without points and box: what fills the picture's inner 80 %."},
    "mask": {**_PLACE, "description": "A rough mask: without points and box, its middle is clicked."},
    "model_type": {**_TEXT, "enum": ["segmentation", "fastsam", "birefnet"], "default": "segmentation"},
}


def paths() -> dict[str, Any]:
    """Return the paths."""
    return _mask_paths() | _helper_paths()


def _mask_paths() -> dict[str, Any]:
    answer = {"success": _FLAG, "mask_base64": _TEXT, "image_id": _TEXT, "request_id": _TEXT, "error": {"type": "null"}}
    refused = {
        "400": _json("No mask was found there, or the request cannot be done.", _DETAIL),
        "404": _json("`Image ID not found or expired`: send the picture again.", _DETAIL),
        "413": _json("The mask is too large for an answer; `result_url` says where it lies.", _DETAIL),
        "503": _HELD,
    }
    detected = {"success": _FLAG, "mask": {"type": ["string", "null"]}, "error": {"type": ["string", "null"]}}
    cancelled = {"success": _FLAG, "message": _TEXT, "request_id": _TEXT}
    return {
        "/api/smart-mask": _post(
            "smart-mask", "smart_mask", "Mask what a click means (older clients)", _body(_CLICK), answer, refused
        ),
        "/api/smart-mask/detect": _post(
            "smart-mask",
            "detect_mask",
            "Mask what is in the middle, or below a rough mask (older clients)",
            _body({"image": _PLACE, "mask": _PLACE, "auto_detect": {**_FLAG, "default": True}}),
            detected,
            {},
        ),
        "/api/smart-mask/cancel/{id}": {
            "post": {
                **_post("smart-mask", "cancel_mask", "Cancel a mask (older clients)", None, cancelled, {})["post"],
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": _TEXT}],
                "responses": {
                    **_responses(cancelled),
                    "404": _json("No mask of this id belongs to the key.", _DETAIL),
                },
            }
        },
    }


def _helper_paths() -> dict[str, Any]:
    file = {"file": {"type": "string", "format": "binary"}}
    made = {"success": _FLAG, "extracted_image": {"type": ["string", "null"]}, "error": {"type": ["string", "null"]}}
    shown = {"success": _FLAG, "preview_image": {"type": ["string", "null"]}, "error": {"type": ["string", "null"]}}
    removed = _post(
        "remove-background", "remove_bg", "Remove the background (older clients)", _form(file), {}, {"503": _HELD}
    )
    removed["post"]["responses"] |= {
        "200": {"description": "The picture, 1024 px at most.", "content": {"image/png": {}}},
        "400": _json("The file is no image.", _DETAIL),
    }
    numbers = dict.fromkeys(("shadow_offset_x", "shadow_offset_y", "shadow_opacity", "blur_radius"), _NUMBER)
    tag = "image-utils"
    return {
        "/api/image-utils/remove-bg": removed,
        "/api/image-utils/extract-object": _post(
            tag,
            "extract_object",
            "Cut an object out by its mask: in the picture's size, or with version 3 on a white square",
            _body({"image": _PICTURE, "mask": _PICTURE, "version": {"enum": [1, 3], "default": 1}}),
            made,
            {"400": _json("With version 3: a picture cannot be read.", _DETAIL)},
        ),
        "/api/image-utils/add-shadow-preview": _post(
            tag,
            "add_shadow_preview",
            "Show an object with its shadow on light grey",
            _body({"extracted_image": _PICTURE, "mask": _PICTURE, **numbers}),
            shown,
            {},
        ),
        **{
            path: _post(
                tag,
                name,
                "White balance: the mean colour grey, or by hand",
                _form(file | {"method": {"enum": ["auto", "manual"]}, "temperature": _NUMBER, "tint": _NUMBER}),
                {"success": _FLAG, "original_image": _TEXT, "corrected_image": _TEXT, "method_used": _TEXT},
                {},
            )
            for path, name in (
                ("/api/white-balance", "white_balance"),
                ("/api/image-utils/white-balance", "white_balance_of_image_utils"),
            )
        },
    }


def _post(
    tag: str, name: str, summary: str, body: dict[str, Any] | None, answer: dict[str, Any], refused: dict[str, Any]
) -> dict[str, Any]:
    sent = {"requestBody": {"required": True, "content": body}} if body else {}
    responses = _responses(answer) | refused
    return {"post": {"tags": [tag], "operationId": name, "summary": summary, **sent, "responses": responses}}


def _responses(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "200": _json("What was made.", {"type": "object", "properties": answer}),
        "403": forbidden(),
        "422": unprocessable(),
        "429": throttled(),
    }


def _body(fields: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": {"type": "object", "properties": fields}, "example": {}}}


def _form(fields: dict[str, Any]) -> dict[str, Any]:
    return {"multipart/form-data": {"schema": {"type": "object", "required": ["file"], "properties": fields}}}


def _json(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
