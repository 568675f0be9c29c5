"""What a click on a known picture costs, as clients of the replaced image server send it, and where the time goes."""

import base64
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx

from backlot.aws.dynamodb import Table as DynamoTable
from backlot.aws.task_store import TaskStore
from bench.figures import Figure, Section, Table, p50, p90
from bench.stand import Stand
from local.demo import PORTRAITS

SAMPLES, WARM_UP = 30, 5

#: Longest wait of a person who has clicked, milliseconds.
CLICK_BAR_MS = 1000.0

#: The model's own time, which is the stand-in's here.
MODEL = "model server: run"


@dataclass(frozen=True)
class Click:
    """One click, milliseconds.

    Args:
        total: what the client waited.
        parts: where it went; they add up to it.
    """

    total: float
    parts: dict[str, float]


def measure_clicks(stand: Stand) -> Section:
    """Measure clicks at different places of one picture, one after the other."""
    image = base64.b64encode((PORTRAITS / "astronaut.png").read_bytes()).decode()
    image_id = _post(stand, {"image": image, "points": [[222, 114]]})["image_id"]
    # No place comes twice, in no run: the same click joins the task that it has made before.
    shift = time.time() % 1
    clicks = [
        _click(stand, {"image_id": image_id, "points": [[200 + number + shift, 330 + 2 * number]], "dilate_amount": 0})
        for number in range(WARM_UP + SAMPLES)
    ][WARM_UP:]
    totals, model = [each.total for each in clicks], [each.parts[MODEL] for each in clicks]
    rest = [each.total - each.parts[MODEL] for each in clicks]
    figures = [
        Figure("click on a known picture, p50", p50(totals), "ms", CLICK_BAR_MS),
        Figure("click on a known picture, p90", p90(totals), "ms"),
        Figure("of it the model, p50", p50(model), "ms"),
        Figure("of it everything else, p50", p50(rest), "ms"),
        Figure("of it everything else, p90", p90(rest), "ms"),
    ]
    rows = [
        (name, *(function([click.parts[name] for click in clicks]) for function in (p50, p90)))
        for name in clicks[0].parts
    ]
    table = Table("where the time of a click goes, ms", ("part", "p50", "p90"), rows)
    return Section(f"Clicks on a known picture, {SAMPLES} one after the other", figures, [table])


def _post(stand: Stand, body: dict[str, Any]) -> dict[str, Any]:
    answer = stand.http.post("/api/smart-mask", json=body)
    answer.raise_for_status()
    answered: dict[str, Any] = answer.json()
    return answered


def _click(stand: Stand, body: dict[str, Any]) -> Click:
    began_ms = time.time() * 1000
    task_id = _post(stand, body)["request_id"]
    ended_ms = time.time() * 1000
    times = _times(stand, task_id)
    server = times.pop("server")
    names = (
        "request, until the task is stored",
        "until the execution stands",
        "state machine, until the message is sent (a fixed pause of MiniStack in it)",
        "queue and asking: claim, request object, invocation",
        "SageMaker's queue",
        "model server",
        "notification, claim, token",
        "state machine: recording",
        "until the client has the mask",
    )
    moments = [began_ms, *times["moments"], ended_ms]
    parts = {name: after - before for name, (before, after) in zip(names, pairwise(moments), strict=True)}
    run_ms = 1000 * server["run_s"]
    whole = parts.pop("model server")
    return Click(ended_ms - began_ms, parts | {MODEL: run_ms, "model server: reading, writing, HTTP": whole - run_ms})


def _times(stand: Stand, task_id: str) -> dict[str, Any]:
    """Return the moments of a task in their order, Unix milliseconds, and the model server's own timings."""
    task = TaskStore(DynamoTable(stand.aws("dynamodb"), "task_store", "task_id")).get(task_id)
    if task is None or task.completed_ms is None:
        raise RuntimeError(f"task {task_id} has no end")
    prefix = stand.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:")
    arn = f"{prefix}{task.operation}:{task_id}"
    events = stand.aws("stepfunctions").get_execution_history(executionArn=arn)["events"]
    started = next(event["timestamp"] for event in events if event["type"] == "ExecutionStarted")
    entered = {
        event["stateEnteredEventDetails"]["name"]: event["timestamp"].timestamp() * 1000
        for event in events
        if "stateEnteredEventDetails" in event
    }
    runs = httpx.get(f"{stand.place.stand_ins}/_sagemaker/invocations", trust_env=False).json()
    run = next(each for each in runs if each["inference_id"].startswith(task_id))
    moments = [
        float(task.created_ms),
        started.timestamp() * 1000,
        entered["FindMask"],
        *(run[name] * 1000 for name in ("received", "started", "ended")),
        entered["RecordCompletion"],
        float(task.completed_ms),
    ]
    return {"moments": moments, "server": task.steps[-1].detail["server"]}
