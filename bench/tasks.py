"""Submit latency, a task's overhead, and where a task's time goes."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backlot.aws.dynamodb import Table as DynamoTable
from backlot.aws.task_store import TaskStore
from backlot.tasks import Task
from bench.figures import Figure, Section, Table, p50, p90
from bench.stand import Stand, timed

SAMPLES, WARM_UP = 40, 5

#: Median time of a warm submission, and median overhead of a face-mask task, milliseconds.
SUBMIT_BAR_MS, OVERHEAD_BAR_MS = 50.0, 300.0

#: Parts of `timed_task` that are not overhead: they are what the task is for.
WORK = ("provider", "pixels")

#: MiniStack sleeps this long before it enters an execution's first state.
PAUSE = "fixed pause of MiniStack"


@dataclass(frozen=True)
class TimedTask:
    """One task's times, milliseconds.

    Args:
        submit: what the client waited for the answer to its submission.
        total: from `created` to `completed`, by the task's record.
        parts: where `total` went; they add up to it.
    """

    submit: float
    total: float
    parts: dict[str, float]

    @property
    def overhead(self) -> float:
        """What was neither provider nor pixels."""
        return self.total - sum(self.parts[name] for name in WORK)


def timed_task(stand: Stand, operation: str, body: dict[str, Any]) -> TimedTask:
    """Run one task of any operation, and tell where its time went."""
    with timed() as submission:
        task_id = stand.submit(operation, body)
    stand.finish(task_id)
    table = DynamoTable(stand.aws("dynamodb"), "task_store", "task_id")
    task = TaskStore(table).get(task_id)
    if task is None or task.completed_ms is None:
        raise RuntimeError(f"task {task_id} has no end")
    total = float(task.completed_ms - task.created_ms)
    return TimedTask(submission.seconds * 1000, total, _parts(stand, task, total))


def measure_tasks(stand: Stand) -> Section:
    """Measure warm face-mask tasks one after the other, and after each one request that does as little as possible."""
    body = {"image_url": stand.upload("astronaut.png")}
    for _ in range(WARM_UP):
        timed_task(stand, "face-mask", body)
    tasks, floor = [], []
    for _ in range(SAMPLES):
        tasks.append(timed_task(stand, "face-mask", body))
        floor.append(_once(lambda: stand.http.get("/health").raise_for_status()))
    submit, overhead = [each.submit for each in tasks], [each.overhead for each in tasks]
    without_pause = [each.overhead - each.parts[PAUSE] for each in tasks]
    figures = [
        Figure("POST face-mask/tasks, p50", p50(submit), "ms", SUBMIT_BAR_MS),
        Figure("POST face-mask/tasks, p90", p90(submit), "ms"),
        Figure("GET /health, answered from memory, p50", p50(floor), "ms"),
        Figure("GET /health, answered from memory, p90", p90(floor), "ms"),
        Figure("submit to floor, of the medians", p50(submit) / p50(floor), ""),
        Figure("overhead of a task, p50", p50(overhead), "ms", OVERHEAD_BAR_MS),
        Figure("overhead of a task, p90", p90(overhead), "ms"),
        Figure("overhead without MiniStack's pause, p50", p50(without_pause), "ms"),
        Figure("overhead without MiniStack's pause, p90", p90(without_pause), "ms"),
        Figure("whole task, p50", p50([each.total for each in tasks]), "ms"),
        Figure("whole task, p90", p90([each.total for each in tasks]), "ms"),
    ]
    return Section(f"Warm tasks, {SAMPLES} one after the other", figures, [where_time_goes("face-mask", tasks)])


def where_time_goes(operation: str, tasks: list[TimedTask]) -> Table:
    """Return the table of the parts."""
    rows = [
        (name, *(function([task.parts[name] for task in tasks]) for function in (p50, p90)), _kind(name))
        for name in tasks[0].parts
    ]
    return Table(f"where the time of a {operation} task goes, ms", ("part", "p50", "p90", "is"), rows)


def _parts(stand: Stand, task: Task, total: float) -> dict[str, float]:
    prefix = stand.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:")
    arn = f"{prefix}{task.operation}:{task.task_id}"
    events = stand.aws("stepfunctions").get_execution_history(executionArn=arn)["events"]
    times = {event["type"]: event["timestamp"].timestamp() * 1000 for event in reversed(events)}
    sums = {
        name: 1000 * sum(getattr(step.timings, f"{name}_s") for step in task.steps)
        for name in ("queued", "fetch", "provider", "image", "store", "processing")
    }
    in_step = sums["fetch"] + sums["provider"] + sums["image"] + sums["store"]
    parts = {
        "submit, until the execution stands": times["ExecutionStarted"] - task.created_ms,
        PAUSE: times["TaskStateEntered"] - times["ExecutionStarted"],
        "queue, until a worker has the message": sums["queued"],
        "reading the input": sums["fetch"],
        "provider": sums["provider"],
        "pixels": sums["image"],
        "storing the result": sums["store"],
        "rest of the worker: claims and kept answers": sums["processing"] - in_step,
    }
    return parts | {"state machine: sending, answering, recording": total - sum(parts.values())}


def _kind(part: str) -> str:
    return "work" if part in WORK else "emulator" if part == PAUSE else "overhead"


def _once(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000
