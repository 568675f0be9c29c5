"""The ports of the domain, in memory: each keeps the promises of the real one and remembers what became of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from backlot.aws.model_states import ModelState
from backlot.errors import ImageNotFetched, ImageTooLarge, ProviderRefused
from backlot.steps import WorkItem
from backlot.tasks import OPEN, Delivery, Status, Task, TaskCursor

#: 2026-11-21 10:00:00 UTC.
NOW_MS = 1_795_255_200_000


@dataclass
class Clock:
    """Unix milliseconds that pass when a test says so."""

    now_ms: int

    def __call__(self) -> int:
        return self.now_ms

    def advance(self, *, seconds: float) -> None:
        self.now_ms += int(seconds * 1000)


@dataclass
class Tasks:
    """The task store."""

    kept: dict[str, Task] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)

    def add(self, task: Task) -> Task | None:
        return self.kept.get(task.task_id) or self._keep(task, returns=None)

    def get(self, task_id: str) -> Task | None:
        return self.kept.get(task_id)

    def start(self, task_id: str, now_ms: int) -> Task | None:
        task = self._open(task_id)
        started_ms = task and (task.started_ms or now_ms)
        return task and self._change(task, status=Status.PROCESSING, started_ms=started_ms)

    def fail(self, task_id: str, *, retries: int, error_name: str, error_message: str, now_ms: int) -> Task | None:
        task = self._open(task_id)
        if task and task.retries != retries:
            return None
        ended = {"error_name": error_name, "error_message": error_message, "completed_ms": now_ms}
        return task and self._change(task, status=Status.FAILED, **ended)

    def settle(self, task_id: str, *, retries: int, now_ms: int) -> Task | None:
        task = self.kept.get(task_id)
        if task is None or not task.status.is_final or task.retries != retries or task_id in self.settled:
            return None
        self.settled.add(task_id)
        return task

    def reopen(self, task: Task, now_ms: int) -> Task | None:
        kept = self.kept[task.task_id]
        if kept.status is not Status.FAILED or kept.retries != task.retries:
            return None
        self.settled.discard(task.task_id)
        gone = dict.fromkeys(("error_name", "error_message", "started_ms", "completed_ms"))
        return self._change(kept, status=Status.PENDING, retries=kept.retries + 1, **gone)

    def note_delivery(self, task_id: str, delivery: Delivery) -> None:
        task = self.kept[task_id]
        self._change(task, deliveries=[*task.deliveries, delivery])

    def cancel(self, task_id: str, now_ms: int) -> Task | None:
        task = self._open(task_id)
        return task and self._change(task, status=Status.CANCELLED, completed_ms=now_ms)

    def owned_by(
        self, owner: str, *, status: Status | None, operation: str | None, limit: int, after: TaskCursor | None
    ) -> tuple[list[Task], TaskCursor | None]:
        newest = sorted(self.kept.values(), key=lambda task: (task.created_ms, task.task_id), reverse=True)
        found = [
            task
            for task in newest
            if task.owner == owner
            and status in (None, task.status)
            and operation in (None, task.operation)
            and (after is None or (task.created_ms, task.task_id) < (after.created_ms, after.task_id))
        ]
        page = found[:limit]
        last = page[-1] if len(found) > limit else None
        return page, last and TaskCursor(created_ms=last.created_ms, task_id=last.task_id)

    def processing(self, *, before_s: int, limit: int) -> list[Task]:
        at_work = [task for task in self.kept.values() if task.status is Status.PROCESSING]
        return [task for task in at_work if task.created_at < before_s][:limit]

    def open_count(self, operation: str) -> int:
        return sum(task.operation == operation and task.status in OPEN for task in self.kept.values())

    def pending(self, *, after_s: int, before_s: int, limit: int) -> list[Task]:
        waiting = [task for task in self.kept.values() if task.status is Status.PENDING]
        return [task for task in waiting if after_s <= task.created_at <= before_s][:limit]

    def _open(self, task_id: str) -> Task | None:
        task = self.kept.get(task_id)
        return task if task and task.status in OPEN else None

    def _change(self, task: Task, **changes: Any) -> Task:
        changed = task.model_copy(update=changes)
        return self._keep(changed, returns=changed)

    def _keep(self, task: Task, *, returns: Any) -> Any:
        self.kept[task.task_id] = task
        return returns


@dataclass
class SubmissionKeys:
    """Idempotency keys."""

    bound: dict[str, tuple[str, str, int]] = field(default_factory=dict)

    def claim(self, key: str, *, task_id: str, fingerprint: str, now_s: int, life_s: int) -> tuple[str, str]:
        if key not in self.bound or self.bound[key][2] < now_s:
            self.bound[key] = (task_id, fingerprint, now_s + life_s)
        return self.bound[key][:2]


@dataclass
class Executions:
    """Step Functions' executions."""

    inputs: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    is_down: bool = False

    def start(self, operation: str, name: str, execution_input: dict[str, Any]) -> bool:
        if not self.is_down:
            self.inputs.setdefault((operation, name), json.loads(json.dumps(execution_input)))
        return not self.is_down


