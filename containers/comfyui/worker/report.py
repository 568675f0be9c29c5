"""Tells a task's record how far its graph is, and hears from it whether the task is still wanted."""

import asyncio
from typing import Protocol

from aws_lambda_powertools import Logger

from backlot.assets import comfyui_key
from backlot.aws.clients import AWS_ERRORS
from backlot.clock import Clock
from backlot.comfyui.events import Event, Preview
from backlot.comfyui.graphs import Graph
from backlot.errors import Cancelled
from backlot.image_urls import ImageUrlPolicy
from backlot.steps import ObjectStore
from backlot.tasks import Progress, Task
from containers.comfyui.worker.progress import PromptProgress

#: Shortest pause between two writes of the record, and longest between two looks at it, seconds.
_WRITE_PAUSE_S, _LOOK_PAUSE_S = 1.0, 2.0

#: How long a preview may be shown that is not the newest.
_PREVIEW_CACHE_CONTROL = "public, max-age=1"

logger = Logger()


class ProgressRecord(Protocol):
    """The part of the task store that is needed here."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""

    def note_progress(self, task_id: str, progress: Progress) -> bool:
        """Note how far a task is; False if it has ended or does not exist."""


class Report:
    """What is told of one task.

    Args:
        task: that is at work.
        tasks: its record.
        objects: where previews are stored.
        images: says at which URL they are served.
        clock: Unix time in milliseconds.
    """

    def __init__(
        self, task: Task, *, tasks: ProgressRecord, objects: ObjectStore, images: ImageUrlPolicy, clock: Clock
    ) -> None:
        self._task = task
        self._tasks = tasks
        self._objects = objects
        self._images = images
        self._clock = clock
        self._progress = PromptProgress({}, task.progress.value if task.progress else 0.0)
        self._preview: bytes | None = None
        self._preview_url: str | None = None
        self._shows_previews = False
        self._is_new = asyncio.Event()
        # A task that is at work has a progress from its first moment.
        self._is_new.set()

    @property
    def node(self) -> str | None:
        """The node that runs."""
        return self._progress.node

    def begin(self, graph: Graph, *, preview: bool) -> None:
        """Tell of a graph from now on.

        Args:
            graph: that runs.
            preview: whether pictures of the unfinished result are shown.
        """
        self._progress = PromptProgress(graph, self._progress.value)
        self._shows_previews = preview

    def see(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Preview):
            if not self._shows_previews:
                return
            self._preview = event.jpeg
        elif not self._progress.see(event):
            return
        self._is_new.set()

    async def tell(self) -> None:
        """Write what is new, at most once a second, and look at the record while nothing is; until cancelled.

        Raises:
            Cancelled: the task has ended.
        """
        while True:
            try:
                is_open = await self._look_or_write()
            except AWS_ERRORS:
                logger.warning("the task's record cannot be reached", exc_info=True)
            else:
                if not is_open:
                    raise Cancelled
            await asyncio.sleep(_WRITE_PAUSE_S)

    async def _look_or_write(self) -> bool:
        try:
            async with asyncio.timeout(_LOOK_PAUSE_S - _WRITE_PAUSE_S):
                await self._is_new.wait()
        except TimeoutError:
            task = await asyncio.to_thread(self._tasks.get, self._task.task_id)
            return task is not None and not task.status.is_final
        self._is_new.clear()
        return await self._write()

    async def _write(self) -> bool:
        if self._preview is not None:
            jpeg, self._preview = self._preview, None
            key = comfyui_key(self._task.operation, self._task.task_id, "-preview.jpg")
            await asyncio.to_thread(
                self._objects.put, key, jpeg, content_type="image/jpeg", cache_control=_PREVIEW_CACHE_CONTROL
            )
            self._preview_url = self._images.url(key)
        progress = self._progress.at(self._clock(), self._preview_url)
        return await asyncio.to_thread(self._tasks.note_progress, self._task.task_id, progress)
