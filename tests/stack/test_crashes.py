"""Workers killed at every point of a paid step: nothing is lost, and nothing is bought twice.

`--crash-runs N` kills N workers at each point.
"""

import concurrent.futures
import json
import subprocess
import sys
import time

import pytest

from local.environment import inherited
from local.place import ROOT
from tests.stack.crashing_worker import LEASE_MS, POINTS
from tests.stack.waiting import until

#: What becomes of a task whose worker dies there, and how often the provider was called for it. A call without a number
#: of its own, whose answer was lost, cannot be known to be unpaid: the task says so.
ENDS = {
    "before the call": ("completed", None, 1),
    "when the call is noted": ("failed", "MAYBE_PAID", 0),
    "after submit": ("failed", "MAYBE_PAID", 1),
    "after the answer": ("failed", "MAYBE_PAID", 1),
    "when the answer is kept": ("completed", None, 1),
    "before the token reply": ("completed", None, 1),
}


@pytest.fixture(scope="module")
def idle_function(studio):
    """Let Lambda take no messages, so that the workers below get them."""
    lambda_ = studio.aws("lambda")
    (mapping,) = lambda_.list_event_source_mappings(FunctionName=studio.function("RunPaidStep"))["EventSourceMappings"]
    studio.purge()
    lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    time.sleep(2)
    yield
    lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)


@pytest.fixture(scope="module")
def environment(studio) -> dict[str, str]:
    """Return the variables of the function, and those that reach the emulator."""
    function = studio.aws("lambda").get_function_configuration(FunctionName=studio.function("RunPaidStep"))
    variables = function["Environment"]["Variables"]
    return {**inherited(), **studio.place.client_environment, **variables, "PYTHONPATH": str(ROOT)}


def receive(studio, count: int) -> dict[str, dict]:
    """Take so many messages; return them by task."""
    sqs, url = studio.aws("sqs"), studio.outputs["CpuTasksQueueUrl"]
    taken: dict[str, dict] = {}

    def take() -> bool:
        answer = sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=300, MessageSystemAttributeNames=["All"]
        )
        taken.update({json.loads(each["Body"])["task_id"]: each for each in answer.get("Messages", [])})
        return len(taken) >= count

    until(take, f"{count} messages")
    return taken


def run_worker(message: dict, point: str, environment: dict[str, str]) -> subprocess.CompletedProcess:
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message["Attributes"],
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:cpu_tasks_queue",
        "awsRegion": "us-east-1",
    }
    command = [sys.executable, "-m", "tests.stack.crashing_worker", point]
    return subprocess.run(
        command,
        input=json.dumps({"Records": [record]}).encode(),
        env=environment,
        cwd=ROOT,
        capture_output=True,
        check=False,
    )


def kill_and_go_on(studio, message: dict, point: str, environment: dict[str, str]) -> None:
    """Let one worker die with a message, and another one get it again."""
    assert run_worker(message, point, environment).returncode == -9
    time.sleep(LEASE_MS / 1000)
    again = run_worker(message, "never", environment)
    assert again.returncode == 0, again.stderr.decode()
    assert json.loads(again.stdout.splitlines()[-1])["answer"] == {"batchItemFailures": []}
    studio.aws("sqs").delete_message(
        QueueUrl=studio.outputs["CpuTasksQueueUrl"], ReceiptHandle=message["ReceiptHandle"]
    )


def test_points_are_those_that_are_judged():
    assert ENDS.keys() == POINTS.keys()


@pytest.mark.parametrize("point", POINTS)
def test_worker_killed_at_a_point_loses_nothing_and_buys_nothing_twice(
    studio, astronaut, idle_function, environment, point, request
):
    runs = request.config.getoption("--crash-runs")
    status, code, calls = ENDS[point]
    if point == "after submit":
        studio.fault("dashscope", {"kind": "none", "wait_s": 2, "times": runs})
    ids = [studio.submit("face-mask", {"image_url": astronaut}) for _ in range(runs)]
    messages = receive(studio, runs)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda task_id: kill_and_go_on(studio, messages[task_id], point, environment), ids))

    ends = [studio.finish(task_id) for task_id in ids]
    assert {(task["status"], (task["error_detail"] or {}).get("code")) for task in ends} == {(status, code)}
    assert studio.calls().get("dashscope", 0) == calls * runs
    assert studio.depth("CpuTasksQueueUrl") == 0
