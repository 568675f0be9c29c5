"""body-masks: real functions and the real model server, with SageMaker's and the mask asset service's stand-ins."""

import io
import json
import uuid
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from local.demo import PORTRAITS
from local.models import await_model_server, start_model_server
from tests.stack.waiting import until

PERSON = (PORTRAITS / "astronaut.png").read_bytes()


def deliveries(studio, job_id: str) -> list[dict]:
    return [each for each in studio.stand_ins.get("/_mask-assets/deliveries").json() if each["job_id"] == job_id]


def mask(studio, task: dict, name: str) -> np.ndarray:
    url = task["result"]["steps"][0]["detail"]["masks"][name]
    return np.asarray(studio.picture(url))


def process(studio, job_id: str, *, user_id: str = "user-1", picture: bytes = PERSON, **fields: str):
    return studio.http.post(
        "/process",
        data={"user_id": user_id, "job_id": job_id, **fields},
        files={"user_image": ("me.png", picture, "image/png")},
    )


def age(studio, task_id: str) -> None:
    """Let a task be older than the sweep's patience."""
    studio.aws("dynamodb").update_item(
        TableName="task_store",
        Key={"task_id": {"S": task_id}},
        UpdateExpression="SET created_at = created_at - :long",
        ExpressionAttributeValues={":long": {"N": "600"}},
    )


def sweep(studio) -> None:
    studio.aws("lambda").invoke(FunctionName=studio.function("SweepStalled"))


def test_masks_lie_on_the_garments_and_have_the_pictures_size(studio, astronaut):
    task = studio.do("body-masks", {"image_url": astronaut})

    assert task["status"] == "completed"
    upper, lower, labels = (mask(studio, task, name) for name in ("upper", "lower", "seg_map"))
    assert upper.shape == lower.shape == labels.shape == (512, 512)
    assert set(np.unique(upper)) == {0, 255}
    assert np.array_equal(upper == 255, np.isin(labels, (4, 7)))
    assert np.array_equal(lower == 255, np.isin(labels, (5, 6, 7)))
    rows, columns = np.nonzero(upper)
    # The astronaut's face is at (222, 114); her suit lies below it.
    assert rows.mean() > 250
    assert 120 < columns.mean() < 330
    result = task["result"]
    assert (result["provider"], result["model"]) == ("sagemaker", "schp (stand-in)")
    assert [image["content_type"] for image in result["images"]] == ["image/png"] * 3
    assert len(studio.invocations(task["task_id"])) == 1


def test_rectangle_covers_the_region_in_the_picture(studio, astronaut):
    task = studio.do("body-masks", {"image_url": astronaut, "output": "bounding-rectangle"})

    drawn, photo = mask(studio, task, "upper"), np.asarray(Image.open(io.BytesIO(PERSON)).convert("RGB"))
    box = task["result"]["steps"][0]["detail"]["regions"]["upper"]["box"]
    inside = (slice(box["top"], box["bottom"]), slice(box["left"], box["right"]))
    assert (drawn[inside] == (0, 255, 0)).all()
    drawn = drawn.copy()
    drawn[inside] = photo[inside]
    assert np.array_equal(drawn, photo)


def test_clients_of_the_old_component_get_their_masks_delivered(studio):
    job_id = f"job-{uuid.uuid4()}"
    answer = process(studio, job_id, provider="qwen")

    assert answer.status_code == 200, answer.text
    accepted = answer.json()
    assert (accepted["status"], accepted["queued"], accepted["job_id"]) == ("accepted", True, job_id)
    assert accepted["message"] == "Job added to Qwen mask queue"
    task = studio.finish(accepted["task_id"])
    assert task["status"] == "completed"
    (delivery,) = deliveries(studio, job_id)
    assert (delivery["user_id"], delivery["provider"]) == ("user-1", "qwen")
    assert [file["name"] for file in delivery["files"]] == [
        f"{job_id}_upper_body_mask.png",
        f"{job_id}_lower_body_mask.png",
        f"{job_id}_seg_map.png",
    ]
    assert {file["type"] for file in delivery["files"]} == {"image/png"}
    delivered = task["result"]["steps"][1]["detail"]
    assert (delivered["delivered"], delivered["attempts"]) == (True, 1)


