"""The HTTP server: /ping, /invocations, and the life of the process around them."""

import asyncio
import contextlib
import json
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator
from enum import StrEnum
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from sagemaker_models.serving.batching import Runner
from sagemaker_models.serving.errors import BodyRefused, BodyTooLong, Busy, InvocationError
from sagemaker_models.serving.files import FileCache
from sagemaker_models.serving.invocations import Invocations
from sagemaker_models.serving.metrics import Timings, log, publish
from sagemaker_models.serving.model import Model, WeightsInvalid, model_of
from sagemaker_models.serving.releases import Releases
from sagemaker_models.serving.settings import Settings
from sagemaker_models.serving.storage import Storage

#: Exit codes: all went well, requests were cut off, the model could not be loaded, the GPU failed.
DRAINED, CUT_OFF, NOT_LOADED, DEVICE_LOST = 0, 1, 3, 4

#: How often the end of running requests is looked for, seconds.
_LOOK_S = 0.02


class State(StrEnum):
    """What `/ping` knows."""

    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"
    DRAINING = "draining"


class ModelServer:
    """One model behind HTTP.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._state = State.LOADING
        self._reason = "the model is being loaded"
        self._invocations: Invocations | None = None
        self._name = settings.model_class
        self._in_flight = 0
        self._limit = settings.max_concurrent + settings.max_queue
        self._exit_code = DRAINED
        self._ending: asyncio.Task[None] | None = None
        self._following: asyncio.Task[None] | None = None
        self._http = _Uvicorn(
            uvicorn.Config(
                Starlette(
                    routes=[
                        Route("/ping", self.ping, methods=["GET"]),
                        Route("/invocations", self.invoke, methods=["POST"]),
                    ]
                ),
                host=settings.server_host,
                port=settings.server_port,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_keep_alive=75,
            )
        )

    async def serve(self) -> int:
        """Serve until SIGTERM, or until the model could not be loaded; return the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end_by, self._drain)
        threading.Thread(target=self._load, args=(loop,), daemon=True).start()
        await self._http.serve()
        return self._exit_code

    async def ping(self, _: Request) -> Response:
        """Answer 200 while requests are taken."""
        if self._state is State.READY:
            return Response(status_code=200)
        return _answer(503, {"status": self._state, "reason": self._reason})

    async def invoke(self, request: Request) -> Response:
        """Answer one invocation."""
        refusal = self._refusal()
        if refusal is not None or self._invocations is None:
            refusal = refusal or Busy("NotLoaded", self._reason)
            publish(self._name, "", refusal.status, refusal.code, Timings())
            return _answer(refusal.status, {"error": refusal.body})
        self._in_flight += 1
        try:
            answer = await self._invocations.answer(lambda: _body(request, self._settings.max_body_bytes))
        finally:
            self._in_flight -= 1
        return Response(answer.body, answer.status, media_type="application/json")

    def _refusal(self) -> InvocationError | None:
        if self._state is State.DRAINING:
            return Busy("Draining", self._reason)
        if self._state is not State.READY:
            return Busy("NotLoaded", self._reason)
        if self._in_flight >= self._limit:
            return Busy("Overloaded", f"{self._in_flight} requests are being served, more are not taken")
        return None

    def _end_by(self, way: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_task(way())

    def _load(self, loop: asyncio.AbstractEventLoop) -> None:
        """Load the model; in a thread."""
        try:
            storage = Storage()
            releases = Releases(self._settings.release_object, storage, self._settings.release_look_s)
            # From here on: a model that is still being loaded when memory is wanted gives it back afterwards.
            releases.is_new()
            model = model_of(self._settings.model_class)
            model.load(self._settings.weights_folder)
            described = model.describe()
        except (WeightsInvalid, ValueError) as error:
            self._reason = str(error)
        except Exception as error:  # noqa: BLE001 - whatever a model raises, /ping says it
            log("ERROR", "the model raised while it was loaded", error)
            self._reason = f"{type(error).__name__}: {error}"
        else:
            loop.call_soon_threadsafe(self._ready, model, storage, releases)
            log("INFO", "the model is loaded", model=model.name, description=described)
            return
        log("ERROR", "the model cannot be loaded", reason=self._reason)
        loop.call_soon_threadsafe(self._end_by, self._fail)

    def _ready(self, model: Model, storage: Storage, releases: Releases) -> None:
        settings = self._settings
        runner = Runner(model, settings.max_concurrent, settings.batch_wait_ms / 1000, self._lose_device)
        files = FileCache(storage, settings.files_prefix, settings.files_bytes)
        self._invocations = Invocations(model, runner, storage, files, settings.max_input_bytes)
        self._following = asyncio.get_running_loop().create_task(releases.follow(runner))
        self._name = model.name
        if self._state is State.LOADING:
            self._state = State.READY

    def _lose_device(self) -> None:
        """End, so that the platform starts another process: this one's would fail for every request from now on."""
        if self._state is State.READY:
            log("ERROR", "the GPU failed, the server ends")
            self._exit_code = DEVICE_LOST
            self._end_by(self._drain)

    async def _fail(self) -> None:
        """Say for a moment why the model is not there, and end."""
        self._exit_code, self._state = NOT_LOADED, State.FAILED
        await asyncio.sleep(self._settings.failed_s)
        self._http.should_exit = True

    async def _drain(self) -> None:
        """Take no more requests, and end when the last one has its answer."""
        log("INFO", "draining", in_flight=self._in_flight)
        self._state, self._reason = State.DRAINING, "the server is ending"
        deadline = asyncio.get_running_loop().time() + self._settings.drain_s
        while self._in_flight and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_LOOK_S)
        if self._in_flight:
            log("ERROR", "requests were cut off", in_flight=self._in_flight)
            self._exit_code = CUT_OFF
            self._http.force_exit = True
        self._http.should_exit = True


class _Uvicorn(uvicorn.Server):
    """Uvicorn without its own signals: it would stop listening at once, and end by the signal."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


async def _body(request: Request, limit_bytes: int) -> bytes:
    """Read a body.

    Raises:
        BodyTooLong: it has more bytes than are allowed.
        BodyRefused: the client went before it was sent.
    """
    body = bytearray()
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise BodyTooLong("RequestTooLarge", f"the body has more than {limit_bytes} bytes")
    try:
        async for part in request.stream():
            body += part
            if len(body) > limit_bytes:
                raise BodyTooLong("RequestTooLarge", f"the body has more than {limit_bytes} bytes")
    except ClientDisconnect as error:
        raise BodyRefused("RequestInvalid", "the client went before the body was sent") from error
    return bytes(body)


def _answer(status: int, value: object) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")
