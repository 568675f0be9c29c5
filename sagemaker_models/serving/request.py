"""An invocation on the wire: what `POST /invocations` takes, and what it answers."""

import base64
import binascii
from dataclasses import dataclass
from typing import Annotated, Any

import pydantic_core
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sagemaker_models.serving.errors import BodyRefused, InvocationError, RequestFault
from sagemaker_models.serving.model import File, Model

S3Uri = Annotated[str, Field(pattern=r"^s3://[^/]+/.+$", max_length=1024)]

#: Problems that one answer names.
_NAMED = 5


class Inline(BaseModel):
    """An input that lies in the request itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base64: str


class StoredFile(BaseModel):
    """A large file in S3, such as a checkpoint, and the hash that it must have."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: S3Uri
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Invocation(BaseModel):
    """The body of a request; docs/serving.md has an example."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(min_length=1, max_length=200)]
    model: str
    inputs: dict[str, S3Uri | Inline] = {}
    parameters: dict[str, Any] = {}
    outputs: dict[str, S3Uri] = {}
    progress: S3Uri | None = None
    cancel: S3Uri | None = None
    files: dict[str, StoredFile] = {}


@dataclass(frozen=True)
class Asked:
    """A request that is well formed and for this model.

    Args:
        parameters: an instance of the model's `Parameters`.
    """

    invocation: Invocation
    parameters: BaseModel


class Release(BaseModel):
    """The command to give memory back."""

    model_config = ConfigDict(extra="forbid")

    command: Annotated[str, Field(pattern="^release$")]


def read(body: bytes) -> dict[str, Any]:
    """Read a body as a JSON object.

    Raises:
        BodyRefused: it is none.
    """
    try:
        value = pydantic_core.from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BodyRefused("RequestInvalid", f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BodyRefused("RequestInvalid", f"the body is not a JSON object but {type(value).__name__}")
    return value


def check(value: dict[str, Any], model: Model) -> Asked:
    """Check a request against a model.

    Raises:
        RequestFault: it does not fit; names what is wrong.
    """
    try:
        invocation = Invocation.model_validate(value)
        if invocation.model != model.name:
            raise RequestFault("RequestInvalid", f"this server has the model {model.name!r}, not {invocation.model!r}")
        if missing := [name for name in model.inputs if name not in invocation.inputs]:
            raise RequestFault("RequestInvalid", f"inputs: {', '.join(missing)} is missing")
        taken = (*model.inputs, *getattr(model, "optional_inputs", ()))
        if unknown := [name for name in invocation.inputs if name not in taken]:
            raise RequestFault("RequestInvalid", f"inputs: the model takes no {', '.join(unknown)}")
        if unknown := [name for name in invocation.files if name not in getattr(model, "files", ())]:
            raise RequestFault("RequestInvalid", f"files: the model takes no {', '.join(unknown)}")
        return Asked(invocation, model.Parameters.model_validate(invocation.parameters))
    except ValidationError as error:
        raise RequestFault("RequestInvalid", _named(error)) from error


def check_release(value: dict[str, Any]) -> None:
    """Check a command.

    Raises:
        RequestFault: it is none that the server has.
    """
    try:
        Release.model_validate(value)
    except ValidationError as error:
        raise RequestFault("RequestInvalid", _named(error)) from error


def decoded(name: str, inline: Inline, limit_bytes: int) -> bytes:
    """Decode an inline input.

    Raises:
        RequestFault: it is not base64, or longer than the limit.
    """
    try:
        body = base64.b64decode(inline.base64, validate=True)
    except binascii.Error as error:
        raise RequestFault("RequestInvalid", f"inputs.{name}: not base64: {error}") from error
    if len(body) > limit_bytes:
        raise too_large(name, limit_bytes)
    return body


def encoded(file: File) -> dict[str, Any]:
    """Return an output that lies in the answer itself."""
    body = base64.b64encode(file.body).decode()
    return {"base64": body, "bytes": len(file.body), "content_type": file.content_type}


def too_large(name: str, limit_bytes: int) -> InvocationError:
    """Return the error of an input that is longer than the limit."""
    return RequestFault("ImageTooLarge", f"inputs.{name}: more than {limit_bytes} bytes")


def _named(error: ValidationError) -> str:
    problems = [
        f"{'.'.join(str(part) for part in problem['loc']) or 'request'}: {problem['msg']}" for problem in error.errors()
    ]
    more = f" and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
    return "; ".join(problems[:_NAMED]) + more