@pytest.mark.parametrize(
    ("fields", "status", "detail"),
    [
        ({"provider": "other"}, 400, "Invalid provider: other. Only 'qwen' is supported."),
        ({"job_id": "../../etc"}, 422, None),
    ],
)
def test_wrong_forms_are_answered_as_before(studio, fields, status, detail):
    answer = process(studio, **{"job_id": "j", **fields})
    assert answer.status_code == status
    assert detail is None or answer.json() == {"detail": detail}


def test_figures_of_the_component_are_true(studio, astronaut):
    before = studio.http.get("/stats").json()
    studio.do("body-masks", {"image_url": astronaut})
    after = until(
        lambda: (it := studio.http.get("/stats").json())["jobs_processed"] > before["jobs_processed"] and it,
        "the count",
    )

    assert after["jobs_processed"] == before["jobs_processed"] + 1
    assert (after["queue_current"], after["queue_max"]) == (0, 1000)
    assert after["workers"] >= 1
    assert after["uptime_sec"] >= 0
    # The report is kept for 15 seconds.
    health = until(lambda: (it := studio.http.get("/health").json())["segmentation_ready"] and it, "the endpoint", 30)
    assert health["queue_size"] == 0


def test_full_queue_says_so(studio):
    with studio.changed_function("ServeApi", QUEUE_MAX=json.dumps({"body-masks": 0})):
        answer = process(studio, "j")
    assert (answer.status_code, answer.json()["detail"]) == (429, "Queue is full. Please try again later.")


FAILURES = [
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 422},
    {"kind": "reset"},
    {"kind": "body", "text": "<html>taken</html>"},
    {"kind": "truncated"},
]


def test_delivery_that_fails_in_every_way_is_tried_six_times_in_all(studio, fast_clock):
    job_id = f"job-{uuid.uuid4()}"
    studio.fault("mask-assets", *FAILURES)
    task = studio.finish(process(studio, job_id).json()["task_id"])

    assert task["status"] == "completed"
    assert task["result"]["steps"][1]["detail"]["attempts"] == 6
    assert len(deliveries(studio, job_id)) == 1
    times = studio.stand_ins.get("/_times").json()["mask-assets"]
    pauses = [late - early for early, late in pairwise(times)]
    # 1, 2, 4, 8 and 16 seconds, ten times shorter; what a try takes comes on top.
    assert all(pause >= 0.1 * 2**number for number, pause in enumerate(pauses))
    assert pauses[-1] > 2 * pauses[0]


def test_masks_stay_reachable_when_the_delivery_never_succeeds_and_the_task_says_so(studio, fast_clock):
    studio.fault("mask-assets", {"kind": "status", "status": 503, "times": 9})
    task = studio.finish(process(studio, "job-undelivered").json()["task_id"])

    assert task["status"] == "completed"
    delivered = task["result"]["steps"][1]["detail"]
    assert (delivered["delivered"], delivered["error"]) == (False, "MasksNotDelivered")
    assert delivered["message"].endswith("HTTP 503")
    assert studio.calls()["mask-assets"] == 6
    assert mask(studio, task, "upper").any()


def test_picture_that_the_model_cannot_read_fails_the_task_and_nothing_repeats(studio):
    url = studio.upload(f"{uuid.uuid4()}.png", b"hello")
    task = studio.do("body-masks", {"image_url": url})

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "IMAGE_UNREADABLE")
    assert len(studio.invocations(task["task_id"])) == 1


def test_broken_model_fails_the_task(studio, astronaut):
    studio.fault("sagemaker-run", {"kind": "status", "status": 500})
    task = studio.do("body-masks", {"image_url": astronaut})
    assert (task["status"], task["error_detail"]["code"]) == ("failed", "MODEL_FAILED")


