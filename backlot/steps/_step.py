"""What a step is, and what it may use."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from backlot.image_urls import ImageUrlPolicy
from backlot.images.codecs import MAX_IMAGE_BYTES, Picture
from backlot.images.codecs import decode as decode_image
from backlot.tasks import StepOutput, StepTimings


class WorkItem(BaseModel):
    """A queue message: one step of one task, and the token that answers it.

    Args:
        task_token: Step Functions' callback token; never logged.
        attempt: names this entry into the state, `<execution>/<retry count>`; a message that comes twice has it
            twice, a
            retry has another.
        input: the step's own input, checked by the step's model.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    task_token: str
    task_id: str
    operation: str
    step: str
    attempt: str
    input: dict[str, Any]


class ObjectStore(Protocol):
    """The bucket."""

    def get(self, key: str, max_bytes: int) -> bytes:
        """Read an object; ImageNotFetched if it does not exist, ImageTooLarge beyond the limit."""

    def put(self, key: str, body: bytes, *, content_type: str, cache_control: str) -> None:
        """Write an object."""


class Fetcher(Protocol):
    """Reads an image from a foreign URL."""

    def fetch(self, url: str) -> bytes:
        """Return the image's bytes."""


class Keys(Protocol):
    """The providers' API keys."""

    def key(self, provider: str) -> str:
        """Return a provider's key; ProviderRefused if the operator has not set it."""


class Stopwatch:
    """Adds up where a step's time goes, under the names of `StepTimings`."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def time(self, name: str) -> Iterator[None]:
        """Count the time of a block."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - began

    def timings(self) -> StepTimings:
        """Return what was counted, seconds."""
        return StepTimings(**{name: round(seconds, 6) for name, seconds in self._seconds.items()})


@dataclass(frozen=True)
class StepDeps:
    """What steps may use; made once in a worker's composition root.

    Args:
        providers: the paid APIs' clients by name.
        models: which model of a provider is asked, by the provider's name.
        keys: where the API keys come from.
        images: which image URLs are ours or allowed.
        objects: the bucket.
        fetcher: reads images from foreign URLs.
        result_fetcher: reads results from a provider's URLs, which may be larger.
    """

    providers: dict[str, Any]
    models: dict[str, str]
    keys: Keys
    images: ImageUrlPolicy
    objects: ObjectStore
    fetcher: Fetcher
    result_fetcher: Fetcher


@dataclass(frozen=True)
class StepRun:
    """One run of a step: its task, its tools, its stopwatch.

    Args:
        task_id: of the task.
        created_ms: when the task was submitted, Unix milliseconds.
        kept_answer: the answer that an earlier run of this step paid for, if it was kept and the step not finished.
        pay: takes a provider's name and the paid call, does the call and keeps its answer before it returns it; to be
            used
            at most once, after everything that can fail without having cost anything.
        watch: counts where the time goes.
        deps: what it may use.
    """

    task_id: str
    created_ms: int
    kept_answer: dict[str, Any] | None
    pay: Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]
    watch: Stopwatch
    deps: StepDeps

    def picture(self, url: str) -> Picture:
        """Read and decode an image that a request names: from the bucket if it is ours, else from its host."""
        self.deps.images.check(url)
        key = self.deps.images.own_key(url)
        with self.watch.time("fetch_s"):
            data = self.deps.objects.get(key, MAX_IMAGE_BYTES) if key is not None else self.deps.fetcher.fetch(url)
        with self.watch.time("image_s"):
            return decode_image(data)


@dataclass(frozen=True)
class Step:
    """A step: its input's model, and what it does.

    Args:
        name: in messages, records and metrics.
        input: model of the message's `input`.
        run: does it; raises a `BacklotError` for whatever it cannot do.
    """

    name: str
    input: type[BaseModel]
    run: Callable[[Any, StepRun], StepOutput]
