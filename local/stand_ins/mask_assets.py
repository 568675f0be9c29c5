"""A stand-in of the mask asset service: takes body masks, keeps what it was sent, and fails on request."""

import time
from typing import Any

from aiohttp import web

from local.stand_ins.faults import Faults

#: With what clients name themselves.
SECRET_HEADER = "X-Internal-Auth"  # noqa: S105


class MaskAssets:
    """Takes masks at `/mask-assets` and shows them at `/_mask-assets/deliveries`.

    Args:
        secret: the only one that it accepts.
        faults: what is to go wrong, under the name `mask-assets`; a `body` of plain text is an answer without JSON.
    """

    def __init__(self, secret: str, faults: Faults) -> None:
        self._secret = secret
        self._faults = faults
        self._deliveries: list[dict[str, Any]] = []

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/mask-assets", self.take), web.get("/_mask-assets/deliveries", self.show)]

    async def take(self, request: web.Request) -> web.StreamResponse:
        """Take a delivery."""
        if request.headers.get(SECRET_HEADER) != self._secret:
            return web.json_response({"detail": "Unauthorized"}, status=401)
        fault = await self._faults.next("mask-assets")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        form = await request.post()
        files = [each for each in form.getall("files") if isinstance(each, web.FileField)]
        delivery: dict[str, Any] = {
            **{name: str(form.get(name, "")) for name in ("user_id", "job_id", "provider")},
            "files": [{"name": file.filename, "type": file.content_type, "bytes": _size(file)} for file in files],
            "at": time.time(),
        }
        self._deliveries.append(delivery)
        return web.json_response(
            {
                "status": "success",
                "stored_keys": {
                    name: f"{delivery['user_id']}/{delivery['job_id']}/{name}.png"
                    for name in ("upper_body_mask", "lower_body_mask")
                },
                "engine": "stand-in",
            }
        )

    async def show(self, _: web.Request) -> web.Response:
        """Show what came."""
        return web.json_response(self._deliveries)


def _size(file: web.FileField) -> int:
    return len(file.file.read())
