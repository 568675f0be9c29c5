"""Routes about files: upload and view."""

import io
import json
import mimetypes
import re
from pathlib import Path
from typing import Any

from aiohttp import web
from PIL import Image

from local.stand_ins.comfyui.files import Folders, OutsideError, free_name, split
from local.stand_ins.comfyui.records import Records

#: Shown by a browser, these could run code.
_DANGEROUS = {"text/html", "application/xhtml+xml", "text/javascript", "text/css"}


class Pictures:
    """What clients may do with files.

    Args:
        folders: where they lie.
        records: what tests look at.
    """

    def __init__(self, folders: Folders, records: Records) -> None:
        self._folders = folders
        self._records = records

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/upload/image", self.upload_image),
            web.post("/upload/mask", self.upload_mask),
            web.get("/view", self.view),
        ]

    async def upload_image(self, request: web.Request) -> web.Response:
        """Store a file; another one with its name stays, unless it is told to overwrite."""
        form = await request.post()
        file = form.get("image")
        return self._stored(form, file.file.read() if isinstance(file, web.FileField) else b"")

    async def upload_mask(self, request: web.Request) -> web.Response:
        """Store a picture with the alpha channel of another."""
        form = await request.post()
        file = form.get("image")
        reference = json.loads(str(form.get("original_ref", "{}")))
        original = self._original(reference)
        if not isinstance(file, web.FileField) or original is None:
            return web.Response(status=400)
        with Image.open(original) as opened, Image.open(file.file) as mask:
            whole = opened.convert("RGBA")
            whole.putalpha(mask.convert("RGBA").getchannel("A"))
        encoded = io.BytesIO()
        whole.save(encoded, "PNG", compress_level=4)
        return self._stored(form, encoded.getvalue())

    async def view(self, request: web.Request) -> web.StreamResponse:
        """Give out a file, or a preview or some channels of it."""
        query = request.query
        if "filename" not in query:
            return web.Response(status=404)
        name, kind = split(query["filename"])
        kind = kind or query.get("type", "output")
        if not name or name.startswith("/") or ".." in name or self._folders.of(kind) is None:
            return web.Response(status=400)
        try:
            path = self._folders.within(kind, query.get("subfolder", "")) / Path(name).name
        except OutsideError:
            return web.Response(status=403)
        if not path.is_file():
            return web.Response(status=404)
        disposition = {"Content-Disposition": f'filename="{path.name}"'}
        if "preview" in query:
            data, content_type = _preview(path, query["preview"], query.get("channel", ""))
            return web.Response(body=data, content_type=content_type, headers=disposition)
        if query.get("channel") in ("rgb", "a"):
            return web.Response(body=_channels(path, query["channel"]), content_type="image/png", headers=disposition)
        content_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if content_type in _DANGEROUS:
            content_type = "application/octet-stream"
        return web.FileResponse(path, headers=disposition | {"Content-Type": content_type})

    def _original(self, reference: dict[str, Any]) -> Path | None:
        name, kind = split(str(reference.get("filename", "")))
        kind = kind or reference.get("type", "output")
        if not name or name.startswith("/") or ".." in name or self._folders.of(kind) is None:
            return None
        path = self._folders.within(kind, reference.get("subfolder", "")) / name
        return path if path.is_file() else None

    def _stored(self, form: Any, data: bytes) -> web.Response:
        file, kind = form.get("image"), str(form.get("type", "input"))
        if not isinstance(file, web.FileField) or not file.filename or self._folders.of(kind) is None:
            return web.Response(status=400)
        subfolder = str(form.get("subfolder", ""))
        try:
            folder = self._folders.within(kind, subfolder)
            within = (folder / file.filename).resolve()
        except OutsideError:
            return web.Response(status=400)
        if not within.is_relative_to(folder):
            return web.Response(status=400)
        folder.mkdir(parents=True, exist_ok=True)
        overwrites = form.get("overwrite") in ("true", "1")
        name = file.filename if overwrites else free_name(folder, file.filename, data)
        (folder / name).write_bytes(data)
        stored = {"name": name, "subfolder": subfolder, "type": kind}
        self._records.uploads.append(stored | {"bytes": len(data)})
        return web.json_response(stored)


def _preview(path: Path, wish: str, channel: str) -> tuple[bytes, str]:
    """Return a picture as a smaller file; `wish` is `webp;90` or the like."""
    form, *_, quality = wish.split(";")[:1] + wish.split(";")
    if form not in ("webp", "jpeg") or "a" in channel:
        form = "webp"
    encoded = io.BytesIO()
    with Image.open(path) as opened:
        shown = opened.convert("RGB") if form == "jpeg" or channel == "rgb" else opened
        shown.save(encoded, form, quality=int(quality) if re.fullmatch(r"\d+", quality) else 90)
    return encoded.getvalue(), f"image/{form}"


def _channels(path: Path, channel: str) -> bytes:
    encoded = io.BytesIO()
    with Image.open(path) as opened:
        if channel == "rgb":
            shown = opened.convert("RGB")
        else:
            shown = Image.new("RGBA", opened.size)
            shown.putalpha(opened.getchannel("A") if opened.mode == "RGBA" else Image.new("L", opened.size, 255))
    shown.save(encoded, "PNG")
    return encoded.getvalue()
