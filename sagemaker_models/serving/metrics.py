"""Lines on stdout: one for each invocation in CloudWatch's embedded metric format, and the log's."""

import json
import sys
import time
import traceback
from dataclasses import asdict, dataclass
from typing import Any

NAMESPACE = "Backlot"

INVOCATIONS, ERRORS, ERRORS_BY_CODE = "ModelInvocations", "ModelErrors", "ModelErrorsByCode"
TIMES = {"fetch_s": "ModelFetchTime", "queue_s": "ModelQueueTime", "run_s": "ModelRunTime", "store_s": "ModelStoreTime"}


@dataclass
class Timings:
    """Where an invocation's time went, seconds; what it did not come to is 0."""

    fetch_s: float = 0.0
    queue_s: float = 0.0
    run_s: float = 0.0
    store_s: float = 0.0

    def as_json(self) -> dict[str, float]:
        """Return them as the answer has them."""
        return {name: round(seconds, 6) for name, seconds in asdict(self).items()}


def publish(model: str, invocation_id: str, status: int, code: str | None, timings: Timings) -> None:
    """Write the line of one invocation.

    Args:
        model: its name, the dimension of all metrics.
        status: HTTP status of the answer.
        code: of the error, None if all went well.
    """
    values = {INVOCATIONS: 1, ERRORS: 0 if code is None else 1}
    units = dict.fromkeys(values, "Count")
    for field, name in TIMES.items():
        values[name] = round(getattr(timings, field) * 1000, 3)
        units[name] = "Milliseconds"
    directives = [_directive([["Model"]], units)]
    if code is not None:
        values[ERRORS_BY_CODE] = 1
        directives.append(_directive([["Model", "Code"]], {ERRORS_BY_CODE: "Count"}))
    line: dict[str, Any] = {
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": directives},
        "Model": model,
        **({} if code is None else {"Code": code}),
        **values,
        "id": invocation_id,
        "status": status,
    }
    _write(line)


def log(level: str, message: str, error: BaseException | None = None, **fields: Any) -> None:
    """Write a line of the log: a constant sentence, fields, and the stack of an error."""
    stack = {} if error is None else {"stack": "".join(traceback.format_exception(error))}
    _write({"level": level, "message": message, **fields, **stack})


def _directive(dimensions: list[list[str]], units: dict[str, str]) -> dict[str, Any]:
    metrics = [{"Name": name, "Unit": unit} for name, unit in units.items()]
    return {"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}


def _write(line: dict[str, Any]) -> None:
    # One call for line and end, so that lines of several threads do not mix.
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()
