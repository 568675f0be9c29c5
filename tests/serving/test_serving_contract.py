"""SageMaker's container contract: what /ping says when, and what /invocations answers to whom."""

import base64
import re
import socket

import pytest

from sagemaker_models.serving.model import model_of
from tests.serving.servers import PICTURE, request, until


def test_ping_before_the_model_is_loaded_says_so(start, tmp_path):
    server = start("SlowToLoad")
    assert until(lambda: server.ping()[0] and server.ping()) == (
        503,
        {"status": "loading", "reason": "the model is being loaded"},
    )
    refused = server.ask()
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "NotLoaded")
    (tmp_path / "go").touch()
    server.until_ready()
    assert server.ask().status_code == 200


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("Weightless", "holds no weights"),
        ("Broken", "KeyError: 'layer1'"),
        ("Missing", "tests.serving.toys has no class Missing"),
    ],
)
def test_model_that_cannot_be_loaded_is_reported_and_ends_the_process(start, model, reason):
    server = start(model, failed_s=0.3)
    status, said = until(lambda: server.ping()[1].get("status") == "failed" and server.ping())
    assert status == 503
    assert reason in said["reason"]
    assert server.exit_code() == 3
    assert server.until_logged("the model cannot be loaded")["reason"] == said["reason"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("no.such.module:Model", "cannot be imported: No module named 'no'"),
        ("tests.serving.toys", "is not of the form package.module:Class"),
        ("tests.serving.toys:", "is not of the form package.module:Class"),
    ],
)
def test_path_that_names_no_class_is_refused(path, reason):
    with pytest.raises(ValueError, match=re.escape(reason)):
        model_of(path)


def test_settings_that_cannot_be_used_end_the_process(start):
    server = start("Echo", drain_s="soon")
    assert server.exit_code() == 2
    assert "the settings cannot be used" in server.text()
    assert "DRAIN_S" in server.text()


def test_invocation_inline_is_answered_whole(echo):
    answer = echo.ask()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert body["id"] == "task.mask.1"
    copy = {"base64": base64.b64encode(PICTURE).decode(), "bytes": len(PICTURE), "content_type": "image/png"}
    assert body["outputs"] == {"copy": copy}
    assert body["values"]["batch"] == 1
    assert body["model"]["engine"] == "toy"
    assert set(body["timings"]) == {"fetch_s", "queue_s", "run_s", "store_s"}


def test_invocation_with_a_long_picture_comes_back_unchanged(echo):
    picture = bytes(range(256)) * 700
    inputs = {"image": {"base64": base64.b64encode(picture).decode()}}
    copy = echo.ask(inputs=inputs).json()["outputs"]["copy"]
    assert base64.b64decode(copy["base64"]) == picture


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"model": "flux"}, "this server has the model 'echo', not 'flux'"),
        ({"inputs": {}}, "inputs: image is missing"),
        ({"inputs": {"image": "s3://b/k", "mask": "s3://b/k"}}, "inputs: the model takes no mask"),
        ({"inputs": {"image": "http://b/k"}}, "inputs.image"),
        ({"inputs": {"image": {"base64": "?"}}}, "inputs.image: not base64"),
        ({"parameters": {"sleep": 1}}, "sleep: Extra inputs are not permitted"),
        ({"parameters": {"sleep_s": "long"}}, "sleep_s"),
        ({"outputs": {"copy": "s3://b"}}, "outputs.copy"),
        ({"outputs": {"depth": "s3://b/k"}}, "outputs: depth was not made, but copy"),
        ({"id": ""}, "id"),
        ({"command": "explode"}, "command"),
    ],
)
def test_request_that_cannot_succeed_is_told_what_is_wrong(echo, changes, said):
    answer = echo.ask(**changes)
    body = answer.json()
    assert (answer.status_code, body["id"]) == (200, changes.get("id", "task.mask.1"))
    assert body["error"]["code"] == "RequestInvalid"
    assert said in body["error"]["message"]
    assert body["model"]["engine"] == "toy"
    assert "timings" in body


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'"text"', b'{"id": NaN}', b"\xff\xfe", b"id=1&model=echo"])
def test_body_that_is_no_json_object_is_answered_400(echo, body):
    answer = echo.post(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "RequestInvalid")


