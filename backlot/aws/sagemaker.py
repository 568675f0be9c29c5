"""SageMaker: asking models of our own on asynchronous endpoints, and reading what they answered."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import BotoCoreError, ClientError

from backlot.assets import MODEL_REQUEST_PREFIX
from backlot.aws.model_watch import FOLLOWED, cancel_key, progress_key
from backlot.errors import (
    BacklotError,
    CallerError,
    ImageNotFetched,
    MaybePaid,
    ModelFailed,
    ModelRefused,
    ModelTimedOut,
    ModelUnavailable,
    OutputInvalid,
    error_class,
)
from backlot.steps import OWN_MODELS, Holder, Job

#: Requests and answers are places and numbers; anything larger is not one, bytes.
MAX_ANSWER_BYTES = 4_000_000

#: Longest piece of somebody else's words that goes into an error of ours, characters.
MAX_REASON_CHARS = 300

#: Answers of SageMaker that pass.
_PASSING = {"ThrottlingException", "ServiceUnavailable", "ServiceUnavailableException", "InternalFailure"}

#: How SageMaker's notification says with which status the model's server answered. Source: the failure reasons that
#: integrations show, read 2026-11-20.
_SERVER_STATUS = re.compile(r"error \((\d{3})\)")

#: What the models' server calls things that pass, see docs/serving.md.
_PASSING_CODES = {"NotLoaded", "Overloaded", "Draining", "OutOfMemory"}

_ADDRESS = re.compile(
    re.escape(MODEL_REQUEST_PREFIX) + r"(?P<task>[0-9a-f-]{36})/(?P<step>[a-z-]+)/(?P<nonce>[0-9a-f]{32})\.json"
)


class Objects(Protocol):
    """The bucket of requests and answers."""

    def get(self, key: str, max_bytes: int) -> bytes:
        """Read an object; ImageNotFetched if it does not exist."""

    def put(self, key: str, body: bytes, *, content_type: str, cache_control: str) -> None:
        """Write an object."""


@dataclass(frozen=True)
class Endpoint:
    """A model's endpoint.

    Args:
        name: of the endpoint.
        request_ttl_s: for how long a request may wait for an instance, seconds.
        invocation_timeout_s: for how long an instance may work on it, seconds.
    """

    name: str
    request_ttl_s: int
    invocation_timeout_s: int

    @property
    def limit_s(self) -> int:
        """Longest time after which an answer can still come, seconds."""
        return self.request_ttl_s + self.invocation_timeout_s


@dataclass(frozen=True)
class Origin:
    """Who asked: what the key of a request says."""

    task_id: str
    step: str
    nonce: str


def request_key(_: str, holder: Holder, nonce: str) -> str:
    """Return the key of a request; by it the answer finds the step."""
    return f"{MODEL_REQUEST_PREFIX}{holder.task_id}/{holder.step}/{nonce}.json"


def origin_of(location: str) -> Origin | None:
    """Return who asked, from the location or the key of a request; None if it is no request of ours."""
    found = _ADDRESS.search(location)
    return Origin(found["task"], found["step"], found["nonce"]) if found else None


def inference_id(address: str) -> str:
    """Return the id of an invocation; SageMaker takes at most 64 characters.

    Args:
        address: key of the request.
    """
    origin = origin_of(address)
    if origin is None:
        raise ValueError(f"{address} is no key of a request")
    return f"{origin.task_id}.{origin.nonce[:16]}"


class SageMaker:
    """The models' endpoints. Asking is not idempotent and is never repeated here.

    An answer is kept as `{"output": …}`, which is what the model's server said, or as `{"failure": {"reason": …}}`,
    with the server's `error` if SageMaker has kept it.

    Args:
        runtime: a boto3 client of SageMaker's runtime that does not retry.
        objects: the bucket of requests and answers.
        bucket: its name.
        endpoints: by model.

    Source: botocore 1.44.5's model of SageMaker's runtime, and SageMaker's developer guide, read 2026-11-20.
    """

    name = OWN_MODELS

    def __init__(self, runtime: Any, objects: Objects, bucket: str, endpoints: dict[str, Endpoint]) -> None:
        self._runtime = runtime
        self._objects = objects
        self._bucket = bucket
        self._endpoints = endpoints

    def location(self, key: str) -> str:
        """Return the `s3://` URI of an object of ours."""
        return f"s3://{self._bucket}/{key}"

    def submit(self, address: str, model: str, request: dict[str, Any]) -> Job:
        """Ask a model.

        Args:
            address: key of the request, see `request_key`.
            model: name of the model.
            request: as the models' server takes it.

        Raises:
            ModelUnavailable: SageMaker refuses for the moment.
            ModelRefused: it refuses for good.
            MaybePaid: its answer was lost; the request may have been taken.
        """
        endpoint = self._endpoint(model)
        number = inference_id(address)
        watch = {}
        if model in FOLLOWED:
            task_id = number.partition(".")[0]
            watch = {
                "progress": self.location(progress_key(endpoint.name, task_id)),
                "cancel": self.location(cancel_key(number)),
            }
        body = json.dumps({"id": number, "model": model, **request, **watch}).encode()
        self._objects.put(address, body, content_type="application/json", cache_control="no-store")
        try:
            answer = self._runtime.invoke_endpoint_async(
                EndpointName=endpoint.name,
                InputLocation=self.location(address),
                InferenceId=number,
                ContentType="application/json",
                Accept="application/json",
                RequestTTLSeconds=endpoint.request_ttl_s,
                InvocationTimeoutSeconds=endpoint.invocation_timeout_s,
            )
        except ClientError as error:
            raise self._refusal(model, error) from error
        except BotoCoreError as error:
            raise MaybePaid(provider=self.name, reason=str(error)[:MAX_REASON_CHARS]) from error
        return Job(
            request_id=number,
            status_url=answer.get("FailureLocation") or "",
            response_url=answer["OutputLocation"],
            cancel_url="",
        )

    def look(self, *, key: str, job: Job) -> dict[str, Any] | None:
        """Return a request's answer in the form in which it is kept; None while there is none."""
        del key
        output = self.output(job.response_url)
        if output is not None:
            return output
        kept = self._read(job.status_url) if job.status_url else None
        return None if kept is None else failure(kept.decode(errors="replace"), _server_error(kept))

    def failed(self, reason: str, job: Job | None) -> dict[str, Any]:
        """Return a failed request's answer in the form in which it is kept.

        Args:
            reason: that SageMaker gives.
            job: the request, if it is known; what its server said may lie where failures are kept.
        """
        kept = self._read(job.status_url) if job is not None and job.status_url else None
        return failure(reason, None if kept is None else _server_error(kept))

    def output(self, location: str) -> dict[str, Any] | None:
        """Return the answer that lies at a location of ours; None if none does."""
        data = self._read(location)
        if data is None:
            return None
        try:
            output = json.loads(data)
        except ValueError:
            output = None
        return {"output": output} if isinstance(output, dict) else failure("its answer is no JSON object")

    def read(self, answer: dict[str, Any]) -> dict[str, Any]:
        """Return a model's output.

        Raises:
            backlot.errors.BacklotError: the request is to blame, by the error that the model names; ModelUnavailable if
                its server cannot work for the moment; else ModelFailed.
        """
        if "failure" in answer:
            raise _failure_error(answer["failure"])
        output: dict[str, Any] = answer["output"]
        error = output.get("error")
        if error is not None:
            raise _model_error(error)
        return output

    def cancel(self, *, key: str, job: Job) -> None:
        """Let the model's server end a request; SageMaker itself takes none back, and the server runs it no further."""
        del key
        self._objects.put(cancel_key(job.request_id), b"", content_type="text/plain", cache_control="no-store")

    def overdue(self, limit_s: float) -> BacklotError:
        """Return the error of a request that took longer than we wait."""
        return ModelTimedOut(model=self.name, limit_s=f"{limit_s:g}")

    def unheard(self) -> BacklotError:
        """Return the error of a request of which nothing was heard."""
        return self.overdue(max(endpoint.limit_s for endpoint in self._endpoints.values()))

    def _endpoint(self, model: str) -> Endpoint:
        try:
            return self._endpoints[model]
        except KeyError:
            raise ModelRefused(model=model, reason="this stage has no endpoint for it") from None

    def _refusal(self, model: str, error: ClientError) -> BacklotError:
        code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        kind = ModelUnavailable if code in _PASSING or status >= 500 or status == 429 else ModelRefused
        return kind(model=model, reason=f"{code}: {error.response['Error'].get('Message', '')}"[:MAX_REASON_CHARS])

    def _read(self, location: str) -> bytes | None:
        prefix = f"s3://{self._bucket}/"
        if not location.startswith(prefix):
            return None
        try:
            return self._objects.get(location.removeprefix(prefix), MAX_ANSWER_BYTES)
        except ImageNotFetched:
            return None


