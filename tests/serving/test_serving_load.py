"""More than one request at a time: bounds, batches, memory, and a /ping that always answers."""

import asyncio
import threading

import pytest

from sagemaker_models.serving.batching import Runner
from sagemaker_models.serving.errors import ServerFault
from sagemaker_models.serving.metrics import Timings
from sagemaker_models.serving.model import Outputs, Request
from tests.serving.servers import until
from tests.serving.toys import Echo, Scribbler, ShortOfAnswers, Wishes


def test_requests_over_the_bound_are_answered_503_at_once(start):
    server = start("Gated", max_concurrent=1, max_queue=1).until_ready()
    taken = [server.ask_later(wishes={"gate": "open"}) for _ in range(2)]
    server.until_full()
    refused = server.ask()
    assert refused.json()["error"]["code"] == "Overloaded"
    assert not any(each.done() for each in taken)
    assert server.ping()[0] == 200
    server.open_gate("open")
    assert [each.result().status_code for each in taken] == [200, 200]
    assert server.ask().status_code == 200


def test_requests_run_side_by_side_up_to_the_bound(start):
    server = start("Gated", max_concurrent=2, max_queue=4).until_ready()
    taken = [server.ask_later(wishes={"gate": f"gate{number}"}) for number in range(2)]
    until(lambda: server.entered("gate0") and server.entered("gate1"))
    server.open_gate("gate0")
    server.open_gate("gate1")
    assert {each.result().json()["values"]["thread"] for each in taken} == {"model_0", "model_1"}


def test_requests_that_wait_are_run_as_one_batch(start):
    server = start("GatedBatches", max_concurrent=1, max_queue=4, batch_wait_ms=100).until_ready()
    first = server.ask_later(wishes={"gate": "open"})
    until(lambda: server.entered("open"))
    others = [server.ask_later() for _ in range(4)]
    server.until_full()
    server.open_gate("open")
    assert first.result().json()["values"]["batch"] == 1
    assert [each.result().json()["values"]["batch"] for each in others] == [4, 4, 4, 4]


def test_request_that_breaks_a_batch_fails_alone(start):
    server = start("GatedBatches", max_concurrent=1, max_queue=4, batch_wait_ms=100).until_ready()
    first = server.ask_later(wishes={"gate": "open"})
    until(lambda: server.entered("open"))
    others = [server.ask_later(wishes={"fail": fail}) for fail in ("", "raise", "caller", "")]
    server.until_full()
    server.open_gate("open")
    assert first.result().status_code == 200
    assert [each.result().status_code for each in others] == [200, 500, 200, 200]
    assert others[2].result().json()["error"]["code"] == "ImageUnreadable"


def test_model_out_of_memory_is_released_and_tried_once_more(start):
    server = start("Echo").until_ready()
    for releases, kind in enumerate(["memory", "torch", "cuda-memory"]):
        saved = server.ask(wishes={"fail": kind, "releases": releases})
        assert (saved.status_code, saved.json()["model"]["released"]) == (200, releases + 1)
    lost = server.ask(wishes={"fail": "memory", "releases": 99})
    assert (lost.status_code, lost.json()["error"]["code"]) == (503, "OutOfMemory")
    assert server.ask().json()["model"]["released"] == 4


def test_server_whose_gpu_failed_answers_so_and_ends_for_another_to_start(start):
    server = start("Gated", max_concurrent=2).until_ready()
    running = server.ask_later(wishes={"gate": "open"})
    until(lambda: server.entered("open"))
    lost = server.ask(wishes={"fail": "device"})
    assert (lost.status_code, lost.json()["error"]["code"]) == (503, "DeviceLost")
    assert "an illegal memory access" in lost.json()["error"]["message"]
    assert server.ping()[0] == 503
    server.open_gate("open")
    assert running.result().status_code == 200
    assert server.exit_code() == 4


def test_release_waits_for_what_runs_and_gives_memory_back(start):
    server = start("Gated", max_concurrent=2).until_ready()
    running = server.ask_later(wishes={"gate": "open"})
    until(lambda: server.entered("open"))
    released = server.post_later({"command": "release"})
    later = server.ask_later()
    assert server.ping()[0] == 200
    assert not released.done()
    server.open_gate("open")
    assert running.result().json()["values"]["released"] == 0
    answer = released.result().json()
    assert (answer["released"], answer["model"]["engine"], answer["model"]["released"]) == (True, "toy", 1)
    assert later.result().status_code == 200


class Recorder(Echo):
    """Keeps the sizes of its batches."""

    max_batch = 3

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.ran = threading.Event()

    def run(self, requests):
        self.batches.append(len(requests))
        self.ran.set()
        return [Outputs() for _ in requests]


def ask(runner: Runner) -> "asyncio.Task":
    return asyncio.create_task(runner.run(Request({}, Wishes(), "id"), Timings()))


def test_batch_waits_for_a_request_that_is_announced():
    async def journey() -> list[int]:
        model = Recorder()
        runner = Runner(model, 1, batch_wait_s=20.0)
        with runner.announced():
            asked = [ask(runner), ask(runner)]
            await asyncio.sleep(0.02)
            assert not model.ran.is_set()
        await asyncio.gather(*asked)
        return model.batches

    assert asyncio.run(journey()) == [2]


def test_batch_does_not_wait_for_ever_for_a_request_that_is_announced():
    async def journey() -> list[int]:
        model = Recorder()
        runner = Runner(model, 1, batch_wait_s=0.01)
        with runner.announced():
            await ask(runner)
        return model.batches

    assert asyncio.run(journey()) == [1]


def test_full_batch_does_not_wait():
    async def journey() -> list[int]:
        model = Recorder()
        runner = Runner(model, 1, batch_wait_s=20.0)
        with runner.announced():
            await asyncio.wait_for(asyncio.gather(*(ask(runner) for _ in range(3))), 10)
        return model.batches

    assert asyncio.run(journey()) == [3]


def test_lone_request_does_not_wait():
    async def journey() -> list[int]:
        model = Recorder()
        runner = Runner(model, 1, batch_wait_s=20.0)
        await asyncio.wait_for(ask(runner), 10)
        await asyncio.wait_for(ask(runner), 10)
        return model.batches

    assert asyncio.run(journey()) == [1, 1]


@pytest.mark.parametrize("model", [ShortOfAnswers, Scribbler])
def test_model_with_answers_that_do_not_fit_is_the_servers_fault(model):
    async def journey() -> object:
        return await ask(Runner(model(), 1, batch_wait_s=0.0))

    answer = asyncio.run(journey())
    assert isinstance(answer, ServerFault)
    assert answer.code == "ModelFailed"
