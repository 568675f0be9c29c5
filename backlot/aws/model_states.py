"""What models of our own last said of themselves, for those who want to know and must not wake an instance for it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backlot.assets import MODEL_RESULT_PREFIX
from backlot.aws.dynamodb import Table
from backlot.clock import Clock

#: Written at most once in this time for each model, milliseconds.
EVERY_MS = 60_000

#: How long an item is kept after it was last written, seconds.
_KEPT_S = 7 * 86_400

#: Compiled when first used: a cold start does not pay for it.
_ENDPOINT = f"/{MODEL_RESULT_PREFIX}(?P<endpoint>[^/]+)/"


@dataclass(frozen=True)
class ModelState:
    """What a model said, and when.

    Args:
        said: device, checkpoint, memory and the like; see docs/serving.md.
        at_ms: Unix milliseconds.
    """

    said: dict[str, Any]
    at_ms: int


class ModelStates:
    """Items of the idempotency table, one a model.

    Args:
        table: the idempotency table, whose key is `id`.
        endpoints: name of each model's endpoint.
        clock: Unix time in milliseconds.
    """

    def __init__(self, table: Table, endpoints: Mapping[str, str], clock: Clock) -> None:
        self._table = table
        self._models = {endpoint: model for model, endpoint in endpoints.items()}
        self._clock = clock
        self._noted_ms: dict[str, int] = {}

    def note(self, location: str | None, answer: Mapping[str, Any] | None) -> None:
        """Note what an answer says of its model, unless that was done a short time ago.

        Args:
            location: where the answer lies; it names the endpoint.
            answer: in the form in which it is kept, see `backlot.aws.sagemaker`; None if there is none.
        """
        found = re.search(_ENDPOINT, location or "")
        model = self._models.get(found["endpoint"]) if found else None
        said = ((answer or {}).get("output") or {}).get("model")
        now_ms = self._clock()
        if model is None or not isinstance(said, dict) or now_ms - self._noted_ms.get(model, 0) < EVERY_MS:
            return
        self._noted_ms[model] = now_ms
        self._table.update(
            _key(model),
            "SET said = :said, at_ms = :now, expires_at = :expiry",
            condition="attribute_not_exists(id) OR at_ms <= :before",
            values={
                ":said": json.dumps(said),
                ":now": now_ms,
                ":before": now_ms - EVERY_MS,
                ":expiry": now_ms // 1000 + _KEPT_S,
            },
        )

    def of(self, model: str) -> ModelState | None:
        """Return what a model last said; None if it never did, or not for a week."""
        record = self._table.get(_key(model))
        return ModelState(json.loads(record["said"]), int(record["at_ms"])) if record else None


def _key(model: str) -> str:
    return f"model/{model}"
