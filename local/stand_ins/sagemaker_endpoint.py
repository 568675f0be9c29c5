"""An asynchronous endpoint of SageMaker's stand-in: its queue, its calls of the model server, and what it tells.

An invocation whose server dies is tried again when the server is back, as the queue of the real one would do. An answer
of 4xx or 5xx, or none in time, is final. What became too old in the queue is dropped without a word; whether the real
one tells of it is not documented.
"""

import asyncio
import json
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from aiohttp import ClientConnectionError, ClientPayloadError, ClientSession, ClientTimeout
from pydantic import BaseModel, ConfigDict, Field

from local.stand_ins.faults import Faults

#: How often a server that does not answer is asked whether it is back, seconds.
PING_S = 0.1

#: The real one's words.
_SEE_LOGS = "See the SageMaker Endpoint logs in your account for more information."


class EndpointSettings(BaseModel):
    """What an endpoint's configuration says.

    Args:
        url: where the model server answers.
        success_topic: ARN of the topic for results, empty for none.
        error_topic: ARN of the topic for failures, empty for none.
        output: prefix of results, `s3://bucket/path`.
        failure: prefix of failures.
        concurrency: MaxConcurrentInvocationsPerInstance.
        ttl_s: shorter time in the queue than any request can ask for, for tests.
    """

    model_config = ConfigDict(extra="forbid")

    url: str
    success_topic: str = ""
    error_topic: str = ""
    output: str = Field(pattern=r"^s3://[^/]+/.+$")
    failure: str = Field(pattern=r"^s3://[^/]+/.+$")
    concurrency: int = Field(default=1, ge=1, le=1000)
    ttl_s: float | None = None


