"""Stand-in of SageMaker's runtime: asynchronous and synchronous invocations of endpoints, in front of model servers.

`PUT /_sagemaker/endpoints/<name>` makes or changes an endpoint (`EndpointSettings`). `GET /_sagemaker/invocations`
shows what was run, in the order in which it began, then what waits; `DELETE` forgets what has ended. Only objects and
notifications go to AWS, by boto3. Faults:

    sagemaker                submissions: `status`, `reset`; `lost-answer` takes it and drops the connection
    sagemaker-run            invocations: `status` fails it before the model sees it, `none` with `wait_s` delays it
    sagemaker-notification   notifications: `lost`, `doubled`; `none` with `wait_s` is late
"""

import json
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import boto3
from aiohttp import ClientConnectionError, ClientSession, TCPConnector, web
from botocore.config import Config
from pydantic import ValidationError

from local.stand_ins.faults import Faults, drop
from local.stand_ins.sagemaker_endpoint import Endpoint, EndpointSettings, Invocation

#: Limits of InvokeEndpointAsync: bytes, characters, seconds.
MAX_BODY_BYTES, MAX_ID_CHARS = 128_000, 64
TTL_S, LIMIT_S = (60, 21_600, 21_600), (1, 3_600, 900)

#: Longest synchronous call, seconds.
SYNC_LIMIT_S = 60.0

_HEADER = "X-Amzn-SageMaker-"


