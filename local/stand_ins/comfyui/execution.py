"""The one worker of a ComfyUI: takes prompts from the queue, and puts what became of them into the history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from aiohttp import web

from local.stand_ins.comfyui.cache import Cache
from local.stand_ins.comfyui.files import Folders
from local.stand_ins.comfyui.prompt_queue import Prompt, PromptQueue
from local.stand_ins.comfyui.records import Records
from local.stand_ins.comfyui.run import Restarted, Run, Shop
from local.stand_ins.comfyui.schemas import NodeClass
from local.stand_ins.comfyui.sockets import Sockets
from local.stand_ins.faults import Faults

#: Between a prompt's last message and its entry in the history, seconds; ComfyUI has such a gap, only shorter.
HISTORY_S = 0.01

#: Results that 0.33 keeps beside those of the running prompt; the real one keeps as many as memory holds.
KEPT = 64


class Execution:
    """Runs prompts, one at a time.

    Args:
        classes: node classes by name.
        folders: where files lie.
        faults: those of `comfyui-run` are met here.
        records: what tests look at.
        is_new: whether it is 0.33, or 0.3.64.
    """

    def __init__(
        self, classes: dict[str, NodeClass], folders: Folders, faults: Faults, records: Records, *, is_new: bool
    ) -> None:
        self.sockets = Sockets(self.status, self._executing)
        self.queue = PromptQueue(self.sockets.send_status)
        self._shop = Shop(classes, folders, self.sockets, records.settings, Cache(KEPT if is_new else 0), is_new)
        self._faults = faults
        self._records = records
        self._run: Run | None = None
        self._is_interrupted = False
        self._forgets = False

    async def lifetime(self, _: web.Application) -> AsyncIterator[None]:
        """Work; for `cleanup_ctx`."""
        work = asyncio.create_task(self._work())
        yield
        work.cancel()
        with suppress(asyncio.CancelledError):
            await work

    def status(self) -> dict[str, Any]:
        """Return what `GET /prompt` and `status` messages say."""
        return {"exec_info": {"queue_remaining": self.queue.remaining}}

    def interrupt(self) -> None:
        """Let the running prompt end at its next step or node."""
        self._is_interrupted = True

    def free(self, *, free_memory: bool) -> None:
        """Forget the results of nodes as soon as no prompt runs, if `free_memory`; models are none here."""
        self._forgets |= free_memory
        self.queue.wake()

    async def _work(self) -> None:
        while True:
            prompt = await self.queue.take()
            if prompt is not None:
                await self._execute(prompt)
            if self._forgets:
                self._shop.cache.clear()
                self._forgets = False

    async def _execute(self, prompt: Prompt) -> None:
        self._is_interrupted = False
        fault = self._faults.take("comfyui-run")
        kind = fault.kind if fault else ""
        record = self._records.begin(prompt)
        self._run = run = Run(prompt, self._shop, fault, lambda: self._is_interrupted)
        record.nodes = run.executed
        try:
            await run.execute()
        except Restarted:
            self._lose()
            return
        finally:
            record.close(run.status)
        await asyncio.sleep(fault.wait_s if fault and kind == "late-history" else HISTORY_S)
        self.queue.done(run.entry())
        self._run = None
        if prompt.client_id is not None and kind != "no-end":
            end = {"node": None, "prompt_id": prompt.prompt_id}
            self.sockets.send("executing", end, prompt.client_id)

    def _lose(self) -> None:
        """Forget all that only memory holds, and break off all sockets."""
        self._run = None
        self.queue.forget()
        self._shop.cache.clear()
        self.sockets.cut(None)

    def _executing(self) -> tuple[str | None, str | None]:
        return (self._run.prompt.client_id, self._run.node_id) if self._run else (None, None)
