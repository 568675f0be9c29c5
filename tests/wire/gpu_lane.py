"""A worker of the GPU lane between a stand-in of ComfyUI, behind real sockets, and an AWS in memory."""

import asyncio
import functools
import io
import itertools
import json
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from PIL import Image

from backlot.aws.sqs import Message
from backlot.clock import now_ms
from backlot.image_urls import ImageUrlPolicy
from backlot.tasks import Progress, Status, Task
from backlot.work_items import WorkItem
from containers.comfyui.worker.deps import compose
from containers.comfyui.worker.lane import Lane
from containers.comfyui.worker.settings import Settings
from containers.comfyui.worker.worker import Worker
from local.stand_ins.comfyui.application import application
from local.stand_ins.comfyui.records import Settings as Speed
from tests.unit.fakes import Hosts, Objects, Tasks, Tokens
from tests.unit.ledger import Ledger

CDN = "https://cdn.example.com"

#: How long anything may take that is waited for, seconds.
PATIENCE_S = 15.0

#: What graphs of callers may use.
NODE_CLASSES = [
    "EmptyAudio",
    "EmptyImage",
    "ImageBatch",
    "ImageInvert",
    "ImageScale",
    "LoadImage",
    "PreviewImage",
    "SaveAnimatedWEBP",
    "SaveAudio",
    "SaveImage",
]

#: Receives before a message goes to the dead letters.
MAX_RECEIVES = 3


@dataclass
class _Kept:
    body: str
    sent_ms: int
    visible_s: float
    receives: int = 0
    handles: set[str] = field(default_factory=set)


class Queue:
    """SQS: a message that was received is hidden for a time, and is a dead letter after three receives."""

    def __init__(self) -> None:
        self.kept: dict[str, _Kept] = {}
        self.dead: list[str] = []
        self._changed = threading.Condition()
        self._ids = map(str, itertools.count())

    def send(self, item: WorkItem, *, delay_s: int) -> None:
        self.put(item.model_dump_json(), delay_s=delay_s)

    def put(self, body: str, *, delay_s: float = 0) -> None:
        with self._changed:
            self.kept[next(self._ids)] = _Kept(body, now_ms(), time.monotonic() + delay_s)
            self._changed.notify_all()

    def receive(self, *, wait_s: float, hidden_s: int) -> Message | None:
        # Shorter than asked for, so that a worker which ends is not waited for.
        until = time.monotonic() + min(wait_s, 0.3)
        with self._changed:
            while True:
                for message_id, kept in list(self.kept.items()):
                    if kept.visible_s > time.monotonic():
                        continue
                    if kept.receives >= MAX_RECEIVES:
                        self.dead.append(self.kept.pop(message_id).body)
                        continue
                    kept.receives += 1
                    kept.visible_s = time.monotonic() + hidden_s
                    handle = f"{message_id}/{kept.receives}"
                    return Message(message_id, handle, kept.body, kept.receives, kept.sent_ms)
                if not self._changed.wait(min(until - time.monotonic(), 0.02)) and time.monotonic() >= until:
                    return None

    def delay(self, receipt_handle: str, seconds: int) -> None:
        with self._changed:
            kept = self.kept.get(receipt_handle.partition("/")[0])
            if kept:
                kept.visible_s = time.monotonic() + seconds

    def delete(self, receipt_handle: str) -> None:
        with self._changed:
            self.kept.pop(receipt_handle.partition("/")[0], None)


@dataclass
class Notes:
    """What was told of progress, by task."""

    told: dict[str, list[Progress]] = field(default_factory=lambda: defaultdict(list))

    def note(self, task_id: str, progress: Progress) -> None:
        self.told[task_id].append(progress)


@dataclass
class Fleet:
    """The workers' common record."""

    beats: int = 0
    clear_cache_ms: int = 0

    def beat(self, now_ms: int) -> int:
        self.beats += 1
        return self.clear_cache_ms


