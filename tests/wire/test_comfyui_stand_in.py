"""ComfyUI's stand-in: what its clients see of prompts, messages and history."""

import io
import json
import struct
import uuid
from collections.abc import Iterator

import pytest
from PIL import Image

from tests.serving.servers import until
from tests.wire.comfyui import Comfyui, editing, node, picture, save, scaling, serving


@pytest.fixture
def comfyui(tmp_path) -> Iterator[Comfyui]:
    with serving(tmp_path) as client:
        yield client


@pytest.fixture
def newer(tmp_path) -> Iterator[Comfyui]:
    with serving(tmp_path / "newer", "0.33") as client:
        yield client


def slow(comfyui: Comfyui) -> None:
    """Let samplers take so long that a test can act meanwhile."""
    comfyui.settings(step_s=0.05)


def long(upload: str = "a.png") -> dict:
    return editing(upload, steps=400)


class TestMessages:
    def test_prompt_tells_its_way_in_order(self, comfyui):
        socket = comfyui.connect()
        prompt_id = comfyui.start(editing("a.png", steps=2))
        socket.until("executing", node=None)
        kinds = socket.kinds()
        assert kinds[:2] == ["execution_start", "execution_cached"]
        assert kinds[2:-3] == ["executing"] * 8 + ["progress"] * 2 + ["executing"] * 2
        assert kinds[-3:] == ["executed", "execution_success", "executing"]
        assert [data["node"] for data in socket.data("executing")][-4:] == ["3", "8", "9", None]
        assert [(data["value"], data["max"], data["node"]) for data in socket.data("progress")] == [
            (1, 2, "3"),
            (2, 2, "3"),
        ]
        assert {data["prompt_id"] for kind, data in socket.messages if kind != "status"} == {prompt_id}

    def test_executed_names_the_files_of_output_nodes_alone(self, comfyui):
        socket = comfyui.connect()
        comfyui.start(scaling("a.png"))
        socket.until("executing", node=None)
        (executed,) = socket.data("executed")
        files = [{"filename": "out_00001_.png", "subfolder": "", "type": "output"}]
        assert (executed["node"], executed["display_node"], executed["output"]) == ("3", "3", {"images": files})

    def test_progress_state_holds_all_nodes_that_have_begun(self, comfyui):
        socket = comfyui.connect()
        prompt_id = comfyui.start(scaling("a.png"))
        socket.until("executing", node=None)
        states = [data["nodes"] for data in socket.data("progress_state")]
        assert {name: at["state"] for name, at in states[0].items()} == {"1": "running"}
        assert {name: at["state"] for name, at in states[-1].items()} == dict.fromkeys("123", "finished")
        assert states[0]["1"] == {
            "value": 0.0,
            "max": 1.0,
            "state": "running",
            "node_id": "1",
            "prompt_id": prompt_id,
            "display_node_id": "1",
            "parent_node_id": None,
            "real_node_id": "1",
        }

    def test_success_is_told_before_the_history_has_it_and_the_end_after(self, comfyui):
        comfyui.fault("comfyui-run", "late-history", wait_s=0.5)
        socket = comfyui.connect()
        prompt_id = comfyui.start(scaling("a.png"))
        socket.until("execution_success")
        assert comfyui.history(prompt_id) is None
        socket.until("executing", node=None)
        assert comfyui.history(prompt_id)["status"]["completed"] is True

    def test_messages_go_to_the_prompts_client_alone(self, comfyui):
        mine, other = comfyui.connect(), comfyui.connect("other")
        comfyui.run(editing("a.png"))
        mine.until("executing", node=None)
        other.until("status", status={"exec_info": {"queue_remaining": 1}})
        assert set(other.kinds(but=())) == {"status"}
        assert other.frames == []

    def test_prompt_without_a_client_tells_everybody_its_progress_and_nothing_else(self, comfyui):
        other = comfyui.connect("other")
        body = {"prompt": editing("a.png")}
        prompt_id = comfyui.http.post("/prompt", json=body).json()["prompt_id"]
        comfyui.entry(prompt_id)
        other.until("progress", value=4, prompt_id=prompt_id)
        assert set(other.kinds(but=("status",))) == {"progress_state", "progress"}

    def test_first_message_names_the_socket_and_the_queue(self, comfyui):
        socket = comfyui.connect("me")
        assert socket.messages[0] == ("status", {"status": {"exec_info": {"queue_remaining": 0}}, "sid": "me"})

    def test_client_that_comes_late_is_told_the_node_that_runs(self, comfyui):
        slow(comfyui)
        first = comfyui.connect()
        comfyui.start(long())
        first.until("progress", value=1)
        late = comfyui.connect()
        assert late.until("executing") == {"node": "3"}
        late.until("progress")
        seen = [{data["value"] for data in socket.data("progress")} for socket in (first, late)]
        assert seen[0].isdisjoint(seen[1])
        comfyui.http.post("/interrupt", json={})

    def test_feature_flags_are_answered_when_they_come_first(self, comfyui):
        socket = comfyui.connect(features={"supports_preview_metadata": True})
        assert socket.until("feature_flags") == comfyui.http.get("/features").json()

    def test_previews_are_jpegs_behind_eight_bytes(self, comfyui):
        socket = comfyui.connect()
        comfyui.start(editing("a.png", steps=2))
        for frame in socket.until_frames(2):
            assert struct.unpack(">II", frame[:8]) == (1, 1)
            assert Image.open(io.BytesIO(frame[8:])).format == "JPEG"

    def test_previews_carry_metadata_for_a_client_that_knows_them(self, comfyui):
        socket = comfyui.connect(features={"supports_preview_metadata": True})
        socket.until("feature_flags")
        prompt_id = comfyui.start(editing("a.png", steps=1))
        (frame,) = socket.until_frames(1)
        kind, length = struct.unpack(">II", frame[:8])
        told = json.loads(frame[8 : 8 + length])
        assert (kind, told["node_id"], told["prompt_id"], told["image_type"]) == (4, "3", prompt_id, "image/jpeg")
        assert Image.open(io.BytesIO(frame[8 + length :])).format == "JPEG"

    def test_previews_are_left_out_when_they_are_off(self, comfyui):
        comfyui.settings(previews=False)
        socket = comfyui.connect()
        comfyui.start(editing("a.png"))
        socket.until("executing", node=None)
        assert socket.frames == []

    @pytest.mark.parametrize(("method", "frames"), [("none", 0), ("default", 4), ("auto", 4)])
    def test_newer_server_lets_a_prompt_choose_its_previews(self, newer, method, frames):
        newer.upload()
        socket = newer.connect()
        newer.start(editing("a.png"), extra_data={"preview_method": method})
        socket.until("executing", node=None)
        assert len(socket.frames) == frames

    def test_older_server_does_not_let_a_prompt_choose_its_previews(self, comfyui):
        socket = comfyui.connect()
        comfyui.start(editing("a.png"), extra_data={"preview_method": "none"})
        socket.until("executing", node=None)
        assert len(socket.frames) == 4


