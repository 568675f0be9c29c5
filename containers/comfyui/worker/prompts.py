"""Runs graphs on ComfyUI: posts them, follows them, and takes them back when they are not wanted any more."""

import asyncio
import math
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from aws_lambda_powertools import Logger

from backlot.comfyui.checks import FILENAME_PREFIX
from backlot.comfyui.client import NotListening, PromptRefused, UnexpectedAnswer, Unreachable
from backlot.comfyui.graphs import Graph
from backlot.errors import GpuOutOfMemory, WorkflowFailed, WorkflowRefused
from containers.comfyui.worker.comfyui import Comfyui, Events
from containers.comfyui.worker.ends import NodeBroke, PromptLost
from containers.comfyui.worker.following import Follower, Limits, Onlooker

#: Subfolder of ComfyUI's output that our results lie in.
PREFIX = "backlot"

#: How long a prompt that broke a limit may take to be gone, seconds: ComfyUI looks at interruptions between nodes and
#: between the steps of a sampler.
GONE_S = 60.0

#: Pauses before it is looked for again, seconds.
_FIRST_LOOK_S, _LONGEST_LOOK_S = 0.05, 2.0

#: ComfyUI frees memory between prompts, and would begin a prompt that is posted at once before it does.
_FREE_PAUSE_S = 1.0

#: Longest text of an exception that a task's error repeats, characters.
_MAX_REASON_CHARS = 500

logger = Logger()


@dataclass(frozen=True)
class Ran:
    """A prompt that has succeeded; its history entry says what it made.

    Args:
        prompt_id: of it.
        seconds: that ComfyUI had it.
    """

    prompt_id: str
    seconds: float


class Prompts:
    """Runs one graph at a time.

    Args:
        comfyui: that runs them.
        limits: of every graph.
        on_busy: told when the GPU gets a graph (True) and when it has none (False).
    """

    def __init__(self, comfyui: Comfyui, limits: Limits, on_busy: Callable[[bool], None]) -> None:
        self._comfyui = comfyui
        self._limits = limits
        self._on_busy = on_busy
        #: How long a withdrawn prompt is waited for at most, seconds; set when the worker has to end.
        self.patience_s = math.inf

    async def run(self, graph: Graph, *, preview: bool, onlooker: Onlooker) -> Ran:
        """Run a graph; once more, with all memory free, if the GPU's did not suffice.

        Args:
            graph: complete but for the names of the files that it makes.
            preview: whether pictures of the unfinished result are wanted.
            onlooker: sees its events.

        Raises:
            WorkflowRefused: ComfyUI does not take the graph.
            WorkflowFailed: a node broke.
            GpuOutOfMemory: the memory did not suffice, twice.
            WorkflowStalled: nothing was heard of it for too long.
            WorkflowTimedOut: it took too long.
            PromptLost: ComfyUI was restarted, or somebody interrupted it.
            Unreachable: ComfyUI is gone.
        """
        try:
            try:
                return await self._run(graph, preview, onlooker)
            except NodeBroke as broke:
                if not broke.is_out_of_memory:
                    raise
            logger.warning("the GPU's memory did not suffice and is freed")
            await self._comfyui.client.free()
            await asyncio.sleep(_FREE_PAUSE_S)
            return await self._run(graph, preview, onlooker)
        except NodeBroke as broke:
            raise _error(broke) from broke
        except PromptRefused as refused:
            raise WorkflowRefused(problems=str(refused)) from refused
        except UnexpectedAnswer as error:
            raise WorkflowFailed(node="-", node_class="-", reason=str(error)) from error

    async def _run(self, graph: Graph, preview: bool, onlooker: Onlooker) -> Ran:
        comfyui, prompt_id = self._comfyui, str(uuid.uuid4())
        follower = Follower(comfyui, prompt_id, self._limits, onlooker)
        with comfyui.listen(prompt_id) as events:
            self._on_busy(True)
            try:
                await self._post(graph, prompt_id, preview, events)
                return Ran(prompt_id, await follower.follow(events))
            except (NodeBroke, PromptLost, NotListening):
                raise
            except asyncio.CancelledError:
                # A model that is being loaded is of use to the next prompt.
                await self._withdraw(prompt_id, self._limits.stall_s)
                raise
            except Exception:
                await self._withdraw(prompt_id, GONE_S)
                raise
            finally:
                self._on_busy(False)

    async def _post(self, graph: Graph, prompt_id: str, preview: bool, events: Events) -> None:
        logger.info("prompt posted", prompt_id=prompt_id)
        try:
            await self._comfyui.client.post_prompt(
                named(graph, prompt_id),
                prompt_id=prompt_id,
                client_id=self._comfyui.client_id,
                extra_data={"preview_method": "auto" if preview else "none"},
            )
        except NotListening:
            raise
        except Unreachable as error:
            logger.warning("it is not known whether ComfyUI has the prompt", reason=str(error))
            events.put_nowait(None)

    async def _withdraw(self, prompt_id: str, limit_s: float) -> None:
        """Take a prompt back, and wait until it is gone; if it does not go, ComfyUI does."""
        client = self._comfyui.client
        with suppress(Unreachable, UnexpectedAnswer):
            try:
                async with asyncio.timeout(min(limit_s, self.patience_s)):
                    pause_s = _FIRST_LOOK_S
                    while True:
                        await client.withdraw(prompt_id)
                        if prompt_id not in {queued.prompt_id for queued in await client.queue()}:
                            return
                        await asyncio.sleep(pause_s)
                        pause_s = min(2 * pause_s, _LONGEST_LOOK_S)
            except TimeoutError:
                await self._comfyui.replace(prompt_id)


def named(graph: Graph, prompt_id: str) -> Graph:
    """Return a graph in which every node that saves has a prefix of its own for its files.

    ComfyUI would repeat the names of files that it made before: for the same graph, and for another node of the same
    inputs.
    """
    return {
        node: {**content, "inputs": content["inputs"] | {FILENAME_PREFIX: f"{PREFIX}/{prompt_id}/{place}"}}
        if FILENAME_PREFIX in content["inputs"]
        else content
        for place, (node, content) in enumerate(graph.items())
    }


def _error(broke: NodeBroke) -> WorkflowFailed | GpuOutOfMemory:
    logger.error("a node broke", node=broke.node, node_class=broke.node_class, traceback=broke.traceback)
    if broke.is_out_of_memory:
        return GpuOutOfMemory(node=broke.node, node_class=broke.node_class)
    reason = f"{broke.kind.rpartition('.')[2]}: {broke.reason}"[:_MAX_REASON_CHARS]
    return WorkflowFailed(node=broke.node, node_class=broke.node_class, reason=reason)
