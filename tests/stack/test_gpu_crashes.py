"""The GPU lane disturbed in every way at random moments: nothing is lost, nothing is stored twice.

`--gpu-crash-runs N` disturbs N tasks.
"""

import concurrent.futures
import random
import threading
import time
from collections import Counter

import pytest

from backlot.assets import COMFYUI_PREFIX
from local.gpu_lane import await_gpu_worker, gpu_worker, start_gpu_worker
from tests.stack.gpu_workers import Host, running_loop
from tests.stack.waiting import until

#: How a disturbed task may end. What is disturbed too late does not feel it, so that `completed` is always right.
ENDS = {
    "nothing": {"completed"},
    "worker killed": {"completed"},
    "ComfyUI killed": {"completed"},
    "cut from AWS": {"completed"},
    "cut from ComfyUI": {"completed"},
    "token expired": {"completed", "ABORTED"},
    "delivered twice": {"completed"},
    "spot notice": {"completed"},
    "asked to end": {"completed"},
    "cancelled": {"completed", "cancelled"},
}

#: Latest moment of a disturbance, and longest cut, seconds; a task works for about half a second.
LATEST_S, LONGEST_CUT_S = 1.5, 2.0

#: Tasks under way at once, and hosts.
AT_ONCE, HOSTS = 4, 2

#: Longest time from a submission to its end, seconds: hosts come back, messages are seen again.
LIMIT_S = 180.0


@pytest.fixture
def hosts(studio, tmp_path):
    gpu_worker(studio.place).stop()
    studio.aws("sqs").purge_queue(QueueUrl=studio.outputs["GpuTasksQueueUrl"])
    over = threading.Event()
    with running_loop() as loop:
        made = [Host(studio, loop, tmp_path / f"host-{number}.log") for number in range(HOSTS)]

        def keep() -> None:
            while not over.wait(0.2):
                for host in made:
                    host.keep_running()

        keeper = threading.Thread(target=keep)
        keeper.start()
        yield made
        over.set()
        keeper.join()
        for host in made:
            host.close()
    start_gpu_worker(studio.place, studio.outputs)
    await_gpu_worker(studio.place)


class Disturbance:
    """Does one thing to the lane while one task is under way."""

    def __init__(self, studio, hosts: list[Host], kind: str, luck: random.Random) -> None:
        self._studio = studio
        self._host = luck.choice(hosts)
        self._kind = kind
        self._after_s = luck.uniform(0, LATEST_S)
        self._cut_s = luck.uniform(0.1, LONGEST_CUT_S)

    def strike(self, task_id: str) -> None:
        time.sleep(self._after_s)
        match self._kind:
            case "worker killed":
                self._host.kill()
            case "ComfyUI killed":
                self._host.kill_comfyui()
            case "cut from AWS":
                self._host.to_aws.cut(self._cut_s)
            case "cut from ComfyUI":
                self._host.to_comfyui.cut(self._cut_s)
            case "token expired":
                self._stop_execution(task_id)
            case "delivered twice":
                self._send_again()
            case "spot notice":
                self._host.metadata.notice = True
            case "asked to end":
                self._host.terminate()
            case "cancelled":
                self._studio.http.delete(f"/api/v1/tasks/{task_id}")

    def _execution(self, task_id: str) -> str:
        prefix = self._studio.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:")
        return f"{prefix}camera-angle:{task_id}"

    def _stop_execution(self, task_id: str) -> None:
        machine = self._studio.aws("stepfunctions")
        if machine.describe_execution(executionArn=self._execution(task_id))["status"] == "RUNNING":
            machine.stop_execution(executionArn=self._execution(task_id))

    def _send_again(self) -> None:
        """Let whatever waits in the queue be delivered twice."""
        sqs, url = self._studio.aws("sqs"), self._studio.outputs["GpuTasksQueueUrl"]
        for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=2).get("Messages", []):
            for _ in range(2):
                sqs.send_message(QueueUrl=url, MessageBody=message["Body"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


@pytest.mark.timeout(3600)
def test_disturbed_tasks_end_right_and_are_stored_once(studio, astronaut, hosts, request):
    runs = request.config.getoption("--gpu-crash-runs")
    kinds = [kind for kind, _ in zip(_in_turn(list(ENDS)), range(runs), strict=False)]
    before = stored(studio)

    def run(number: int) -> tuple[str, str, dict]:
        luck = random.Random(number)
        disturbance = Disturbance(studio, hosts, kinds[number], luck)
        task_id = studio.submit("camera-angle", {"image_url": astronaut, "horizontal": 1, "steps": 4})
        disturbance.strike(task_id)
        return kinds[number], task_id, studio.finish(task_id, LIMIT_S)

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(run, range(runs)))

    ends = Counter((kind, _end(task)) for kind, _, task in ended)
    assert [each for each in ends if each[1] not in ENDS[each[0]]] == [], ends
    completed = {f"{task_id}.png" for _, task_id, task in ended if task["status"] == "completed"}
    others = {f"{task_id}.png" for _, task_id, task in ended if task["status"] != "completed"}
    made = stored(studio) - before
    assert completed <= made <= completed | others
    until(lambda: studio.depth("GpuTasksQueueUrl") == 0, "an empty queue", LIMIT_S)
    assert studio.depth("GpuTasksDlqUrl") == 0


def _in_turn(kinds: list[str]):
    while True:
        yield from kinds


def _end(task: dict) -> str:
    return task["error_detail"]["code"] if task["status"] == "failed" else task["status"]


def stored(studio) -> set[str]:
    """Return the names of the lane's stored objects."""
    prefix = f"{COMFYUI_PREFIX}camera-angle/"
    return {key.removeprefix(prefix) for key in studio.objects() if key.startswith(prefix)}
