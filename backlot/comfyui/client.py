"""ComfyUI's HTTP routes and its WebSocket.

Source: server.py of ComfyUI 0.3.64 and 0.33.0, read 2026-11-21.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from backlot.comfyui.events import Event, parse_binary, parse_text

#: Longest wait for a connection, and for the next bytes of an answer: a ComfyUI that loads a model answers late.
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=120)

#: How often a socket is asked for a sign of life, seconds.
_HEARTBEAT_S = 60.0

#: Largest frame of the WebSocket, bytes: a preview has some hundred kilobytes.
_MAX_FRAME_BYTES = 32_000_000

#: The first message of a client: previews are to say whose they are.
_FEATURES = {"type": "feature_flags", "data": {"supports_preview_metadata": True}}

#: Problems of a refused prompt that are named, and longest text of one, characters.
_MAX_PROBLEMS, _MAX_PROBLEM_CHARS = 10, 300


class Unreachable(Exception):
    """ComfyUI does not answer: the connection broke, or the answer did not come in time."""


class NotListening(Unreachable):
    """Nobody listens at ComfyUI's address."""


class UnexpectedAnswer(Exception):
    """ComfyUI answered with a status that the route does not have.

    Args:
        path: of the request.
        status: HTTP status.
        text: beginning of the answer.
    """

    def __init__(self, path: str, status: int, text: str = "") -> None:
        self.path, self.status = path, status
        super().__init__(f"HTTP {status} at {path}: {text}")


class PromptRefused(Exception):
    """ComfyUI does not take a graph, or only a part of it; the text names nodes and inputs."""


class TooLarge(Exception):
    """A file has more bytes than were asked for."""


@dataclass(frozen=True)
class Queued:
    """A prompt in ComfyUI's queue.

    Args:
        client_id: of whoever posted it; empty if it was posted without.
        is_running: whether it runs.
    """

    prompt_id: str
    client_id: str
    is_running: bool


@dataclass(frozen=True)
class FileRef:
    """A file of ComfyUI's, as a history entry names it.

    Args:
        filename: in its folder.
        subfolder: below the folder of its type; may be empty.
        type: `output`, `temp` or `input`.
    """

    filename: str
    subfolder: str
    type: str


