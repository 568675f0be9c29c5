"""ComfyUI's stand-in: what goes wrong on request, and its process."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from local.environment import inherited
from local.place import ROOT, free_ports
from tests.serving.servers import until
from tests.wire.comfyui import Comfyui, editing, scaling, serving


@pytest.fixture
def comfyui(tmp_path) -> Iterator[Comfyui]:
    with serving(tmp_path) as client:
        yield client


def last(entry: dict) -> tuple[str, dict]:
    return tuple(entry["status"]["messages"][-1])


class TestSubmission:
    def test_refused_one_does_not_run(self, comfyui):
        comfyui.fault("comfyui", "status", status=503)
        assert comfyui.post(scaling("a.png")).status_code == 503
        assert comfyui.run(scaling("a.png"))["status"]["completed"] is True
        assert len(comfyui.state()["prompts"]) == 1

    def test_dropped_one_does_not_run(self, comfyui):
        comfyui.fault("comfyui", "reset")
        with pytest.raises(httpx.TransportError):
            comfyui.post(scaling("a.png"))
        assert comfyui.http.get("/prompt").json()["exec_info"]["queue_remaining"] == 0
        assert comfyui.state()["prompts"] == []

    def test_lost_answer_runs_all_the_same(self, comfyui):
        prompt_id = "7009e49a-7f60-4bff-8614-20e87be29f83"
        comfyui.fault("comfyui", "lost-answer")
        with pytest.raises(httpx.TransportError):
            comfyui.post(scaling("a.png"), prompt_id=prompt_id)
        assert comfyui.entry(prompt_id)["status"]["completed"] is True

    def test_late_answer_comes(self, comfyui):
        comfyui.fault("comfyui", "none", wait_s=0.3)
        began = time.monotonic()
        comfyui.start(scaling("a.png"))
        assert time.monotonic() - began >= 0.3


class TestRoutes:
    @pytest.mark.parametrize(
        ("name", "method", "path"),
        [
            ("comfyui-upload", "POST", "/upload/image"),
            ("comfyui-view", "GET", "/api/view"),
            ("comfyui-history", "GET", "/history/a"),
            ("comfyui-object_info", "GET", "/object_info"),
            ("comfyui-system_stats", "GET", "/system_stats"),
            ("comfyui-interrupt", "POST", "/interrupt"),
            ("comfyui-prompt", "GET", "/prompt"),
        ],
    )
    def test_each_fails_by_its_own_name_and_once(self, comfyui, name, method, path):
        comfyui.fault(name, "status", status=502)
        body = {"json": {}} if method == "POST" and "upload" not in path else {}
        first, second = (comfyui.http.request(method, path, **body).status_code for _ in range(2))
        assert first == 502
        assert second != 502

    def test_download_can_break_off(self, comfyui):
        comfyui.fault("comfyui-view", "truncated")
        with pytest.raises(httpx.TransportError):
            comfyui.view({"filename": "a.png", "type": "input"})

    def test_socket_can_be_refused(self, comfyui):
        comfyui.fault("comfyui-ws", "status", status=500)
        headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
        assert comfyui.http.get("/ws", headers=headers).status_code == 500

    def test_calls_are_counted(self, comfyui):
        comfyui.start(scaling("a.png"))
        calls = comfyui.http.get("/_calls").json()
        assert (calls["comfyui-upload"], calls["comfyui"]) == (1, 1)


class TestRun:
    def test_memory_runs_out_in_the_sampler_once(self, comfyui):
        comfyui.fault("comfyui-run", "oom")
        socket = comfyui.connect()
        entry = comfyui.run(editing("a.png"))
        name, told = last(entry)
        assert (name, told["node_id"], told["node_type"]) == ("execution_error", "3", "KSampler")
        assert told["exception_type"] == "torch.OutOfMemoryError"
        assert "out of memory" in told["exception_message"]
        assert set(told["executed"]) == {"37", "38", "39", "78", "11", "10", "88"}
        assert told["current_inputs"]["steps"] == [4]
        assert entry["status"]["status_str"] == "error"
        assert socket.until("execution_error") == told
        socket.until("executing", node=None)
        assert comfyui.run(editing("a.png"))["status"]["completed"] is True

    def test_memory_runs_out_as_often_as_wished(self, comfyui):
        comfyui.fault("comfyui-run", "oom", times=2)
        ends = [last(comfyui.run(editing("a.png")))[0] for _ in range(3)]
        assert ends == ["execution_error", "execution_error", "execution_success"]

    @pytest.mark.parametrize("place", ["8", "VAEDecode"])
    def test_exception_shows_in_the_node_that_is_named(self, comfyui, place):
        comfyui.fault("comfyui-run", "exception", node=place, code="RuntimeError", message="no")
        name, told = last(comfyui.run(editing("a.png")))
        assert (name, told["node_id"], told["exception_type"]) == ("execution_error", "8", "RuntimeError")
        assert told["exception_message"] == "no\n"

    def test_fault_shows_after_the_step_that_is_named(self, comfyui):
        comfyui.fault("comfyui-run", "exception", step=3)
        socket = comfyui.connect()
        comfyui.start(editing("a.png"))
        socket.until("execution_error")
        assert [data["value"] for data in socket.data("progress")] == [1, 2, 3]

    def test_hung_prompt_is_silent_and_deaf_for_its_time(self, comfyui):
        comfyui.fault("comfyui-run", "hang", wait_s=0.5)
        socket = comfyui.connect()
        prompt_id = comfyui.start(editing("a.png"))
        socket.until("progress", value=1)
        comfyui.http.post("/interrupt", json={"prompt_id": prompt_id})
        entry = comfyui.entry(prompt_id)
        assert last(entry)[0] == "execution_interrupted"
        assert [data["value"] for data in socket.data("progress")] == [1]
        (record,) = comfyui.state()["prompts"]
        assert record["status"] == "interrupted"
        assert record["end"] - record["begin"] >= 0.5

    def test_prompt_goes_on_when_its_socket_is_cut(self, comfyui):
        comfyui.fault("comfyui-run", "socket-cut", step=2)
        socket = comfyui.connect()
        prompt_id = comfyui.start(editing("a.png"))
        socket.until_closed()
        assert comfyui.entry(prompt_id)["status"]["completed"] is True
        assert "execution_success" not in socket.kinds()

    def test_restart_loses_queue_history_and_cache(self, comfyui):
        comfyui.settings(step_s=0.05)
        socket = comfyui.connect()
        first = comfyui.start(editing("a.png", steps=400))
        socket.until("progress", value=1)
        comfyui.fault("comfyui-run", "restart")
        lost, waiting = comfyui.start(scaling("a.png")), comfyui.start(editing("a.png"))
        comfyui.http.post("/interrupt", json={"prompt_id": first})
        socket.until_closed()
        assert comfyui.http.get("/history").json() == {}
        assert comfyui.http.get("/queue").json() == {"queue_running": [], "queue_pending": []}
        comfyui.run(scaling("a.png"))
        state = comfyui.state()
        assert [each["status"] for each in state["prompts"]] == ["interrupted", "lost", "success"]
        assert state["prompts"][2]["nodes"] == ["1", "2", "3"]
        assert waiting not in state["executions"]
        assert comfyui.history(lost) is None

    def test_end_may_never_be_told(self, comfyui):
        comfyui.fault("comfyui-run", "no-end")
        socket = comfyui.connect()
        comfyui.run(scaling("a.png"))
        comfyui.run(scaling("a.png", 40))
        socket.until("executing", node=None)
        assert [data["node"] for data in socket.data("executing")] == ["1", "2", "3", "2", "3", None]

    def test_sampling_takes_the_time_that_is_set(self, comfyui):
        comfyui.settings(sampling_s=0.4)
        comfyui.run(editing("a.png", steps=3))
        (record,) = comfyui.state()["prompts"]
        assert record["end"] - record["begin"] >= 0.4

    def test_setting_that_does_not_exist_is_refused(self, comfyui):
        assert comfyui.http.put("/_settings", json={"speed": 1}).status_code == 400

    def test_records_can_be_forgotten(self, comfyui):
        comfyui.run(scaling("a.png"))
        comfyui.http.delete("/_state")
        state = comfyui.state()
        assert (state["prompts"], state["uploads"]) == ([], [])


class Process:
    """The stand-in as a process of its own."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(str(folder), 1)
        command = [sys.executable, "-m", "local.stand_ins.comfyui", "--port", str(self.port), "--folder", str(folder)]
        self._process = subprocess.Popen([*command, "--step-seconds", "0"], cwd=ROOT, env=inherited())
        self.client = Comfyui(f"http://127.0.0.1:{self.port}")
        until(self._answers)

    def exit_code(self) -> int:
        return self._process.wait(20)

    def close(self) -> None:
        self.client.close()
        self._process.terminate()
        self._process.wait(20)

    def _answers(self) -> bool:
        try:
            return self.client.http.get("/system_stats").status_code == 200
        except httpx.TransportError:
            return False


def test_process_that_dies_in_a_prompt_keeps_its_files_and_nothing_else(tmp_path):
    first = Process(tmp_path)
    first.client.upload()
    done = first.client.run(scaling("a.png"))
    first.client.fault("comfyui-run", "death", step=2)
    socket = first.client.connect()
    first.client.start(editing("a.png"))
    socket.until_closed()
    assert first.exit_code() == 1
    first.close()
    second = Process(tmp_path)
    assert second.client.http.get("/history").json() == {}
    assert second.client.result(done, "3").size == (32, 24)
    assert second.client.run(editing("a.png"))["status"]["completed"] is True
    second.close()


def test_process_that_dies_at_a_submission_gives_no_answer(tmp_path):
    process = Process(tmp_path)
    process.client.upload()
    process.client.fault("comfyui", "death")
    with pytest.raises(httpx.TransportError):
        process.client.post(scaling("a.png"))
    assert process.exit_code() == 1
    process.close()
