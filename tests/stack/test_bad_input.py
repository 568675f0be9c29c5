"""Bad input of every kind: each gets a clear error, none a 500, and nothing is left behind."""

import json

import numpy as np
import pytest

from tests.stack.awkward_pictures import ACCEPTED, REFUSED, portrait
from tests.stack.waiting import until

GOOD = "https://images.example.com/portrait.jpg"

#: Bodies of face-mask that are refused at once: the place and the kind of the problem.
BODIES: dict[str, tuple[bytes, list[str | int], str]] = {
    "empty": (b"", ["body"], "missing"),
    "blank": (b"  \n", ["body"], "missing"),
    "null": (b"null", ["body"], "model_attributes_type"),
    "number": (b"7", ["body"], "model_attributes_type"),
    "text": (b'"image"', ["body"], "model_attributes_type"),
    "list": (b"[]", ["body"], "model_attributes_type"),
    "broken": (b'{"image_url": ', ["body"], "json_invalid"),
    "trailing": (b'{"image_url": "x"}}', ["body"], "json_invalid"),
    "not utf-8": (b'{"image_url": "\xff\xfe"}', ["body"], "json_invalid"),
    "half a surrogate": (b'{"image_url": "\\ud83d"}', ["body"], "json_invalid"),
    "nested without end": (b"[" * 5000, ["body"], "json_invalid"),
    "form": (b"image_url=https%3A%2F%2Fexample.com", ["body"], "json_invalid"),
    "no url": (b"{}", ["body", "image_url"], "missing"),
    "null url": (b'{"image_url": null}', ["body", "image_url"], "string_type"),
    "number url": (b'{"image_url": 5}', ["body", "image_url"], "string_type"),
    "list url": (b'{"image_url": ["a"]}', ["body", "image_url"], "string_type"),
    "negative index": (b'{"image_url": "%s", "face_index": -1}', ["body", "face_index"], "greater_than_equal"),
    "large index": (b'{"image_url": "%s", "face_index": 1000}', ["body", "face_index"], "less_than_equal"),
    "half an index": (b'{"image_url": "%s", "face_index": 0.5}', ["body", "face_index"], "int_from_float"),
    "word for an index": (b'{"image_url": "%s", "face_index": "first"}', ["body", "face_index"], "int_parsing"),
    "infinite index": (b'{"image_url": "%s", "face_index": 1e400}', ["body", "face_index"], "finite_number"),
    "endless index": (b'{"image_url": "%s", "face_index": ' + b"9" * 5000 + b"}", ["body"], "json_invalid"),
}

#: URLs that are refused by their text alone.
URLS = [
    "",
    "portrait.jpg",
    "//images.example.com/portrait.jpg",
    "http://images.example.com/portrait.jpg",
    "ftp://images.example.com/portrait.jpg",
    "file:///etc/passwd",
    "gopher://images.example.com/",
    "javascript:alert(1)",
    "https://",
    "https:///portrait.jpg",
    "https://user:secret@images.example.com/portrait.jpg",
    "https://images.example.com:99999/portrait.jpg",
    "https://images.example.com/a b.jpg",
    "https://images.example.com\\@10.0.0.1/",
    "https://images.example.com/\nHost: evil",
    "https://localhost/portrait.jpg",
    "https://service.internal/portrait.jpg",
    "https://metadata.google.internal/computeMetadata/v1/",
    "https://printer/portrait.jpg",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0177.0.0.1/",
    "https://0.0.0.0/",
    "https://10.0.0.1/",
    "https://172.16.0.1/",
    "https://192.168.1.1/",
    "https://100.64.0.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://224.0.0.1/",
    "https://255.255.255.255/",
    "https://[::1]/",
    "https://[::]/",
    "https://[fe80::1]/",
    "https://[fd00:ec2::254]/latest/meta-data/",
    "https://[::ffff:127.0.0.1]/",
    "https://[::ffff:a9fe:a9fe]/",
    "https://[64:ff9b::7f00:1]/",
    "https://[2002:7f00:1::]/",
    "s3://another-bucket/portrait.png",
    "s3://short-drama-assets",
    "s3://short-drama-assets/private/portrait.png",
    "s3://short-drama-assets/images/../private/portrait.png",
    "https://images.example.com/" + "x" * 9000,
]

#: Sizes that SeeDream 4.0 does not make.
SIZES = ["huge", "3K", "1x1", "960x959", "4097x4096", "2048 x 2048", "-2048x2048", "9999x100", "99999x99999", "x" * 17]


def refused(studio, operation: str, body: dict) -> dict:
    answer = studio.http.post(f"/api/v1/{operation}/tasks", json=body)
    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["detail"]
    assert set(problem) == {"type", "loc", "msg", "input"}
    return problem


