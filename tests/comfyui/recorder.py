"""A client of ComfyUI that keeps what was said, free of what differs from run to run."""

import asyncio
import copy
import io
import json
import random
import re
import struct
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, FormData, WSMsgType
from PIL import Image

#: Longest time in which something that must come has to come, seconds; a real server works slowly without a GPU.
PATIENCE_S = 120

Graph = dict[str, dict[str, Any]]
Message = dict[str, Any]

#: Values of these keys are times, sizes of a machine or text of its Python; only that they are there counts.
_VOLATILE = {
    "timestamp": "<ms>",
    "create_time": "<ms>",
    "execution_start_time": "<ms>",
    "execution_end_time": "<ms>",
    "traceback": "<traceback>",
}
_QUEUES = ("queue_running", "queue_pending")
_TENSOR = re.compile(r"^(tensor|array)\b.*|^<[\w.]+ object at 0x[0-9a-f]+>$", re.DOTALL)
_TEMPORARY = re.compile(r"ComfyUI_temp_[a-z]{5}_")
_WHERE = re.compile(r"(/[\w.+~-]+)+/(?=(input|output|temp)/)")


class Socket:
    """One WebSocket, and all that came through it.

    Args:
        session: to connect with.
        url: of the server.
        client_id: whose socket it is.
    """

    def __init__(self, session: ClientSession, url: str, client_id: str) -> None:
        self._session = session
        self._url = f"{url}/ws?clientId={client_id}"
        self._came = asyncio.Condition()
        self._reading: asyncio.Task[None] | None = None
        self._socket: ClientWebSocketResponse | None = None
        self._seen = 0
        self.is_closed = False
        self.messages: list[Message] = []

    async def __aenter__(self) -> "Socket":
        self._socket = await self._session.ws_connect(self._url, max_msg_size=0)
        self._reading = asyncio.create_task(self._read(self._socket))
        await self.until("status")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End it."""
        assert self._socket is not None
        assert self._reading is not None
        await self._socket.close()
        await self._reading

    async def send(self, message: Message) -> None:
        """Say something to the server."""
        assert self._socket is not None
        await self._socket.send_json(message)

    async def until(self, kind: str, fits: Callable[[Message], bool] = lambda _: True) -> Message:
        """Return the next message of this kind, after the last one that was waited for."""
        async with asyncio.timeout(PATIENCE_S), self._came:
            while True:
                for at in range(self._seen, len(self.messages)):
                    message = self.messages[at]
                    if message["type"] == kind and fits(message.get("data", {})):
                        self._seen = at + 1
                        return message
                if self.is_closed:
                    raise AssertionError(f"the socket ended before `{kind}` came: {self.messages}")
                await self._came.wait()

    async def until_end(self, prompt_id: str) -> Message:
        """Return the message that says that nothing more of a prompt comes."""
        return await self.until("executing", lambda data: data["node"] is None and data.get("prompt_id") == prompt_id)

    async def _read(self, socket: ClientWebSocketResponse) -> None:
        async for message in socket:
            kept = _binary(message.data) if message.type is WSMsgType.BINARY else json.loads(message.data)
            async with self._came:
                self.messages.append(kept)
                self._came.notify_all()
        async with self._came:
            self.is_closed = True
            self._came.notify_all()


class Recorder:
    """What a scenario does to a server, and what came of it.

    Args:
        session: to speak with.
        url: of the server, without a slash at the end.
    """

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._names: dict[str, str] = {}
        self._graphs: list[Graph] = []
        self._sockets: dict[str, tuple[Socket, Callable[[Message], bool]]] = {}
        self.steps: list[dict[str, Any]] = []
        #: A colour that no graph had before, so that nothing that it is part of is in the server's cache.
        self.colour = random.randint(0x100000, 0xFFFFFF)
        self._names[str(self.colour)] = "<colour>"

    def new(self, name: str, value: str | None = None) -> str:
        """Return an id that the transcript shows as `<name>`."""
        value = value or str(uuid.uuid4())
        self._names[value] = f"<{name}>"
        return value

    async def get(self, path: str, **query: str) -> Any:
        """Read something, keep the answer, and return its body as it came."""
        return await self._call("GET", path, params=query)

    async def post(self, path: str, body: Any) -> Any:
        """Send JSON, keep the answer, and return its body as it came; a `str` is sent as it is."""
        text = body if isinstance(body, str) else json.dumps(body)
        return await self._call("POST", path, data=text, headers={"Content-Type": "application/json"})

    async def upload(self, name: str, content: bytes | None, **fields: str) -> Any:
        """Upload an image, keep the answer, and return its body."""
        form = FormData()
        if content is not None:
            form.add_field("image", content, filename=name, content_type="image/png")
        for key, value in fields.items():
            form.add_field(key, value)
        return await self._call("POST", "/upload/image", data=form, told=f"{name} {fields}")

    async def prompt(self, graph: Graph, **fields: Any) -> Any:
        """Submit a graph, keep the answer, and return it; the transcript shows the graph as `<graph>` from now on."""
        if graph:
            self._graphs.append(copy.deepcopy(graph))
        return await self.post("/prompt", {"prompt": graph, **fields})

    def socket(self, name: str, client_id: str, keep: Callable[[Message], bool] = lambda _: True) -> Socket:
        """Return a socket to be connected; the transcript has those of its messages that shall be kept."""
        socket = Socket(self._session, self._url, client_id)
        self._sockets[name] = (socket, keep)
        return socket

    async def peek(self, path: str) -> Any:
        """Read something without keeping it."""
        async with self._session.get(self._url + path) as response:
            return await response.json()

    async def until_idle(self) -> None:
        """Wait until nothing runs and nothing waits."""
        async with asyncio.timeout(PATIENCE_S):
            while (await self.peek("/prompt"))["exec_info"]["queue_remaining"]:
                await asyncio.sleep(0.02)

    def note(self, what: str, value: Any) -> None:
        """Keep a fact that no single answer shows."""
        self.steps.append({"note": what, "value": value})

    def transcript(self) -> dict[str, Any]:
        """Return all that was said, ready to be compared."""
        transcript = {"steps": [self._plain(each) for each in self.steps]}
        for name, (socket, keep) in self._sockets.items():
            said = [self._plain(_tidy(each)) for each in socket.messages if keep(each)]
            if said:
                transcript[f"socket {name}"] = said
        return transcript

    async def _call(self, method: str, path: str, *, told: str = "", **options: Any) -> Any:
        query = "".join(f" {key}={value}" for key, value in options.get("params", {}).items())
        async with self._session.request(method, self._url + path, **options) as response:
            content, kind = await response.read(), response.content_type
            step: dict[str, Any] = {"call": f"{method} {path}{query} {told}".strip(), "status": response.status}
        body: Any = content
        if kind == "application/json":
            body = json.loads(content)
            step["body"] = _tidy(body)
        elif content and response.status < 400:
            step |= {"type": kind, "image": _described(content)}
        self.steps.append(step)
        return body

    def _plain(self, value: Any) -> Any:
        """Replace everything that has a name in this run."""
        if value in self._graphs:
            return "<graph>"
        if isinstance(value, dict):
            return {self._plain(key): self._plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        if isinstance(value, int) and not isinstance(value, bool) and str(value) in self._names:
            return self._names[str(value)]
        if not isinstance(value, str):
            return value
        for volatile, name in self._names.items():
            value = value.replace(volatile, name)
        return _TEMPORARY.sub("ComfyUI_temp_<letters>_", _WHERE.sub("<folder>/", value))


def _tidy(value: Any, key: str = "") -> Any:
    """Take out what differs from run to run.

    Args:
        value: any JSON.
        key: under which it stands.
    """
    if key in _VOLATILE and value is not None:
        return _VOLATILE[key]
    if key in ("number", "priority"):
        return "<number>" if value >= 0 else "<number below 0>"
    if isinstance(value, dict):
        return _tidy_dict(value, key)
    if isinstance(value, list):
        # Sets come in the order of their hashes.
        tidy = [_tidy(each, "queued" if key in _QUEUES else "") for each in value]
        if key in ("prompt", "queued"):
            tidy[0] = _tidy(value[0], "number")
            tidy[4] = sorted(tidy[4])
        return sorted(tidy, key=json.dumps) if key in ("errors", "executed", "current_outputs", "nodes") else tidy
    return "<object>" if isinstance(value, str) and _TENSOR.match(value) else value


def _tidy_dict(value: dict[str, Any], key: str) -> dict[str, Any]:
    if key == "nodes":
        return {node_id: _state(node_id, entry) for node_id, entry in value.items()}
    if {"executed", "node_type"} <= value.keys() and "exception_type" not in value:
        # Where an interrupt is noticed depends on when it came.
        value = value | {"node_id": "<node>", "node_type": "<class>", "executed": ["<nodes>"]}
    return {each: _tidy(inner, each) for each, inner in value.items()}


def _state(node_id: str, entry: dict[str, Any]) -> Any:
    """Say shortly how far a node is, if its entry has the usual form."""
    ids = {"node_id": node_id, "display_node_id": node_id, "parent_node_id": None, "real_node_id": node_id}
    usual = ids.keys() | {"prompt_id", "value", "max", "state"}
    if usual == entry.keys() and ids.items() <= entry.items():
        return f"{entry['state']} {entry['value']:g} of {entry['max']:g}"
    return entry


def _binary(data: bytes) -> Message:
    """Describe a binary message by its parts."""
    (event,) = struct.unpack(">I", data[:4])
    if event == 4:
        (length,) = struct.unpack(">I", data[4:8])
        told = json.loads(data[8 : 8 + length])
        return {"type": "binary 4", "data": {"metadata": told, "image": _described(data[8 + length :])}}
    (kind,) = struct.unpack(">I", data[4:8])
    return {"type": f"binary {event}", "data": {"kind": kind, "image": _described(data[8:])}}


def _described(content: bytes) -> dict[str, Any]:
    """Say what an image is, not how it looks."""
    image = Image.open(io.BytesIO(content))
    described: dict[str, Any] = {"format": image.format, "size": list(image.size), "mode": image.mode}
    if getattr(image, "n_frames", 1) > 1:
        described["frames"] = image.n_frames
    # The stand-in marks its files; all that ComfyUI writes is JSON.
    texts: dict[str, Any] = {
        name: json.loads(text) for name, text in getattr(image, "text", {}).items() if name != "engine"
    }
    for graph_node in texts.get("prompt", {}).values():
        # A digest of the uploaded file, which nobody reads.
        graph_node.pop("is_changed", None)
    return described | ({"text": texts} if texts else {})
