"""Workers of the GPU lane that a test kills, cuts off and tells that their host goes away."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from aiohttp import web

from local.environment import inherited
from local.gpu_lane import worker_environment
from local.place import ROOT, free_ports

#: How long a message stays with a worker that vanished, seconds; SQS counts in whole seconds.
LEASE_S = 4


class Line:
    """A TCP connection between two programs that can be cut, with everything that is under way on it.

    Args:
        target: port of loopback that it leads to.
        port: where it begins.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, target: int, port: int) -> None:
        self.port = port
        self._loop = loop
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._is_cut = False
        asyncio.run_coroutine_threadsafe(self._listen(), loop).result()

    def cut(self, seconds: float) -> None:
        """Break every connection off, and refuse new ones for a time."""
        asyncio.run_coroutine_threadsafe(self._cut(seconds), self._loop).result()

    def close(self) -> None:
        """Stop listening."""
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)

    async def _cut(self, seconds: float) -> None:
        self._is_cut = True
        for writer in self._open:
            writer.transport.abort()
        await asyncio.sleep(seconds)
        self._is_cut = False

    async def _close(self) -> None:
        self._server.close()
        for writer in self._open:
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, there_writer}
        self._open |= ends
        try:
            await asyncio.gather(_pour(reader, there_writer), _pour(there_reader, writer))
        finally:
            self._open -= ends
            for end in ends:
                end.transport.abort()


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65_536):
            sink.write(data)
            await sink.drain()
        sink.write_eof()
    except (OSError, RuntimeError):
        sink.transport.abort()


class Metadata:
    """EC2's instance metadata as far as a spot notice needs it.

    Args:
        port: where it answers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.notice = False
        self._loop = loop
        asyncio.run_coroutine_threadsafe(self._listen(port), loop).result()

    def close(self) -> None:
        """Stop answering."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()

    async def _listen(self, port: int) -> None:
        app = web.Application()
        app.router.add_put("/latest/api/token", self._token)
        app.router.add_get("/latest/meta-data/spot/instance-action", self._action)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", port).start()

    async def _token(self, _: web.Request) -> web.Response:
        return web.Response(text="token")

    async def _action(self, request: web.Request) -> web.Response:
        if request.headers.get("X-aws-ec2-metadata-token") != "token":
            return web.Response(status=401)
        if not self.notice:
            return web.Response(status=404)
        return web.json_response({"action": "terminate", "time": "2030-01-01T00:00:00Z"})


@dataclass
class Host:
    """A GPU host: one worker, its own ComfyUI, its lines, and what EC2 tells it.

    Args:
        studio: whose lane it works on.
        loop: in which its lines run.
        log: what its workers write.
    """

    studio: object
    loop: asyncio.AbstractEventLoop
    log: Path
    worker: subprocess.Popen | None = None
    starts: int = 0
    to_aws: Line = field(init=False)
    to_comfyui: Line = field(init=False)
    metadata: Metadata = field(init=False)

    def __post_init__(self) -> None:
        ports = iter(free_ports(str(self.log), 5))
        self._ready, self._comfyui = next(ports), next(ports)
        self.to_aws = Line(self.loop, self.studio.place.ports.emulator, next(ports))
        self.to_comfyui = Line(self.loop, self._comfyui, next(ports))
        self.metadata = Metadata(self.loop, next(ports))

    def start(self) -> None:
        """Start the worker, as a new container."""
        self.metadata.notice = False
        self.starts += 1
        environment = worker_environment(self.studio.place, self.studio.outputs)
        command = (
            f"{sys.executable} -m local.stand_ins.comfyui --port {self._comfyui} --folder {self.log.with_suffix('')}"
        )
        environment |= {
            "AWS_ENDPOINT_URL": f"https://localhost:{self.to_aws.port}",
            "COMFYUI_URL": f"http://127.0.0.1:{self.to_comfyui.port}",
            "COMFYUI_COMMAND": command,
            "SPOT_NOTICE_URL": self.metadata.url,
            "PORT": str(self._ready),
            "LEASE_S": str(LEASE_S),
            "DRAIN_LIMIT_S": "2",
        }
        with self.log.open("ab") as log:
            self.worker = subprocess.Popen(
                [sys.executable, "-m", "containers.comfyui.worker"],
                env={**inherited(), **environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def keep_running(self) -> None:
        """Start the worker again if it has ended, as ECS does."""
        if self.worker is None or self.worker.poll() is not None:
            self.kill()
            self.start()

    def kill(self) -> None:
        """Let the whole host vanish."""
        worker = self.worker
        if worker is not None:
            for process in _family(worker.pid):
                _kill(process)
            # A ComfyUI whose worker has gone before it.
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()

    def kill_comfyui(self) -> None:
        """Kill ComfyUI alone."""
        if self.worker is not None:
            for process in _family(self.worker.pid)[1:]:
                _kill(process)

    def terminate(self) -> None:
        """Ask the worker to end, as ECS does."""
        if self.worker is not None and self.worker.poll() is None:
            os.kill(self.worker.pid, signal.SIGTERM)

    def close(self) -> None:
        """End everything."""
        self.kill()
        for each in (self.to_aws, self.to_comfyui, self.metadata):
            each.close()


def _family(pid: int) -> list[psutil.Process]:
    """Return a process and its children; none if it is gone."""
    try:
        leader = psutil.Process(pid)
        return [leader, *leader.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill(process: psutil.Process) -> None:
    with suppress(psutil.NoSuchProcess):
        process.kill()


@contextmanager
def running_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Run an event loop in a thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