@pytest.mark.parametrize("name", BODIES)
def test_body_that_is_wrong_is_refused_in_the_old_shape(studio, name):
    body, where, kind = BODIES[name]
    answer = studio.http.post("/api/v1/face-mask/tasks", content=body.replace(b"%s", GOOD.encode()))

    assert answer.status_code == 422, answer.text
    (problem,) = answer.json()["detail"]
    assert (problem["loc"], problem["type"]) == (where, kind)
    assert problem["msg"]


def test_all_problems_of_a_body_are_named_at_once(studio):
    body = {"source_image_url": "http://10.0.0.1/", "face_index": -1, "size": "1x1", "skip_mask": "maybe"}
    answer = studio.http.post("/api/v1/full-face-swap/tasks", json=body)

    assert answer.status_code == 422
    places = [problem["loc"][1] for problem in answer.json()["detail"]]
    assert places == ["source_image_url", "target_face_url", "face_index", "size", "skip_mask"]


@pytest.mark.parametrize("url", URLS, ids=lambda url: url[:60] or "empty")
def test_url_that_must_not_be_fetched_is_refused_before_anything_is_stored(studio, url):
    problem = refused(studio, "face-mask", {"image_url": url})

    assert problem["loc"] == ["body", "image_url"]
    assert problem["type"] in ("image_url_refused", "string_too_long")


@pytest.mark.parametrize("size", SIZES)
def test_size_that_the_model_does_not_make_is_refused(studio, size):
    body = {"masked_image_url": GOOD, "target_face_url": GOOD, "size": size}

    assert refused(studio, "face-swap", body)["loc"] == ["body", "size"]


def test_prompt_that_is_too_long_is_refused(studio):
    body = {"masked_image_url": GOOD, "target_face_url": GOOD, "prompt": "x" * 8001}

    assert refused(studio, "face-swap", body)["type"] == "string_too_long"


@pytest.mark.parametrize(("key", "status"), [("x" * 255, 202), ("x" * 256, 422), ("", 422)])
def test_idempotency_key_has_its_length(studio, astronaut, key, status):
    answer = studio.http.post(
        "/api/v1/face-mask/tasks", json={"image_url": astronaut}, headers={"Idempotency-Key": key}
    )

    assert answer.status_code == status
    if status == 202:
        studio.finish(answer.json()["task_id"])


@pytest.mark.parametrize("wait", ["soon", "-1", "1e3", "nan", ""])
def test_wait_that_is_no_time_is_refused(studio, astronaut, wait):
    task_id = studio.submit("face-mask", {"image_url": astronaut})
    answer = studio.http.get(f"/api/v1/tasks/{task_id}", params={"wait": wait})

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", "wait"]
    studio.finish(task_id)


@pytest.mark.parametrize(
    "task_id", ["x", "0", "%20", "..", "00000000-0000-4000-8000-00000000000", "é" * 40, "a" * 3000]
)
def test_id_that_is_none_is_not_found(studio, task_id):
    assert studio.http.get(f"/api/v1/tasks/{task_id}").status_code == 404


@pytest.mark.parametrize("path", ["nope/tasks", "FACE-MASK/tasks", "face_mask/tasks", "../tasks", "face-mask/task"])
def test_operation_that_is_none_is_not_found(studio, path):
    answer = studio.http.post(f"/api/v1/{path}", json={"image_url": GOOD})

    assert answer.status_code in (403, 404)
    assert answer.json()["detail"]


@pytest.fixture(scope="module")
def leftovers(studio, astronaut) -> dict[str, set[str]]:
    """Return what the bucket held before any of the pictures below was submitted."""
    return {"before": studio.objects()}


@pytest.fixture(scope="module")
def outcomes(studio, leftovers) -> dict[str, dict]:
    """Submit every awkward picture at once; return the tasks in the end."""
    pictures = {name: data for name, (data, _) in REFUSED.items()} | ACCEPTED
    ids = {}
    for name, data in pictures.items():
        url = studio.upload(f"{name.replace(' ', '-')}.png", data)
        ids[name] = studio.submit("face-mask", {"image_url": url})
    return {name: studio.finish(task_id) for name, task_id in ids.items()}


@pytest.mark.parametrize("name", REFUSED)
def test_picture_that_cannot_be_used_says_why(outcomes, name):
    task = outcomes[name]

    assert (task["status"], task["error_detail"]["code"]) == ("failed", REFUSED[name][1])
    assert task["error_detail"]["remedy"]
    assert task["error_detail"]["retry"] is False