@dataclass
class Tokens:
    """The state machines that wait; the first answer counts."""

    answers: dict[str, tuple[str, Any]] = field(default_factory=dict)

    def succeed(self, token: str, output: dict[str, Any]) -> None:
        self.answers.setdefault(token, ("done", output))

    def fail(self, token: str, error_name: str, error_message: str) -> None:
        self.answers.setdefault(token, (error_name, error_message))


@dataclass
class Sent:
    """The queue, as far as items are sent to it."""

    items: list[tuple[WorkItem, int]] = field(default_factory=list)

    def send(self, item: WorkItem, *, delay_s: int) -> None:
        self.items.append((item, delay_s))


@dataclass
class Pacing:
    """A provider's limits: from when on there are slots, and how many seats are free."""

    slot_ms: int = 0
    reserved: int = 0
    seats: int = 99

    def reserve_slot(self, provider: str, now_ms: int) -> int:
        self.reserved += 1
        return max(self.slot_ms, now_ms)

    def take_seat(self, provider: str, holder: str, *, now_ms: int, until_ms: int) -> bool:
        is_free = self.seats > 0
        self.seats -= is_free
        return is_free

    def leave_seat(self, provider: str, holder: str) -> None:
        self.seats += 1


@dataclass
class Objects:
    """The bucket."""

    kept: dict[str, bytes] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    #: When objects were written, Unix seconds.
    dates: dict[str, float] = field(default_factory=dict)

    def get(self, key: str, max_bytes: int) -> bytes:
        if key not in self.kept:
            raise ImageNotFetched(reason=f"there is no object {key}")
        if len(self.kept[key]) > max_bytes:
            raise ImageTooLarge(reason="too many bytes")
        return self.kept[key]

    def dated(self, key: str, max_bytes: int) -> tuple[bytes, float] | None:
        return (self.get(key, max_bytes), self.dates[key]) if key in self.kept else None

    def put(self, key: str, body: bytes, *, content_type: str, cache_control: str) -> None:
        self.kept[key], self.types[key] = body, content_type

    def listed(self, prefix: str) -> list[tuple[str, int]]:
        return [(key, len(self.kept[key])) for key in sorted(self.kept) if key.startswith(prefix)]

    def delete(self, keys: list[str]) -> None:
        for key in keys:
            self.kept.pop(key, None)

    def upload(self, key: str, path: Path, *, content_type: str, cache_control: str) -> None:
        self.put(key, path.read_bytes(), content_type=content_type, cache_control=cache_control)


@dataclass
class KnownPictures:
    """Pictures that were sent once, by owner and id."""

    kept: dict[tuple[str, str], str] = field(default_factory=dict)

    def remember(self, owner: str, image_url: str, *, now_s: int) -> str:
        image_id = f"image-{len(self.kept)}"
        self.kept[owner, image_id] = image_url
        return image_id

    def url_of(self, owner: str, image_id: str, *, now_s: int) -> str | None:
        return self.kept.get((owner, image_id))


@dataclass
class ModelNotes:
    """What models last said of themselves."""

    kept: dict[str, ModelState] = field(default_factory=dict)
    noted: list[tuple[str | None, Any]] = field(default_factory=list)

    def note(self, location: str | None, answer: Any) -> None:
        self.noted.append((location, answer))

    def of(self, model: str) -> ModelState | None:
        return self.kept.get(model)


