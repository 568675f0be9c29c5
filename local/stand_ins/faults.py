"""Faults on request: what the next calls of a provider shall get instead of an answer.

`PUT /_faults/<provider>` with a list of faults replaces those that wait; each is used up by one call, or by `times`
calls.
"""

import asyncio
import json
import time
from collections import defaultdict, deque
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict

#: An answer that is announced longer than it is, and cut off.
TRUNCATED = b'{"id": "stand-in", "choices": [{"index": 0, "message": {"role": "assis'


#: What can go wrong with any provider, and with fal alone.
AnyFault = Literal["status", "text", "body", "truncated", "reset", "expired", "images", "none"]
FalFault = Literal["lost-answer", "flagged", "lost", "doubled", "forged"]
SageMakerFault = Literal["lost-answer", "lost", "doubled"]
ComfyuiFault = Literal[
    "lost-answer", "death", "oom", "exception", "hang", "socket-cut", "restart", "late-history", "no-end"
]
ModelFault = Literal["oom", "exception", "death", "error"]


class Fault(BaseModel):
    """One fault.

    Args:
        kind: `status` (an error body), `text` (the model says this), `body` (this and HTTP 200), `truncated`, `reset`,
            `expired` (the result's URL is over), `images` (some pictures of a batch fail), `none` (only the wait); fal,
            SageMaker, ComfyUI and models of our own have more, see `fal.py`, `sagemaker.py`, `comfyui/application.py`
            and `model.py` in `local/stand_ins`.
        status: HTTP status of `status`.
        code: the provider's code in the body.
        message: the provider's words in the body.
        headers: of `status`, such as `Retry-After`.
        text: of `text` and `body`.
        images: of `images`, which pictures fail with `code` and `message`, counted from 0.
        node: of ComfyUI's, the id or class of the node in which it shows.
        step: of ComfyUI's, the sampler's step after which it shows.
        wait_s: before the call is answered, seconds.
        times: how many calls it is for.
    """

    model_config = ConfigDict(extra="forbid")

    kind: AnyFault | FalFault | SageMakerFault | ComfyuiFault | ModelFault
    status: int = 500
    code: str = "InternalError"
    message: str = "made to fail"
    headers: dict[str, str] = {}
    text: str = ""
    images: list[int] = []
    node: str = ""
    step: int = 1
    wait_s: float = 0.0
    times: int = 1


class Faults:
    """The faults that wait, the calls that were made and when, and how many of them waited at once."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = defaultdict(deque)
        self.calls: dict[str, int] = defaultdict(int)
        self.times: dict[str, list[float]] = defaultdict(list)
        self._at_work: dict[str, int] = defaultdict(int)
        self.peaks: dict[str, int] = defaultdict(int)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes by which tests reach it."""
        return [
            web.put("/_faults/{provider}", self._put),
            web.post("/_faults/{provider}/next", self._take),
            web.get("/_calls", self._get_calls),
            web.get("/_peaks", self._get_peaks),
            web.get("/_times", self._get_times),
            web.delete("/_calls", self._forget),
        ]

    async def next(self, provider: str) -> Fault | None:
        """Count a call; return its fault, after the fault's wait."""
        fault = self.take(provider)
        if fault is None:
            return None
        self._at_work[provider] += 1
        self.peaks[provider] = max(self.peaks[provider], self._at_work[provider])
        try:
            await asyncio.sleep(fault.wait_s)
        finally:
            self._at_work[provider] -= 1
        return fault

    def take(self, provider: str) -> Fault | None:
        """Count a call; return its fault at once."""
        self.calls[provider] += 1
        self.times[provider].append(time.time())
        waiting = self._waiting[provider]
        if not waiting:
            return None
        fault = waiting[0]
        if fault.times <= 1:
            waiting.popleft()
        else:
            waiting[0] = fault.model_copy(update={"times": fault.times - 1})
        return fault

    async def answer(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        """Answer a call by its fault, if the fault is about the answer as a whole."""
        match fault.kind:
            case "status":
                error = {"code": fault.code, "message": fault.message, "param": "", "type": fault.code}
                body = {"error": error, "request_id": "stand-in"}
                return web.json_response(body, status=fault.status, headers=fault.headers)
            case "body":
                return web.Response(text=fault.text, content_type="application/json")
            case "truncated":
                response = web.StreamResponse(headers={"Content-Length": str(len(TRUNCATED) + 500)})
                await response.prepare(request)
                await response.write(TRUNCATED)
                drop(request)
                return response
            case "reset":
                drop(request)
                return web.Response()
        return None

    async def _put(self, request: web.Request) -> web.Response:
        faults = [Fault.model_validate(each) for each in json.loads(await request.text())]
        self._waiting[request.match_info["provider"]] = deque(faults)
        return web.json_response({"waiting": len(faults)})

    async def _take(self, request: web.Request) -> web.Response:
        """Hand the fault to a process that goes wrong by itself; null if none waits."""
        fault = self.take(request.match_info["provider"])
        return web.json_response(fault and fault.model_dump())

    async def _get_calls(self, _: web.Request) -> web.Response:
        return web.json_response(self.calls)

    async def _get_peaks(self, _: web.Request) -> web.Response:
        return web.json_response(self.peaks)

    async def _get_times(self, _: web.Request) -> web.Response:
        return web.json_response(self.times)

    async def _forget(self, _: web.Request) -> web.Response:
        self.calls.clear()
        self.peaks.clear()
        self.times.clear()
        self._waiting.clear()
        return web.json_response({})


def drop(request: web.Request) -> None:
    """Break a connection off."""
    if request.transport is not None:
        request.transport.abort()


def error(status: int, code: str, message: str, **more: Any) -> web.Response:
    """Return an error in the form that both providers use."""
    inner = {"code": code, "message": message, "type": code, "param": None, **more}
    return web.json_response({"error": inner, "request_id": "stand-in"}, status=status)
