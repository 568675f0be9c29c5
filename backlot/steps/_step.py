"""What a step is, and what it may use."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from backlot.assets import MAX_IMAGE_BYTES
from backlot.image_urls import ImageUrlPolicy
from backlot.images.codecs import Picture
from backlot.images.codecs import decode as decode_image
from backlot.steps._ledger import Job
from backlot.tasks import StepOutput, StepTimings

#: What is left to do after a paid answer is here, seconds: downloading, checking and storing up to 15 pictures.
AFTER_PAYING_S = 60.0


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
            self.add(name, time.perf_counter() - began)

    def add(self, name: str, seconds: float) -> None:
        """Count time that passed elsewhere."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds

    def timings(self) -> StepTimings:
        """Return what was counted, seconds."""
        return StepTimings(**{name: round(seconds, 6) for name, seconds in self._seconds.items()})


@dataclass(frozen=True)
class StepDeps:
    """What steps may use; made once in a worker's composition root.

    Args:
        providers: the paid APIs' clients by name.
        models: which model is asked, by the provider's name, or by the step's where a provider has several.
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
            used at most once, after everything that can fail without having cost anything.
        job: takes the name of a provider that works for long, and what buys a job, given its webhook's URL; returns
            what the job has made. Until there is something it does not return: the step is run again then.
        retries: how often the state machine has tried this step before.
        watch: counts where the time goes.
        deps: what it may use.
        time_left_s: tells how long this worker can still be at work.
        owner: id of the API key that submitted the task.
        decide: takes what the step decides when it first asks; returns it, or what an earlier attempt of the same
            execution decided, so that a repeated ask is the same.
    """

    task_id: str
    created_ms: int
    kept_answer: dict[str, Any] | None
    pay: Callable[[str, Callable[[], dict[str, Any]]], dict[str, Any]]
    job: Callable[[str, Callable[[str], Job]], dict[str, Any]]
    retries: int
    watch: Stopwatch
    deps: StepDeps
    time_left_s: Callable[[], float] = lambda: math.inf
    owner: str = ""
    decide: Callable[[dict[str, Any]], dict[str, Any]] = lambda value: value

    def affordable_s(self, wanted_s: float) -> float:
        """Return how long a paid call may take: as long as wanted, if its answer can then still be kept and used.

        A worker that is stopped while it waits loses an answer that was paid for.
        """
        left_s = self.time_left_s()
        return min(wanted_s, max(left_s - AFTER_PAYING_S, left_s / 2))

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
        provider: whose rate limits it has to keep; None if it calls no paid API.
    """

    name: str
    input: type[BaseModel]
    run: Callable[[Any, StepRun], StepOutput]
    provider: str | None = None
