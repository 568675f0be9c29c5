"""How far models of our own are, and which requests of theirs nobody wants any more: objects in the bucket.

A container of SageMaker's asynchronous inference reaches nothing but S3 while it works, see docs/serving.md.
"""

import json
from collections.abc import Collection, Mapping
from typing import Protocol

from backlot.assets import MODEL_REQUEST_PREFIX, MODEL_RESULT_PREFIX
from backlot.tasks import Progress, Status, Task

#: Models that work for longer than a second or two; the others are done before anybody could ask.
FOLLOWED = frozenset({"flux", "qwen-edit"})

#: Below this, an object cancels the request that has its name, whatever the object holds.
CANCEL_PREFIX = f"{MODEL_REQUEST_PREFIX}cancelled/"

#: The object says a number, bytes.
_MAX_BYTES = 4096


class DatedObjects(Protocol):
    """The bucket."""

    def dated(self, key: str, max_bytes: int) -> tuple[bytes, float] | None:
        """Read an object and when it was written, Unix seconds; None if there is none."""


def progress_prefix(endpoint: str) -> str:
    """Return below what a model's container writes how far it is."""
    return f"{MODEL_RESULT_PREFIX}{endpoint}/progress/"


def progress_key(endpoint: str, task_id: str) -> str:
    """Name the object that says how far a model is with a task."""
    return f"{progress_prefix(endpoint)}{task_id}.json"


def cancel_key(request_id: str) -> str:
    """Name the object that cancels a request; one that a later attempt makes is not cancelled with it."""
    return f"{CANCEL_PREFIX}{request_id}"


class ModelProgress:
    """How far tasks are whose models are followed.

    Args:
        objects: the bucket.
        endpoints: names of the models' endpoints.
    """

    def __init__(self, objects: DatedObjects, endpoints: Mapping[str, str]) -> None:
        self._objects = objects
        self._endpoints = endpoints

    def of(self, task: Task, models: Collection[str]) -> Progress | None:
        """Return how far a task is; None if nothing was heard of it in its present attempt.

        Args:
            task: maybe at work; the object is read only then.
            models: that its operation needs.
        """
        followed = [model for model in models if model in FOLLOWED and model in self._endpoints]
        if task.status is Status.COMPLETED and followed:
            return Progress(value=1.0, at_ms=task.completed_ms or 0)
        if task.status is not Status.PROCESSING or task.started_ms is None:
            return None
        for model in followed:
            found = self._objects.dated(progress_key(self._endpoints[model], task.task_id), _MAX_BYTES)
            # S3 tells times in whole seconds.
            if found is not None and found[1] >= task.started_ms // 1000:
                return Progress(value=json.loads(found[0])["progress"], at_ms=round(found[1] * 1000))
        return None
