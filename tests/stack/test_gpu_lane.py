"""The GPU lane: real functions and the real worker, beside ComfyUI's stand-in."""

import io

import httpx
import pytest
from PIL import Image

from backlot.operations import operation_named
from tests.stack.waiting import until

BRIGHTER = {
    "1": {"class_type": "LoadImage", "inputs": {"image": ""}},
    "2": {"class_type": "ImageScale", "inputs": {"image": ["1", 0], "upscale_method": "lanczos", "crop": "disabled"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "mine"}},
}


@pytest.fixture
def comfyui(studio):
    """Talk to the stand-in as nobody but a test does, and leave no fault behind."""
    with httpx.Client(base_url=studio.place.comfyui, timeout=30, trust_env=False) as stand_in:
        stand_in.delete("/_calls").raise_for_status()
        stand_in.delete("/_state").raise_for_status()
        yield stand_in


def executed(comfyui) -> list[dict]:
    """Return the prompts that the stand-in has begun."""
    return comfyui.get("/_state").json()["prompts"]


def scaled(studio, picture: str, width: int, **more) -> dict:
    inputs = {"1.image": {"image_url": picture}, "2.width": width, "2.height": 96}
    return {"workflow": BRIGHTER, "inputs": inputs, **more}


def test_camera_is_turned_with_a_seed_that_the_task_tells(studio, astronaut):
    task = studio.do("camera-angle", {"image_url": astronaut, "horizontal": -1, "steps": 4})

    assert task["status"] == "completed", task["error_message"]
    result = task["result"]
    detail = result["steps"][0]["detail"]
    assert isinstance(detail["seed"], int)
    assert detail["engine"] == "stand-in"
    assert result["result_url"].endswith(f"/images/comfyui-results/camera-angle/{task['task_id']}.png")
    picture = studio.picture(result["result_url"])
    assert picture.size == (result["width"], result["height"])
    assert task["progress"]["value"] == 1


def test_two_edits_without_a_seed_differ_and_one_with_its_seed_is_the_same(studio, astronaut):
    body = {"image_url": astronaut, "prompt": "make it dusk"}
    first, second = (studio.do("qwen-image-edit", body) for _ in range(2))
    seed = first["result"]["steps"][0]["detail"]["seed"]
    again = studio.do("qwen-image-edit", body | {"seed": seed})

    pictures = [
        studio.picture(each["result"]["result_url"]).convert("RGB").tobytes() for each in (first, second, again)
    ]
    assert pictures[0] != pictures[1]
    assert pictures[0] == pictures[2]


def test_edit_takes_three_pictures(studio, astronaut, hopper):
    body = {"image_url": astronaut, "prompt": "side by side", "seed": 7}
    alone = studio.do("qwen-image-edit", body)
    three = studio.do("qwen-image-edit", body | {"image2_url": hopper, "image3_url": hopper})

    assert three["status"] == "completed", three["error_message"]
    one, other = (studio.picture(each["result"]["result_url"]).convert("RGB") for each in (alone, three))
    assert one.size == other.size
    assert one.tobytes() != other.tobytes()


def test_workflow_of_a_users_own_makes_what_its_nodes_say(studio, astronaut):
    task = studio.do("comfyui-workflow", scaled(studio, astronaut, 128))

    assert task["status"] == "completed", task["error_message"]
    assert studio.picture(task["result"]["result_url"]).size == (128, 96)
    outputs = task["result"]["steps"][0]["detail"]["outputs"]
    assert [(each["node"], each["result_url"]) for each in outputs] == [("3", task["result"]["result_url"])]


def test_example_of_the_catalogue_runs(studio, astronaut):
    example = operation_named("comfyui-workflow").example
    inputs = {
        name: {"image_url": astronaut} if isinstance(value, dict) else value
        for name, value in example["inputs"].items()
    }

    assert studio.do("comfyui-workflow", example | {"inputs": inputs})["status"] == "completed"


@pytest.mark.parametrize(
    ("change", "loc"),
    [
        ({"workflow": BRIGHTER | {"2": {"class_type": "Nonsense", "inputs": {}}}}, ["workflow", "2"]),
        ({"inputs": {"2.width": -5, "2.height": 9}}, ["workflow", "2", "inputs", "width"]),
        ({"inputs": {"9.image": 1}}, ["workflow", "9", "inputs", "image"]),
    ],
)
def test_wrong_workflow_is_refused_with_the_node_and_the_field(studio, astronaut, comfyui, change, loc):
    answer = studio.http.post("/api/v1/comfyui-workflow/tasks", json=scaled(studio, astronaut, 128) | change)

    assert answer.status_code == 422
    assert ["body", *loc] in [problem["loc"] for problem in answer.json()["detail"]]
    assert executed(comfyui) == []


