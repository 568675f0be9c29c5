"""Faults on request: what the next calls of a provider shall get instead of an answer.

`PUT /_faults/<provider>` with a list of faults replaces those that wait; each is used up by one call, or by `times`
calls.
"""

import asyncio
import json
from collections import defaultdict, deque
from typing import Any

from aiohttp import web
from pydantic import BaseModel, ConfigDict

#: An answer that is announced longer than it is, and cut off.
TRUNCATED = b'{"id": "stand-in", "choices": [{"index": 0, "message": {"role": "assis'


class Fault(BaseModel):
    """One fault.

    Args:
        kind: `status` (an error body), `text` (the model says this), `body` (this and HTTP 200), `truncated`, `reset`,
            `expired` (the result's URL is over), `none` (only the wait).
        status: HTTP status of `status`.
        code: the provider's code in the body.
        message: the provider's words in the body.
        text: of `text` and `body`.
        wait_s: before the call is answered, seconds.
        times: how many calls it is for.
    """

    model_config = ConfigDict(extra="forbid")

    kind: str
    status: int = 500
    code: str = "InternalError"
    message: str = "made to fail"
    text: str = ""
    wait_s: float = 0.0
    times: int = 1


class Faults:
    """The faults that wait, and the calls that were made."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Fault]] = defaultdict(deque)
        self.calls: dict[str, int] = defaultdict(int)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes by which tests reach it."""
        return [
            web.put("/_faults/{provider}", self._put),
            web.get("/_calls", self._get_calls),
            web.delete("/_calls", self._forget),
        ]

    async def next(self, provider: str) -> Fault | None:
        """Count a call; return its fault, after the fault's wait."""
        self.calls[provider] += 1
        waiting = self._waiting[provider]
        if not waiting:
            return None
        fault = waiting[0]
        if fault.times <= 1:
            waiting.popleft()
        else:
            waiting[0] = fault.model_copy(update={"times": fault.times - 1})
        await asyncio.sleep(fault.wait_s)
        return fault

    async def answer(self, request: web.Request, fault: Fault) -> web.StreamResponse | None:
        """Answer a call by its fault, if the fault is about the answer as a whole."""
        match fault.kind:
            case "status":
                error = {"code": fault.code, "message": fault.message, "param": "", "type": fault.code}
                return web.json_response({"error": error, "request_id": "stand-in"}, status=fault.status)
            case "body":
                return web.Response(text=fault.text, content_type="application/json")
            case "truncated":
                response = web.StreamResponse(headers={"Content-Length": str(len(TRUNCATED) + 500)})
                await response.prepare(request)
                await response.write(TRUNCATED)
                _drop(request)
                return response
            case "reset":
                _drop(request)
                return web.Response()
        return None

    async def _put(self, request: web.Request) -> web.Response:
        faults = [Fault.model_validate(each) for each in json.loads(await request.text())]
        self._waiting[request.match_info["provider"]] = deque(faults)
        return web.json_response({"waiting": len(faults)})

    async def _get_calls(self, _: web.Request) -> web.Response:
        return web.json_response(self.calls)

    async def _forget(self, _: web.Request) -> web.Response:
        self.calls.clear()
        self._waiting.clear()
        return web.json_response({})


def _drop(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def error(status: int, code: str, message: str, **more: Any) -> web.Response:
    """Return an error in the form that both providers use."""
    inner = {"code": code, "message": message, "type": code, "param": None, **more}
    return web.json_response({"error": inner, "request_id": "stand-in"}, status=status)