class Clients:
    """boto3 clients with the endpoint and the credentials of the environment; each is made once, when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """Return the client of a service."""
        with self._lock:
            if service not in self._made:
                config = Config(max_pool_connections=32, retries={"max_attempts": 3, "mode": "standard"})
                self._made[service] = boto3.session.Session().client(service, config=config)
            return self._made[service]


class SageMaker:
    """The part of the runtime that Backlot uses.

    Args:
        faults: what is to go wrong.
        clients: makes boto3 clients.
        region: that notifications name.
    """

    def __init__(self, faults: Faults, clients: Callable[[str], Any], region: str = "us-east-1") -> None:
        self._faults = faults
        self._clients = clients
        self._region = region
        self._endpoints: dict[str, Endpoint] = {}
        self._session: ClientSession

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/endpoints/{name}/async-invocations", self.submit),
            web.post("/endpoints/{name}/invocations", self.invoke),
            web.post("/", self.describe),
            web.put("/_sagemaker/endpoints/{name}", self.configure),
            web.get("/_sagemaker/endpoints", self.list_endpoints),
            web.get("/_sagemaker/invocations", self.list_invocations),
            web.delete("/_sagemaker/invocations", self.forget),
        ]

    async def lifetime(self, _: web.Application) -> AsyncIterator[None]:
        """Hold the connections to the model servers; for `cleanup_ctx`."""
        # A server that was killed leaves dead connections behind, so none is kept.
        async with ClientSession(connector=TCPConnector(limit=0, force_close=True)) as self._session:
            yield
            for endpoint in self._endpoints.values():
                await endpoint.close()

    async def submit(self, request: web.Request) -> web.StreamResponse:
        """Take an asynchronous invocation: InvokeEndpointAsync."""
        refusal = _unsigned(request)
        if refusal is not None:
            return refusal
        fault = await self._faults.next("sagemaker")
        if fault and fault.kind == "status":
            return _error(fault.status, fault.code, fault.message)
        if fault and fault.kind == "reset":
            drop(request)
            return web.Response()
        endpoint = self._endpoints.get(request.match_info["name"])
        if endpoint is None:
            return _error(400, "ValidationError", f"Endpoint {request.match_info['name']} not found.")
        try:
            invocation = await self._invocation(request, endpoint)
        except ValueError as error:
            return _error(400, "ValidationError", str(error))
        endpoint.take(invocation)
        if fault and fault.kind == "lost-answer":
            drop(request)
            return web.Response()
        locations = {
            f"{_HEADER}OutputLocation": invocation.output_location,
            f"{_HEADER}FailureLocation": invocation.failure_location,
        }
        return web.json_response({"InferenceId": invocation.inference_id}, status=202, headers=locations)

    async def invoke(self, request: web.Request) -> web.StreamResponse:
        """Answer a synchronous invocation: InvokeEndpoint."""
        refusal = _unsigned(request)
        if refusal is not None:
            return refusal
        endpoint = self._endpoints.get(request.match_info["name"])
        if endpoint is None:
            return _error(400, "ValidationError", f"Endpoint {request.match_info['name']} not found.")
        headers = {"Content-Type": request.content_type}
        try:
            status, body, content_type = await endpoint.ask(await request.read(), headers, SYNC_LIMIT_S)
        except (ClientConnectionError, TimeoutError):
            return _error(503, "ServiceUnavailable", "The model did not answer.")
        if status >= 400:
            told = body.decode(errors="replace")
            more = {"OriginalStatusCode": status, "OriginalMessage": told, "LogStreamArn": "stand-in"}
            return _error(424, "ModelError", f'Received error ({status}) from primary with message "{told}".', **more)
        variant = {"x-Amzn-Invoked-Production-Variant": "AllTraffic"}
        return web.Response(body=body, content_type=content_type, headers=variant)

    async def describe(self, request: web.Request) -> web.Response:
        """Describe an endpoint: DescribeEndpoint, the only call that is no invocation."""
        refusal = _unsigned(request)
        if refusal is not None:
            return refusal
        if request.headers.get("X-Amz-Target") != "SageMaker.DescribeEndpoint":
            return _error(400, "UnknownOperationException", "The stand-in knows DescribeEndpoint only.")
        name = str(json.loads(await request.text()).get("EndpointName"))
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            return _error(400, "ValidationException", f'Could not find endpoint "{name}".')
        described = {
            "EndpointName": name,
            "EndpointArn": f"arn:aws:sagemaker:{self._region}:000000000000:endpoint/{name}",
            "EndpointStatus": "InService",
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.created,
            # One model server stands behind each endpoint, and never sleeps.
            "ProductionVariants": [{"VariantName": "AllTraffic", "CurrentInstanceCount": 1}],
        }
        return web.json_response(described, content_type="application/x-amz-json-1.1")

    async def configure(self, request: web.Request) -> web.Response:
        """Make or change an endpoint."""
        name = request.match_info["name"]
        try:
            settings = EndpointSettings.model_validate_json(await request.text())
        except ValidationError as error:
            return web.json_response({"detail": str(error)}, status=422)
        if name in self._endpoints:
            self._endpoints[name].settings = settings
        else:
            self._endpoints[name] = Endpoint(name, settings, self._clients, self._session, self._faults, self._region)
        return web.json_response(settings.model_dump())

    async def list_endpoints(self, _: web.Request) -> web.Response:
        """Show the endpoints."""
        return web.json_response({name: each.settings.model_dump() for name, each in self._endpoints.items()})

    async def list_invocations(self, _: web.Request) -> web.Response:
        """Show what was run, the first to begin first, then what waits."""
        endpoints = self._endpoints.values()
        runs = sorted((run for each in endpoints for run in each.runs), key=lambda run: run.started or 0)
        waiting = [run for each in endpoints for run in each.queue]
        return web.json_response([run.as_json() for run in [*runs, *waiting]])

    async def forget(self, _: web.Request) -> web.Response:
        """Forget what has ended."""
        for endpoint in self._endpoints.values():
            endpoint.runs = [run for run in endpoint.runs if run.ended is None]
        return web.json_response({})

    async def _invocation(self, request: web.Request, endpoint: Endpoint) -> Invocation:
        """Read an invocation from its headers.

        Raises:
            ValueError: one of them is not as InvokeEndpointAsync takes it.
        """
        headers = request.headers
        inference_id = headers.get(f"{_HEADER}Inference-Id", str(uuid.uuid4()))
        if not 1 <= len(inference_id) <= MAX_ID_CHARS or not inference_id.isprintable():
            raise ValueError(f"InferenceId must have 1 to {MAX_ID_CHARS} printable characters")
        located, body = headers.get(f"{_HEADER}InputLocation", ""), await request.read()
        if bool(located) == bool(body):
            raise ValueError("Exactly one of InputLocation and Body is needed")
        if len(body) > MAX_BODY_BYTES:
            raise ValueError(f"Body has more than {MAX_BODY_BYTES} bytes")
        if located and not located.startswith("s3://"):
            raise ValueError("InputLocation must be an s3:// URI")
        settings = endpoint.settings
        ttl_s = _seconds(headers.get(f"{_HEADER}RequestTTLSeconds"), TTL_S, "RequestTTLSeconds")
        return Invocation(
            endpoint=request.match_info["name"],
            inference_id=inference_id,
            input_location=located,
            body=body,
            content_type=headers.get(f"{_HEADER}Content-Type", "application/octet-stream"),
            custom_attributes=headers.get(f"{_HEADER}Custom-Attributes", ""),
            ttl_s=ttl_s if settings.ttl_s is None else settings.ttl_s,
            limit_s=_seconds(headers.get(f"{_HEADER}InvocationTimeoutSeconds"), LIMIT_S, "InvocationTimeoutSeconds"),
            output_location=f"{settings.output}/{inference_id}.out",
            failure_location=f"{settings.failure}/{inference_id}-error.out",
        )


def _seconds(given: str | None, limits: tuple[int, int, int], name: str) -> float:
    lowest, highest, usual = limits
    if given is None:
        return usual
    if not given.isdecimal() or not lowest <= int(given) <= highest:
        raise ValueError(f"{name} must lie between {lowest} and {highest}")
    return int(given)


def _unsigned(request: web.Request) -> web.Response | None:
    """Refuse a request without a signature; what it says is not checked."""
    if request.headers.get("Authorization", "").startswith("AWS4-HMAC-SHA256 "):
        return None
    return _error(403, "MissingAuthenticationTokenException", "Missing Authentication Token")


def _error(status: int, code: str, message: str, **more: Any) -> web.Response:
    body = json.dumps({"Message": message, **more})
    headers = {"x-amzn-ErrorType": code}
    return web.Response(status=status, text=body, content_type="application/json", headers=headers)