class TestHistory:
    def test_entry_has_prompt_outputs_status_and_meta(self, comfyui):
        graph = scaling("a.png")
        prompt_id = str(uuid.uuid4())
        entry = comfyui.run(graph, prompt_id=prompt_id)
        assert entry["prompt"] == [0.0, prompt_id, graph, {"client_id": comfyui.client_id}, ["3"]]
        assert entry["outputs"] == {
            "3": {"images": [{"filename": "out_00001_.png", "subfolder": "", "type": "output"}]}
        }
        assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
        assert [name for name, _ in entry["status"]["messages"]] == [
            "execution_start",
            "execution_cached",
            "execution_success",
        ]
        assert entry["meta"]["3"] == {"node_id": "3", "display_node": "3", "parent_node": None, "real_node_id": "3"}

    def test_unknown_prompt_is_an_empty_answer(self, comfyui):
        answer = comfyui.http.get("/history/unknown")
        assert (answer.status_code, answer.json()) == (200, {})

    def test_whole_history_can_be_read_in_parts(self, comfyui):
        ids = [comfyui.start(scaling("a.png", width)) for width in (8, 9, 10)]
        comfyui.entry(ids[-1])
        assert list(comfyui.http.get("/history").json()) == ids
        assert list(comfyui.http.get("/history", params={"max_items": 2}).json()) == ids[1:]
        assert list(comfyui.http.get("/history", params={"max_items": 1, "offset": 1}).json()) == ids[1:2]

    def test_entries_can_be_deleted(self, comfyui):
        ids = [comfyui.start(scaling("a.png", width)) for width in (8, 9)]
        comfyui.entry(ids[-1])
        comfyui.http.post("/history", json={"delete": [ids[0]]})
        assert list(comfyui.http.get("/history").json()) == ids[1:]
        comfyui.http.post("/history", json={"clear": True})
        assert comfyui.http.get("/history").json() == {}

    def test_same_id_twice_runs_twice_and_leaves_one_entry(self, comfyui):
        prompt_id = str(uuid.uuid4())
        comfyui.run(scaling("a.png", 8), prompt_id=prompt_id)
        comfyui.start(scaling("a.png", 9), prompt_id=prompt_id)
        until(lambda: comfyui.history(prompt_id)["prompt"][2]["2"]["inputs"]["width"] == 9)
        assert comfyui.state()["executions"] == {prompt_id: 2}
        assert list(comfyui.http.get("/history").json()) == [prompt_id]


