"""What the ArtMancer server's browser clients send, and how they read the answers: both of their generations.

They were written against the published client: the fields of a request, without those that are not set; the checks of
status and body; which texts it compares; and how each of its two readers of event streams takes one apart.
Source: github.com/ArtMancer/artmancer-web, client/src, at b69c805 (2.1) and 7fc2fed (3), read 2026-11-21.
"""

import base64
import io
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from PIL import Image, ImageDraw

#: Redirects that a browser's fetch follows.
MOST_REDIRECTS = 20

#: The 2.1 client waits for a ping with this.
READY, STILL_STARTING = 200, 204


@dataclass(frozen=True)
class Reply:
    """What came over the wire."""

    status: int
    headers: Mapping[str, str]
    body: bytes


#: Sends a request: method, path with query, body and headers.
Send = Callable[[str, str, Any, dict[str, str]], Reply]


class ClientError(Exception):
    """What the page shows instead of a picture."""

    def __init__(self, status: int, shown: str) -> None:
        self.status, self.shown = status, shown
        super().__init__(f"{status}: {shown}")


def photo(width: int = 96, height: int = 72) -> Image.Image:
    """Draw a picture with a ball in it that is to be removed."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    ImageDraw.Draw(image).ellipse(ball(width, height), fill=(200, 40, 30))
    return image


def mask(width: int = 96, height: int = 72) -> Image.Image:
    """Draw the mask of the ball."""
    image = Image.new("L", (width, height))
    left, top, right, bottom = ball(width, height)
    ImageDraw.Draw(image).ellipse((left - 3, top - 3, right + 3, bottom + 3), fill=255)
    return image


def ball(width: int, height: int) -> tuple[int, int, int, int]:
    return (width // 3, height // 3, width * 2 // 3, height * 2 // 3)


def in_base64(image: Image.Image, kind: str = "PNG") -> str:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


def recorded(task: str = "removal", *, generation: str = "2.1", **changes: Any) -> dict[str, Any]:
    """Return the body that the page sends after a mask was drawn; JSON leaves out what is not set."""
    drawn = None if task == "white-balance" else in_base64(mask())
    body: dict[str, Any] = {
        "prompt": "remove the ball" if task == "removal" else "",
        "input_image": in_base64(photo()),
        "conditional_images": [drawn] if drawn else None,
        "reference_image": in_base64(photo(40, 40)) if task == "insertion" else None,
        "mask_image": drawn or "",
        "num_inference_steps": 10,
        "guidance_scale": 1.0 if generation == "2.1" else 4.0,
        "true_cfg_scale": 4.0,
        "seed": 7,
        "task_type": task,
        "input_quality": "resized",
    }
    if generation == "3":
        body |= {"mask_tool_type": "brush", "enable_mae_refinement": True, "enable_debug": False}
    return {name: value for name, value in (body | changes).items() if value is not None}


@dataclass
class Browser:
    """A page at another origin than the API's.

    Args:
        send: to the API.
        redirects: how many its fetches followed.
    """

    send: Send
    redirects: int = field(default=0, init=False)

    def fetch(self, method: str, path: str, body: Any = None, **headers: str) -> Reply:
        """Do what a browser's fetch does: name the page's origin, and follow redirects."""
        headers |= {"Origin": "https://studio.example", "Sec-Fetch-Mode": "cors"}
        for _ in range(MOST_REDIRECTS + 1):
            reply = self.send(method, path, body, headers)
            if reply.status not in (301, 302, 303, 307, 308):
                return reply
            self.redirects += 1
            path = urljoin(path, reply.headers["Location"])
            if reply.status == 303 or (reply.status in (301, 302) and method == "POST"):
                method, body = "GET", None
        raise ClientError(0, "Failed to fetch")

    def json(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Do `makeRequest`, which both clients have."""
        reply = self.fetch(method, path, body)
        data = read_json(reply)
        if not 200 <= reply.status < 300:
            raise ClientError(reply.status, shown(reply.status, data))
        return data


class Page21(Browser):
    """The page of generation 2.1: one request, and a picture in its answer."""

    def is_ready(self) -> bool:
        return self.fetch("GET", "/ping").status == READY

    def health(self) -> dict[str, Any]:
        health = self.json("GET", "/api/health")
        assert isinstance(health["status"], str)
        assert isinstance(health["model_loaded"], bool)
        assert isinstance(health["device"], str)
        assert isinstance(health["device_info"], dict)
        return health

    def generate(self, body: dict[str, Any]) -> dict[str, Any]:
        reply = self.fetch("POST", "/api/generate", body)
        data = read_json(reply)
        if not 200 <= reply.status < 300:
            raise ClientError(reply.status, shown(reply.status, data, is_remote=True))
        # The page shows it as `data:image/png;base64,…`.
        assert data["success"] is True
        assert isinstance(data["generation_time"], float)
        assert isinstance(data["model_used"], str)
        assert all(isinstance(value, str | int | float | None) for value in data["parameters_used"].values())
        assert not any(isinstance(value, bool) for value in data["parameters_used"].values())
        return data