@pytest.mark.parametrize("name", ACCEPTED)
def test_unusual_picture_is_masked_upright(studio, outcomes, name):
    task = outcomes[name]

    assert task["status"] == "completed", task["error_message"]
    masked, upright = studio.picture(task["result_url"]), portrait()
    assert masked.size == upright.size
    assert masked.convert("RGB").getpixel((224, 122)) == (0, 0, 0)
    below_the_face = (0, 200, 512, 512)
    shown, meant = (np.asarray(image.convert("L").crop(below_the_face), np.int16) for image in (masked, upright))
    assert np.abs(shown - meant).mean() < 8


def test_bad_pictures_leave_nothing_behind(studio, outcomes, leftovers):
    made = {
        task["result_url"].removeprefix(f"{studio.place.front_door}/")
        for name, task in outcomes.items()
        if name in ACCEPTED
    }

    assert studio.objects() - leftovers["before"] == made
    until(lambda: studio.depth("CpuTasksQueueUrl") == 0, "an empty queue")
    assert studio.depth("CpuTasksDlqUrl") == 0
    scan = studio.aws("dynamodb").get_paginator("scan").paginate(TableName="task_idempotency")
    states = {item["state"]["S"] for page in scan for item in page["Items"] if "state" in item}
    assert "paying" not in states


#: What a host answers, and what becomes of the task.
HOSTS = {
    "not there": ({"X-Status": "404"}, b"", "IMAGE_NOT_FETCHED"),
    "forbidden": ({"X-Status": "403"}, b"", "IMAGE_NOT_FETCHED"),
    "page instead of a picture": ({"X-Header-Content-Type": "image/png"}, b"<html>login</html>", "IMAGE_UNREADABLE"),
    "to the metadata service": (
        {"X-Status": "302", "X-Header-Location": "http://169.254.169.254/latest/meta-data/"},
        b"",
        "IMAGE_URL_REFUSED",
    ),
    "to a private address": ({"X-Status": "307", "X-Header-Location": "https://10.0.0.1/"}, b"", "IMAGE_URL_REFUSED"),
    "to a file": ({"X-Status": "301", "X-Header-Location": "file:///etc/passwd"}, b"", "IMAGE_URL_REFUSED"),
    "to nowhere": ({"X-Status": "302"}, b"", "IMAGE_NOT_FETCHED"),
    "to itself": ({"X-Status": "302", "X-Header-Location": "to-itself"}, b"", "IMAGE_NOT_FETCHED"),
    "bomb": ({}, REFUSED["bomb of 900 megapixels"][0], "IMAGE_TOO_LARGE"),
    "more than 20 MB": ({}, REFUSED["more than 20 MB"][0], "IMAGE_TOO_LARGE"),
}


@pytest.mark.parametrize("name", HOSTS)
def test_host_that_misbehaves_is_named(studio, name):
    headers, body, code = HOSTS[name]
    picture = name.replace(" ", "-")
    studio.stand_ins.put(f"/_pictures/{picture}", headers=headers, content=body).raise_for_status()

    task = studio.do("face-mask", {"image_url": f"{studio.place.stand_ins}/pictures/{picture}"})

    assert (task["status"], task["error_detail"]["code"]) == ("failed", code)


@pytest.mark.parametrize("url", ["https://no-such-host.invalid/a.png", "s3://short-drama-assets/uploads/not-there.png"])
def test_picture_that_does_not_exist_is_not_fetched(studio, url):
    task = studio.do("face-mask", {"image_url": url})

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "IMAGE_NOT_FETCHED")


def test_face_index_beyond_the_faces_says_how_many_there_are(studio, astronaut):
    task = studio.do("face-mask", {"image_url": astronaut, "face_index": 3})

    assert task["error_message"] == "Face index 3 out of range (detected 1 faces)"
    assert task["error_detail"]["code"] == "FACE_INDEX_OUT_OF_RANGE"


def test_body_that_no_function_can_take_is_refused(studio):
    body = {"image_url": GOOD, "comment": "x" * 4_500_000}
    answer = studio.http.post("/api/v1/face-mask/tasks", json=body)

    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "REQUEST_TOO_LARGE"


def test_unknown_fields_are_ignored_as_they_always_were(studio, astronaut):
    assert studio.do("face-mask", {"image_url": astronaut, "mode": "fast"})["status"] == "completed"


def test_errors_are_readable_by_people(studio):
    answer = studio.http.post("/api/v1/face-mask/tasks", json={"image_url": "http://10.0.0.1/a.png"})

    assert json.dumps(answer.json()) == json.dumps(
        {
            "detail": [
                {
                    "type": "image_url_refused",
                    "loc": ["body", "image_url"],
                    "msg": "The image URL is refused: plain http is not allowed; use https",
                    "input": "http://10.0.0.1/a.png",
                }
            ]
        }
    )