class TestCache:
    def test_same_graph_again_repeats_its_files_and_runs_nothing(self, comfyui, tmp_path):
        first = comfyui.run(editing("a.png"))
        socket = comfyui.connect()
        second = comfyui.run(editing("a.png"))
        assert second["outputs"] == first["outputs"]
        socket.until("executing", node=None)
        assert sorted(socket.data("execution_cached")[0]["nodes"]) == sorted(editing("a.png"))
        assert [data["output"] for data in socket.data("executed")] == [first["outputs"]["9"]]
        assert socket.data("progress") == []
        assert [path.name for path in (tmp_path / "output").iterdir()] == ["out_00001_.png"]

    def test_other_seed_runs_again_from_the_sampler_on(self, comfyui):
        comfyui.run(editing("a.png", seed=1))
        second = comfyui.run(editing("a.png", seed=2))
        assert second["outputs"]["9"]["images"][0]["filename"] == "out_00002_.png"
        assert comfyui.state()["prompts"][1]["nodes"] == ["3", "8", "9"]

    def test_other_bytes_under_the_same_name_run_again(self, comfyui):
        first = comfyui.run(scaling("a.png"))
        comfyui.upload(picture(color=(0, 0, 255)), overwrite="true")
        second = comfyui.run(scaling("a.png"))
        assert comfyui.result(first, "3").getpixel((0, 0)) == (200, 120, 40)
        assert comfyui.result(second, "3").getpixel((0, 0)) == (0, 0, 255)

    def test_another_graph_between_makes_the_older_forgotten(self, comfyui):
        for width in (8, 9, 8):
            comfyui.run(scaling("a.png", width))
        assert [each["nodes"] for each in comfyui.state()["prompts"]] == [["1", "2", "3"], ["2", "3"], ["2", "3"]]

    def test_newer_version_keeps_results_longer(self, newer):
        for width in (8, 9, 8):
            newer.run(scaling("a.png", width))
        assert [each["nodes"] for each in newer.state()["prompts"]] == [["1", "2", "3"], ["2", "3"], []]

    def test_free_forgets_results(self, comfyui):
        comfyui.run(scaling("a.png"))
        comfyui.http.post("/free", json={"unload_models": True, "free_memory": True})
        entry = comfyui.run(scaling("a.png"))
        assert entry["outputs"]["3"]["images"][0]["filename"] == "out_00002_.png"
        assert comfyui.state()["frees"] == [{"unload_models": True, "free_memory": True}]

    def test_unloading_models_alone_keeps_results(self, comfyui):
        comfyui.run(scaling("a.png"))
        comfyui.http.post("/free", json={"unload_models": True})
        comfyui.run(scaling("a.png"))
        assert comfyui.state()["prompts"][1]["nodes"] == []


