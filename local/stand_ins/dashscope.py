"""Stand-in of DashScope's OpenAI-compatible chat completions with pictures: finds faces, and what a few nouns name."""

import asyncio
import base64
import binascii
import json
import re
import time
import uuid

from aiohttp import web

from local.stand_ins import faces, nouns
from local.stand_ins.faults import Faults, error

#: The vendor's limits: bytes of a picture in base64, smallest side, longest aspect ratio. Read 2026-11-20.
MAX_BASE64_BYTES, MIN_SIDE_PX, MAX_ASPECT = 10_000_000, 10, 200

#: One visual token covers 32 by 32 pixels.
TOKEN_SIDE_PX = 32

#: The words between the marks of a question for something; questions for faces have none before the answer's form.
_NAMED = re.compile(r'holds all of it: "([^"]*)"')


class DashScope:
    """The part of the API that Backlot uses.

    Args:
        key: the only key that is accepted.
        faults: what is to go wrong.
    """

    def __init__(self, key: str, faults: Faults) -> None:
        self._key = key
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.post("/compatible-mode/v1/chat/completions", self.complete)]

    async def complete(self, request: web.Request) -> web.StreamResponse:
        """Answer one chat completion."""
        if request.headers.get("Authorization") != f"Bearer {self._key}":
            return error(401, "invalid_api_key", "Incorrect API key provided.")
        try:
            body = json.loads(await request.text())
            pixels, prompt = _picture_and_prompt(body)
        except (ValueError, KeyError, TypeError, IndexError) as problem:
            return error(400, "invalid_parameter_error", f"The request is not valid: {problem}")
        if not str(body.get("model", "")).startswith("qwen3"):
            return error(404, "model_not_found", f"The model `{body.get('model')}` does not exist.")
        fault = await self._faults.next("dashscope")
        answer = await self._faults.answer(request, fault) if fault else None
        if answer is not None:
            return answer
        if fault and fault.kind == "text":
            text = fault.text
        else:
            text = await asyncio.get_running_loop().run_in_executor(None, _describe, pixels, prompt)
        return web.json_response(_completion(str(body["model"]), text, pixels, prompt))


def _picture_and_prompt(body: dict) -> tuple[faces.Pixels, str]:  # type: ignore[type-arg]
    parts = body["messages"][-1]["content"]
    if body["messages"][-1]["role"] != "user" or not isinstance(parts, list):
        raise ValueError("the last message is no list of parts from the user")
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    texts = [part["text"] for part in parts if part["type"] == "text"]
    if len(urls) != 1 or not texts:
        raise ValueError("one picture and a text are needed")
    head, _, data = urls[0].partition(",")
    if not head.startswith("data:image/") or not head.endswith(";base64"):
        raise ValueError("the stand-in takes pictures as data URLs only")
    if len(data) > MAX_BASE64_BYTES:
        raise ValueError(f"the picture has {len(data)} bytes in base64, {MAX_BASE64_BYTES} are allowed")
    try:
        pixels = faces.read(base64.b64decode(data, validate=True))
    except binascii.Error as problem:
        raise ValueError("the picture is not base64") from problem
    height, width = pixels.shape[:2]
    if min(width, height) <= MIN_SIDE_PX or max(width, height) > MAX_ASPECT * min(width, height):
        raise ValueError(f"a picture of {width}x{height} px is too small or too long")
    return pixels, " ".join(texts)


def _describe(pixels: faces.Pixels, prompt: str) -> str:
    """Answer as the model does: JSON in a fence, coordinates of 0 to 1000."""
    height, width = pixels.shape[:2]
    named = _NAMED.search(prompt)
    boxes = nouns.located(pixels, named[1]) if named else faces.meant(prompt, faces.find_faces(pixels), width)
    found = [
        {
            "bbox_2d": [
                round(1000 * box.left / width),
                round(1000 * box.top / height),
                round(1000 * box.right / width),
                round(1000 * box.bottom / height),
            ],
            "label": named[1] if named else "face",
        }
        for box in boxes
    ]
    return f"```json\n{json.dumps({'objects' if named else 'faces': found})}\n```"


def _completion(model: str, text: str, pixels: faces.Pixels, prompt: str) -> dict[str, object]:
    height, width = pixels.shape[:2]
    seen = (width * height) // TOKEN_SIDE_PX**2 + len(prompt) // 4
    said = len(text) // 3
    return {
        "id": f"chatcmpl-{uuid.uuid4()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": f"{model} (stand-in)",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": seen, "completion_tokens": said, "total_tokens": seen + said},
    }
