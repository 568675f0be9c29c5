"""One prompt: its nodes in order, its messages, and what is made to go wrong in it."""

import asyncio
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from local.stand_ins.comfyui.cache import Cache, Made, signatures
from local.stand_ins.comfyui.files import Folders
from local.stand_ins.comfyui.nodes import SAMPLERS, Job, run_node
from local.stand_ins.comfyui.prompt_queue import Prompt
from local.stand_ins.comfyui.records import Settings
from local.stand_ins.comfyui.schemas import NodeClass
from local.stand_ins.comfyui.sockets import Sockets
from local.stand_ins.comfyui.validation import Graph
from local.stand_ins.faults import Fault

#: As torch names it, and ComfyUI's words with it.
OUT_OF_MEMORY = "torch.OutOfMemoryError"
NO_MEMORY_WORDS = "Allocation on device \nThis error means you ran out of memory on your GPU."


class Interrupted(Exception):
    """Somebody has interrupted the prompt."""


class Restarted(Exception):
    """All that is in memory shall be lost, as by a restart."""


class MadeToFail(Exception):
    """A node fails because a test wants it.

    Args:
        kind: the exception's name on the wire.
        words: its message.
    """

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(words)
        self.kind = kind


@dataclass
class Shop:
    """What all prompts of a process share."""

    classes: dict[str, NodeClass]
    folders: Folders
    sockets: Sockets
    settings: Settings
    cache: Cache
    is_new: bool


