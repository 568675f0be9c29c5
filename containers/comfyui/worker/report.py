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
from backlot.tasks import Task
from containers.comfyui.worker.lane import ProgressNotes
from containers.comfyui.worker.progress import PromptProgress

#: Pause between two looks at the record, and so between two writes of the progress, seconds.
_PAUSE_S = 1.0

#: How long a preview may be shown that is not the newest.
_PREVIEW_CACHE_CONTROL = "public, max-age=1"

logger = Logger()


class TaskReader(Protocol):
    """The part of the task store that is needed here."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""


class Report:
    """What is told of one task.

    Args:
        task: that is at work.
        tasks: tells whether it is still wanted.
        notes: where it is noted how far it is.
        objects: where previews are stored.
        images: says at which URL they are served.
        clock: Unix time in milliseconds.
    """

    def __init__(
        self,
        task: Task,
        *,
        tasks: TaskReader,
        notes: ProgressNotes,
        objects: ObjectStore,
        images: ImageUrlPolicy,
        clock: Clock,
    ) -> None:
        self._task = task
        self._tasks = tasks
        self._notes = notes
        self._objects = objects
        self._images = images
        self._clock = clock
        self._progress = PromptProgress({})
        self._preview: bytes | None = None
        self._preview_url: str | None = None
        self._shows_previews = False
        # A task that is at work has a progress from its first moment.
        self._is_new = True

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
        self._is_new = True

    async def tell(self) -> None:
        """Write what is new, at most once a second, and look whether the task is still wanted; until cancelled.

        Raises:
            Cancelled: the task has ended.
        """
        while True:
            try:
                await self._write_if_new()
                task = await asyncio.to_thread(self._tasks.get, self._task.task_id)
            except AWS_ERRORS:
                logger.warning("the task's record cannot be reached", exc_info=True)
            else:
                if task is None or task.status.is_final:
                    raise Cancelled
            await asyncio.sleep(_PAUSE_S)

    async def _write_if_new(self) -> None:
        if not self._is_new:
            return
        self._is_new = False
        if self._preview is not None:
            jpeg, self._preview = self._preview, None
            key = comfyui_key(self._task.operation, self._task.task_id, "-preview.jpg")
            await asyncio.to_thread(
                self._objects.put, key, jpeg, content_type="image/jpeg", cache_control=_PREVIEW_CACHE_CONTROL
            )
            self._preview_url = self._images.url(key)
        progress = self._progress.at(self._clock(), self._preview_url)
        await asyncio.to_thread(self._notes.note, self._task.task_id, progress)