class Page3(Browser):
    """The page of generation 3: a task, a stream of its events, and then its picture."""

    def submit(self, body: dict[str, Any]) -> str:
        data = self.json("POST", "/api/generate/async", body)
        if not (data.get("task_id") and data.get("status") == "queued"):
            raise ClientError(200, "Async generation endpoint did not return task_id. This should not happen.")
        return data["task_id"]

    def generate(self, body: dict[str, Any]) -> dict[str, Any]:
        """Do what the page's hook does: read one answer to its end by fetch, then fetch picture and result."""
        task_id = self.submit(body)
        stream = self.fetch("GET", f"/api/generate/stream/{task_id}", Accept="text/event-stream")
        if stream.status != 200:
            raise ClientError(stream.status, "Stream failed")
        events = list(events_of_hook(stream.body.decode()))
        failed = [event for event in events if event.get("status") in ("error", "cancelled")]
        if failed:
            raise ClientError(500, failed[0]["error"] or f"Generation {failed[0]['status']}")
        return {"events": events, **self.finished(task_id)}

    def finished(self, task_id: str) -> dict[str, Any]:
        """Fetch picture and result."""
        image = self.fetch("GET", f"/api/generate/result-image/{task_id}", Accept="*/*")
        if image.status != 200:
            raise ClientError(image.status, f"HTTP {image.status}: {image.body.decode()}")
        result = self.json("GET", f"/api/generate/result/{task_id}")
        return {"task_id": task_id, "blob": image, "result": result, "debug_info": result["debug_info"]}

    def generate_by_event_source(self, body: dict[str, Any], most: int = 200) -> dict[str, Any]:
        """Do what the page's service does with an EventSource that is left to come again by itself."""
        task_id = self.submit(body)
        last_id, events = "", []
        for _ in range(most):
            headers = {"Accept": "text/event-stream", "Cache-Control": "no-cache"}
            answer = self.fetch("GET", f"/api/generate/stream/{task_id}", **headers, **_last(last_id))
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            for event, number in events_of_source(answer.body.decode()):
                last_id = number or last_id
                if event is None:
                    continue
                events.append(event)
                if event.get("error"):
                    raise ClientError(500, _memory(event["error"]))
                if event["status"] == "done":
                    return {"task_id": task_id, "image": event["result"], "events": events}
        raise ClientError(0, "it never ended")

    def generate_by_polling(self, body: dict[str, Any], pause: Callable[[], None]) -> dict[str, Any]:
        """Do what the page's service does once its stream has broken: ask for the status until the task has ended."""
        task_id = self.submit(body)
        seen = []
        while True:
            status = self.json("GET", f"/api/generate/status/{task_id}")
            seen.append(status)
            if status["status"] == "done":
                return {"seen": seen, **self.json("GET", f"/api/generate/result/{task_id}")}
            if status["status"] in ("error", "cancelled"):
                raise ClientError(500, _memory(status["error"] or "Generation failed"))
            pause()

    def cancel(self, task_id: str) -> dict[str, Any]:
        return self.json("POST", f"/api/generate/async/cancel/{task_id}")


def events_of_hook(text: str) -> Iterator[dict[str, Any]]:
    """Take a stream apart as the page's own reader does: blocks that begin with `data:` are JSON from there on."""
    for block in text.split("\n\n")[:-1]:
        if block.strip().startswith("data:"):
            yield json.loads(block.strip().removeprefix("data:"))


def events_of_source(text: str) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """Take a stream apart as an EventSource does: the events, and the last id after each block."""
    for block in text.split("\n\n")[:-1]:
        fields = [line.partition(":") for line in block.split("\n")]
        data = "\n".join(value.removeprefix(" ") for name, _, value in fields if name == "data")
        numbers = [value.removeprefix(" ") for name, _, value in fields if name == "id"]
        yield (json.loads(data) if data else None), (numbers or [""])[-1]


def read_json(reply: Reply) -> dict[str, Any]:
    """Read a body that has to be JSON and not empty."""
    try:
        return json.loads(reply.body)
    except ValueError as error:
        raise ClientError(reply.status, f"Invalid JSON response: {reply.body[:100]!r}") from error


def shown(status: int, data: dict[str, Any], *, is_remote: bool = False) -> str:
    """Return the sentence that a page shows for an answer that is no success."""
    if is_remote and status == 400:
        return "No worker available. The endpoint may be initializing. Please try again."
    return str(data.get("detail") or data.get("error") or data.get("message") or f"HTTP {status}")


def _memory(sentence: str) -> str:
    lowered = sentence.lower()
    return "GPU out of memory, as the page says it" if "out of memory" in lowered or "oom" in lowered else sentence


def _last(number: str) -> dict[str, str]:
    return {"Last-Event-ID": number} if number else {}