class TestQueue:
    def test_prompts_run_one_at_a_time_and_the_others_wait(self, comfyui):
        slow(comfyui)
        socket = comfyui.connect()
        running, waiting = comfyui.start(long()), comfyui.start(scaling("a.png"))
        socket.until("progress", value=1)
        queue = comfyui.http.get("/queue").json()
        assert [each[1] for each in queue["queue_running"]] == [running]
        assert [each[1] for each in queue["queue_pending"]] == [waiting]
        assert queue["queue_pending"][0] == [1.0, waiting, scaling("a.png"), {"client_id": comfyui.client_id}, ["3"]]
        assert comfyui.http.get("/prompt").json() == {"exec_info": {"queue_remaining": 2}}
        comfyui.http.post("/interrupt", json={"prompt_id": running})
        comfyui.entry(waiting)
        first, second = comfyui.state()["prompts"]
        assert first["end"] <= second["begin"]

    def test_lower_numbers_and_the_front_go_first(self, comfyui):
        slow(comfyui)
        socket = comfyui.connect()
        running = comfyui.start(long())
        socket.until("progress", value=1)
        back, last, front = (
            comfyui.start(scaling("a.png", 8)),
            comfyui.start(scaling("a.png", 9), number=50),
            comfyui.start(scaling("a.png", 10), front=True),
        )
        comfyui.http.post("/interrupt", json={"prompt_id": running})
        comfyui.entry(last)
        assert [each["prompt_id"] for each in comfyui.state()["prompts"]] == [running, front, back, last]

    def test_waiting_prompts_can_be_deleted_and_running_ones_not(self, comfyui):
        slow(comfyui)
        socket = comfyui.connect()
        running, waiting, other = comfyui.start(long()), comfyui.start(scaling("a.png")), comfyui.start(long())
        socket.until("progress", value=1)
        answer = comfyui.http.post("/queue", json={"delete": [running, waiting, "unknown"]})
        assert (answer.status_code, answer.content) == (200, b"")
        assert [each[1] for each in comfyui.http.get("/queue").json()["queue_pending"]] == [other]
        comfyui.http.post("/queue", json={"clear": True})
        assert comfyui.http.get("/prompt").json() == {"exec_info": {"queue_remaining": 1}}
        comfyui.http.post("/interrupt", json={"prompt_id": running})
        comfyui.entry(running)
        assert [each["prompt_id"] for each in comfyui.state()["prompts"]] == [running]


class TestInterrupt:
    def test_own_prompt_ends_at_its_next_step(self, comfyui):
        slow(comfyui)
        socket = comfyui.connect()
        prompt_id = comfyui.start(long())
        socket.until("progress", value=2)
        answer = comfyui.http.post("/interrupt", json={"prompt_id": prompt_id})
        assert (answer.status_code, answer.content) == (200, b"")
        entry = comfyui.entry(prompt_id)
        told = socket.until("execution_interrupted")
        assert (told["prompt_id"], told["node_id"], told["node_type"]) == (prompt_id, "3", "KSampler")
        assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("error", False)
        assert entry["status"]["messages"][-1][0] == "execution_interrupted"
        assert entry["outputs"] == {}
        assert socket.until("executing", node=None)["prompt_id"] == prompt_id

    def test_id_of_another_prompt_leaves_the_running_one_alone(self, comfyui):
        slow(comfyui)
        socket = comfyui.connect()
        prompt_id = comfyui.start(editing("a.png", steps=6))
        socket.until("progress", value=1)
        comfyui.http.post("/interrupt", json={"prompt_id": str(uuid.uuid4())})
        assert comfyui.entry(prompt_id)["status"]["completed"] is True

    @pytest.mark.parametrize("body", [b"", b"{}"])
    def test_without_an_id_it_hits_whatever_runs(self, comfyui, body):
        slow(comfyui)
        socket = comfyui.connect()
        prompt_id = comfyui.start(long())
        socket.until("progress", value=1)
        comfyui.http.post("/interrupt", content=body)
        assert comfyui.entry(prompt_id)["status"]["messages"][-1][0] == "execution_interrupted"
        assert comfyui.state()["interrupts"] == [None]

    def test_it_does_not_reach_the_next_prompt(self, comfyui):
        comfyui.http.post("/interrupt", json={})
        assert comfyui.run(scaling("a.png"))["status"]["completed"] is True


