"""The worker of the GPU lane beside a stand-in of ComfyUI: cancelled tasks, errors, and ends that are hard to see."""

import pytest

from backlot.clock import now_ms
from backlot.errors import ImageNotFetched
from backlot.tasks import Status
from tests.wire.gpu_lane import EDIT, in_loop, inverted, site, until

SLOW = {"step_s": 0.05}


@in_loop
async def test_cancel_reaches_a_running_prompt(tmp_path):
    async with site(tmp_path, speed=SLOW) as place:
        first = place.submit("qwen-image-edit", EDIT | {"steps": 50})
        await place.at_work(first)
        place.tasks.cancel(first, now_ms())
        second = place.submit("comfyui-workflow", inverted())
        assert (await place.answer(first))[0] == "Cancelled"
        assert (await place.answer(second))[0] == "done"
        await place.is_settled()
        state = await place.comfyui.state()
    assert [prompt["status"] for prompt in state["prompts"]] == ["interrupted", "success"]
    assert set(state["interrupts"]) == {state["prompts"][0]["prompt_id"]}
    assert len(place.objects.kept) == 1


@in_loop
async def test_cancel_reaches_a_prompt_that_waits_in_comfyuis_queue_and_no_other(tmp_path):
    async with site(tmp_path) as place:
        await until(lambda: place.worker.condition().is_ready)
        await place.comfyui.fault("comfyui-run", {"kind": "hang", "wait_s": 2.5})
        await place.comfyui.post("a person")
        await place.has_run("running")
        task_id = place.submit("comfyui-workflow", inverted())
        await until(lambda: place.notes.told[task_id])
        place.tasks.cancel(task_id, now_ms())
        assert (await place.answer(task_id))[0] == "Cancelled"
        await place.has_run("success")


@in_loop
async def test_cancel_of_the_next_job_leaves_the_running_one_alone(tmp_path):
    async with site(tmp_path, speed=SLOW) as place:
        first = place.submit("qwen-image-edit", EDIT | {"steps": 50})
        second = place.submit("qwen-image-edit", EDIT)
        await place.at_work(first)
        await until(lambda: place.tasks.kept[second].status is Status.PROCESSING)
        place.tasks.cancel(second, now_ms())
        assert (await place.answer(second))[0] == "Cancelled"
        assert (await place.answer(first))[0] == "done"
        assert (await place.comfyui.state())["interrupts"] == []


@in_loop
async def test_task_that_was_cancelled_in_the_queue_is_not_run(tmp_path):
    async with site(tmp_path, speed=SLOW) as place:
        first = place.submit("qwen-image-edit", EDIT | {"steps": 10})
        await place.at_work(first)
        second = place.submit("comfyui-workflow", inverted("https://pictures.example/none.png"))
        place.tasks.cancel(second, now_ms())
        assert (await place.answer(second))[0] == "Cancelled"
        await place.answer(first)
        await place.is_settled()
        assert len((await place.comfyui.state())["prompts"]) == 1


@in_loop
async def test_node_that_breaks_fails_the_task_and_is_named(tmp_path):
    async with site(tmp_path) as place:
        await place.comfyui.fault("comfyui-run", {"kind": "exception", "code": "ValueError", "message": "too thin"})
        task_id = place.submit("comfyui-workflow", inverted())
        assert await place.answer(task_id) == ("WorkflowFailed", "Node 9 (SaveImage) failed: ValueError: too thin")
        await place.is_settled()
    assert place.objects.kept == {}


@in_loop
async def test_memory_that_does_not_suffice_is_freed_and_the_graph_run_again(tmp_path):
    async with site(tmp_path) as place:
        await place.comfyui.fault("comfyui-run", {"kind": "oom"})
        task_id = place.submit("qwen-image-edit", EDIT)
        assert (await place.answer(task_id))[0] == "done"
        state = await place.comfyui.state()
    assert state["frees"] == [{"unload_models": True, "free_memory": True}]
    assert [prompt["status"] for prompt in state["prompts"]] == ["error", "success"]


@in_loop
async def test_memory_that_does_not_suffice_twice_fails_the_task(tmp_path):
    async with site(tmp_path) as place:
        await place.comfyui.fault("comfyui-run", {"kind": "oom", "times": 2})
        task_id = place.submit("qwen-image-edit", EDIT)
        kind, message = await place.answer(task_id)
        assert len((await place.comfyui.state())["prompts"]) == 2
    assert kind == "GpuOutOfMemory"
    assert "(KSampler) needs more memory" in message


@in_loop
async def test_graph_that_this_comfyui_cannot_run_is_refused_before_it_costs_anything(tmp_path):
    request = inverted()
    request["workflow"]["2"]["inputs"]["image"] = ["1", 7]
    async with site(tmp_path) as place:
        task_id = place.submit("comfyui-workflow", request)
        kind, message = await place.answer(task_id)
        state = await place.comfyui.state()
    assert kind == "WorkflowRefused"
    assert "node 2, image" in message
    assert (state["uploads"], state["prompts"]) == ([], [])


@in_loop
async def test_node_class_that_callers_may_not_use_is_refused(tmp_path):
    request = inverted()
    request["workflow"]["2"]["class_type"] = "ImageBlur"
    async with site(tmp_path) as place:
        kind, message = await place.answer(place.submit("comfyui-workflow", request))
    assert kind == "WorkflowRefused"
    assert "'ImageBlur' is not allowed" in message


