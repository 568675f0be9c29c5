"""The WebSocket side: one socket for each `clientId`, and the order in which messages leave."""

import asyncio
import io
import json
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web
from PIL import Image, ImageOps

from local.stand_ins.faults import drop

#: What the server can, as it tells a client that asks.
FEATURES = {"supports_preview_metadata": True, "max_upload_size": 104_857_600}

#: Kinds of binary frames, and of pictures in the older one.
PREVIEW_IMAGE, PREVIEW_IMAGE_WITH_METADATA, JPEG = 1, 4, 1

#: Longest side of a preview, pixels.
PREVIEW_PX = 512


class Sockets:
    """Sends to the socket of one client, or to all.

    Args:
        status: what `status` messages say now.
        executing: client and node that run now, if any.
    """

    def __init__(
        self, status: Callable[[], dict[str, Any]], executing: Callable[[], tuple[str | None, str | None]]
    ) -> None:
        self._status = status
        self._executing = executing
        self._messages: asyncio.Queue[tuple[str | bytes, str | None]] = asyncio.Queue()
        self._sockets: dict[str, tuple[web.Request, web.WebSocketResponse]] = {}
        self._features: dict[str, dict[str, Any]] = {}

    async def lifetime(self, _: web.Application) -> AsyncIterator[None]:
        """Send what is put in the queue; for `cleanup_ctx`."""
        publishing = asyncio.create_task(self._publish())
        yield
        self.cut(None)
        publishing.cancel()
        with suppress(asyncio.CancelledError):
            await publishing

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Hold a client's socket until it ends."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        sid = request.query.get("clientId", "") or uuid.uuid4().hex
        self._sockets[sid] = (request, socket)
        self._features[sid] = {}
        try:
            self.send("status", {"status": self._status(), "sid": sid}, sid)
            client, node = self._executing()
            if client == sid and node is not None:
                self.send("executing", {"node": node}, sid)
            is_first = True
            async for message in socket:
                if message.type == WSMsgType.TEXT:
                    self._hear(sid, message.data, is_first=is_first)
                    is_first = False
        finally:
            # As in ComfyUI, the end of an old socket also forgets a newer one with the same id.
            self._sockets.pop(sid, None)
            self._features.pop(sid, None)
        return socket

    def send(self, event: str, data: dict[str, Any], sid: str | None) -> None:
        """Send a message to a client, or to all if there is no `sid`."""
        self._messages.put_nowait((json.dumps({"type": event, "data": data}), sid))

    def send_status(self) -> None:
        """Tell everybody how long the queue is."""
        self.send("status", {"status": self._status()}, None)

    def wants_metadata(self, sid: str | None) -> bool:
        """Tell whether a client has said that it understands previews with metadata."""
        return sid is not None and self._features.get(sid, {}).get("supports_preview_metadata") is True

    def send_preview(self, picture: Image.Image, sid: str | None, metadata: Mapping[str, Any] | None = None) -> None:
        """Send a preview, as large as ComfyUI sends it, whatever the picture's size."""
        encoded = io.BytesIO()
        ImageOps.contain(picture, (PREVIEW_PX, PREVIEW_PX)).save(encoded, "JPEG", quality=95)
        if metadata is not None:
            told = json.dumps({**metadata, "image_type": "image/jpeg"}).encode()
            head = struct.pack(">II", PREVIEW_IMAGE_WITH_METADATA, len(told)) + told
        else:
            head = struct.pack(">II", PREVIEW_IMAGE, JPEG)
        self._messages.put_nowait((head + encoded.getvalue(), sid))

    def cut(self, sid: str | None) -> None:
        """Break off the socket of a client, or all."""
        for each, (request, _) in list(self._sockets.items()):
            if sid in (None, each):
                drop(request)

    def _hear(self, sid: str, text: str, *, is_first: bool) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            return
        if is_first and isinstance(message, dict) and message.get("type") == "feature_flags":
            self._features[sid] = message.get("data", {})
            self.send("feature_flags", FEATURES, sid)

    async def _publish(self) -> None:
        while True:
            message, sid = await self._messages.get()
            for each, (_, socket) in list(self._sockets.items()):
                if sid in (None, each):
                    try:
                        await (socket.send_bytes(message) if isinstance(message, bytes) else socket.send_str(message))
                    except ConnectionError:
                        continue