@dataclass
class Faces:
    """Pictures of faces: kept without a look, and none of them old."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def keep(self, data: bytes, check: Callable[[bytes], bytes]) -> str:
        self.kept["faces/1.jpg"] = check(data)
        return "s3://assets/faces/1.jpg"

    def delete_older(self, prefix: str, before_s: int) -> int:
        return 0


@dataclass
class Uploads:
    """Forms that were made, and images that came with requests."""

    kept: dict[str, bytes] = field(default_factory=dict)

    def form(self, key: str, *, content_type: str, size_bytes: int) -> dict[str, Any]:
        fields = {"key": key, "Content-Type": content_type, "size": str(size_bytes)}
        return {"url": "https://assets.s3.example/", "fields": fields}

    def link(self, key: str) -> str:
        return f"https://assets.s3.example/{key}?X-Amz-Signature=1"

    def put(self, key: str, body: bytes, *, content_type: str) -> None:
        self.kept[key] = body


@dataclass
class Hosts:
    """Foreign hosts of images: what each URL gives, bytes or an error."""

    pictures: dict[str, bytes | Exception] = field(default_factory=dict)

    def fetch(self, url: str) -> bytes:
        found = self.pictures.get(url, ImageNotFetched(reason="HTTP 404"))
        if isinstance(found, Exception):
            raise found
        return found


@dataclass
class ProviderKeys:
    """The providers' keys."""

    missing: set[str] = field(default_factory=set)
    is_reachable: bool = True

    def key(self, provider: str) -> str:
        if provider in self.missing:
            raise ProviderRefused(provider=provider, reason="its key is not set")
        return f"key-of-{provider}"

    def is_set(self, provider: str) -> bool | None:
        return provider not in self.missing if self.is_reachable else None


@dataclass(frozen=True)
class DeadLetter:
    body: str
    receives: int = 3


@dataclass
class DeadLetters:
    """A dead-letter queue."""

    messages: list[DeadLetter] = field(default_factory=list)
    name: str = "cpu_tasks_dlq"

    def peek(self, *, at_most: int, hidden_s: int) -> Any:
        yield from self.messages[:at_most]


@dataclass
class Counts:
    """Counters of completed tasks."""

    kept: dict[str, int] = field(default_factory=dict)

    def add(self, name: str) -> None:
        self.kept[name] = self.read(name) + 1

    def read(self, name: str) -> int:
        return self.kept.get(name, 0)


@dataclass
class Gpus:
    """The hosts of the GPU lane, as the API sees them."""

    last_seen_ms: int | None = None
    cleared_ms: int | None = None

    def seen_ms(self) -> int | None:
        return self.last_seen_ms

    def clear_caches(self, now_ms: int) -> None:
        self.cleared_ms = now_ms


@dataclass
class Looks:
    """The queue of work for models of our own, as the sweep uses it."""

    sent: list[WorkItem] = field(default_factory=list)

    def send_in_turn(self, item: WorkItem) -> None:
        self.sent.append(item)


@dataclass
class Counter:
    """Metrics."""

    accepted_operations: list[str] = field(default_factory=list)
    ended_tasks: list[Task] = field(default_factory=list)

    def accepted(self, operation: str) -> None:
        self.accepted_operations.append(operation)

    def ended(self, task: Task) -> None:
        self.ended_tasks.append(task)


@dataclass
class Wire:
    """The providers' side of httpx: what was sent, and what comes back."""

    replies: Callable[[httpx.Request], httpx.Response] | None = None
    sent: list[httpx.Request] = field(default_factory=list)

    def gives(self, body: Any, status: int = 200) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.replies = lambda request: httpx.Response(status, content=content, request=request)

    def breaks(self, error: Exception) -> None:
        def raise_it(request: httpx.Request) -> httpx.Response:
            raise error

        self.replies = raise_it

    def answer(self, request: httpx.Request) -> httpx.Response:
        assert self.replies is not None, f"nobody answers {request.url}"
        self.sent.append(request)
        return self.replies(request)

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.sent]