class TestJobs:
    def test_routes_are_there_in_newer_versions_alone(self, comfyui, newer):
        assert comfyui.http.get("/api/jobs").status_code == 404
        assert newer.http.get("/api/jobs").json()["jobs"] == []
        assert newer.http.get("/jobs").status_code == 404

    def test_job_is_seen_on_its_whole_way(self, newer):
        slow(newer)
        socket = newer.connect()
        running, waiting = newer.start(long()), newer.start(scaling("a.png"))
        socket.until("progress", value=1)
        assert newer.http.get(f"/api/jobs/{running}").json()["status"] == "in_progress"
        assert newer.http.get(f"/api/jobs/{waiting}").json()["status"] == "pending"
        assert newer.http.post(f"/api/jobs/{running}/cancel").json() == {"cancelled": True}
        newer.entry(waiting)
        assert newer.http.get(f"/api/jobs/{running}").json()["status"] == "cancelled"
        done = newer.http.get(f"/api/jobs/{waiting}").json()
        assert (done["status"], done["outputs_count"]) == ("completed", 1)
        assert done["outputs"]["3"]["images"][0]["filename"] == "out_00001_.png"
        listed = newer.http.get("/api/jobs", params={"status": "completed"}).json()
        assert [job["id"] for job in listed["jobs"]] == [waiting]
        assert listed["pagination"] == {"offset": 0, "limit": None, "total": 1, "has_more": False}

    def test_failed_job_shows_its_error(self, newer):
        newer.fault("comfyui-run", "exception", code="RuntimeError", message="no")
        prompt_id = newer.start(editing("a.png"))
        newer.entry(prompt_id)
        job = newer.http.get(f"/api/jobs/{prompt_id}").json()
        assert (job["status"], job["execution_error"]["exception_type"]) == ("failed", "RuntimeError")

    def test_cancelling_is_idempotent_and_reaches_waiting_jobs(self, newer):
        slow(newer)
        running, waiting = newer.start(long()), newer.start(long())
        cancel = "/api/jobs/cancel"
        assert newer.http.post(cancel, json={"job_ids": [running, waiting]}).json() == {"cancelled": True}
        newer.entry(running)
        assert newer.http.post(cancel, json={"job_ids": [running, waiting]}).json() == {"cancelled": False}
        assert newer.http.get(f"/api/jobs/{waiting}").status_code == 404
        assert newer.http.post(cancel, json={"job_ids": ["a"]}).status_code == 400

    @pytest.mark.parametrize("prompt_id", ["a", "7009E49A-7F60-4BFF-8614-20E87BE29F83", 5])
    def test_id_that_is_no_plain_uuid_is_refused_in_newer_versions_alone(self, comfyui, newer, prompt_id):
        refused = newer.post(scaling("a.png"), prompt_id=prompt_id)
        assert (refused.status_code, refused.json()["error"]["type"]) == (400, "invalid_prompt_id")
        assert comfyui.post(scaling("a.png"), prompt_id=prompt_id).json()["prompt_id"] == str(prompt_id)


