"""The routes of the replaced mask component: its answers, its errors and their order."""

import base64
import io
import json

import pytest
from PIL import Image

from backlot.tasks import Status
from tests.unit.api import CONTEXT, Answer, event
from tests.unit.fakes import NOW_MS
from tests.unit.pictures import plain
from tests.unit.work import a_task

BOUNDARY = "edge-of-part"
PICTURE = plain(40, 30)
FIELDS = {"user_id": "user-1", "job_id": "job-1"}
NO_FILE = object()


def form(fields: dict[str, str], picture: object = PICTURE, content_type: str | None = "image/png") -> bytes:
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    if picture is not NO_FILE:
        kind = f"\r\nContent-Type: {content_type}" if content_type else ""
        head = f'Content-Disposition: form-data; name="user_image"; filename="../../me.png"{kind}\r\n\r\n'
        parts.append(head.encode() + picture)
    return b"".join(b"--%s\r\n%s\r\n" % (BOUNDARY.encode(), part) for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def process(api, body: bytes, *, content_type: str = f"multipart/form-data; boundary={BOUNDARY}", **parts) -> Answer:
    sent = event("POST", "/process", headers={"Content-Type": content_type}, **parts)
    sent["body"], sent["isBase64Encoded"] = base64.b64encode(body).decode(), True
    answer = api.app.resolve(sent, CONTEXT)
    return Answer(answer["statusCode"], {}, answer["body"])


def test_process_takes_a_picture_and_answers_as_the_component_did(api):
    answer = process(api, form(FIELDS | {"provider": "qwen"}))

    assert answer.status == 200
    (task,) = api.tasks.kept.values()
    assert answer.json() == {
        "status": "accepted",
        "queued": True,
        "job_id": "job-1",
        "message": "Job added to Qwen mask queue",
        "task_id": task.task_id,
    }
    assert task.operation == "body-masks"
    assert {name: task.request[name] for name in ("user_id", "job_id", "output", "deliver")} == {
        "user_id": "user-1",
        "job_id": "job-1",
        "output": "binary",
        "deliver": True,
    }
    ((key, body),) = api.uploads.kept.items()
    assert task.request["image_url"] == f"s3://assets/{key}"
    assert body == PICTURE
    assert key.startswith("uploads/")
    assert key.endswith(".png")


def test_process_of_a_large_file_keeps_every_byte(api):
    noise = io.BytesIO()
    Image.effect_noise((1300, 1300), 90).save(noise, "PNG")
    assert len(noise.getvalue()) > 1_500_000

    assert process(api, form(FIELDS, noise.getvalue())).status == 200
    assert list(api.uploads.kept.values()) == [noise.getvalue()]


@pytest.mark.parametrize(
    ("fields", "picture", "missing"),
    [
        ({}, NO_FILE, ["user_image", "user_id", "job_id"]),
        (FIELDS, NO_FILE, ["user_image"]),
        ({"user_id": "u"}, PICTURE, ["job_id"]),
        (FIELDS | {"job_id": ""}, PICTURE, ["job_id"]),
        (FIELDS | {"provider": "other", "user_id": ""}, PICTURE, ["user_id"]),
    ],
)
def test_process_without_a_field_names_it(api, fields, picture, missing):
    answer = process(api, form(fields, picture))
    assert answer.status == 422
    assert answer.json()["detail"] == [
        {"type": "missing", "loc": ["body", name], "msg": "Field required", "input": None} for name in missing
    ]


@pytest.mark.parametrize("provider", ["Qwen", "qwen ", "sam", "x" * 300])
def test_process_for_another_provider_is_refused(api, provider):
    answer = process(api, form(FIELDS | {"provider": provider}, content_type="text/plain"))
    assert answer.status == 400
    assert answer.json() == {"detail": f"Invalid provider: {provider[:200]}. Only 'qwen' is supported."}


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/image/png"])
def test_process_of_no_image_is_refused(api, content_type):
    answer = process(api, form(FIELDS, content_type=content_type))
    assert (answer.status, answer.json()) == (422, {"detail": "Invalid file type. Expected image file."})


@pytest.mark.parametrize("data", [b"hello", b"GIF89a", b"\x89PNG\r\n\x1a\n"])
def test_process_of_what_only_says_that_it_is_an_image_is_refused(api, data):
    answer = process(api, form(FIELDS, data))
    assert answer.status == 422
    assert answer.json()["detail"].startswith("The image cannot be read")
    assert api.uploads.kept == {}


@pytest.mark.parametrize("job_id", ["../../etc", "/etc/passwd", "a/b", ".", "..", "x" * 129])
def test_process_with_an_id_that_could_leave_its_place_is_refused(api, job_id):
    answer = process(api, form(FIELDS | {"job_id": job_id}))
    assert answer.status == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "job_id"]
    assert api.uploads.kept == {}


def fill(api, tasks: int, status: Status = Status.PENDING, operation: str = "body-masks") -> None:
    for number in range(tasks):
        api.tasks.add(a_task(f"task-{operation}-{status}-{number}", operation=operation, status=status))


def test_process_of_a_full_queue_is_429_and_of_one_with_room_is_not(api):
    fill(api, 1)
    fill(api, 1, Status.PROCESSING)
    fill(api, 5, Status.COMPLETED)
    fill(api, 5, operation="face-mask")
    assert process(api, form(FIELDS)).status == 200

    answer = process(api, form(FIELDS))
    assert answer.status == 429
    assert answer.json()["detail"] == "Queue is full. Please try again later."


def test_full_queue_takes_no_json_either(api):
    fill(api, 3)
    answer = api.post("/api/v1/body-masks/tasks", {"image_url": "https://images.example.com/a.png"})
    assert (answer.status, answer.json()["error"]["code"]) == (429, "QUEUE_FULL")


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (b"hello", f"multipart/form-data; boundary={BOUNDARY}"),
        (b"", "multipart/form-data"),
        (b"x", ""),
        (form(FIELDS)[:-30], f"multipart/form-data; boundary={BOUNDARY}"),
    ],
    ids=["JSON", "text", "no boundary", "no type", "cut off"],
)
def test_process_of_no_form_is_422(api, body, content_type):
    answer = process(api, body, content_type=content_type)
    assert answer.status == 422
    assert isinstance(json.loads(answer.text)["detail"], list)


def test_stats_are_true(api, clock):
    fill(api, 2)
    api.counters.add("body-masks")
    api.counters.add("face-mask")
    clock.advance(seconds=100)

    assert api.get("/stats").json() == {
        "queue_max": 3,
        "queue_current": 2,
        "workers": 8,
        "jobs_processed": 1,
        "uptime_sec": 600,
    }
    assert clock() == NOW_MS + 100_000


def test_stats_of_an_endpoint_that_is_not_there_are_zero(api):
    api.fleet = type(api.fleet)()
    stats = api.get("/stats").json()
    assert (stats["workers"], stats["uptime_sec"]) == (0, 0)


def test_health_tells_the_queue_and_whether_the_model_serves(api):
    fill(api, 2)
    api.fleet = type(api.fleet)()
    health = api.get("/health", key_id=None).json()
    assert (health["queue_size"], health["segmentation_ready"]) == (2, False)
    assert health["issues"] == ["the endpoint of body-masks is not in service"]
