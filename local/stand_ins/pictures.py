"""Stand-in of a foreign picture host: it serves what it was given, with the status and headers that it was given.

`PUT /_pictures/<name>` with `X-Status` and `X-Header-<name>` headers stores; `GET /pictures/<name>` serves.
"""

from aiohttp import web


class PictureHost:
    """Files in memory."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[int, dict[str, str], bytes]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.put("/_pictures/{name}", self._put), web.get("/pictures/{name}", self._get)]

    async def _put(self, request: web.Request) -> web.Response:
        headers = {
            name.removeprefix("X-Header-"): value
            for name, value in request.headers.items()
            if name.startswith("X-Header-")
        }
        status = int(request.headers.get("X-Status", "200"))
        self._files[request.match_info["name"]] = (status, headers, await request.read())
        return web.json_response({})

    async def _get(self, request: web.Request) -> web.Response:
        status, headers, body = self._files.get(request.match_info["name"], (404, {}, b""))
        return web.Response(status=status, headers=headers, body=body)
