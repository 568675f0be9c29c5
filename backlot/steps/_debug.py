"""What a masked edit keeps of itself when it is asked to, in the files that the replaced server wrote beside a result.

NN_condition.png     the conditional images in their order; the model's server writes them itself
metadata.json        what was asked and what came of it
lora_debug.log       which weights were at work, as the model tells it
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backlot.errors import BacklotError
from backlot.steps._step import StepRun

METADATA, LOG = "metadata.json", "lora_debug.log"

#: What the model says of its weights, in the order of the log.
_WEIGHTS = (
    *("checkpoint_sha256", "lora_adapter", "loaded_adapters", "placement"),
    *("lightning", "steps", "true_cfg", "guided", "seed", "canvas", "conditional_labels"),
)


@dataclass(frozen=True)
class DebugFiles:
    """The files of one task.

    Args:
        prefix: below which they lie, see `backlot.assets.debug_prefix`.
    """

    prefix: str

    def conditions(self, most: int) -> dict[str, str]:
        """Return the keys of conditional images, by the names of the model's outputs."""
        return {f"condition_{number}": f"{self.prefix}{number:02d}_condition.png" for number in range(1, most + 1)}

    def keep(
        self,
        run: StepRun,
        inputs: dict[str, str],
        parameters: dict[str, Any],
        answer: dict[str, Any],
        labels: Sequence[str],
        result_url: str,
    ) -> dict[str, Any]:
        """Write metadata and log of an edit that was made; return where everything lies."""
        made = self.conditions(len(labels))
        values, said = answer["values"], answer.get("model", {})
        self._put(
            run,
            {
                "success": True,
                **_asked(run, inputs, parameters),
                "generation_time": values.get("timings", {}).get("generate_s", answer.get("timings", {}).get("run_s")),
                "num_images": len(made),
                "conditional_labels": list(labels),
                "result": result_url,
                "values": values,
                "model": said,
                "server": answer.get("timings", {}),
            },
            [
                *(f"{name}: {_words(value)}" for name, value in said.items()),
                *(f"{name}: {_words(values[name])}" for name in _WEIGHTS if name in values),
                *(f"{name}: {seconds}" for name, seconds in values.get("timings", {}).items()),
            ],
        )
        return {
            "prefix": self.prefix,
            "images": list(made.values()),
            "labels": list(labels),
            "metadata": f"{self.prefix}{METADATA}",
            "log": f"{self.prefix}{LOG}",
        }

    def keep_failure(
        self, run: StepRun, inputs: dict[str, str], parameters: dict[str, Any], error: BacklotError
    ) -> None:
        """Write metadata and log of an edit that was not made; a later attempt writes its own over them."""
        told = {"code": error.code(), "message": str(error), "remedy": error.remedy}
        metadata = {"success": False, **_asked(run, inputs, parameters), "num_images": 0, "error": told}
        self._put(run, metadata, [f"{name}: {words}" for name, words in told.items()])

    def _put(self, run: StepRun, metadata: dict[str, Any], log: list[str]) -> None:
        text = json.dumps(metadata, indent=2, ensure_ascii=False)
        for name, body, kind in ((METADATA, text, "application/json"), (LOG, "\n".join([*log, ""]), "text/plain")):
            key = f"{self.prefix}{name}"
            with run.watch.time("store_s"):
                run.deps.objects.put(key, body.encode(), content_type=kind, cache_control="no-store")


def _asked(run: StepRun, inputs: dict[str, str], parameters: dict[str, Any]) -> dict[str, Any]:
    created = datetime.fromtimestamp(run.created_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "task_id": run.task_id,
        "task_type": parameters["task"],
        "created_at": created,
        "inputs": inputs,
        "parameters": parameters,
    }


def _words(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