def test_progress_moves_and_shows_previews(studio, astronaut):
    task_id = studio.submit("camera-angle", {"image_url": astronaut, "horizontal": 1, "steps": 30, "preview": True})

    def under_way() -> dict | None:
        progress = studio.read(task_id)["progress"]
        return progress if progress and progress["preview_url"] and 0 < progress["value"] < 1 else None

    first = until(under_way, "a preview")
    assert (first["node_class"], first["steps"]) == ("KSampler", 30)
    assert studio.picture(first["preview_url"]).format == "JPEG"
    later = until(lambda: (p := under_way()) and p["value"] > first["value"] and p, "progress")
    assert later["step"] > first["step"]
    assert studio.finish(task_id)["status"] == "completed"


def test_cancel_stops_the_prompt_and_no_other(studio, astronaut, comfyui):
    running = studio.submit("camera-angle", {"image_url": astronaut, "horizontal": 1, "steps": 50})
    until(lambda: studio.read(running)["progress"], "progress")
    waiting = studio.submit("camera-angle", {"image_url": astronaut, "horizontal": 2, "steps": 4})

    answer = studio.http.delete(f"/api/v1/tasks/{running}")

    assert answer.json()["status"] == "cancelled"
    assert studio.finish(waiting)["status"] == "completed"
    state = comfyui.get("/_state").json()
    assert [each["status"] for each in state["prompts"]] == ["interrupted", "success"]
    assert set(state["interrupts"]) == {state["prompts"][0]["prompt_id"]}
    machine = studio.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:") + "camera-angle"
    describe = studio.aws("stepfunctions").describe_execution
    ended = until(
        lambda: (found := describe(executionArn=f"{machine}:{running}"))["status"] != "RUNNING" and found, "the end"
    )
    assert (ended["status"], ended["error"]) == ("FAILED", "Cancelled")


@pytest.mark.parametrize(
    ("fault", "code", "runs"),
    [
        ({"kind": "oom", "times": 2}, "GPU_OUT_OF_MEMORY", 2),
        ({"kind": "exception", "code": "RuntimeError"}, "WORKFLOW_FAILED", 1),
    ],
)
def test_node_that_breaks_ends_the_task_and_the_next_one_runs(studio, astronaut, comfyui, fault, code, runs):
    comfyui.put("/_faults/comfyui-run", json=[fault]).raise_for_status()
    task = studio.do("camera-angle", {"image_url": astronaut, "horizontal": 1, "steps": 2})

    assert (task["status"], task["error_detail"]["code"]) == ("failed", code)
    assert len(executed(comfyui)) == runs
    assert studio.do("camera-angle", {"image_url": astronaut, "horizontal": 1, "steps": 2})["status"] == "completed"


def test_memory_that_was_short_once_costs_one_more_run(studio, astronaut, comfyui):
    comfyui.put("/_faults/comfyui-run", json=[{"kind": "oom"}]).raise_for_status()
    task = studio.do("camera-angle", {"image_url": astronaut, "horizontal": 1, "steps": 2})

    assert task["status"] == "completed", task["error_message"]
    assert len(comfyui.get("/_state").json()["frees"]) == 1


def test_comfyui_that_dies_is_started_again_and_the_task_ends_well(studio, astronaut, comfyui):
    comfyui.put("/_faults/comfyui-run", json=[{"kind": "death"}]).raise_for_status()
    task = studio.do("camera-angle", {"image_url": astronaut, "horizontal": 1, "steps": 2})

    assert task["status"] == "completed", task["error_message"]
    assert executed(comfyui) == [{**executed(comfyui)[0], "status": "success"}]


def test_clients_of_the_old_service_get_its_answers(studio, astronaut):
    answer = studio.http.post("/api/v1/camera-angle/jobs", json={"image_url": astronaut, "vertical": 1, "steps": 2})

    assert answer.status_code == 202
    job_id = answer.json()["job_id"]
    assert answer.json()["result_s3_uri"] is None
    studio.finish(job_id)
    for path in (f"/api/v1/jobs/{job_id}", f"/api/v1/camera-angle/jobs/{job_id}"):
        job = studio.http.get(path).json()
        assert (job["status"], job["error"]) == ("completed", None)
        assert job["result_s3_uri"] == job["result_url"] is not None
    assert studio.http.get("/health").json()["comfyui_status"] == "healthy"


def test_clear_cache_reaches_the_worker(studio, comfyui):
    answer = studio.http.post("/api/clear-cache")

    assert (answer.status_code, answer.json()["success"]) == (200, True)
    until(lambda: comfyui.get("/_state").json()["frees"], "a free")


def test_preview_of_what_was_stored_is_not_a_result(studio, astronaut):
    task = studio.do("comfyui-workflow", scaled(studio, astronaut, 144, preview=True))

    data = httpx.get(task["result"]["result_url"], timeout=30, trust_env=False).content
    assert Image.open(io.BytesIO(data)).size == (144, 96)
