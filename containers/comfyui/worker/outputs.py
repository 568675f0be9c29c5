"""Stores what a prompt has made: every picture, video and sound that its history entry lists, as ComfyUI wrote it."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from aws_lambda_powertools import Logger
from PIL import Image

from backlot.assets import CACHE_CONTROL, comfyui_key
from backlot.comfyui.client import ComfyuiClient, FileRef, NotListening, TooLarge, UnexpectedAnswer, Unreachable
from backlot.comfyui.graphs import Graph
from backlot.errors import NothingMade, WorkflowFailed
from backlot.image_urls import ImageUrlPolicy
from backlot.images.codecs import FORMATS
from backlot.tasks import MadeFile, MadeImage
from containers.comfyui.worker.media import HEAD_BYTES, MediaType, media_type

#: Largest file, bytes.
MAX_FILE_BYTES = 512_000_000

#: Most files of one prompt; a state machine's data may have 256 KiB.
MAX_FILES = 200

#: How often the reading of a file is tried.
_TRIES = 3

logger = Logger()


class ObjectWriter(Protocol):
    """The bucket of results."""

    def upload(self, key: str, path: Path, *, content_type: str, cache_control: str) -> None:
        """Write a file as an object."""


@dataclass(frozen=True)
class Output:
    """A file that a node has made."""

    node: str
    file: FileRef


@dataclass(frozen=True)
class Stored:
    """What was stored.

    Args:
        images: still pictures, in the graph's order.
        files: everything else, in the graph's order.
        outputs: which node made which: `node` and `result_url`.
    """

    images: list[MadeImage]
    files: list[MadeFile]
    outputs: list[dict[str, str]]


def listed(outputs: dict[str, Any], graph: Graph) -> list[Output]:
    """Return the files that a history entry lists, in the graph's order of nodes.

    Previews and other files that ComfyUI does not mean to keep count only if there are no others.

    Args:
        outputs: of the entry, by node; nodes list files under names of their own (`images`, `gifs`, `audio` …).
        graph: that was run.
    """
    order = {node: place for place, node in enumerate(graph)}
    nodes = sorted(outputs, key=lambda node: order.get(node, len(order)))
    found: dict[FileRef, Output] = {}
    for node in nodes:
        for file in _files(outputs[node]):
            found.setdefault(file, Output(node, file))
    kept = [output for output in found.values() if output.file.type == "output"]
    return kept or [output for output in found.values() if output.file.type == "temp"]


class Outputs:
    """Stores files.

    Args:
        client: of the ComfyUI that has them.
        bucket: that they are stored in.
        images: says at which URL an object is served.
    """

    def __init__(self, client: ComfyuiClient, bucket: ObjectWriter, images: ImageUrlPolicy) -> None:
        self._client = client
        self._bucket = bucket
        self._images = images

    async def store(self, outputs: dict[str, Any], graph: Graph, *, operation: str, task_id: str) -> Stored:
        """Store what a prompt has made; the same task writes the same keys, however often it is run.

        Raises:
            NothingMade: it has made nothing that can be stored.
            WorkflowFailed: a file is missing or too large, or there are too many of them.
        """
        found = listed(outputs, graph)
        if len(found) > MAX_FILES:
            reason = f"{len(found)} files were made, {MAX_FILES} are stored at most"
            raise WorkflowFailed(node="-", node_class="-", reason=reason)
        stored = Stored([], [], [])
        with tempfile.TemporaryDirectory(prefix="backlot-") as folder:
            for output in found:
                path = Path(folder) / "file"
                await self._fetch(output, path, graph)
                kind = await asyncio.to_thread(_sniff, path)
                if kind is None:
                    logger.warning("a file of no known type is left out", node=output.node)
                    continue
                count = len(stored.outputs) + 1
                suffix = f"-{count}.{kind.ending}" if count > 1 else f".{kind.ending}"
                key = comfyui_key(operation, task_id, suffix)
                made = await asyncio.to_thread(self._keep, path, key, kind)
                (stored.images if isinstance(made, MadeImage) else stored.files).append(made)  # type: ignore[arg-type]
                stored.outputs.append({"node": output.node, "result_url": made.result_url})
        if not stored.outputs:
            raise NothingMade
        return stored

    async def _fetch(self, output: Output, path: Path, graph: Graph) -> None:
        node_class = graph.get(output.node, {}).get("class_type", "-")
        try:
            await self._read(output.file, path)
        except TooLarge as error:
            reason = f"a file of more than {MAX_FILE_BYTES} bytes"
            raise WorkflowFailed(node=output.node, node_class=node_class, reason=reason) from error
        except UnexpectedAnswer as error:
            reason = f"its file cannot be read: {error}"
            raise WorkflowFailed(node=output.node, node_class=node_class, reason=reason) from error

    async def _read(self, file: FileRef, path: Path) -> None:
        """Read a file; again if the connection breaks, because the GPU has worked for it."""
        for tries_left in reversed(range(_TRIES)):
            try:
                with path.open("wb") as written:
                    await self._client.view(file, written.write, MAX_FILE_BYTES)
            except NotListening:
                raise
            except Unreachable:
                if not tries_left:
                    raise
            else:
                return

    def _keep(self, path: Path, key: str, kind: MediaType) -> MadeImage | MadeFile:
        self._bucket.upload(key, path, content_type=kind.content_type, cache_control=CACHE_CONTROL)
        url = self._images.url(key)
        size = _still_size(path) if kind.is_image else None
        if size is None:
            return MadeFile(result_url=url, content_type=kind.content_type, size_bytes=path.stat().st_size)
        return MadeImage(result_url=url, width=size[0], height=size[1], content_type=kind.content_type)


def _files(output: Any) -> list[FileRef]:
    """Return the files in the output of a node, under whatever names it lists them."""
    entries = [entry for value in output.values() if isinstance(value, list) for entry in value]
    return [
        FileRef(entry["filename"], str(entry.get("subfolder") or ""), str(entry.get("type") or "output"))
        for entry in entries
        if isinstance(entry, dict) and isinstance(entry.get("filename"), str)
    ]


def _sniff(path: Path) -> MediaType | None:
    with path.open("rb") as file:
        return media_type(file.read(HEAD_BYTES))


def _still_size(path: Path) -> tuple[int, int] | None:
    """Return a still picture's size in pixels; None for an animation, and for what only looks like a picture."""
    try:
        with Image.open(path, formats=FORMATS) as image:
            return None if getattr(image, "is_animated", False) else image.size
    except (OSError, SyntaxError, ValueError):
        return None
