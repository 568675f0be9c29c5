"""What the worker needs of the house; every call blocks, and is made in a thread."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from backlot.aws.sqs import Message
from backlot.clock import Clock
from backlot.image_urls import ImageUrlPolicy
from backlot.steps import Fetcher, ObjectStore, StepLedger, TaskTokens
from backlot.tasks import Progress, Task
from backlot.work_items import WorkItem


class Tasks(Protocol):
    """The task store."""

    def start(self, task_id: str, now_ms: int) -> Task | None:
        """Mark a task as processing and return it; None if it has ended or does not exist."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""


class ProgressNotes(Protocol):
    """Where clients see how far tasks are."""

    def note(self, task_id: str, progress: Progress) -> None:
        """Note how far a task is."""


class WorkQueue(Protocol):
    """The queue of work."""

    def receive(self, *, wait_s: int, hidden_s: int) -> Message | None:
        """Take a message, and wait for one if there is none."""

    def send(self, item: WorkItem, *, delay_s: int) -> None:
        """Send an item, to be seen after some seconds."""

    def delay(self, receipt_handle: str, seconds: int) -> None:
        """Let a message that was received be seen again after some seconds."""

    def delete(self, receipt_handle: str) -> None:
        """Delete a message that was received."""


class Objects(ObjectStore, Protocol):
    """The bucket."""

    def upload(self, key: str, path: Path, *, content_type: str, cache_control: str) -> None:
        """Write a file as an object."""


@dataclass(frozen=True)
class Lane:
    """The ports.

    Args:
        tasks: where tasks are marked as processing.
        progress: where it is noted how far they are.
        ledger: where steps are claimed and their results kept.
        tokens: where state machines are answered.
        queue: where messages come from.
        objects: where pictures are read and results stored.
        images: which image URLs are ours or allowed.
        fetcher: reads images from foreign URLs.
        clock: Unix time in milliseconds.
    """

    tasks: Tasks
    progress: ProgressNotes
    ledger: StepLedger
    tokens: TaskTokens
    queue: WorkQueue
    objects: Objects
    images: ImageUrlPolicy
    fetcher: Fetcher
    clock: Clock
