"""Results of nodes, found again by what they were made of."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from local.stand_ins.comfyui.files import Folders
from local.stand_ins.comfyui.schemas import UPLOADS
from local.stand_ins.comfyui.validation import Graph


@dataclass(frozen=True)
class Made:
    """What a node has made.

    Args:
        outputs: one for each output of its class.
        ui: files and more that the history shows; None if there is nothing.
    """

    outputs: tuple[Any, ...] = ()
    ui: dict[str, Any] | None = None


class Cache:
    """Results by signature.

    Args:
        keeps: how many results outlive a prompt that has no such nodes.
    """

    def __init__(self, keeps: int) -> None:
        self._keeps = keeps
        self._made: dict[str, Made] = {}

    def begin(self, needed: set[str]) -> None:
        """Drop what the next prompt does not have."""
        others = [key for key in self._made if key not in needed]
        for key in others[: max(len(others) - self._keeps, 0)]:
            del self._made[key]

    def get(self, signature: str) -> Made | None:
        """Return a result."""
        return self._made.get(signature)

    def put(self, signature: str, made: Made) -> None:
        """Keep a result."""
        self._made[signature] = made

    def clear(self) -> None:
        """Forget all results."""
        self._made.clear()


def signatures(graph: Graph, folders: Folders) -> dict[str, str]:
    """Return a digest of each node and of all that it depends on; ids do not count, the bytes of uploads do."""
    found: dict[str, str] = {}

    def of(node_id: str) -> str:
        if node_id not in found:
            node = graph[node_id]
            parts: list[Any] = [node["class_type"]]
            for name, value in sorted(node["inputs"].items()):
                is_link = isinstance(value, list)
                parts.append([name, [of(value[0]), value[1]] if is_link else value])
                if (node["class_type"], name) in UPLOADS and (path := folders.find(str(value))) is not None:
                    parts.append(hashlib.sha256(path.read_bytes()).hexdigest())
            found[node_id] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return found[node_id]

    for node_id in graph:
        of(node_id)
    return found