class TestValidation:
    def error(self, comfyui, graph, node_id):
        answer = comfyui.post(graph)
        assert answer.status_code == 400
        body = answer.json()
        assert body["error"]["type"] == "prompt_outputs_failed_validation"
        (entry,) = body["node_errors"][node_id]["errors"]
        assert body["node_errors"][node_id]["class_type"] == graph[node_id]["class_type"]
        return entry

    @pytest.mark.parametrize(
        ("node_id", "field", "value", "kind"),
        [
            ("2", "width", 16385, "value_bigger_than_max"),
            ("2", "width", -1, "value_smaller_than_min"),
            ("2", "width", "wide", "invalid_input_type"),
            ("2", "width", ["1"], "bad_linked_input"),
            ("2", "width", ["1", 0], "return_type_mismatch"),
            ("2", "image", ["1", 1], "return_type_mismatch"),
            ("2", "upscale_method", "best", "value_not_in_list"),
            ("1", "image", "b.png", "custom_validation_failed"),
        ],
    )
    def test_field_that_is_wrong_is_named(self, comfyui, node_id, field, value, kind):
        graph = scaling("a.png")
        graph[node_id]["inputs"][field] = value
        entry = self.error(comfyui, graph, node_id)
        assert (entry["type"], entry["extra_info"]["input_name"]) == (kind, field)

    def test_missing_field_is_named(self, comfyui):
        graph = scaling("a.png")
        del graph["2"]["inputs"]["crop"]
        entry = self.error(comfyui, graph, "2")
        assert (entry["type"], entry["details"], entry["extra_info"]) == (
            "required_input_missing",
            "crop",
            {"input_name": "crop"},
        )

    def test_missing_model_is_a_value_that_is_not_in_the_list(self, comfyui):
        graph = editing("a.png")
        graph["37"]["inputs"]["unet_name"] = "flux.safetensors"
        entry = self.error(comfyui, graph, "37")
        models = comfyui.http.get("/models/diffusion_models").json()
        assert entry["type"] == "value_not_in_list"
        assert entry["details"] == f"unet_name: 'flux.safetensors' not in {models}"
        assert entry["extra_info"]["input_config"] == [models, {}]

    def test_long_lists_are_not_repeated(self, comfyui):
        entry = self.error(comfyui, editing("a.png", sampler_name="best"), "3")
        assert entry["extra_info"]["input_config"] is None
        assert "list of length" in entry["details"]

    def test_nodes_behind_a_wrong_one_are_not_blamed(self, comfyui):
        graph = scaling("b.png")
        answer = comfyui.post(graph).json()
        assert list(answer["node_errors"]) == ["1"]
        assert answer["node_errors"]["1"]["dependent_outputs"] == ["3"]

    def test_one_good_output_is_enough_and_the_bad_ones_are_dropped(self, comfyui):
        graph = scaling("a.png") | {"4": node("LoadImage", image="b.png"), "5": save(["4", 0], "bad")}
        answer = comfyui.post(graph)
        assert answer.status_code == 200
        assert list(answer.json()["node_errors"]) == ["4"]
        assert answer.json()["node_errors"]["4"]["dependent_outputs"] == ["5"]
        assert list(comfyui.entry(answer.json()["prompt_id"])["outputs"]) == ["3"]

    def test_only_the_targets_run_when_they_are_named(self, comfyui):
        graph = scaling("a.png") | {"5": save(["1", 0], "other")}
        assert list(comfyui.run(graph, partial_execution_targets=["5"])["outputs"]) == ["5"]

    def test_unknown_inputs_are_ignored(self, comfyui):
        graph = scaling("a.png")
        graph["2"]["inputs"]["sharpness"] = 11
        assert comfyui.run(graph)["status"]["completed"] is True

    def test_nodes_that_no_output_needs_are_not_looked_at(self, comfyui):
        graph = {"7": node("ImageInvert", image=["99", 0]), "8": node("ImageInvert", image=["8", 0])} | scaling("a.png")
        graph["2"]["inputs"]["unknown"] = ["3", 0]
        comfyui.run(graph)
        assert comfyui.state()["prompts"][0]["nodes"] == ["1", "2", "3"]

    def test_values_are_converted(self, comfyui):
        graph = scaling("a.png")
        graph["2"]["inputs"] |= {"width": "20", "height": 10.9}
        assert comfyui.picture(graph, "3").size == (20, 10)

    def test_wrapped_value_is_unwrapped(self, comfyui):
        graph = scaling("a.png")
        graph["2"]["inputs"]["width"] = {"__value__": 20}
        assert comfyui.picture(graph, "3").size == (20, 24)

    def test_option_of_a_combo_is_checked_by_newer_versions_and_fails_later_in_older(self, comfyui, newer):
        blend = node("ImageBlend", image1=["1", 0], image2=["1", 0], blend_factor=0.5, blend_mode="best")
        graph = {"1": node("LoadImage", image="a.png"), "2": blend, "3": save(["2", 0])}
        assert self.error(newer, graph, "2")["type"] == "value_not_in_list"
        entry = comfyui.run(graph)
        assert entry["status"]["messages"][-1][0] == "execution_error"

    @pytest.mark.parametrize(
        ("graph", "older", "newer_kind"),
        [
            ({"1": node("Unknown")}, "invalid_prompt", "missing_node_type"),
            ({"1": {"inputs": {}}}, "invalid_prompt", "missing_node_type"),
            ({}, "prompt_no_outputs", "prompt_no_outputs"),
            ({"1": node("LoadImage", image="a.png")}, "prompt_no_outputs", "prompt_no_outputs"),
        ],
    )
    def test_graph_that_cannot_run_at_all_is_refused(self, comfyui, newer, graph, older, newer_kind):
        for client, kind in ((comfyui, older), (newer, newer_kind)):
            answer = client.post(graph)
            assert (answer.status_code, answer.json()["error"]["type"]) == (400, kind)
            assert answer.json()["node_errors"] == {}

    def test_no_prompt_is_refused(self, comfyui):
        answer = comfyui.http.post("/prompt", json={"client_id": "me"})
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "no_prompt")

    def test_link_to_nothing_is_an_exception_of_the_node_that_has_it(self, comfyui):
        graph = scaling("a.png")
        graph["2"]["inputs"]["image"] = ["99", 0]
        assert self.error(comfyui, graph, "2")["type"] == "exception_during_inner_validation"
        graph = {"3": save(["99", 0])}
        assert self.error(comfyui, graph, "3")["type"] == "exception_during_validation"

    def test_cycle_is_refused_and_named_by_newer_versions(self, comfyui, newer):
        graph = {
            "1": node("ImageInvert", image=["2", 0]),
            "2": node("ImageInvert", image=["1", 0]),
            "3": save(["2", 0]),
        }
        older = comfyui.post(graph)
        assert (older.status_code, older.json()["error"]["type"]) == (400, "prompt_outputs_failed_validation")
        assert older.json()["node_errors"] == {}
        errors = newer.post(graph).json()["node_errors"]
        assert {errors[name]["errors"][0]["type"] for name in "12"} == {"dependency_cycle"}
