"""Images that clients bring themselves: by a form, or inside the request."""

import base64

import httpx
import pytest

from local.demo import PORTRAITS

ASTRONAUT = (PORTRAITS / "astronaut.png").read_bytes()


def form(studio, **wanted) -> dict:
    answer = studio.http.post("/api/v1/uploads", json=wanted)
    assert answer.status_code == 201, answer.text
    return answer.json()


def post(form: dict, data: bytes, content_type: str = "image/png") -> httpx.Response:
    fields = form["fields"] | {"Content-Type": content_type}
    return httpx.post(form["url"], data=fields, files={"file": ("image", data, content_type)}, trust_env=False)


def data_url(data: bytes, content_type: str = "image/png") -> str:
    return f"data:{content_type};base64,{base64.b64encode(data).decode()}"


def test_uploaded_image_is_worked_on(studio):
    upload = form(studio, content_type="image/png", size_bytes=len(ASTRONAUT))
    assert post(upload, ASTRONAUT).status_code == 204

    task = studio.do("face-mask", {"image_url": upload["image_url"]})
    assert task["status"] == "completed"


@pytest.mark.parametrize(
    ("data", "content_type"),
    [(ASTRONAUT + b"!", "image/png"), (ASTRONAUT[:-1], "image/png"), (ASTRONAUT, "text/html")],
    ids=["longer", "shorter", "of another type"],
)
def test_form_takes_exactly_what_it_was_made_for(studio, data, content_type):
    upload = form(studio, content_type="image/png", size_bytes=len(ASTRONAUT))

    assert post(upload, data, content_type).status_code in (400, 403)
    task = studio.do("face-mask", {"image_url": upload["image_url"]})
    assert task["error_detail"]["code"] == "IMAGE_NOT_FETCHED"


def test_form_for_another_key_is_refused(studio):
    upload = form(studio, content_type="image/png", size_bytes=len(ASTRONAUT))
    upload["fields"]["key"] = "seedream/mine.png"

    assert post(upload, ASTRONAUT).status_code == 403


def test_upload_of_what_is_no_image_is_refused_with_every_problem(studio):
    answer = studio.http.post("/api/v1/uploads", json={"content_type": "text/html", "size_bytes": 20_000_001})

    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["body", "content_type"], ["body", "size_bytes"]]


def test_page_of_a_configured_origin_may_upload(studio):
    upload = form(studio, content_type="image/png", size_bytes=len(ASTRONAUT))
    asked = httpx.options(
        upload["url"],
        headers={"Origin": "http://localhost:3000", "Access-Control-Request-Method": "POST"},
        trust_env=False,
    )

    assert asked.headers["access-control-allow-origin"] == "http://localhost:3000"


def test_image_inside_the_request_is_worked_on_and_named_by_its_content(studio):
    body = {"image_url": data_url(ASTRONAUT)}
    first = studio.submit("face-mask", body, **{"Idempotency-Key": "inline"})
    second = studio.submit("face-mask", body, **{"Idempotency-Key": "inline"})

    assert first == second
    assert studio.finish(first)["status"] == "completed"
    execution = studio.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:") + f"face-mask:{first}"
    given = studio.aws("stepfunctions").describe_execution(executionArn=execution)["input"]
    assert f"s3://{studio.outputs['BucketName']}/uploads/inline/" in given
    assert len(given) < 1000


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("data:image/png;base64,####", "not valid base64"),
        ("data:image/png,raw", "not of the form"),
        (data_url(b"<html>"), "cannot be read"),
        (data_url(ASTRONAUT[:4]), "cannot be read"),
    ],
    ids=["not base64", "not encoded", "no image", "cut off"],
)
def test_image_inside_the_request_that_is_none_is_refused(studio, url, words):
    answer = studio.http.post("/api/v1/face-mask/tasks", json={"image_url": url})

    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["loc"], problem["type"]) == (["body", "image_url"], "image_unreadable")
    assert words in problem["msg"]
