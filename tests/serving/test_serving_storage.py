"""Inputs from S3 and outputs to it, against an S3 of a few lines."""

import base64

import pytest

from tests.serving.servers import PICTURE


def put(aws, uri: str, body: bytes) -> str:
    aws.objects[uri] = (body, {"Content-Type": "image/png"})
    return uri


def test_input_from_s3_and_output_to_s3(aws, echo):
    source = put(aws, "s3://assets/in/a picture.png", PICTURE)
    target = "s3://assets/out/copy.png"
    answer = echo.ask(inputs={"image": source}, outputs={"copy": target})
    copy = {"url": target, "bytes": len(PICTURE), "content_type": "image/png"}
    assert answer.json()["outputs"] == {"copy": copy}
    assert aws.objects[target] == (
        PICTURE,
        {"Content-Type": "image/png", "Cache-Control": "public, max-age=31536000, immutable"},
    )


def test_input_from_s3_with_an_output_in_the_answer(aws, echo):
    source = put(aws, "s3://assets/in/inline.png", PICTURE)
    copy = echo.ask(inputs={"image": source}).json()["outputs"]["copy"]
    assert base64.b64decode(copy["base64"]) == PICTURE


@pytest.mark.parametrize(
    ("uri", "length", "code"),
    [
        ("s3://assets/in/none.png", None, "ImageNotFetched"),
        ("s3://assets/in/long.png", 200_001, "ImageTooLarge"),
        ("s3://assets/in/longest.png", 200_000, None),
    ],
)
def test_input_that_cannot_be_used_is_the_requests_fault(aws, echo, uri, length, code):
    if length is not None:
        put(aws, uri, b"x" * length)
    answer = echo.ask(inputs={"image": uri}, outputs={"copy": "s3://assets/out/x.png"})
    assert (answer.status_code, answer.json().get("error", {}).get("code")) == (200, code)


def test_storage_that_refuses_an_input_is_the_servers_fault(aws, echo):
    answer = echo.ask(inputs={"image": "s3://closed/in.png"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "StorageUnavailable")


def test_storage_that_refuses_an_output_is_the_servers_fault(aws, echo):
    answer = echo.ask(outputs={"copy": "s3://closed/out.png"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "StorageUnavailable")
    assert "AccessDenied" in answer.json()["error"]["message"]


def test_storage_that_is_not_there_is_the_servers_fault(start):
    nobody = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    server = start("Echo", env=nobody | {"AWS_DEFAULT_REGION": "us-east-1"}).until_ready()
    answer = server.ask(inputs={"image": "s3://assets/in.png"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "StorageUnavailable")
