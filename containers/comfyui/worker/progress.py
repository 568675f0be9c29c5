"""How far a prompt is, from ComfyUI's events."""

from typing import Any

from backlot.comfyui.events import Event, NodeBegan, NodeDone, NodesCached, NodeStepped
from backlot.comfyui.graphs import Graph
from backlot.tasks import Progress

#: How much of the whole a step of a sampler is, where any other node is 1.
STEP_WEIGHT = 10


class PromptProgress:
    """What is known of a running graph.

    The value is the weight of the nodes that are done and the done part of the one that runs, of the weight of all.

    Args:
        graph: that runs.
        floor: what was said before, if the graph runs again; the value does not fall below it.
    """

    def __init__(self, graph: Graph, floor: float = 0.0) -> None:
        self._classes = {node: str(content["class_type"]) for node, content in graph.items()}
        self._weights = {node: _weight(content["inputs"]) for node, content in graph.items()}
        self._done: set[str] = set()
        self.node: str | None = None
        self._steps: tuple[int, int] | None = None
        self.value = floor

    def see(self, event: Event) -> bool:
        """Take an event in; tell whether it says anything about how far the prompt is."""
        match event:
            case NodesCached(nodes=nodes):
                self._done.update(nodes)
            case NodeDone(node=node):
                self._done.add(node)
            case NodeBegan(node=node):
                self._begin(node)
            case NodeStepped(node=node, done=done, total=total):
                self._begin(node or self.node)
                self._steps = (done, total)
            case _:
                return False
        self.value = max(self.value, self._computed())
        return True

    def at(self, now_ms: int, preview_url: str | None) -> Progress:
        """Return it as the task's record has it."""
        done, total = self._steps or (None, None)
        return Progress(
            value=self.value,
            node=self.node,
            node_class=self._classes.get(self.node or ""),
            step=done,
            steps=total,
            preview_url=preview_url,
            at_ms=now_ms,
        )

    def _begin(self, node: str | None) -> None:
        """Note which node runs; ComfyUI runs one at a time, and says so again at each of its steps."""
        if node == self.node:
            return
        if self.node is not None:
            self._done.add(self.node)
        self.node, self._steps = node, None

    def _computed(self) -> float:
        done = sum(weight for node, weight in self._weights.items() if node in self._done)
        if self._steps and self.node not in self._done:
            done += self._weights.get(self.node or "", 0) * self._steps[0] / self._steps[1]
        return round(min(done / sum(self._weights.values()), 1.0), 4)


def _weight(inputs: dict[str, Any]) -> float:
    steps = inputs.get("steps")
    return STEP_WEIGHT * steps if isinstance(steps, int) and steps > 0 else 1
