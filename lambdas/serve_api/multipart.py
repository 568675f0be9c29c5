"""Forms with files: `multipart/form-data`, read whole, since the gateway hands them over whole."""

import io
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEvent

from backlot.errors import RequestTooLarge
from lambdas.serve_api.http_requests import MAX_BODY_BYTES, BadRequest, body_bytes, problem

if TYPE_CHECKING:
    from python_multipart.multipart import Field as TextPart
    from python_multipart.multipart import File as FilePart


@dataclass(frozen=True)
class File:
    """A file of a form.

    Args:
        content_type: as the client says, empty if it does not.
        body: its bytes.
    """

    content_type: str
    body: bytes


@dataclass(frozen=True)
class Form:
    """A form: of several parts of one name the last one counts."""

    fields: dict[str, str] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)


def multipart_form(event: APIGatewayProxyEvent) -> Form:
    """Read a form.

    Raises:
        BadRequest: the body is no form of this kind.
        RequestTooLarge: it has more than `MAX_BODY_BYTES` bytes.
    """
    # Imported here, because one route takes forms and a cold start of the others should not pay for it.
    from python_multipart import parse_form  # noqa: PLC0415
    from python_multipart.exceptions import FormParserError  # noqa: PLC0415

    body = body_bytes(event)
    if len(body) > MAX_BODY_BYTES:
        raise RequestTooLarge(size_bytes=len(body), limit_bytes=MAX_BODY_BYTES)
    form = Form()

    def on_field(part: "TextPart") -> None:
        form.fields[_text(part.field_name)] = _text(part.value)

    def on_file(part: "FilePart") -> None:
        part.file_object.seek(0)
        form.files[_text(part.field_name)] = File(part.content_type or "", part.file_object.read())
        part.close()

    headers = {
        "Content-Type": (event.headers.get("Content-Type") or "").encode("latin-1", "replace"),
        "Content-Length": str(len(body)).encode(),
    }
    try:
        parse_form(headers, io.BytesIO(body), on_field, on_file)
    except (FormParserError, ValueError) as error:
        message = "The body should be a form of the type multipart/form-data"
        raise BadRequest(problem("form_invalid", ["body"], message, None)) from error
    return form


def _text(words: bytes | None) -> str:
    return (words or b"").decode("utf-8", "replace")
