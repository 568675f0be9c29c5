"""The ArtMancer server's pages, replayed against the real stack: requests as they were recorded, read as they read."""

import base64
import io
import json
import re
import time
import zipfile

import httpx
import numpy as np
from PIL import Image

from tests.artmancer_client import Page3, Page21, Reply, in_base64, mask, photo, recorded
from tests.stack.waiting import until

#: A larger picture than the recorded ones: the edit is to be seen.
SIZE = (480, 360)


def sender(studio, key="studio"):
    """Send requests as a page's fetch does, with the key that its build has."""

    def send(method, path, body, headers):
        headers = {"x-api-key": studio.keys[key], **headers}
        answer = studio.http.request(method, path, json=body, headers=headers)
        return Reply(answer.status_code, answer.headers, answer.content)

    return send


def picture(text: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB"), np.int16)


def slow(studio, seconds):
    """Let the next edit take so long, over its steps."""
    studio.fault("model-qwen-edit", {"kind": "none", "wait_s": seconds})


def test_page_of_2_1_removes_the_ball(studio):
    page = Page21(sender(studio))
    assert page.is_ready()
    page.health()
    body = recorded(input_image=in_base64(photo(*SIZE)), conditional_images=[in_base64(mask(*SIZE))], keep_outside=True)

    answer = page.generate(body)

    before, after, marked = np.asarray(photo(*SIZE), np.int16), picture(answer["image"]), np.asarray(mask(*SIZE)) > 0
    assert after.shape == before.shape
    # The ball was red.
    assert (before[marked, 0] - before[marked, 1]).mean() > 80
    assert abs(after[marked, 0] - after[marked, 1]).mean() < 30
    assert answer["model_used"] == "qwen_local_removal"
    assert answer["parameters_used"]["image_size"] == "480x360"
    assert (answer["parameters_used"]["seed"], answer["parameters_used"]["true_cfg_scale"]) == (7, 1.0)
    assert re.fullmatch(r"\d{8}_\d{6}_\d{6}", answer["request_id"])
    health = page.health()
    assert (health["model_loaded"], health["device_info"]["state"]) in ((True, "hot"), (True, "warm"), (False, "cold"))


def test_page_of_3_gets_events_a_small_file_and_what_was_kept(studio):
    page = Page3(sender(studio))
    done = page.generate(recorded("insertion", generation="3", enable_debug=True))

    last = done["events"][-1]
    assert (last["status"], last["progress"], last["error"]) == ("done", 1.0, None)
    assert picture(last["result"]).shape == (72, 96, 3)
    small = Image.open(io.BytesIO(done["blob"].body))
    assert (small.format, small.size, done["blob"].headers["content-type"]) == ("WEBP", (96, 72), "image/webp")
    info = done["debug_info"]
    assert len(info["conditional_images"]) == len(info["conditional_labels"]) >= 2
    assert all(picture(image).ndim == 3 for image in info["conditional_images"])
    sessions_of(studio, page, info)


def sessions_of(studio, page, info):
    """Look at the session that an edit has kept, as its owner and as another key."""
    name = info["session_name"]
    listed = page.json("GET", "/api/debug/sessions")
    assert listed["sessions"][0]["session_name"] == name
    assert (listed["sessions"][0]["success"], listed["sessions"][0]["task_type"]) == (True, "insertion")
    session = page.json("GET", f"/api/debug/sessions/{name}")
    assert session["metadata"]["task_type"] == "insertion"
    assert session["lora_log"]
    assert len(session["image_files"]) == len(info["conditional_images"])
    image = page.fetch("GET", f"/api/debug/sessions/{name}/images/{session['image_files'][0]}")
    assert image.body == base64.b64decode(info["conditional_images"][0])
    archive = page.fetch("GET", f"/api/debug/sessions/{name}/download")
    with zipfile.ZipFile(io.BytesIO(archive.body)) as files:
        assert set(session["image_files"]) < set(files.namelist())
    big_picture_comes_by_a_link(studio, page, name)
    stranger = Page3(sender(studio, "trial"))
    assert stranger.json("GET", "/api/debug/sessions")["sessions"] == []
    assert stranger.fetch("GET", f"/api/debug/sessions/{name}").status == 404
    for path in ("/%2e%2e", "/..%2f..%2fmodels", f"/%2e%2e%2f{name}", f"/{name}/images/%2e%2e%2fmetadata.json"):
        assert page.fetch("GET", f"/api/debug/sessions{path}").status == 404
    assert page.json("POST", "/api/debug/cleanup?keep_last_n=0")["deleted"] >= 1
    assert page.json("GET", "/api/debug/status")["total_sessions"] == 0


def big_picture_comes_by_a_link(studio, page, name):
    """Put a picture into a session that is too long for Lambda's answer, and fetch it."""
    folder = next(key for key in studio.objects() if key.endswith(f"{name}/metadata.json")).rpartition("/")[0]
    body = bytes(range(256)) * 20_000
    studio.aws("s3").put_object(Bucket=studio.outputs["BucketName"], Key=f"{folder}/09_big.png", Body=body)
    answer = studio.http.get(f"/api/debug/sessions/{name}/images/09_big.png")
    assert answer.status_code == 302
    link = answer.headers["Location"]
    linked = httpx.get(link, trust_env=False, timeout=30)
    assert (linked.status_code, linked.content == body) == (200, True)
    tampered = link.replace("09_big.png", "metadata.json")
    assert httpx.get(tampered, trust_env=False, timeout=30).status_code == 403


def test_long_edit_is_waited_for_by_a_redirect_and_told_to_others_by_its_task(studio):
    slow(studio, 3)
    page = Page21(sender(studio))
    held = page.fetch("POST", "/api/generate?wait=0.5", recorded(seed=11))
    assert (held.status, page.redirects) == (200, 1)
    assert picture(json.loads(held.body)["image"]).shape == (72, 96, 3)

    answer = studio.http.post("/api/generate?wait=0", json=recorded(seed=11))
    told = answer.json()
    assert (answer.status_code, told["success"], told["image"]) == (202, False, None)
    studio.finish(told["task_id"])
    assert studio.http.get(f"/api/{told['status_url']}").json()["status"] == "done"


def test_event_source_sees_the_steps_and_polling_ends_with_the_same_picture(studio):
    page = Page3(sender(studio))
    slow(studio, 3)
    by_source = page.generate_by_event_source(recorded("white-balance", generation="3"))
    by_polling = page.generate_by_polling(recorded("white-balance", generation="3"), pause=lambda: time.sleep(0.2))

    steps = [event["current_step"] for event in by_source["events"] if event["status"] == "processing"]
    assert steps == sorted(steps)
    assert set(steps) & set(range(1, 10))
    assert {event["total_steps"] for event in by_source["events"] if event["status"] == "processing"} == {10}
    assert np.array_equal(picture(by_source["image"]), picture(by_polling["image"]))
    assert by_polling["seen"][-1]["progress"] == 1.0


def test_cancelled_edit_stays_cancelled(studio):
    slow(studio, 20)
    page = Page3(sender(studio))
    task_id = page.submit(recorded(generation="3", seed=12))
    until(lambda: page.json("GET", f"/api/generate/status/{task_id}")["status"] == "processing", "progress", 30)
    assert page.cancel(task_id)["success"] is True
    assert page.json("GET", f"/api/generate/status/{task_id}")["status"] == "cancelled"
    refused = page.fetch("GET", f"/api/generate/result/{task_id}")
    assert (refused.status, json.loads(refused.body)["detail"]) == (
        400,
        "Task not completed yet. Current status: cancelled",
    )
    # The model has ended, too: the next edit need not wait for the rest of it.
    assert page.generate(recorded(generation="3", seed=13))["result"]["status"] == "done"


def test_open_routes_need_no_key_and_edits_do(studio):
    door = httpx.Client(base_url=studio.place.front_door, trust_env=False, timeout=30)
    with door:
        assert door.get("/ping").json() == {"status": "healthy"}
        assert door.get("/api/").json() == {"message": "ArtMancer API is running", "version": "2.1.0"}
        assert door.get("/api/health").json()["status"] == "healthy"
        assert set(door.get("/api/system/health").json()["services"]) == {"job_manager", "segmentation", "image_utils"}
        assert door.post("/api/generate", json=recorded()).status_code == 403
        assert door.get("/api/debug/sessions").status_code == 403


def test_caches_are_cleared_by_objects_that_the_servers_see(studio):
    assert studio.http.post("/api/clear-cache").json() == {"success": True, "message": "Cache cleared"}
    assert "model-requests/backlot-local-qwen-edit/release" in studio.objects()
