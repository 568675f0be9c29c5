"""The front door: the API and the CDN's objects behind one origin, as a studio's domain would have them.

`python -m local.front_door --port 8080 --emulator https://localhost:4566 --authority ca.pem --api <id>/<stage> --cdn
<domain>`
"""

import argparse
import ssl

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector, web
from multidict import CIMultiDict

#: Paths that are the API's; everything else is the CDN's.
API_PATHS = ("/api/", "/webhooks/", "/process", "/stats", "/health", "/ping", "/openapi.json", "/docs")

#: Headers that speak of one connection and are not handed on (RFC 9110, section 7.6.1), and those set anew.
_HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "content-encoding",
}

MAX_BODY_BYTES = 64_000_000


class FrontDoor:
    """Hands requests on to the emulator.

    Args:
        emulator: its origin.
        api: id and stage of the REST API, with a slash between.
        cdn: domain of the distribution.
        session: an HTTP client that trusts the emulator.
    """

    def __init__(self, emulator: str, api: str, cdn: str, session: ClientSession) -> None:
        self._emulator = emulator
        self._api = api
        self._cdn = cdn
        self._session = session

    async def serve(self, request: web.Request) -> web.Response:
        """Answer one request."""
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP
        )
        if request.path.startswith(API_PATHS):
            url = f"{self._emulator}/_aws/execute-api/{self._api}{request.raw_path}"
        else:
            url = f"{self._emulator}{request.raw_path}"
            if "X-Amz-Signature" in request.query:
                # A link to an object of the bucket; the host that it names is signed with it.
                headers["Host"] = request.host
            elif not _is_upload(request):
                headers["Host"] = self._cdn
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=await request.read(), allow_redirects=False
            ) as answer:
                kept = [(name, value) for name, value in answer.headers.items() if name.lower() not in _HOP_BY_HOP]
                return web.Response(status=answer.status, headers=CIMultiDict(kept), body=await answer.read())
        except ClientError as error:
            return web.json_response({"detail": f"the emulator does not answer: {error}"}, status=502)


def _is_upload(request: web.Request) -> bool:
    """Tell whether a form is posted to the bucket, or a browser asks whether it may; the CDN takes none."""
    return "POST" in (request.method, request.headers.get("Access-Control-Request-Method"))


async def _app(options: argparse.Namespace) -> web.Application:
    context = ssl.create_default_context(cafile=options.authority)
    session = ClientSession(connector=TCPConnector(ssl=context, limit=0), timeout=ClientTimeout(total=60))
    door = FrontDoor(options.emulator, options.api, options.cdn, session)
    app = web.Application(client_max_size=MAX_BODY_BYTES)
    app.router.add_route("*", "/{path:.*}", door.serve)

    async def close(_: web.Application) -> None:
        await session.close()

    app.on_cleanup.append(close)
    return app


def main() -> None:
    """Serve until stopped."""
    parser = argparse.ArgumentParser(description="The front door of local mode.")
    for name in ("--emulator", "--authority", "--api", "--cdn"):
        parser.add_argument(name, required=True)
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    web.run_app(_app(options), host="127.0.0.1", port=options.port, print=None)


if __name__ == "__main__":
    main()
