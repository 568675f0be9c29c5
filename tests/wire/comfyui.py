"""A client of ComfyUI's protocol that keeps all messages, and graphs to send."""

import asyncio
import io
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from PIL import Image

from local.stand_ins.comfyui.application import application
from local.stand_ins.comfyui.records import Settings
from tests.serving.servers import until
from tests.wire.apps import Served

#: What does not happen in this time never will, seconds.
PATIENCE_S = 20.0

Graph = dict[str, dict[str, Any]]


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def save(link: list[Any], prefix: str = "out") -> dict[str, Any]:
    return node("SaveImage", images=link, filename_prefix=prefix)


def scaling(upload: str, width: int = 32, height: int = 24) -> Graph:
    """A picture is scaled and saved."""
    scale = node("ImageScale", image=["1", 0], upscale_method="area", width=width, height=height, crop="disabled")
    return {"1": node("LoadImage", image=upload), "2": scale, "3": save(["2", 0])}


def editing(upload: str, prompt: str = "make it warm", **changes: Any) -> Graph:
    """A picture is edited; the sampler is node 3, the result node 9."""
    sampler = {
        "model": ["37", 0],
        "positive": ["11", 0],
        "negative": ["10", 0],
        "latent_image": ["88", 0],
        "seed": 1,
        "steps": 4,
        "cfg": 1.0,
        "sampler_name": "euler",
        "scheduler": "simple",
        "denoise": 1.0,
    }
    encoder = "TextEncodeQwenImageEditPlus"
    return {
        "37": node("UNETLoader", unet_name="qwen_image_edit_2509_fp8_e4m3fn.safetensors", weight_dtype="default"),
        "38": node("CLIPLoader", clip_name="qwen_2.5_vl_7b_fp8_scaled.safetensors", type="qwen_image"),
        "39": node("VAELoader", vae_name="qwen_image_vae.safetensors"),
        "78": node("LoadImage", image=upload),
        "11": node(encoder, clip=["38", 0], vae=["39", 0], image1=["78", 0], prompt=prompt),
        "10": node(encoder, clip=["38", 0], vae=["39", 0], image1=["78", 0], prompt=""),
        "88": node("VAEEncode", pixels=["78", 0], vae=["39", 0]),
        "3": node("KSampler", **(sampler | changes)),
        "8": node("VAEDecode", samples=["3", 0], vae=["39", 0]),
        "9": save(["8", 0]),
    }


def picture(width: int = 64, height: int = 48, color: Any = (200, 120, 40), mode: str = "RGB", **options: Any) -> bytes:
    encoded = io.BytesIO()
    Image.new(mode, (width, height), color).save(encoded, "PNG", **options)
    return encoded.getvalue()


class Socket:
    """A WebSocket in a thread, and what has come over it."""

    def __init__(self, origin: str, client_id: str, features: dict[str, Any] | None = None) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.frames: list[bytes] = []
        self.is_closed = False
        self._changed = threading.Condition()
        self._connected: Future[ClientWebSocketResponse] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, args=(origin, client_id, features), daemon=True)
        self._thread.start()
        self.until("status")

    def until(self, event: str, **wanted: Any) -> dict[str, Any]:
        """Wait for a message with these data."""

        def found() -> dict[str, Any] | None:
            for kind, data in self.messages:
                if kind == event and wanted.items() <= data.items():
                    return data
            return None

        return self._wait(found)

    def until_frames(self, count: int) -> list[bytes]:
        return self._wait(lambda: self.frames if len(self.frames) >= count else None)

    def until_closed(self) -> None:
        self._wait(lambda: self.is_closed)

    def kinds(self, *, but: tuple[str, ...] = ("status", "progress_state")) -> list[str]:
        return [kind for kind, _ in self.messages if kind not in but]

    def data(self, event: str) -> list[dict[str, Any]]:
        return [data for kind, data in self.messages if kind == event]

    def close(self) -> None:
        if not self.is_closed:
            asyncio.run_coroutine_threadsafe(self._connected.result().close(), self._loop).result(PATIENCE_S)
        self._thread.join(PATIENCE_S)

    def _wait(self, look: Callable[[], Any]) -> Any:
        with self._changed:
            assert self._changed.wait_for(look, PATIENCE_S), f"it did not come: {self.messages}"
            return look()

    def _run(self, origin: str, client_id: str, features: dict[str, Any] | None) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._listen(f"{origin}/ws?clientId={client_id}", features))
        with self._changed:
            self.is_closed = True
            self._changed.notify_all()

    async def _listen(self, url: str, features: dict[str, Any] | None) -> None:
        async with ClientSession() as session, session.ws_connect(url) as socket:
            self._connected.set_result(socket)
            if features is not None:
                await socket.send_json({"type": "feature_flags", "data": features})
            async for message in socket:
                with self._changed:
                    if message.type == WSMsgType.TEXT:
                        told = json.loads(message.data)
                        self.messages.append((told["type"], told["data"]))
                    elif message.type == WSMsgType.BINARY:
                        self.frames.append(message.data)
                    self._changed.notify_all()