class Run:
    """The execution of one prompt.

    Args:
        prompt: what to run.
        shop: with what.
        fault: what shall go wrong in it, if anything.
        is_interrupted: whether it shall end.
    """

    def __init__(self, prompt: Prompt, shop: Shop, fault: Fault | None, is_interrupted: Callable[[], bool]) -> None:
        self.prompt = prompt
        self.node_id: str | None = None
        self.status = "running"
        self.executed: list[str] = []
        self._shop = shop
        self._fault = fault
        self._is_interrupted = is_interrupted
        self._messages: list[list[Any]] = []
        self._progress: dict[str, dict[str, Any]] = {}
        self._graph = _needed(prompt, shop.classes)
        self._keys: dict[str, str] = {}
        self._struck = ""

    async def execute(self) -> None:
        """Run all nodes that are needed and not known yet.

        Raises:
            Restarted: a fault says so.
        """
        self._note("execution_start", {})
        self._keys = await asyncio.to_thread(signatures, self._graph, self._shop.folders)
        self._shop.cache.begin(set(self._keys.values()))
        cached = [node_id for node_id, key in self._keys.items() if self._shop.cache.get(key) is not None]
        self._note("execution_cached", {"nodes": cached})
        order = self._order(set(cached))
        self._struck = self._place_of_fault(order)
        node_id = ""
        try:
            for node_id in order:
                await self._run_node(node_id)
        except Restarted:
            self.status = "lost"
            raise
        except Interrupted:
            self.status = "interrupted"
            self._note("execution_interrupted", self._about(node_id), is_broadcast=True)
        except Exception as error:  # noqa: BLE001 - whatever a node raises is the prompt's error
            self.status = "error"
            self._note("execution_error", self._about(node_id) | self._details(node_id, error))
        else:
            self.status = "success"
            self._note("execution_success", {})
        self.node_id = None

    def entry(self) -> dict[str, Any]:
        """Return what the history keeps of it."""
        shown = {
            node_id: made for node_id, key in self._keys.items() if (made := self._shop.cache.get(key)) and made.ui
        }
        ok = self.status == "success"
        return {
            "outputs": {node_id: made.ui for node_id, made in shown.items()},
            "status": {"status_str": "success" if ok else "error", "completed": ok, "messages": self._messages},
            "meta": {
                node_id: {"node_id": node_id, "display_node": node_id, "parent_node": None, "real_node_id": node_id}
                for node_id in shown
            },
        }

    def _order(self, cached: set[str]) -> list[str]:
        """Return the nodes to run, each after those that it needs, in the order in which ComfyUI would choose them.

        What shows a result soonest comes first: an output, then a node right before one, then one before that.
        """
        needs: dict[str, set[str]] = {}
        waiting = []
        for end in self.prompt.outputs:
            waiting.append(end)
            while waiting:
                node_id = waiting.pop()
                if node_id not in needs:
                    sources = [value[0] for value in self._graph[node_id]["inputs"].values() if isinstance(value, list)]
                    sources = [each for each in sources if each not in cached]
                    needs[node_id] = set(sources)
                    waiting += sources
        order: list[str] = []
        while len(order) < len(needs):
            left = [node_id for node_id in needs if node_id not in order]
            ready = [node_id for node_id in left if needs[node_id] <= set(order)]
            ends = {node_id for node_id in left if self._is_output(node_id)}
            before = {source for node_id in ends for source in needs[node_id]}
            earlier = {source for node_id in before for source in needs[node_id]}
            order.append(next(each for kind in (ends, before, earlier, set(ready)) for each in ready if each in kind))
        return order

    def _is_output(self, node_id: str) -> bool:
        return self._shop.classes[self._graph[node_id]["class_type"]].is_output

    def _place_of_fault(self, order: list[str]) -> str:
        """Return the node in which the fault shows: the one that it names, else a sampler, else the last."""
        if self._fault is None:
            return ""
        wanted = {self._fault.node} if self._fault.node else SAMPLERS
        found = [each for each in order if wanted & {each, self._graph[each]["class_type"]}]
        return (found or order[-1:] or [""])[0]

    async def _run_node(self, node_id: str) -> None:
        key = self._keys[node_id]
        known = self._shop.cache.get(key)
        if known is not None:
            self._send("executed", {"node": node_id, "display_node": node_id, "output": known.ui})
            self._finish(node_id)
            return
        class_type = self._graph[node_id]["class_type"]
        self._set_progress(node_id, 0.0, 1.0)
        self.node_id = node_id
        self._send("executing", {"node": node_id, "display_node": node_id})
        await asyncio.sleep(self._shop.settings.node_s)
        self._stop_if_interrupted()
        if class_type not in SAMPLERS:
            await self._strike(node_id)
        job = Job(self._shop.folders, self.prompt.graph, self.prompt.extra_data, self._shop.settings, self._tick)
        made = await run_node(class_type, job, self._inputs(node_id))
        if made.ui is not None:
            self._send("executed", {"node": node_id, "display_node": node_id, "output": made.ui})
        self._shop.cache.put(key, made)
        self._finish(node_id)
        self.executed.append(node_id)

    def _inputs(self, node_id: str) -> dict[str, Any]:
        inputs = self._graph[node_id]["inputs"]
        return {name: self._result(value) if isinstance(value, list) else value for name, value in inputs.items()}

    def _result(self, link: list[Any]) -> Any:
        made = self._shop.cache.get(self._keys[link[0]])
        assert isinstance(made, Made)
        return made.outputs[link[1]]

    async def _tick(self, value: int, maximum: int, preview: Callable[[], Image.Image]) -> None:
        """Tell that a step is done."""
        self._stop_if_interrupted()
        assert self.node_id is not None
        self._set_progress(self.node_id, value, maximum)
        sockets, client_id = self._shop.sockets, self.prompt.client_id
        has_preview, has_metadata = self._has_previews(), sockets.wants_metadata(client_id)
        if has_preview and has_metadata:
            metadata = _ids(self.node_id) | {"prompt_id": self.prompt.prompt_id}
            sockets.send_preview(preview(), client_id, metadata)
        self._send("progress", {"value": value, "max": maximum, "node": self.node_id})
        if has_preview and not has_metadata:
            sockets.send_preview(preview(), client_id)
        if self._fault and value == min(self._fault.step, maximum):
            await self._strike(self.node_id)

    def _has_previews(self) -> bool:
        wanted = self.prompt.extra_data.get("preview_method") if self._shop.is_new else None
        return self._shop.settings.previews if wanted in (None, "default") else wanted != "none"

    def _stop_if_interrupted(self) -> None:
        if self._is_interrupted():
            raise Interrupted

    async def _strike(self, node_id: str) -> None:
        if self._fault is None or node_id != self._struck:
            return
        match self._fault.kind:
            case "oom":
                raise MadeToFail(OUT_OF_MEMORY, NO_MEMORY_WORDS)
            case "exception":
                raise MadeToFail(self._fault.code, self._fault.message)
            case "hang":
                await self._hang(self._fault.wait_s)
            case "death":
                os._exit(1)
            case "socket-cut":
                self._shop.sockets.cut(self.prompt.client_id)
            case "restart":
                raise Restarted

    async def _hang(self, limit_s: float) -> None:
        """Do nothing, until somebody changes how long samplers take at the latest."""
        deadline, step_s = time.monotonic() + limit_s, self._shop.settings.step_s
        while time.monotonic() < deadline and self._shop.settings.step_s == step_s:
            await asyncio.sleep(0.02)

    def _note(self, event: str, data: dict[str, Any], *, is_broadcast: bool = False) -> None:
        """Send a message that the history keeps."""
        told = data | {"prompt_id": self.prompt.prompt_id, "timestamp": int(time.time() * 1000)}
        self._messages.append([event, told])
        if self.prompt.client_id is not None or is_broadcast:
            self._shop.sockets.send(event, told, self.prompt.client_id)

    def _send(self, event: str, data: dict[str, Any]) -> None:
        # Without a client, ComfyUI keeps most messages to itself, but tells everybody of progress.
        if self.prompt.client_id is not None or event in ("progress", "progress_state"):
            self._shop.sockets.send(event, data | {"prompt_id": self.prompt.prompt_id}, self.prompt.client_id)

    def _set_progress(self, node_id: str, value: float, maximum: float, state: str = "running") -> None:
        self._progress[node_id] = {"value": value, "max": maximum, "state": state}
        shown = {each: {**at, **_ids(each), "prompt_id": self.prompt.prompt_id} for each, at in self._progress.items()}
        self._send("progress_state", {"nodes": shown})

    def _finish(self, node_id: str) -> None:
        maximum = self._progress.get(node_id, {"max": 1})["max"]
        self._set_progress(node_id, maximum, maximum, "finished")

    def _about(self, node_id: str) -> dict[str, Any]:
        node_type = self._graph[node_id]["class_type"]
        return {"node_id": node_id, "node_type": node_type, "executed": list(self.executed)}

    def _details(self, node_id: str, error: Exception) -> dict[str, Any]:
        return {
            "exception_message": f"{error}\n",
            "exception_type": error.kind if isinstance(error, MadeToFail) else _name(type(error)),
            "traceback": traceback.format_tb(error.__traceback__),
            "current_inputs": {name: [_formatted(value)] for name, value in self._inputs(node_id).items()},
            "current_outputs": list(self.prompt.graph),
        }


def _needed(prompt: Prompt, classes: dict[str, NodeClass]) -> Graph:
    """Return the nodes that the outputs need, with the inputs that their classes know."""
    found: Graph = {}

    def add(node_id: str) -> None:
        if node_id not in found:
            node = prompt.graph[node_id]
            known = classes[node["class_type"]].inputs
            inputs = {name: value for name, value in node["inputs"].items() if name in known}
            found[node_id] = {"class_type": node["class_type"], "inputs": inputs}
            for value in inputs.values():
                if isinstance(value, list):
                    add(value[0])

    for node_id in prompt.outputs:
        add(node_id)
    return found


def _name(kind: type[Exception]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _ids(node_id: str) -> dict[str, Any]:
    return {"node_id": node_id, "display_node_id": node_id, "parent_node_id": None, "real_node_id": node_id}


def _formatted(value: Any) -> Any:
    if value is None or isinstance(value, int | float | bool | str):
        return value
    return f"array {value.shape}" if isinstance(value, np.ndarray) else str(value)