class ComfyuiServer:
    """The stand-in on a socket of its own, in the test's loop."""

    def __init__(self, folder: Path, *, protocol: str = "0.3", **speed: Any) -> None:
        self._folder = folder
        self._protocol = protocol
        self._speed = speed
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def is_up(self) -> bool:
        return self._runner is not None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listen, at the same port as before."""
        app = application(self._folder, Speed(**({"step_s": 0.01} | self._speed)), protocol=self._protocol)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def state(self) -> dict[str, Any]:
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/_state") as response:
            return await response.json()

    async def post(self, client_id: str) -> None:
        """Post a prompt of two nodes, as any client can."""
        graph = {
            "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 16, "batch_size": 1, "color": 1}},
            "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
        }
        body = {"prompt": graph, "prompt_id": str(uuid.uuid4()), "client_id": client_id}
        async with aiohttp.ClientSession() as http, http.post(f"{self.url}/prompt", json=body) as response:
            assert response.status == 200

    async def hasten(self) -> None:
        """Let samplers take no time from now on."""
        self._speed["step_s"] = 0
        url = f"{self.url}/_settings"
        async with aiohttp.ClientSession() as http, http.put(url, json={"step_s": 0}) as response:
            assert response.status == 200

    async def fault(self, name: str, *faults: dict[str, Any]) -> None:
        url = f"{self.url}/_faults/{name}"
        async with aiohttp.ClientSession() as http, http.put(url, json=list(faults)) as response:
            assert response.status < 300, await response.text()


@dataclass
class Site:
    """Everything that a message of the GPU lane meets."""

    comfyui: ComfyuiServer
    http: aiohttp.ClientSession
    worker: Worker = field(init=False)
    tasks: Tasks = field(default_factory=Tasks)
    notes: Notes = field(default_factory=Notes)
    tokens: Tokens = field(default_factory=Tokens)
    queue: Queue = field(default_factory=Queue)
    objects: Objects = field(default_factory=Objects)
    hosts: Hosts = field(default_factory=Hosts)
    fleet: Fleet = field(default_factory=Fleet)
    ledger: Ledger = field(default_factory=lambda: Ledger(now_ms))
    settings: dict[str, Any] = field(default_factory=dict)
    running: asyncio.Task[None] = field(init=False)

    @property
    def lane(self) -> Lane:
        return Lane(
            tasks=self.tasks,
            progress=self.notes,
            ledger=self.ledger,
            tokens=self.tokens,
            queue=self.queue,
            objects=self.objects,
            images=ImageUrlPolicy("assets", CDN),
            fetcher=self.hosts,
            clock=now_ms,
        )

    def start_worker(self) -> None:
        given = {
            "TASK_STORE": "tasks",
            "IDEMPOTENCY_TABLE": "once",
            "QUEUE_URL": "https://sqs.example/gpu",
            "BUCKET": "assets",
            "CDN_BASE_URL": CDN,
            "TASK_DAYS": 1,
            "COMFYUI_URL": self.comfyui.url,
            "NODE_CLASSES": json.dumps(NODE_CLASSES),
        }
        self.worker = compose(Settings.model_validate(given | self.settings), self.http, self.lane, self.fleet)
        self.running = asyncio.create_task(self.worker.run())

    def submit(self, operation: str, request: dict[str, Any], *, preview: bool = False) -> str:
        """Do what the API and the state machine do: a record, and a message with a token."""
        task_id = str(uuid.uuid4())
        request = {"preview": preview, **request}
        self.tasks.add(
            Task.submitted(
                task_id=task_id, operation=operation, owner="key-1", request=request, now_ms=now_ms(), days=30
            )
        )
        self.queue.put(self.item(task_id).model_dump_json())
        return task_id

    def item(self, task_id: str, attempt: int = 0) -> WorkItem:
        task = self.tasks.kept[task_id]
        return WorkItem(
            task_token=f"{task_id}/{attempt}",
            task_id=task_id,
            operation=task.operation,
            step="run-workflow",
            attempt=f"{task_id}/{attempt}",
            input=task.request,
        )

    async def answer(self, task_id: str, attempt: int = 0) -> tuple[str, Any]:
        """Wait for the answer of a task's token, and do with its record what the state machine does."""
        token = f"{task_id}/{attempt}"
        await until(lambda: token in self.tokens.answers)
        answer = self.tokens.answers[token]
        task = self.tasks.kept[task_id]
        if answer[0] == "done" and not task.status.is_final:
            self.tasks.kept[task_id] = task.model_copy(update={"status": Status.COMPLETED})
        return answer

    async def at_work(self, task_id: str) -> None:
        """Wait until ComfyUI runs a task's graph."""
        await until(lambda: {"task_id": task_id, "stage": "running"} in self.worker.condition().jobs)
        async with asyncio.timeout(PATIENCE_S):
            while "running" not in [prompt["status"] for prompt in (await self.comfyui.state())["prompts"]]:
                await asyncio.sleep(0.01)

    async def has_run(self, *statuses: str) -> None:
        """Wait until ComfyUI's prompts have these states, in their order."""
        async with asyncio.timeout(PATIENCE_S):
            while tuple(prompt["status"] for prompt in (await self.comfyui.state())["prompts"]) != statuses:
                await asyncio.sleep(0.02)

    async def is_settled(self) -> None:
        """Wait until the worker has nothing left to do."""
        await until(lambda: not self.queue.kept and not self.worker.condition().jobs)


#: The step's input of qwen-image-edit, with a sampler of four steps.
EDIT = {
    "image_url": "https://pictures.example/a.png",
    "image2_url": None,
    "image3_url": None,
    "prompt": "make it night",
    "seed": 7,
    "steps": 4,
    "cfg": 1.0,
    "sampler_name": "sa_solver",
    "scheduler": "beta",
    "denoise": 1.0,
}


def inverted(url: str = "https://pictures.example/a.png") -> dict[str, Any]:
    """Return the step's input of a caller's graph that inverts a picture."""
    graph = {
        "1": {"class_type": "LoadImage", "inputs": {}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "mine"}},
    }
    return {"workflow": graph, "inputs": {"1.image": {"image_url": url}}}


def png(colour: str = "teal", size: tuple[int, int] = (32, 24)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "PNG")
    return buffer.getvalue()


def in_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def site(
    folder: Path, *, speed: dict[str, Any] | None = None, protocol: str = "0.3", **settings: Any
) -> AsyncIterator[Site]:
    """Run a stand-in and a worker beside it; without the stand-in, if the worker starts one itself."""
    server = ComfyuiServer(folder, protocol=protocol, **(speed or {}))
    if "comfyui_command" in settings:
        server.port = int(settings["comfyui_url"].rpartition(":")[2])
    else:
        await server.start()
    try:
        async with aiohttp.ClientSession() as http:
            place = Site(server, http, settings={name.upper(): value for name, value in settings.items()})
            place.hosts.pictures[EDIT["image_url"]] = png()
            place.start_worker()
            yield place
            place.worker.end("the test is over")
            await asyncio.wait_for(place.running, PATIENCE_S)
            if server.is_up:
                # Without an id, it interrupts whatever runs.
                assert None not in (await server.state())["interrupts"]
    finally:
        await server.stop()