class ComfyuiClient:
    """Talks to one ComfyUI.

    All methods raise `Unreachable` if it cannot be reached, and `UnexpectedAnswer` for statuses that are not foreseen.

    Args:
        http: of whoever closes it.
        url: of ComfyUI, without a trailing slash.
    """

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url.rstrip("/")

    async def version(self) -> str:
        """Return ComfyUI's version."""
        stats = await self._json("GET", "/system_stats")
        return str((stats.get("system") or {}).get("comfyui_version") or "unknown")

    async def object_info(self) -> dict[str, Any]:
        """Return the schemas of all node classes."""
        return await self._json("GET", "/object_info")

    async def upload_image(self, name: str, data: bytes, content_type: str) -> str:
        """Put an image into ComfyUI's input folder; return the name for `LoadImage`.

        The same bytes under the same name stay one file; other bytes get another name.
        """
        form = aiohttp.FormData()
        form.add_field("image", data, filename=name, content_type=content_type)
        stored = await self._json("POST", "/upload/image", data=form)
        return "/".join(filter(None, (stored.get("subfolder"), stored["name"])))

    async def post_prompt(
        self, graph: dict[str, Any], *, prompt_id: str, client_id: str, extra_data: dict[str, Any]
    ) -> None:
        """Queue a prompt.

        Args:
            graph: in API format.
            prompt_id: a UUID in its canonical form.
            client_id: of the socket that its events go to.
            extra_data: options of the run.

        Raises:
            PromptRefused: something is wrong with the graph; if only a part of it is, that it was queued all the same.
        """
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id, "extra_data": extra_data}
        async with self._request("POST", "/prompt", json=body) as response:
            answer = await _answer(response, 200, 400)
            if response.status == 400 or answer.get("node_errors"):
                raise PromptRefused(refusal(answer))

    async def history(self, prompt_id: str) -> dict[str, Any] | None:
        """Return the history entry of a prompt that is over; None before that, and after ComfyUI was restarted."""
        entries = await self._json("GET", f"/history/{prompt_id}")
        entry: dict[str, Any] | None = entries.get(prompt_id)
        return entry

    async def forget(self, prompt_id: str) -> None:
        """Delete a prompt's history entry."""
        await self._send("/history", {"delete": [prompt_id]})

    async def queue(self) -> list[Queued]:
        """Return the prompts that run or wait."""
        queue = await self._json("GET", "/queue")
        return [
            Queued(str(entry[1]), str((entry[3] or {}).get("client_id", "")), is_running)
            for key, is_running in (("queue_running", True), ("queue_pending", False))
            for entry in queue[key]
        ]

    async def withdraw(self, prompt_id: str) -> None:
        """Take a prompt out of the queue, and interrupt it if it runs; it ends at its next step or node.

        An interruption that comes in the moment in which a prompt begins is lost: ask until the prompt is gone.
        """
        await self._send("/queue", {"delete": [prompt_id]})
        await self._send("/interrupt", {"prompt_id": prompt_id})

    async def free(self) -> None:
        """Let ComfyUI drop models and kept results as soon as no prompt runs."""
        await self._send("/free", {"unload_models": True, "free_memory": True})

    async def view(self, file: FileRef, write: Callable[[bytes], Any], max_bytes: int) -> None:
        """Read a file piece by piece.

        Args:
            file: as a history entry names it.
            write: takes a piece.
            max_bytes: largest file.

        Raises:
            TooLarge: it has more bytes.
        """
        query = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        size_bytes = 0
        async with self._request("GET", "/view", params=query) as response:
            await _check_status(response, 200)
            async for chunk in response.content.iter_chunked(1 << 18):
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise TooLarge
                write(chunk)

    @asynccontextmanager
    async def events(self, client_id: str) -> AsyncIterator[AsyncIterator[Event]]:
        """Open a WebSocket, and close it at the end; the iterator ends when the socket does.

        Args:
            client_id: with which prompts are posted whose events come here.
        """
        with _reachable():
            socket = await self._http.ws_connect(
                f"{self._url}/ws",
                params={"clientId": client_id},
                heartbeat=_HEARTBEAT_S,
                max_msg_size=_MAX_FRAME_BYTES,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
        async with socket:
            with _reachable():
                await socket.send_json(_FEATURES)
            yield _events(socket)

    async def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        async with self._request(method, path, **options) as response:
            return await _answer(response, 200)

    async def _send(self, path: str, body: dict[str, Any]) -> None:
        async with self._request("POST", path, json=body) as response:
            await _check_status(response, 200)

    @asynccontextmanager
    async def _request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        with _reachable():
            async with self._http.request(method, self._url + path, timeout=_TIMEOUT, **options) as response:
                yield response


def refusal(answer: dict[str, Any]) -> str:
    """Say what ComfyUI finds wrong with a graph, by node and input.

    Args:
        answer: to `POST /prompt`, of status 400 or with `node_errors`.
    """
    found = [
        f"node {node} ({errors.get('class_type', '')}): {error.get('message', '')}: {error.get('details', '')}"
        for node, errors in (answer.get("node_errors") or {}).items()
        for error in errors.get("errors", [])
    ]
    if not found:
        error = answer.get("error")
        error = error if isinstance(error, dict) else {"message": str(error)}
        found = [f"{error.get('message', '')} {error.get('details', '')}".strip()]
    return "; ".join(problem[:_MAX_PROBLEM_CHARS] for problem in found[:_MAX_PROBLEMS])


async def _events(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Event]:
    async for message in socket:
        if message.type is aiohttp.WSMsgType.TEXT:
            found = parse_text(message.data)
        elif message.type is aiohttp.WSMsgType.BINARY:
            found = parse_binary(message.data)
        else:
            return
        for event in found:
            yield event


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except aiohttp.ClientConnectorError as error:
        kind = NotListening if isinstance(error.os_error, ConnectionRefusedError) else Unreachable
        raise kind(str(error)) from error
    except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error


async def _answer(response: aiohttp.ClientResponse, *statuses: int) -> dict[str, Any]:
    await _check_status(response, *statuses)
    try:
        answer = await response.json(content_type=None)
    except ValueError as error:
        raise UnexpectedAnswer(response.url.path, response.status, "no JSON") from error
    if not isinstance(answer, dict):
        raise UnexpectedAnswer(response.url.path, response.status, "no object")
    return answer


async def _check_status(response: aiohttp.ClientResponse, *statuses: int) -> None:
    if response.status not in statuses:
        text = await response.content.read(300)
        raise UnexpectedAnswer(response.url.path, response.status, text.decode("utf-8", "replace"))
