"""Stand-in of Ark's images API: swaps faces and draws by classical means, and gives URLs that expire."""

import asyncio
import base64
import binascii
import json
import time
import uuid
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from backlot.images.sizes import parse_size, size_problem
from backlot.seedream_models import MAX_PICTURES, MODELS, SeedreamModel
from local.stand_ins import faces
from local.stand_ins.drawings import draw
from local.stand_ins.faults import Fault, Faults, error

#: How long a result can be downloaded, seconds.
URL_LIFE_S = 86_400

#: Fields that the API knows. Read 2026-11-20.
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
    "output_format",
}


class InvalidParameter(Exception):
    """A field of the request is wrong.

    Args:
        name: of the field.
        problem: what is wrong with it.
    """

    def __init__(self, name: str, problem: str) -> None:
        super().__init__(f"The parameter `{name}` specified in the request is not valid: {problem}")
        self.name = name


class ModelNotFound(Exception):
    """There is no model of this id."""


@dataclass(frozen=True)
class Job:
    """A generation that was checked.

    Args:
        model: id.
        prompt: what to draw.
        pictures: the references.
        width: of every result, pixels.
        height: of every result, pixels.
        count: how many to draw.
        output_format: `png` or `jpeg`.
    """

    model: str
    prompt: str
    pictures: list[faces.Pixels]
    width: int
    height: int
    count: int
    output_format: str

    @classmethod
    def of(cls, body: dict[str, Any], model: SeedreamModel) -> Self:
        """Read a request that was checked.

        Raises:
            InvalidParameter: a picture cannot be read.
        """
        pictures = [_read(url) for url in _images(body)]
        width, height = _pixels(body["size"], pictures)
        chosen = body.get("output_format", model.formats[-1])
        return cls(body["model"], body["prompt"], pictures, width, height, _max_images(body), chosen)


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
            job = Job.of(body, _check(body))
        except InvalidParameter as problem:
            return error(400, "InvalidParameter", str(problem), param=problem.name)
        except ModelNotFound as problem:
            return error(404, "InvalidEndpointOrModel.NotFound", str(problem))
        except (ValueError, TypeError, AttributeError) as problem:
            return error(400, "InvalidParameter", f"The request is not valid: {problem}")
        fault = await self._faults.next("ark")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        return await self._draw(job, fault or Fault(kind="none"))

    async def _draw(self, job: Job, fault: Fault) -> web.Response:
        """Draw one picture after the other; a refused one is left out, an internal error ends the batch."""
        life_s = -1 if fault.kind == "expired" else URL_LIFE_S
        data: list[dict[str, Any]] = []
        for index in range(job.count):
            if fault.kind == "images" and index in fault.images:
                data.append({"error": {"code": fault.code, "message": fault.message}})
                if fault.code.startswith("Internal"):
                    break
                continue
            made = await asyncio.get_running_loop().run_in_executor(None, _make, job, index)
            data.append({"url": self._offer(made, job.output_format, life_s), "size": f"{job.width}x{job.height}"})
        count = sum("url" in item for item in data)
        if not count:
            return error(500 if fault.code.startswith("Internal") else 400, fault.code, fault.message)
        tokens = count * job.width * job.height // 256
        usage = {"generated_images": count, "output_tokens": tokens, "total_tokens": tokens}
        return web.json_response(
            {"model": f"{job.model} (stand-in)", "created": int(time.time()), "data": data, "usage": usage}
        )

    async def download(self, request: web.Request) -> web.StreamResponse:
        """Give out a result until its time is over."""
        fault = await self._faults.next("ark-results")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        until, data = self._results.get(request.match_info["name"], (0.0, b""))
        if time.time() > until:
            return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>", content_type="text/xml")
        return web.Response(body=data, content_type=f"image/{request.match_info['name'].rsplit('.', 1)[-1]}")

    def _offer(self, data: bytes, output_format: str, life_s: float) -> str:
        """Keep a result; return its URL."""
        name = f"{uuid.uuid4()}.{output_format}"
        self._results[name] = (time.time() + life_s, data)
        return f"{self._origin}/ark-results/{name}"


def _check(body: dict[str, Any]) -> SeedreamModel:
    """Refuse what the API would refuse; return what the model takes."""
    for name in body.keys() - _FIELDS:
        raise InvalidParameter(name, "unknown parameter")
    for name in ("model", "prompt"):
        if not isinstance(body.get(name), str) or not body[name].strip():
            raise InvalidParameter(name, "required")
    model = next((model for model in MODELS.values() if body["model"] in model.ids), None)
    if model is None:
        raise ModelNotFound(f"The model or endpoint {body['model']} does not exist or you do not have access to it.")
    references = len(_images(body))
    if references > model.max_references:
        raise InvalidParameter("image", f"at most {model.max_references} pictures are supported")
    problem = size_problem(str(body.get("size")), model)
    if problem:
        raise InvalidParameter("size", problem)
    _check_batch(body, model, references)
    if "output_format" in body and (len(model.formats) == 1 or body["output_format"] not in model.formats):
        raise InvalidParameter("output_format", "not supported by the model")
    if body.get("watermark") is not False:
        raise InvalidParameter("watermark", "the stand-in draws no watermark; send false")
    return model


def _check_batch(body: dict[str, Any], model: SeedreamModel, references: int) -> None:
    mode = body.get("sequential_image_generation", "disabled")
    if mode not in ("auto", "disabled") or (mode == "auto" and model.max_images == 1):
        raise InvalidParameter("sequential_image_generation", "not supported by the model")
    count = _max_images(body)
    if not 1 <= count <= MAX_PICTURES or references + count > MAX_PICTURES:
        raise InvalidParameter("sequential_image_generation_options.max_images", f"with the images {MAX_PICTURES}")


def _max_images(body: dict[str, Any]) -> int:
    """Return how many pictures are asked for; the real model may make fewer."""
    if body.get("sequential_image_generation") != "auto":
        return 1
    return int(body.get("sequential_image_generation_options", {}).get("max_images", MAX_PICTURES))


def _images(body: dict[str, Any]) -> list[str]:
    images = body.get("image", [])
    return [images] if isinstance(images, str) else list(images)


def _read(url: str) -> faces.Pixels:
    head, _, data = url.partition(",")
    if not head.startswith(("data:image/jpeg;base64", "data:image/png;base64")):
        raise InvalidParameter("image", "not a data URL with a lower-case format")
    try:
        return faces.read(base64.b64decode(data, validate=True))
    except (binascii.Error, ValueError) as problem:
        raise InvalidParameter("image", "the picture cannot be read") from problem


def _pixels(size: str, pictures: list[faces.Pixels]) -> tuple[int, int]:
    """Return the size of the result; a tier keeps the first picture's shape."""
    explicit = parse_size(size)
    if explicit:
        return explicit
    height, width = pictures[0].shape[:2] if pictures else (1, 1)
    scale = 1024 * float(size.removesuffix("K")) / (width * height) ** 0.5
    return round(width * scale), round(height * scale)


def _make(job: Job, index: int) -> bytes:
    """Swap a face where a black ellipse asks for one; draw for everything else."""
    if len(job.pictures) == 2 and faces.black_ellipse(job.pictures[0]) is not None:
        made = faces.swap(*job.pictures)
    else:
        made = draw(job.prompt, job.pictures, job.width, job.height, index=index, of=job.count)
    return faces.encode(made, job.width, job.height, prompt=job.prompt, output_format=job.output_format)