@dataclass
class Invocation:
    """One invocation, and what became of it; times are Unix seconds.

    Args:
        input_location: where the payload lies; empty if it came as the body.
    """

    endpoint: str
    inference_id: str
    input_location: str
    body: bytes
    content_type: str
    custom_attributes: str
    ttl_s: float
    limit_s: float
    output_location: str
    failure_location: str
    received: float = field(default_factory=time.time)
    status: str = "queued"
    attempts: int = 0
    started: float | None = None
    ended: float | None = None
    failure_reason: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Return it without the payload."""
        return {name: value for name, value in vars(self).items() if name != "body"}


class InvocationFailed(Exception):
    """An invocation that has no result; the message is the notification's failureReason.

    Args:
        reason: the message.
        original: what the model answered.
    """

    def __init__(self, reason: str, original: bytes = b"") -> None:
        self.original = original
        super().__init__(reason)


class Endpoint:
    """A queue in front of a model server.

    Args:
        name: of the endpoint.
        settings: of it; may be changed while it works.
        clients: makes boto3 clients of AWS.
        session: for calls of the server.
        faults: what is to go wrong, under `sagemaker-run` and `sagemaker-notification`.
        region: that notifications name.
    """

    def __init__(
        self,
        name: str,
        settings: EndpointSettings,
        clients: Callable[[str], Any],
        session: ClientSession,
        faults: Faults,
        region: str,
    ) -> None:
        self.created = time.time()
        self.settings = settings
        self.runs: list[Invocation] = []
        self.queue: deque[Invocation] = deque()
        self._name = name
        self._clients = clients
        self._session = session
        self._faults = faults
        self._region = region
        self._running = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, invocation: Invocation) -> None:
        """Put an invocation into the queue."""
        self.queue.append(invocation)
        self._start_waiting()

    async def ask(self, body: bytes, headers: dict[str, str], limit_s: float) -> tuple[int, bytes, str]:
        """Ask the model server once; return status, body and content type of its answer.

        Raises:
            TimeoutError: it did not answer in time.
            aiohttp.ClientConnectionError: it is not there, or went away.
        """
        timeout = ClientTimeout(total=limit_s)
        url = f"{self.settings.url}/invocations"
        async with self._session.post(url, data=body, headers=headers, timeout=timeout) as answer:
            return answer.status, await answer.read(), answer.content_type

    async def close(self) -> None:
        """Drop everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start_waiting(self) -> None:
        while self.queue and self._running < self.settings.concurrency:
            self._running += 1
            self._in_background(self._serve(self.queue.popleft()))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, invocation: Invocation) -> None:
        try:
            if time.time() > _expiry(invocation):
                invocation.status = "expired"
            else:
                await self._run(invocation)
        except Exception:  # noqa: BLE001 - the outermost place: one broken invocation must not stop the queue
            traceback.print_exc()
            invocation.status, invocation.failure_reason = "failed", traceback.format_exc(limit=1)
        finally:
            invocation.ended = time.time()
            self._running -= 1
            self._start_waiting()

    async def _run(self, invocation: Invocation) -> None:
        invocation.started, invocation.status = time.time(), "running"
        self.runs.append(invocation)
        try:
            fault = await self._faults.next("sagemaker-run")
            if fault and fault.kind == "status":
                raise InvocationFailed(f"ClientError: {fault.message}")
            sent = invocation.body or await self._read(invocation.input_location)
            body, content_type = await self._answer(invocation, sent)
        except InvocationFailed as error:
            invocation.failure_reason = str(error)
            told = {"failureReason": str(error), "originalMessage": error.original.decode(errors="replace")}
            await self._write(invocation.failure_location, json.dumps(told).encode(), "application/json")
            invocation.status = "failed"
        else:
            await self._write(invocation.output_location, body, content_type)
            invocation.status = "completed"
        self._in_background(self._tell(invocation))

    async def _answer(self, invocation: Invocation, sent: bytes) -> tuple[bytes, str]:
        """Ask the server until it answers, however often it dies meanwhile."""
        headers = {"Content-Type": invocation.content_type, "X-Amzn-SageMaker-Inference-Id": invocation.inference_id}
        if invocation.custom_attributes:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = invocation.custom_attributes
        while True:
            await self._until_healthy(_expiry(invocation))
            invocation.attempts += 1
            try:
                status, body, content_type = await self.ask(sent, headers, invocation.limit_s)
            except TimeoutError as error:
                raise InvocationFailed(f"ClientError: Model did not respond within the limit. {_SEE_LOGS}") from error
            except (ClientConnectionError, ClientPayloadError):
                continue
            if status < 400:
                return body, content_type
            side = "server" if status >= 500 else "client"
            raise InvocationFailed(f"ClientError: Received {side} error ({status}) from model. {_SEE_LOGS}", body)

    async def _until_healthy(self, deadline: float) -> None:
        """Wait for the server: SageMaker sends nothing to a container whose /ping fails."""
        while True:
            try:
                async with self._session.get(f"{self.settings.url}/ping", timeout=ClientTimeout(total=2)) as answer:
                    if answer.status == 200:
                        return
            except (ClientConnectionError, ClientPayloadError, TimeoutError):
                pass
            if time.time() > deadline:
                raise InvocationFailed(f"ClientError: The model did not become healthy in time. {_SEE_LOGS}")
            await asyncio.sleep(PING_S)

    async def _tell(self, invocation: Invocation) -> None:
        fault = await self._faults.next("sagemaker-notification")
        kind = fault.kind if fault else ""
        ok = invocation.status == "completed"
        topic = self.settings.success_topic if ok else self.settings.error_topic
        if kind == "lost" or not topic:
            return
        message = json.dumps(_notification(invocation, self._region))
        for _ in range(2 if kind == "doubled" else 1):
            try:
                await asyncio.to_thread(self._clients("sns").publish, TopicArn=topic, Message=message)
            except Exception:  # noqa: BLE001 - the real one counts NotificationFailures and goes on
                traceback.print_exc()

    async def _read(self, uri: str) -> bytes:
        bucket, key = _parts(uri)
        s3 = self._clients("s3")

        def read() -> bytes:
            with s3.get_object(Bucket=bucket, Key=key)["Body"] as body:
                return bytes(body.read())

        try:
            return await asyncio.to_thread(read)
        except s3.exceptions.ClientError as error:
            raise InvocationFailed(f"ClientError: Unable to read {uri}: {error}") from error

    async def _write(self, uri: str, body: bytes, content_type: str) -> None:
        bucket, key = _parts(uri)
        put = self._clients("s3").put_object
        await asyncio.to_thread(put, Bucket=bucket, Key=key, Body=body, ContentType=content_type)


def _notification(invocation: Invocation, region: str) -> dict[str, Any]:
    ok = invocation.status == "completed"
    message: dict[str, Any] = {
        "awsRegion": region,
        "eventTime": _iso(time.time()),
        "receivedTime": _iso(invocation.received),
        "invocationStatus": "Completed" if ok else "Failed",
        "requestParameters": {
            "contentType": invocation.content_type,
            "endpointName": invocation.endpoint,
            "inputLocation": invocation.input_location,
        },
        "inferenceId": invocation.inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    if ok:
        output = {"contentType": "application/json", "outputLocation": invocation.output_location}
        return message | {"responseParameters": output}
    return message | {"failureReason": invocation.failure_reason}


def _expiry(invocation: Invocation) -> float:
    return invocation.received + invocation.ttl_s


def _parts(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return bucket, key


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
