"""What ComfyUI tells over its WebSocket, as typed events.

Messages come only to the socket whose client id a prompt was posted with, and some not at all: after a reconnection,
or when ComfyUI has died. They say early what `/history` says for certain.

Source: server.py, execution.py, protocol.py and comfy_execution/progress.py of ComfyUI 0.3.64 and 0.33.0, read
2026-11-21.
"""

import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Kinds of binary frames, and the type of picture that is a JPEG.
_PREVIEW, _PREVIEW_WITH_METADATA = 1, 4
_JPEG = 1


@dataclass(frozen=True)
class QueueMoved:
    """The queue has another length.

    Args:
        remaining: prompts that run or wait.
    """

    remaining: int


@dataclass(frozen=True)
class Began:
    """A prompt was taken from the queue."""

    prompt_id: str


@dataclass(frozen=True)
class NodesCached:
    """Nodes of a prompt whose results are known from an earlier prompt, and which do not run."""

    prompt_id: str
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class NodeBegan:
    """A node runs.

    Args:
        prompt_id: None after a reconnection, when ComfyUI does not say whose it is.
        node: of the graph, even if the node that runs stands in for it.
    """

    prompt_id: str | None
    node: str


@dataclass(frozen=True)
class NodeDone:
    """A node has given its output."""

    prompt_id: str
    node: str


@dataclass(frozen=True)
class NodeStepped:
    """A node that counts its steps is so far.

    Args:
        node: None if ComfyUI does not say which.
        done: steps.
        total: steps, more than 1.
    """

    prompt_id: str | None
    node: str | None
    done: int
    total: int


@dataclass(frozen=True)
class PromptLeft:
    """A prompt is over and its history entry is written, whatever its end."""

    prompt_id: str


@dataclass(frozen=True)
class Succeeded:
    """A prompt has done all its nodes; its files are written, its history entry follows."""

    prompt_id: str


@dataclass(frozen=True)
class Broke:
    """A node of a prompt raised, or the prompt was interrupted; its history entry follows."""

    prompt_id: str


@dataclass(frozen=True)
class Preview:
    """A picture of what a node is making.

    Args:
        prompt_id: None if ComfyUI does not say whose it is.
        jpeg: the picture's bytes.
    """

    prompt_id: str | None
    jpeg: bytes


Event = QueueMoved | Began | NodesCached | NodeBegan | NodeDone | NodeStepped | PromptLeft | Succeeded | Broke | Preview


def parse_text(text: str) -> list[Event]:
    """Read a text frame; what is not known, or not as it should be, is no event."""
    try:
        message = json.loads(text)
        parse = _PARSERS.get(message["type"])
        return parse(message["data"]) if parse else []
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def parse_binary(frame: bytes) -> list[Event]:
    """Read a binary frame: previews in JPEG, with metadata or without."""
    try:
        kind, second = struct.unpack_from(">II", frame)
        if kind == _PREVIEW and second == _JPEG:
            return [Preview(None, frame[8:])]
        if kind == _PREVIEW_WITH_METADATA:
            metadata = json.loads(frame[8 : 8 + second])
            if metadata.get("image_type") == "image/jpeg":
                return [Preview(_id(metadata.get("prompt_id")), frame[8 + second :])]
    except (ValueError, struct.error, AttributeError):
        pass
    return []


def _node_state(prompt_id: str, state: dict[str, Any]) -> list[Event]:
    """Read one node of many; a node that stands in for one of the graph's is not that one's end."""
    node = str(state.get("display_node_id") or state["node_id"])
    if state["state"] == "running":
        return [NodeBegan(prompt_id, node), *_steps(prompt_id, node, state)]
    is_done = state["state"] == "finished" and node == str(state["node_id"])
    return [NodeDone(prompt_id, node)] if is_done else []


def _steps(prompt_id: str | None, node: str | None, data: dict[str, Any]) -> list[Event]:
    """Read steps; every node has one step, which says nothing."""
    done, total = int(data["value"]), int(data["max"])
    return [NodeStepped(prompt_id, node, min(max(done, 0), total), total)] if total > 1 else []


def _node(data: dict[str, Any]) -> str:
    return str(data.get("display_node") or data["node"])


def _id(value: Any) -> str | None:
    return None if value is None else str(value)


def _executing(data: dict[str, Any]) -> list[Event]:
    if data["node"] is None:
        return [PromptLeft(data["prompt_id"])]
    return [NodeBegan(_id(data.get("prompt_id")), _node(data))]


_PARSERS: dict[str, Callable[[dict[str, Any]], list[Event]]] = {
    "status": lambda data: [QueueMoved(int(data["status"]["exec_info"]["queue_remaining"]))],
    "execution_start": lambda data: [Began(data["prompt_id"])],
    "execution_cached": lambda data: [NodesCached(data["prompt_id"], tuple(map(str, data["nodes"])))],
    "executing": _executing,
    "progress": lambda data: _steps(_id(data.get("prompt_id")), _id(data.get("node")), data),
    "progress_state": lambda data: [
        event for state in data["nodes"].values() for event in _node_state(data["prompt_id"], state)
    ],
    "executed": lambda data: [NodeDone(data["prompt_id"], _node(data))],
    "execution_success": lambda data: [Succeeded(data["prompt_id"])],
    "execution_error": lambda data: [Broke(data["prompt_id"])],
    "execution_interrupted": lambda data: [Broke(data["prompt_id"])],
}
