"""How a prompt ended, as its history entry says it."""

from dataclasses import dataclass
from typing import Any


class NodeBroke(Exception):
    """A node raised.

    Args:
        node: its id.
        node_class: of it.
        kind: name of the exception's class.
        reason: the exception's text.
        traceback: of it.
    """

    def __init__(self, node: str, node_class: str, kind: str, reason: str, traceback: str) -> None:
        self.node, self.node_class, self.kind = node, node_class, kind
        self.reason, self.traceback = reason, traceback
        super().__init__(f"{node_class}: {kind}: {reason}")

    @property
    def is_out_of_memory(self) -> bool:
        """Whether the GPU's memory did not suffice; CUDA says so with several classes, and in words."""
        return "OutOfMemory" in self.kind or "out of memory" in self.reason.lower()


class PromptLost(Exception):
    """ComfyUI does not know the prompt any more, because it was restarted say, or was interrupted by somebody else."""


@dataclass(frozen=True)
class Ended:
    """A prompt that is over.

    Args:
        outputs: by node, what its history entry lists.
    """

    outputs: dict[str, Any]


def read_end(entry: dict[str, Any]) -> Ended:
    """Tell how a prompt ended.

    Args:
        entry: of the history.

    Raises:
        NodeBroke: a node raised.
        PromptLost: it was interrupted, and not by us: we do not look at what we interrupted.
    """
    status = entry.get("status") or {}
    for name, details in status.get("messages", []):
        if name == "execution_interrupted":
            raise PromptLost("it was interrupted")
        if name == "execution_error":
            raise NodeBroke(
                node=str(details.get("node_id", "")),
                node_class=str(details.get("node_type", "")),
                kind=str(details.get("exception_type", "")),
                reason=str(details.get("exception_message", "")).strip(),
                traceback="".join(map(str, details.get("traceback") or [])),
            )
    if status.get("status_str") == "error":
        raise NodeBroke("", "", "", "ComfyUI does not say why", "")
    return Ended(entry.get("outputs") or {})
