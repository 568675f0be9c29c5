"""The ComfyUI beside the worker: watched, restarted if it is ours, and listened to."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger

from backlot.comfyui.client import ComfyuiClient, NotListening, UnexpectedAnswer, Unreachable
from backlot.comfyui.events import Event
from backlot.comfyui.schemas import NodeSchemas
from containers.comfyui.worker.process import ComfyuiProcess

#: Pause before ComfyUI is looked for again, seconds.
_PAUSE_S = 0.25

#: Pause before it is asked again whether it let go of a prompt, seconds.
_STUCK_PAUSE_S = 2.0

#: What the client ids of all workers begin with.
_CLIENT = "backlot-"

logger = Logger()

#: A prompt's events; None says that some may have got lost.
Events = asyncio.Queue[Event | None]


class Comfyui:
    """One ComfyUI. It is up while its WebSocket is open.

    Args:
        client: of its protocol.
        process: of it, if it is ours.
        on_crash: called when it was up and is gone.
    """

    def __init__(self, client: ComfyuiClient, process: ComfyuiProcess, on_crash: Callable[[], None]) -> None:
        self.client = client
        #: Counts the connections: what was uploaded in an earlier one may be gone.
        self.life = 0
        self.version = ""
        #: With which prompts are posted, so that their events come here; another for each connection, because ComfyUI
        #: forgets the new socket of an id when it notices that the old one is closed.
        self.client_id = ""
        self._process = process
        self._on_crash = on_crash
        self._name = f"{_CLIENT}{uuid.uuid4()}"
        self._up = asyncio.Event()
        self._was_up = False
        self._serving: asyncio.Task[None] | None = None
        self._stuck: str | None = None
        self._schemas: tuple[int, NodeSchemas] | None = None
        self._listener: tuple[str, Events] | None = None

    @property
    def is_up(self) -> bool:
        """Whether it takes prompts."""
        return self._up.is_set()

    async def wait_up(self) -> None:
        """Return as soon as it is up."""
        await self._up.wait()

    async def schemas(self, *, fresh: bool = False) -> NodeSchemas:
        """Return the schemas of its node classes.

        Args:
            fresh: ask it again, even if that was done since it is up.
        """
        if fresh or self._schemas is None or self._schemas[0] != self.life:
            life = self.life
            self._schemas = life, NodeSchemas.of(await self.client.object_info())
        return self._schemas[1]

    @contextmanager
    def listen(self, prompt_id: str) -> Iterator[Events]:
        """Collect a prompt's events, those that do not say whose they are among them; one prompt at a time."""
        events: Events = asyncio.Queue()
        self._listener = prompt_id, events
        try:
            yield events
        finally:
            self._listener = None

    async def watch(self) -> None:
        """Start it, keep a socket to it open, and begin again whenever the socket closes; for ever."""
        while True:
            self._serving = asyncio.create_task(self._serve())
            try:
                await asyncio.wait({self._serving})
            finally:
                self._serving.cancel()
                self._go_down()
            error = None if self._serving.cancelled() else self._serving.exception()
            if error and not isinstance(error, Unreachable | UnexpectedAnswer):
                raise error
            if isinstance(error, NotListening) or self._process.is_missing:
                await self._start()
            await asyncio.sleep(_PAUSE_S)

    async def replace(self, stuck: str) -> None:
        """Get rid of a ComfyUI that does not let go of a prompt; one that is not ours is waited for."""
        logger.error("ComfyUI does not let go of a prompt", prompt_id=stuck)
        if self._process.is_running:
            await self._process.kill()
        else:
            self._stuck = stuck
        if self._serving is not None:
            self._serving.cancel()

    async def close(self) -> None:
        """End it if it is ours."""
        await self._process.close()

    async def _serve(self) -> None:
        """Pass on events until the socket closes."""
        version = await self.client.version()
        client_id = f"{self._name}-{self.life + 1}"
        async with self.client.events(client_id) as events:
            await self._clear()
            self.life += 1
            self.version, self.client_id = version, client_id
            self._was_up = True
            self._up.set()
            logger.info("ComfyUI is up", version=version)
            async for event in events:
                self._pass_on(event)

    async def _clear(self) -> None:
        """Withdraw what an earlier worker left behind, and wait until a prompt is gone that did not obey."""
        for queued in await self.client.queue():
            if queued.client_id.startswith(_CLIENT) and not queued.client_id.startswith(self._name):
                await self.client.withdraw(queued.prompt_id)
        while self._stuck in {queued.prompt_id for queued in await self.client.queue()}:
            await asyncio.sleep(_STUCK_PAUSE_S)
        self._stuck = None

    async def _start(self) -> None:
        if self._was_up:
            self._was_up = False
            logger.error("ComfyUI is gone")
            self._on_crash()
        await self._process.ensure()

    def _go_down(self) -> None:
        if self.is_up:
            logger.warning("the connection to ComfyUI is lost")
        self._up.clear()
        if self._listener is not None:
            self._listener[1].put_nowait(None)

    def _pass_on(self, event: Event) -> None:
        if self._listener is not None and getattr(event, "prompt_id", None) in (None, self._listener[0]):
            self._listener[1].put_nowait(event)
