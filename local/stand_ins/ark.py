"""Stand-in of Ark's images API: swaps a face by a classical blend, and gives URLs that expire."""

import asyncio
import base64
import binascii
import json
import time
import uuid
from typing import Any

from aiohttp import web

from backlot.images.sizes import parse_size, size_problem
from local.stand_ins import faces
from local.stand_ins.faults import Faults, error

#: How long a result can be downloaded, seconds.
URL_LIFE_S = 86_400

#: Reference pictures in one request, and fields that the API knows. Read 2026-11-20.
MAX_REFERENCES = 14
_FIELDS = {
    "model",
    "prompt",
    "image",
    "size",
    "sequential_image_generation",
    "sequential_image_generation_options",
    "response_format",
    "stream",
    "watermark",
    "seed",
    "guidance_scale",
    "optimize_prompt_options",
}
_TIER_SIDE_PX = {"1K": 1024, "2K": 2048, "4K": 4096}


class InvalidParameter(Exception):
    """A field of the request is wrong.

    Args:
        name: of the field.
        problem: what is wrong with it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"The parameter `{name}` specified in the request is not valid: {problem}")
        self.name = name


class Ark:
    """The part of the API that Backlot uses.

    Args:
        key: the only key that is accepted.
        origin: where results can be downloaded.
        faults: what is to go wrong.
    """

    def __init__(self, key: str, origin: str, faults: Faults) -> None:
        self._key = key
        self._origin = origin
        self._faults = faults
        self._results: dict[str, tuple[float, bytes]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/api/v3/images/generations", self.generate), web.get("/ark-results/{name}", self.download)]

    async def generate(self, request: web.Request) -> web.StreamResponse:
        """Answer one generation."""
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return error(401, "AuthenticationError", "The API key in the request is missing or invalid.")
        try:
            body = json.loads(await request.text())
            _check(body)
            pictures = [_read(url) for url in body["image"]]
        except InvalidParameter as problem:
            return error(400, "InvalidParameter", str(problem), param=problem.name)
        except (ValueError, TypeError) as problem:
            return error(400, "InvalidParameter", f"The request is not valid: {problem}")
        fault = await self._faults.next("ark")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        width, height = _pixels(body["size"], pictures[0])
        data = await asyncio.get_running_loop().run_in_executor(None, _make, pictures, width, height)
        life_s = -1 if fault and fault.kind == "expired" else URL_LIFE_S
        return web.json_response(self._answer(str(body["model"]), data, width, height, life_s))

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Give out a result until its time is over."""
        fault = await self._faults.next("ark-results")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        until, data = self._results.get(request.match_info["name"], (0.0, b""))
        if time.time() > until:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>", content_type="text/xml")
        return web.Response(body=data, content_type="image/jpeg")

    def _answer(self, model: str, data: bytes, width: int, height: int, life_s: float) -> dict[str, Any]:
        name = f"{uuid.uuid4()}.jpeg"
        self._results[name] = (time.time() + life_s, data)
        tokens = width * height // 256
        return {
            "model": f"{model} (stand-in)",
            "created": int(time.time()),
            "data": [{"url": f"{self._origin}/ark-results/{name}", "size": f"{width}x{height}"}],
            "usage": {"generated_images": 1, "output_tokens": tokens, "total_tokens": tokens},
        }


def _check(body: dict[str, Any]) -> None:
    for name in body.keys() - _FIELDS:
        raise InvalidParameter(name, "unknown parameter")
    for name in ("model", "prompt"):
        if not isinstance(body.get(name), str) or not body[name].strip():
            raise InvalidParameter(name, "required")
    images = body.get("image")
    if not isinstance(images, list) or not 1 <= len(images) <= MAX_REFERENCES:
        raise InvalidParameter("image", f"1 to {MAX_REFERENCES} pictures are needed")
    problem = size_problem(str(body.get("size")), body["model"])
    if problem:
        raise InvalidParameter("size", problem)
    if body.get("watermark") is not False:
        raise InvalidParameter("watermark", "the stand-in draws no watermark; send false")


def _read(url: str) -> faces.Pixels:
    head, _, data = url.partition(",")
    if not head.startswith(("data:image/jpeg;base64", "data:image/png;base64")):
        raise InvalidParameter("image", "not a data URL with a lower-case format")
    try:
        return faces.read(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as problem:
        raise InvalidParameter("image", "the picture cannot be read") from problem


def _pixels(size: str, first: faces.Pixels) -> tuple[int, int]:
    """Return the size of the result; a tier keeps the first picture's shape."""
    explicit = parse_size(size)
    if explicit:
        return explicit
    side = _TIER_SIDE_PX.get(size, 2048)
    height, width = first.shape[:2]
    scale = side / (width * height) ** 0.5
    return round(width * scale), round(height * scale)


def _make(pictures: list[faces.Pixels], width: int, height: int) -> bytes:
    made = faces.swap(pictures[0], pictures[1]) if len(pictures) > 1 else pictures[0]
    return faces.encode(made, width, height)