def failure(reason: str, error: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return a failed request's answer in the form in which it is kept."""
    return {"failure": {"reason": reason, **({"error": error} if error else {})}}


def _server_error(kept: bytes) -> dict[str, Any] | None:
    """Return what the model's server said of a failure, from the object that SageMaker keeps.

    What that object holds is not documented. It is read as the server's own answer, or as one that carries it, as
    `ModelError` does in SageMaker's API; anything else says nothing.
    """
    try:
        value = json.loads(kept)
        if isinstance(value, dict) and "originalMessage" in value:
            value = json.loads(value["originalMessage"])
    except (ValueError, TypeError):
        return None
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else None


def _failure_error(failed: dict[str, Any]) -> BacklotError:
    """Translate a failure: what passes is tried again."""
    reason, error = str(failed["reason"]), failed.get("error") or {}
    status = _SERVER_STATUS.search(reason)
    passes = error.get("code") in _PASSING_CODES or (status is not None and status[1] in ("429", "503"))
    kind: Callable[..., BacklotError] = ModelUnavailable if passes else ModelFailed
    words = f"{error['code']}: {error.get('message', '')}" if "code" in error else reason
    return kind(model=SageMaker.name, reason=words[:MAX_REASON_CHARS])


def _model_error(error: dict[str, Any]) -> BacklotError:
    """Translate what a model says of a request: by name, if it names an error that models have."""
    kind = error_class(str(error.get("code")))
    words = str(error.get("message", ""))[:MAX_REASON_CHARS]
    if not issubclass(kind, CallerError | OutputInvalid):
        return ModelFailed(model=SageMaker.name, reason=words)
    # The model's server builds the whole sentence; ours puts its beginning before it again.
    make: Callable[..., BacklotError] = kind
    return make(reason=words.removeprefix(kind.sentence.split("{", 1)[0]))
