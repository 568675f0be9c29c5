"""Makes a graph ready to run: checked against the nodes that this ComfyUI has, its pictures fetched and uploaded."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from backlot.assets import MAX_IMAGE_BYTES
from backlot.comfyui.checks import FILENAME_PREFIX
from backlot.comfyui.client import UnexpectedAnswer
from backlot.comfyui.graphs import Graph, Job, Workflow, job, problems
from backlot.errors import Unexpected, WorkflowRefused
from backlot.images.codecs import decode, read_header
from backlot.work_items import WorkItem
from containers.comfyui.worker.comfyui import Comfyui
from containers.comfyui.worker.lane import Lane

#: What the names of uploaded pictures begin with.
UPLOADED = "backlot-"

#: How many pictures of a job are fetched at once.
_AT_ONCE = 4


@dataclass(frozen=True)
class Prepared:
    """A job that can run.

    Args:
        job: as it was asked for.
        graph: with the names of the uploaded pictures.
        life: of the ComfyUI that has the pictures.
    """

    job: Job
    graph: Graph
    life: int


class Inputs:
    """Makes graphs ready.

    Args:
        comfyui: that gets the pictures.
        lane: where pictures come from.
        workflows: of ours, by operation.
        node_classes: that graphs of callers may use.
    """

    def __init__(
        self, comfyui: Comfyui, lane: Lane, workflows: Mapping[str, Workflow], node_classes: frozenset[str]
    ) -> None:
        self._comfyui = comfyui
        self._lane = lane
        self._workflows = workflows
        self._node_classes = node_classes

    async def prepare(self, item: WorkItem) -> Prepared:
        """Check an item's graph, fetch its pictures and upload them.

        Raises:
            WorkflowRefused: the graph cannot be run on this ComfyUI.
            Unexpected: the item's input is not what its operation takes.
            BacklotError: of a picture that cannot be read.
            Unreachable: ComfyUI is gone.
        """
        life = self._comfyui.life
        try:
            wanted = job(item.operation, item.input, self._workflows)
        except (KeyError, TypeError) as error:
            raise Unexpected from error
        await self._check(item.operation, wanted)
        graph = await self._writable(wanted.graph)
        places = asyncio.Semaphore(_AT_ONCE)

        async def bind(place: str, url: str) -> None:
            async with places:
                data = await asyncio.to_thread(self._picture, url)
                name = await self._upload(data)
            node, _, field = place.partition(".")
            graph[node]["inputs"][field] = name

        await asyncio.gather(*(bind(place, url) for place, url in wanted.uploads.items()))
        return Prepared(wanted, graph, life)

    async def _check(self, operation: str, wanted: Job) -> None:
        """Refuse what ComfyUI would refuse or drop; what it lacked a while ago it may have now."""
        allowed = None if operation in self._workflows else self._node_classes
        bound = frozenset(wanted.uploads)
        found = problems(wanted.graph, await self._comfyui.schemas(), allowed=allowed, bound=bound)
        if found:
            found = problems(wanted.graph, await self._comfyui.schemas(fresh=True), allowed=allowed, bound=bound)
        if found:
            raise WorkflowRefused(problems="; ".join(map(str, found)))

    async def _writable(self, graph: Graph) -> Graph:
        """Return a copy in which every node that can be told how to name its files is told."""
        schemas = await self._comfyui.schemas()
        copy = {}
        for node, content in graph.items():
            node_class = schemas.get(content["class_type"])
            names_files = node_class is not None and node_class.input(FILENAME_PREFIX) is not None
            copy[node] = {**content, "inputs": content["inputs"] | ({FILENAME_PREFIX: ""} if names_files else {})}
        return copy

    def _picture(self, url: str) -> bytes:
        """Read a picture, and see that it is one: from the bucket if it is ours, else from its host."""
        lane = self._lane
        lane.images.check(url)
        key = lane.images.own_key(url)
        data = lane.objects.get(key, MAX_IMAGE_BYTES) if key is not None else lane.fetcher.fetch(url)
        decode(data)
        return data

    async def _upload(self, data: bytes) -> str:
        """Upload a picture under a name that follows from its content, so that ComfyUI knows it again.

        The hour is in the name, so that a file which is deleted a day after it was written is not used any more.
        """
        content_type = read_header(data).content_type
        hour, digest = self._lane.clock() // 3_600_000, hashlib.sha256(data).hexdigest()[:32]
        name = f"{UPLOADED}{hour}-{digest}.{content_type.removeprefix('image/')}"
        try:
            return await self._comfyui.client.upload_image(name, data, content_type)
        except UnexpectedAnswer as error:
            raise WorkflowRefused(problems=f"ComfyUI does not take a picture: {error}") from error
