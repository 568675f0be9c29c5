"""The functions behind the API: what each makes of its event."""

import json
from types import SimpleNamespace

import pytest

from backlot.settlement import Settlement
from backlot.sweep import Sweep
from backlot.tasks import Status
from lambdas.run_paid_step import handler as run_paid_step
from lambdas.run_paid_step.deps import Deps
from lambdas.settle_execution import handler as settle_execution
from lambdas.sweep_stalled import handler as sweep_stalled
from tests.unit.api import CONTEXT
from tests.unit.fakes import Counter, Counts, DeadLetter, DeadLetters, Executions, Faces, Looks, Tasks, Tokens
from tests.unit.ledger import Ledger
from tests.unit.pictures import plain
from tests.unit.work import LEASE_MS, TASK_ID, a_task, an_item

URL = "https://images.example.com/scene.jpg"
ANSWER = {"choices": [{"message": {"content": '{"bbox_2d": [100, 100, 300, 500]}'}}], "model": "qwen3-vl-plus"}


class Queue:
    """Remembers for how long each message was given back."""

    def __init__(self) -> None:
        self.delays: dict[str, int] = {}

    def delay(self, receipt_handle: str, seconds: int) -> None:
        self.delays[receipt_handle] = seconds


@pytest.fixture
def queue(worker, wire, monkeypatch) -> Queue:
    queue = Queue()
    worker.hosts.pictures[URL] = plain(200, 100)
    wire.gives(ANSWER)
    monkeypatch.setattr(run_paid_step, "_deps", lambda: Deps(worker.runner, queue))
    return queue


def message(number: int, body: str, *, receives: int = 1, sent_ms: int = 0) -> dict:
    return {
        "messageId": f"message-{number}",
        "receiptHandle": f"receipt-{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": str(receives), "SentTimestamp": str(sent_ms)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:1:cpu_tasks_queue",
        "awsRegion": "us-east-1",
    }


def work(*messages: dict) -> list[str]:
    """Hand messages to the worker; return the ids of those that stay in the queue."""
    answer = run_paid_step.handler({"Records": list(messages)}, CONTEXT)
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def mask(token: str = "token", url: str = URL) -> str:
    return an_item("mask-face", {"image_url": url}, token=token).model_dump_json()


def test_worker_that_did_a_message_takes_it_from_the_queue(worker, queue):
    assert work(message(1, mask(), sent_ms=worker.clock() - 4000)) == []
    kind, output = worker.tokens.answers["token"]
    assert (kind, output["timings"]["queued_s"]) == ("done", 4.0)


def test_worker_whose_step_failed_takes_the_message_from_the_queue(worker, queue):
    assert work(message(1, mask(url="https://images.example.com/none.jpg"))) == []
    assert worker.tokens.answers["token"][0] == "ImageNotFetched"


@pytest.mark.parametrize(("receives", "delay_s"), [(1, 5), (2, 10), (3, 20)])
def test_worker_that_met_a_defect_gives_the_message_back_for_longer_each_time(worker, queue, receives, delay_s):
    worker.hosts.pictures[URL] = RuntimeError("a defect")

    assert work(message(1, mask(), receives=receives)) == ["message-1"]
    assert queue.delays == {"receipt-1": delay_s}
    assert worker.tokens.answers == {}


@pytest.mark.parametrize("body", ["", "hello", "{}", '{"task_token": ""}'])
def test_worker_that_cannot_read_a_message_gives_it_back(queue, body):
    assert work(message(1, body)) == ["message-1"]
    assert queue.delays == {"receipt-1": 5}


def test_worker_whose_step_is_held_gives_the_message_back_until_the_lease_ends(worker, queue):
    item = an_item("mask-face", {"image_url": URL})
    worker.ledger.claim(
        SimpleNamespace(task_id=TASK_ID, step="mask-face", attempt=item.attempt, turn=0, receipt="another"),
        now_ms=worker.clock(),
        lease_ms=LEASE_MS,
    )

    assert work(message(1, item.model_dump_json())) == ["message-1"]
    assert queue.delays == {"receipt-1": LEASE_MS // 1000 + 1}


def test_worker_with_one_bad_message_does_the_others(worker, queue):
    assert work(message(1, "hello"), message(2, mask())) == ["message-1"]
    assert worker.tokens.answers["token"][0] == "done"


def test_worker_logs_no_token_and_no_url(worker, queue, caplog):
    work(message(1, mask(token="secret-token")))

    logged = json.dumps([vars(record) for record in caplog.records], default=str)
    assert [record.message for record in caplog.records] == ["step finished"]
    assert "secret-token" not in logged
    assert URL not in logged


def ended(status: str) -> dict:
    return {"detail": {"name": TASK_ID, "status": status}, "source": "aws.states", "detail-type": "x"}


@pytest.mark.parametrize(("status", "counted"), [("ABORTED", 1), ("SUCCEEDED", 0)])
def test_settler_settles_the_execution_of_an_event(clock, monkeypatch, status, counted):
    settlement = Settlement(Tasks({TASK_ID: a_task()}), Executions(), Counter(), Counts(), clock)
    monkeypatch.setattr(settle_execution, "_deps", lambda: settlement)

    settle_execution.handler(ended(status), CONTEXT)

    assert len(settlement.metrics.ended_tasks) == counted


def test_sweeper_sweeps_and_says_what_it_found(clock, monkeypatch, caplog):
    letters = DeadLetters([DeadLetter("hello"), DeadLetter(mask())])
    sweep = Sweep(
        Tasks({TASK_ID: a_task(now_ms=clock() - 300_000)}),
        Executions(),
        [letters],
        Tokens(),
        Faces(),
        Ledger(clock),
        Looks(),
        clock,
    )
    monkeypatch.setattr(sweep_stalled, "_deps", lambda: sweep)

    sweep_stalled.handler({}, CONTEXT)

    (record,) = caplog.records
    assert (record.dead_letters, record.unreadable, record.started, record.not_started) == (1, 1, 1, 0)


def test_metrics_of_an_ended_task_are_written_by_operation_and_by_code(monkeypatch, capsys):
    from backlot.aws.cloudwatch import OperationMetrics  # noqa: PLC0415

    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", "backlot-dev")
    OperationMetrics().ended(
        a_task(
            status=Status.FAILED,
            error_name="NoFaceFound",
            started_ms=a_task().created_ms + 2000,
            completed_ms=a_task().created_ms + 5000,
        )
    )

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    by_code, by_operation = lines
    assert (by_code["code"], by_code["TasksFailedByCode"]) == ("NO_FACE_FOUND", [1.0])
    assert (by_operation["QueueTime"], by_operation["ProcessingTime"]) == ([2000.0], [3000.0])
    assert by_operation["operation"] == "face-mask"
    assert "TasksCompleted" not in by_operation
