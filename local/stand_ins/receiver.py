"""A client's server that takes webhooks: keeps what it got, and fails on request."""

from collections import defaultdict
from typing import Any

from aiohttp import web

from local.stand_ins.faults import Faults


class Receiver:
    """Takes messages at `/hooks/<name>` and shows them at `/_hooks/<name>`.

    Args:
        faults: what is to go wrong, under the name `hooks`.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._got: dict[str, list[dict[str, Any]]] = defaultdict(list)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/hooks/{name}", self.take), web.get("/_hooks/{name}", self.show)]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take a message."""
        fault = await self._faults.next("hooks")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        headers = {name.lower(): value for name, value in request.headers.items()}
        self._got[request.match_info["name"]].append({"headers": headers, "body": await request.text()})
        return web.Response(status=204)

    async def show(self, request: web.Request) -> web.Response:
        """Show what came."""
        return web.json_response(self._got[request.match_info["name"]])