def test_model_that_is_busy_is_asked_again(studio, astronaut):
    studio.fault("sagemaker-run", {"kind": "status", "message": "Received server error (503) from model."})
    task = studio.do("body-masks", {"image_url": astronaut})
    assert (task["status"], task["error_detail"]) == ("completed", None)
    assert [run["status"] for run in studio.invocations(task["task_id"])] == ["failed", "completed"]


def test_lost_notification_is_found_by_the_sweep(studio, astronaut):
    studio.fault("sagemaker-notification", {"kind": "lost"})
    task_id = studio.submit("body-masks", {"image_url": astronaut})
    until(lambda: [run["status"] for run in studio.invocations(task_id)] == ["completed"], "the model's answer")
    until(lambda: studio.read(task_id)["status"] == "processing", "the task at work")
    age(studio, task_id)
    sweep(studio)

    assert studio.finish(task_id)["status"] == "completed"
    assert len(studio.invocations(task_id)) == 1


def test_notification_that_comes_twice_changes_nothing(studio, astronaut):
    studio.fault("sagemaker-notification", {"kind": "doubled"})
    task = studio.do("body-masks", {"image_url": astronaut})

    assert task["status"] == "completed"
    assert len(studio.invocations(task["task_id"])) == 1
    assert studio.read(task["task_id"]) == task


def test_submission_whose_answer_is_lost_asks_once(studio, astronaut):
    studio.fault("sagemaker", {"kind": "lost-answer"})
    task = studio.do("body-masks", {"image_url": astronaut})

    assert task["status"] == "completed"
    assert len(studio.invocations(task["task_id"])) == 1


def test_cancelled_task_ends_at_once_and_its_answer_changes_nothing(studio, astronaut):
    studio.fault("sagemaker-run", {"kind": "none", "wait_s": 4})
    task_id = studio.submit("body-masks", {"image_url": astronaut})
    until(lambda: studio.invocations(task_id), "the invocation")

    assert studio.http.delete(f"/api/v1/tasks/{task_id}").json()["status"] == "cancelled"
    until(lambda: studio.invocations(task_id)[0]["status"] == "completed", "the model's answer")
    assert studio.read(task_id)["status"] == "cancelled"


def sent_ms(studio, task_id: str) -> int:
    """Return when a task's message was sent to the queue, as the ledger keeps it."""
    key = {"id": {"S": f"step#{task_id}#segment-body"}}
    record = studio.aws("dynamodb").get_item(TableName="task_idempotency", Key=key)["Item"]
    return int(json.loads(record["work_item"]["S"])["first_sent_ms"])


def test_jobs_of_several_users_are_all_done_once_in_each_users_order(studio, astronaut, request):
    jobs = request.config.getoption("--model-jobs")
    studio.fault(
        "sagemaker-notification",
        *[{"kind": kind} for kind in ["none", "doubled", "lost", "none", "doubled"] * (jobs // 10)],
    )
    ids = {}
    for number in range(jobs):
        ids[studio.submit("body-masks", {"image_url": astronaut, "user_id": f"user-{number % 3}"})] = number % 3
        if number in (jobs // 3, 2 * jobs // 3):
            studio.kill_model_server("schp")
            start_model_server(studio.place, "schp")
    await_model_server(studio.place, "schp")
    until(lambda: sum(run["status"] == "completed" for run in studio.invocations()) == jobs, "all answers", 10 * jobs)
    left = [task_id for task_id in ids if studio.read(task_id)["status"] == "processing"]
    for task_id in left:
        age(studio, task_id)
    sweep(studio)
    tasks = [studio.finish(task_id, 120) for task_id in ids]

    assert {task["status"] for task in tasks} == {"completed"}
    asked = [run["inference_id"][:36] for run in sorted(studio.invocations(), key=lambda run: run["received"])]
    assert sorted(asked) == sorted(ids)
    for user in range(3):
        order = [sent_ms(studio, task_id) for task_id in asked if ids[task_id] == user]
        assert order == sorted(order)