class Comfyui:
    """A client with a socket of its own."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.http = httpx.Client(base_url=origin, trust_env=False, timeout=PATIENCE_S)
        self.client_id = uuid.uuid4().hex
        self.sockets: list[Socket] = []

    def connect(self, client_id: str | None = None, features: dict[str, Any] | None = None) -> Socket:
        socket = Socket(self.origin, client_id or self.client_id, features)
        self.sockets.append(socket)
        return socket

    def upload(self, data: bytes | None = None, name: str = "a.png", **form: str) -> httpx.Response:
        return self.http.post("/upload/image", files={"image": (name, data or picture())}, data=form)

    def post(self, graph: Graph, prompt_id: str | None = None, **more: Any) -> httpx.Response:
        body = {"prompt": graph, "client_id": self.client_id, "prompt_id": prompt_id or str(uuid.uuid4())}
        return self.http.post("/prompt", json=body | more)

    def start(self, graph: Graph, **more: Any) -> str:
        """Send a prompt that is good; return its id."""
        answer = self.post(graph, **more)
        assert (answer.status_code, answer.json()["node_errors"]) == (200, {})
        return str(answer.json()["prompt_id"])

    def run(self, graph: Graph, **more: Any) -> dict[str, Any]:
        """Send a prompt and return its entry in the history."""
        return self.entry(self.start(graph, **more))

    def entry(self, prompt_id: str) -> dict[str, Any]:
        return until(lambda: self.history(prompt_id))

    def history(self, prompt_id: str) -> dict[str, Any] | None:
        return self.http.get(f"/history/{prompt_id}").json().get(prompt_id)

    def view(self, file: dict[str, Any], **more: str) -> httpx.Response:
        return self.http.get("/view", params={**file, **more})

    def result(self, entry: dict[str, Any], output: str = "9") -> Image.Image:
        """Return the first picture of an output node."""
        answer = self.view(entry["outputs"][output]["images"][0])
        return Image.open(io.BytesIO(answer.raise_for_status().content))

    def picture(self, graph: Graph, output: str = "9") -> Image.Image:
        return self.result(self.run(graph), output)

    def fault(self, name: str, kind: str, **more: Any) -> None:
        self.http.put(f"/_faults/{name}", json=[{"kind": kind, **more}]).raise_for_status()

    def settings(self, **changes: Any) -> None:
        self.http.put("/_settings", json=changes).raise_for_status()

    def state(self) -> dict[str, Any]:
        return self.http.get("/_state").json()

    def close(self) -> None:
        for socket in self.sockets:
            socket.close()
        self.http.close()


@contextmanager
def serving(folder: Path, protocol: str = "0.3") -> Iterator[Comfyui]:
    """Run the stand-in in a thread; yield a client with an upload `a.png`."""
    served = Served(application(folder, Settings(step_s=0), protocol=protocol))
    client = Comfyui(served.origin)
    client.upload()
    yield client
    client.close()
    served.close()
