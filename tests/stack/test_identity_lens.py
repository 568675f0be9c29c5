"""The IdentityLens app as it meets us: its old synchronous answer, its errors, and no second payment for one tap."""

import concurrent.futures
import uuid

import pytest
from PIL import Image, ImageFilter

from tests.stack.portraits import PORTRAIT, jobs_of, request, with_picture
from tests.stack.waiting import until

KEYS = {"success", "image_url", "image_base64", "inference_time", "model_version", "seed", "error", "task_id"}
BLURRED = with_picture(Image.open(PORTRAIT).convert("RGB").filter(ImageFilter.GaussianBlur(4)))


def shot(**changes):
    """Return a request that nobody has made before."""
    return request(master_prompt=f"a sailor, shot {uuid.uuid4()}", **changes)


def generate(studio, body, **headers):
    answer = studio.http.post("/api/generate", json=body, headers=headers)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == KEYS
    return answer.json()


@pytest.fixture
def slow_job(studio):
    studio.fault("fal-job", {"kind": "none", "wait_s": 30})


def test_portrait_comes_with_the_answer(studio):
    answer = generate(studio, shot(mode="quality", seed=3))

    assert (answer["success"], answer["error"], answer["image_base64"]) == (True, None, None)
    assert (answer["model_version"], answer["seed"]) == ("flux-dev", 3)
    assert answer["inference_time"] > 0
    assert studio.picture(answer["image_url"]).size == (1024, 1024)
    status = studio.http.get(f"/api/status/{answer['task_id']}").json()
    assert status == {"status": "completed", "progress": 1.0, "result": answer}


def test_fields_may_be_left_out_as_before(studio):
    body = {name: shot()[name] for name in ("identity_packet", "master_prompt", "negative_prompt")}
    answer = generate(studio, body)

    assert (answer["success"], answer["model_version"]) == (True, "flux-schnell")
    assert isinstance(answer["seed"], int)


@pytest.mark.parametrize(
    ("packet", "code", "retry"),
    [
        (BLURRED, 1002, True),
        (BLURRED | {"qualityMetrics": {"passed": False}}, 1002, True),
        (BLURRED | {"image": {"cleanFace": "BASE64_PLACEHOLDER"}}, 1001, False),
        (BLURRED | {"facialData": None}, 1001, False),
    ],
    ids=["blurred", "failed its own check", "placeholder", "no box"],
)
def test_picture_that_cannot_be_used_is_answered_at_once_and_free(studio, packet, code, retry):
    answer = generate(studio, shot(identity_packet=packet))

    assert (answer["success"], answer["image_url"], answer["seed"], answer["inference_time"]) == (False, None, -1, 0.0)
    assert (answer["error"]["code"], answer["error"]["retry"]) == (code, retry)
    assert studio.calls() == {}


@pytest.mark.parametrize(
    ("accepted", "action"),
    [({}, "Telefonu sabit tutarak tekrar deneyin"), ({"Accept-Language": "en"}, "Hold the phone still and try again")],
)
def test_errors_are_turkish_unless_english_is_asked_for(studio, accepted, action):
    assert generate(studio, shot(identity_packet=BLURRED), **accepted)["error"]["action"] == action


def test_flagged_portrait_is_3001_and_not_bought_again(studio):
    studio.fault("fal-job", {"kind": "flagged"})
    body = shot()

    answers = [generate(studio, body) for _ in range(2)]

    assert [answer["error"]["code"] for answer in answers] == [3001, 3001]
    assert studio.calls()["fal"] == 1


def test_late_portrait_is_2001_and_the_same_request_joins_it(studio, slow_job):
    body = shot(enable_harmonization=False)

    late = generate(studio, body)
    status = studio.http.get(f"/api/status/{late['task_id']}").json()
    answer = generate(studio, body)

    assert (late["success"], late["error"]["code"], late["error"]["retry"]) == (False, 2001, True)
    assert (status["status"], status["result"]) == ("processing", None)
    assert 0 < status["progress"] < 1
    assert (answer["success"], answer["task_id"]) == (True, late["task_id"])
    assert generate(studio, body) == answer
    assert len(jobs_of(studio, answer["task_id"])) == studio.calls()["fal"] == 1


def test_taps_at_once_are_one_task(studio):
    body = shot(enable_harmonization=False)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: generate(studio, body), range(4)))

    assert len({answer["task_id"] for answer in answers}) == 1
    assert {answer["success"] for answer in answers} == {True}
    assert studio.calls()["fal"] == 1


def test_same_request_of_another_key_is_another_task(studio):
    body = shot(enable_harmonization=False)
    mine = generate(studio, body)
    other = generate(studio, body, **{"x-api-key": studio.keys["trial"]})

    assert other["task_id"] != mine["task_id"]
    hidden = studio.http.get(f"/api/status/{other['task_id']}")
    assert (hidden.status_code, hidden.json()["detail"]) == (404, "Request not found")


def test_failed_request_is_tried_again_with_what_was_paid(studio):
    studio.fault("fal-files", {"kind": "body", "text": "<html>"})
    body = shot(enable_harmonization=False)

    failed, answer = generate(studio, body), generate(studio, body)

    assert (failed["error"]["code"], failed["error"]["retry"]) == (4001, True)
    assert (answer["success"], answer["task_id"]) == (True, failed["task_id"])
    assert studio.calls()["fal"] == 1


def test_cancelled_request_is_not_joined(studio, slow_job):
    body = shot(enable_harmonization=False)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        tap = pool.submit(generate, studio, body)
        task = until(lambda: studio.http.get("/api/v1/tasks?status=processing").json()["tasks"], "the task")[0]
        until(lambda: [job["status"] for job in jobs_of(studio, task["task_id"])] == ["IN_PROGRESS"], "the job")
        studio.http.delete(f"/api/v1/tasks/{task['task_id']}")
        cancelled = tap.result()
    again = generate(studio, body)

    assert cancelled["error"]["code"] == 2001
    assert studio.http.get(f"/api/status/{task['task_id']}").json()["status"] == "failed"
    assert again["success"] is True
    assert again["task_id"] != task["task_id"]


@pytest.mark.parametrize("body", [{}, {"master_prompt": "a sailor"}])
def test_body_of_neither_client_is_told_what_is_missing(studio, body):
    answer = studio.http.post("/api/generate", json=body)

    (problem,) = answer.json()["detail"]
    assert answer.status_code == 422
    assert (problem["type"], problem["loc"], problem["input"]) == ("missing", ["body"], None)
    assert "identity_packet" in problem["msg"]


def test_problems_of_a_body_are_named_as_before(studio):
    answer = studio.http.post("/api/generate", json={"identity_packet": {}, "denoising_strength": 0.5})

    assert answer.status_code == 422
    assert {tuple(problem["loc"]) for problem in answer.json()["detail"]} == {
        ("body", "master_prompt"),
        ("body", "negative_prompt"),
        ("body", "denoising_strength"),
    }


def test_batches_are_not_made(studio):
    answer = studio.http.post("/api/batch-generate", json=[shot()])

    assert (answer.status_code, answer.json()) == (501, {"detail": "Batch generation not yet implemented"})