@in_loop
async def test_picture_that_cannot_be_fetched_fails_the_task_and_not_the_worker(tmp_path):
    async with site(tmp_path) as place:
        place.hosts.pictures["https://pictures.example/gone.png"] = ImageNotFetched(reason="HTTP 404")
        place.hosts.pictures["https://pictures.example/page.png"] = b"<html>"
        kinds = [
            (await place.answer(place.submit("comfyui-workflow", inverted(f"https://pictures.example/{name}"))))[0]
            for name in ("gone.png", "page.png", "a.png")
        ]
    assert kinds == ["ImageNotFetched", "ImageUnreadable", "done"]


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, "WorkflowRefused"), (500, "WorkflowFailed")],
)
@in_loop
async def test_graph_that_comfyui_itself_does_not_take_fails_the_task(tmp_path, status, error):
    async with site(tmp_path) as place:
        await place.comfyui.fault("comfyui", {"kind": "status", "status": status, "message": "too many nodes"})
        kind, message = await place.answer(place.submit("comfyui-workflow", inverted()))
    assert kind == error
    assert "too many nodes" in message


@in_loop
async def test_file_that_is_too_large_fails_the_task(tmp_path, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.outputs.MAX_FILE_BYTES", 50)
    async with site(tmp_path) as place:
        answer = await place.answer(place.submit("comfyui-workflow", inverted()))
    assert answer == ("WorkflowFailed", "Node 9 (SaveImage) failed: a file of more than 50 bytes")
    assert place.objects.kept == {}


@in_loop
async def test_more_files_than_a_result_can_name_fail_the_task(tmp_path, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.outputs.MAX_FILES", 0)
    async with site(tmp_path) as place:
        kind, message = await place.answer(place.submit("comfyui-workflow", inverted()))
    assert (kind, "1 files were made" in message) == ("WorkflowFailed", True)


@in_loop
async def test_graph_whose_files_are_of_no_known_type_has_made_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.outputs.media_type", lambda _: None)
    async with site(tmp_path) as place:
        kind, _ = await place.answer(place.submit("comfyui-workflow", inverted()))
    assert (kind, place.objects.kept) == ("NothingMade", {})


@in_loop
async def test_prompt_without_progress_is_stopped(tmp_path):
    async with site(tmp_path, stall_limit_s=1.5) as place:
        await place.comfyui.fault("comfyui-run", {"kind": "hang", "wait_s": 3.0})
        task_id = place.submit("qwen-image-edit", EDIT)
        kind, message = await place.answer(task_id)
        state = await place.comfyui.state()
        assert (await place.answer(place.submit("comfyui-workflow", inverted())))[0] == "done"
    assert kind == "WorkflowStalled"
    assert "for 1.5 s in node" in message
    assert state["prompts"][0]["status"] == "interrupted"


@in_loop
async def test_prompt_that_does_not_obey_holds_up_no_answer_and_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("containers.comfyui.worker.prompts.GONE_S", 0.3)
    monkeypatch.setattr("containers.comfyui.worker.comfyui._STUCK_PAUSE_S", 0.1)
    async with site(tmp_path, stall_limit_s=1.5) as place:
        await place.comfyui.fault("comfyui-run", {"kind": "hang", "wait_s": 4.5})
        first = place.submit("qwen-image-edit", EDIT)
        second = place.submit("comfyui-workflow", inverted())
        assert (await place.answer(first))[0] == "WorkflowStalled"
        assert (await place.comfyui.state())["prompts"][0]["status"] == "running"
        assert not place.worker.condition().is_ready
        assert (await place.answer(second))[0] == "done"
        await place.has_run("interrupted", "success")


@in_loop
async def test_prompt_that_takes_too_long_is_stopped(tmp_path):
    async with site(tmp_path, speed=SLOW, prompt_limit_s=0.7) as place:
        task_id = place.submit("qwen-image-edit", EDIT | {"steps": 50})
        assert await place.answer(task_id) == ("WorkflowTimedOut", "The workflow was not done after 0.7 s")
        await place.has_run("interrupted")


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "late-history", "wait_s": 0.7},
        {"kind": "no-end"},
        {"kind": "socket-cut"},
    ],
    ids=lambda fault: fault["kind"],
)
@in_loop
async def test_end_is_seen_however_it_is_told(tmp_path, fault):
    async with site(tmp_path) as place:
        await place.comfyui.fault("comfyui-run", fault)
        task_id = place.submit("qwen-image-edit", EDIT)
        assert (await place.answer(task_id))[0] == "done"
        assert (await place.answer(place.submit("comfyui-workflow", inverted())))[0] == "done"
        await place.has_run("success", "success")


@in_loop
async def test_prompt_whose_submission_got_no_answer_is_found_again(tmp_path):
    async with site(tmp_path) as place:
        await place.comfyui.fault("comfyui", {"kind": "lost-answer"})
        task_id = place.submit("comfyui-workflow", inverted())
        assert (await place.answer(task_id))[0] == "done"
        await place.has_run("success")


@in_loop
async def test_file_is_read_again_when_its_connection_breaks(tmp_path):
    async with site(tmp_path) as place:
        await place.comfyui.fault("comfyui-view", {"kind": "reset"}, {"kind": "truncated"})
        task_id = place.submit("comfyui-workflow", inverted())
        assert (await place.answer(task_id))[0] == "done"
        await place.has_run("success")
