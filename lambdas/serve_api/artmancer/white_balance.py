"""White balance by arithmetic, under the path that the replaced server's browser client called and nobody served."""

import base64
from typing import Any

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from backlot.errors import BacklotError
from lambdas.serve_api.artmancer import old_pictures
from lambdas.serve_api.artmancer.old_pictures import json_answer
from lambdas.serve_api.http_requests import OldRefusal
from lambdas.serve_api.multipart import Form, multipart_form

#: Largest answer with a picture before and after, characters in base64.
MAX_PAIR_CHARS = 5_900_000

#: A JPEG's longest side, pixels: none is reduced.
LARGEST_PX = 65_535

#: `ai` is a task of a model, and no arithmetic.
METHODS = ("auto", "manual", "ai")


def balance(event: APIGatewayProxyEvent) -> Response[Any]:
    """Answer both paths."""
    return json_answer(200, _balanced(multipart_form(event)))


def _balanced(form: Form) -> dict[str, Any]:
    # Imported here, because most requests carry no picture and should not wait for the decoder.
    from backlot.images import codecs, white_balance  # noqa: PLC0415

    file, method = form.files.get("file"), form.fields.get("method", "auto")
    if file is None:
        raise OldRefusal(422, "'file' must be an image")
    if method not in METHODS:
        raise OldRefusal(422, f"'method' must be one of {', '.join(METHODS)}")
    if method == "ai":
        raise OldRefusal(422, "'ai' is a task: POST /api/generate with task_type white-balance and the picture")
    temperature, tint = (_share(form, name, white_balance.FULL) for name in ("temperature", "tint"))
    try:
        picture, kind = old_pictures.opened(file.body), codecs.read_header(file.body).content_type
    except BacklotError as error:
        raise OldRefusal(422, str(error)) from error
    is_auto = method == "auto"
    gains = white_balance.grey_world(picture.pixels) if is_auto else white_balance.by_hand(temperature, tint)
    profile = picture.icc_profile if picture.pixels.mode != "L" else None
    changed = codecs.Picture(white_balance.balanced(picture.pixels, gains), profile)
    # A photograph as PNG would rarely fit into an answer beside itself.
    is_jpeg = kind == "image/jpeg"
    data = codecs.encode_jpeg(changed, max_side=LARGEST_PX, quality=95) if is_jpeg else codecs.encode_png(changed)
    corrected = old_pictures.encoded(data)
    original = base64.b64encode(file.body).decode("ascii")
    if len(corrected) + len(original) > MAX_PAIR_CHARS:
        raise OldRefusal(413, "The picture before and after do not fit into one answer; send a smaller one")
    gain = {"red": round(gains.red, 4), "green": round(gains.green, 4), "blue": round(gains.blue, 4)}
    return {
        "success": True,
        "original_image": original,
        "corrected_image": corrected,
        "method_used": method,
        "parameters": {"gains": gain} if is_auto else {"temperature": temperature, "tint": tint, "gains": gain},
    }


def _share(form: Form, name: str, most: float) -> float:
    try:
        value = float(form.fields.get(name) or 0)
    except ValueError:
        value = float("nan")
    if not abs(value) <= most:
        raise OldRefusal(422, f"'{name}' must be a number between -{most:g} and {most:g}")
    return value