@pytest.mark.parametrize("parts", [[b"x" * 400_001], [b"x" * 200_000, b"x" * 200_001]])
def test_body_over_the_limit_is_answered_413(echo, parts):
    # Parts go chunked, so that their length is not announced.
    answer = echo.http.post("/invocations", content=parts[0] if len(parts) == 1 else iter(parts))
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "RequestTooLarge")
    assert echo.ask().status_code == 200


@pytest.mark.parametrize(("length", "code"), [(200_000, None), (200_001, "ImageTooLarge")])
def test_input_is_taken_up_to_its_limit(echo, length, code):
    inputs = {"image": {"base64": base64.b64encode(b"x" * length).decode()}}
    assert echo.ask(inputs=inputs).json().get("error", {}).get("code") == code


def test_client_that_goes_before_its_body_is_sent_leaves_the_server_well(start):
    server = start("Echo").until_ready()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(b'POST /invocations HTTP/1.1\r\nHost: model\r\nContent-Length: 100\r\n\r\n{"id"')
    until(lambda: [line for line in server.log() if line.get("Code") == "RequestInvalid"])
    assert server.ask().status_code == 200


def test_model_that_blames_the_request_is_answered_200_with_its_error(echo):
    answer = echo.ask(wishes={"fail": "caller"})
    assert answer.status_code == 200
    assert answer.json()["error"] == {"code": "ImageUnreadable", "message": "the picture is none"}


def test_model_that_raises_is_answered_500_and_the_next_request_is_served(start):
    server = start("Echo").until_ready()
    answer = server.ask(wishes={"fail": "raise"})
    assert answer.status_code == 500
    assert answer.json() == {
        "error": {"code": "ModelFailed", "message": "the model raised ZeroDivisionError: made to fail"}
    }
    logged = server.until_logged("the model raised")
    assert logged["ids"] == ["task.mask.1"]
    assert 'raise ZeroDivisionError("made to fail")' in logged["stack"]
    assert server.ask().status_code == 200


def test_model_that_wants_to_end_the_process_does_not(echo):
    answer = echo.ask(wishes={"fail": "exit"})
    assert answer.json()["error"] == {"code": "ModelFailed", "message": "the model raised SystemExit: made to end"}
    assert echo.ask().status_code == 200


def test_model_whose_values_are_not_json_is_answered_500(echo):
    answer = echo.ask(wishes={"fail": "nan"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "ModelFailed")


def test_paths_and_methods_that_are_not_the_contracts_are_refused(echo):
    assert echo.http.get("/invocations").status_code == 405
    assert echo.http.get("/").status_code == 404
    assert echo.post(request(), headers={"Content-Type": "text/plain", "X-Amzn-Anything": "1"}).status_code == 200


def test_invocations_write_one_line_of_metrics_each(start):
    server = start("Echo").until_ready()
    server.ask()
    server.ask(wishes={"fail": "caller"})
    good, bad = until(lambda: len(lines := [line for line in server.log() if "_aws" in line]) == 2 and lines)
    directive = good["_aws"]["CloudWatchMetrics"][0]
    assert (directive["Namespace"], directive["Dimensions"]) == ("Backlot", [["Model"]])
    assert {metric["Name"] for metric in directive["Metrics"]} <= set(good)
    assert (good["Model"], good["ModelInvocations"], good["ModelErrors"]) == ("echo", 1, 0)
    assert good["ModelRunTime"] > 0
    assert [each["Dimensions"] for each in bad["_aws"]["CloudWatchMetrics"]] == [[["Model"]], [["Model", "Code"]]]
    assert (bad["Code"], bad["ModelErrors"], bad["ModelErrorsByCode"]) == ("ImageUnreadable", 1, 1)
