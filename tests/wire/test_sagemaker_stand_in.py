"""SageMaker's stand-in with boto3 in front of it and model servers behind it."""

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiohttp import web
from botocore.exceptions import ClientError, ConnectionClosedError

from local.stand_ins.application import application
from tests.serving.servers import Server, request, until
from tests.wire.apps import Aws, Served, client

ENDPOINT = "schp"
GOOD, BAD = "arn:aws:sns:us-east-1:000000000000:good", "arn:aws:sns:us-east-1:000000000000:bad"


class Model:
    """A model server that answers what it is told, and keeps what it was sent."""

    def __init__(self) -> None:
        self.status, self.body = 200, b'{"outputs": {}}'
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.healthy = True
        self.is_held = False
        app = web.Application()
        app.add_routes([web.get("/ping", self._ping), web.post("/invocations", self._invoke)])
        self._served = Served(app)
        self.origin, self.close = self._served.origin, self._served.close

    async def _ping(self, _: web.Request) -> web.Response:
        return web.Response(status=200 if self.healthy else 503)

    async def _invoke(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        while self.is_held:
            await asyncio.sleep(0.005)
        return web.Response(status=self.status, body=self.body, content_type="application/json")


class Runtime:
    """A client of the stand-in."""

    def __init__(self, origin: str, aws: Aws) -> None:
        self.aws = aws
        self.boto = client("sagemaker-runtime", origin)
        self.http = httpx.Client(base_url=origin, trust_env=False, timeout=20)

    def configure(self, url: str, **changes: Any) -> None:
        settings = {
            "url": url,
            "success_topic": GOOD,
            "error_topic": BAD,
            "output": "s3://assets/model-results/schp",
            "failure": "s3://assets/model-failures/schp",
        }
        self.http.put(f"/_sagemaker/endpoints/{ENDPOINT}", json=settings | changes).raise_for_status()

    def fault(self, provider: str, **fault: Any) -> None:
        self.http.put(f"/_faults/{provider}", json=[fault]).raise_for_status()

    def submit(self, inference_id: str, body: bytes = b"{}", **more: Any) -> dict[str, Any]:
        where = f"s3://assets/model-requests/{inference_id}.json"
        self.aws.objects[where] = (body, {"Content-Type": "application/json"})
        return self.boto.invoke_endpoint_async(
            EndpointName=ENDPOINT, InferenceId=inference_id, InputLocation=where, ContentType="application/json", **more
        )

    def invocations(self) -> list[dict[str, Any]]:
        return self.http.get("/_sagemaker/invocations").json()

    def ended(self, *ids: str) -> list[dict[str, Any]]:
        """Return invocations once all of them have ended."""

        def all_ended() -> list[dict[str, Any]] | None:
            found = {each["inference_id"]: each for each in self.invocations() if each["ended"]}
            return [found[name] for name in ids] if set(ids) <= found.keys() else None

        return until(all_ended)

    def told(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """Return topics and messages once there are as many."""
        with self.aws.told:
            assert self.aws.told.wait_for(lambda: len(self.aws.published) >= count, 10)
            return [(topic, json.loads(message)) for topic, message in self.aws.published]


@pytest.fixture
def aws() -> Iterator[Aws]:
    aws = Aws()
    yield aws
    aws.close()


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    yield model
    model.close()


@pytest.fixture
def runtime(aws, model) -> Iterator[Runtime]:
    served = Served(application("dashscope", "ark", "fal", "secret", "http://unused", clients=aws.client))
    runtime = Runtime(served.origin, aws)
    runtime.configure(model.origin)
    yield runtime
    runtime.http.close()
    runtime.boto.close()
    served.close()


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start_server(**settings: Any) -> Server:
        servers.append(Server("Gated", tmp_path, **settings))
        return servers[-1]

    yield start_server
    for server in servers:
        server.close()


def test_invocation_is_accepted_run_stored_and_told(runtime, model):
    answer = runtime.submit("task.mask.1", b'{"id": "task.mask.1"}', CustomAttributes="trace")
    output = "s3://assets/model-results/schp/task.mask.1.out"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (answer["InferenceId"], answer["OutputLocation"]) == ("task.mask.1", output)
    assert answer["FailureLocation"] == "s3://assets/model-failures/schp/task.mask.1-error.out"
    (topic, told), *others = runtime.told(1)
    assert (topic, others) == (GOOD, [])
    assert told.pop("eventTime").endswith("Z")
    assert told.pop("receivedTime").endswith("Z")
    assert told == {
        "awsRegion": "us-east-1",
        "invocationStatus": "Completed",
        "requestParameters": {
            "contentType": "application/json",
            "endpointName": "schp",
            "inputLocation": "s3://assets/model-requests/task.mask.1.json",
        },
        "responseParameters": {"contentType": "application/json", "outputLocation": output},
        "inferenceId": "task.mask.1",
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }
    assert runtime.aws.objects[output][0] == model.body
    ((headers, body),) = model.got
    assert body == b'{"id": "task.mask.1"}'
    assert headers["Content-Type"] == "application/json"
    assert headers["X-Amzn-SageMaker-Inference-Id"] == "task.mask.1"
    assert headers["X-Amzn-SageMaker-Custom-Attributes"] == "trace"


@pytest.mark.parametrize(("status", "side"), [(500, "server"), (503, "server"), (400, "client")])
def test_model_that_answers_an_error_ends_the_invocation_as_failed(runtime, model, status, side):
    model.status, model.body = status, b'{"error": "made to fail"}'
    runtime.submit("a")
    ((topic, told),) = runtime.told(1)
    assert (topic, told["invocationStatus"], "responseParameters" in told) == (BAD, "Failed", False)
    assert f"Received {side} error ({status}) from model" in told["failureReason"]
    (run,) = runtime.ended("a")
    assert (run["status"], run["attempts"]) == ("failed", 1)
    kept = json.loads(runtime.aws.objects["s3://assets/model-failures/schp/a-error.out"][0])
    assert "made to fail" in kept["originalMessage"]
    assert "s3://assets/model-results/schp/a.out" not in runtime.aws.objects


def test_model_that_does_not_answer_in_time_ends_the_invocation_as_failed(runtime, model):
    model.is_held = True
    runtime.submit("a", InvocationTimeoutSeconds=1)
    ((topic, told),) = runtime.told(1)
    assert (topic, told["invocationStatus"]) == (BAD, "Failed")
    model.is_held = False


def test_input_that_is_not_there_ends_the_invocation_as_failed(runtime):
    where = "s3://assets/model-requests/none.json"
    runtime.boto.invoke_endpoint_async(EndpointName=ENDPOINT, InferenceId="a", InputLocation=where)
    ((topic, told),) = runtime.told(1)
    assert topic == BAD
    assert where in told["failureReason"]


def test_payload_in_the_request_reaches_the_model(runtime, model):
    runtime.boto.invoke_endpoint_async(EndpointName=ENDPOINT, InferenceId="a", Body=b'{"id": "inline"}')
    runtime.ended("a")
    assert model.got[0][1] == b'{"id": "inline"}'


def test_invocations_begin_in_order_and_no_more_at_once_than_configured(runtime, model):
    runtime.configure(model.origin, concurrency=2)
    model.is_held = True
    names = [f"job{number}" for number in range(5)]
    for name in names:
        runtime.submit(name, name.encode())
    until(lambda: len(model.got) == 2)
    shown = runtime.invocations()
    assert [each["inference_id"] for each in shown] == names
    assert [each["status"] for each in shown] == ["running"] * 2 + ["queued"] * 3
    model.is_held = False
    runs = runtime.ended(*names)
    assert sorted(runs, key=lambda run: run["started"]) == runs
    assert sorted(body.decode() for _, body in model.got) == names


def test_server_that_is_not_healthy_is_sent_nothing_until_it_is(runtime, model):
    model.healthy = False
    runtime.submit("a")
    until(lambda: runtime.invocations()[0]["status"] == "running")
    assert runtime.invocations()[0]["attempts"] == 0
    model.healthy = True
    assert runtime.ended("a")[0]["attempts"] == 1


def test_server_that_stays_unhealthy_ends_the_invocation_at_its_time_to_live(runtime, model):
    model.healthy = False
    runtime.configure(model.origin, ttl_s=0.3)
    runtime.submit("a")
    assert runtime.ended("a")[0]["status"] == "failed"
    assert model.got == []


def test_invocation_that_waits_longer_than_its_time_to_live_is_dropped(runtime, model):
    runtime.configure(model.origin, ttl_s=0.2)
    model.is_held = True
    runtime.submit("a")
    until(lambda: model.got)
    runtime.submit("b")
    received = runtime.invocations()[1]["received"]
    until(lambda: time.time() > received + 0.2)
    model.is_held = False
    runtime.ended("a")
    runtime.submit("c")
    runtime.ended("c")
    assert [told["inferenceId"] for _, told in runtime.told(2)] == ["a", "c"]
    assert len(model.got) == 2


def test_server_killed_in_a_run_is_asked_again_when_it_is_back(runtime, start, tmp_path):
    server = start().until_ready()
    runtime.configure(server.origin)
    runtime.submit("a", json.dumps(request(wishes={"gate": "open"})).encode())
    until(lambda: server.entered("open"))
    server.process.kill()
    server.exit_code()
    server.open_gate("open")
    start(port=server.port)
    (run,) = runtime.ended("a")
    assert (run["status"], run["attempts"]) == ("completed", 2)
    ((topic, _),) = runtime.told(1)
    assert topic == GOOD
    assert json.loads(runtime.aws.objects[run["output_location"]][0])["id"] == "task.mask.1"


def test_lost_notification_leaves_the_result_alone(runtime):
    runtime.fault("sagemaker-notification", kind="lost")
    runtime.submit("a")
    runtime.submit("b")
    assert [told["inferenceId"] for _, told in runtime.told(1)] == ["b"]
    assert "s3://assets/model-results/schp/a.out" in runtime.aws.objects


def test_doubled_notification_comes_twice_and_runs_once(runtime, model):
    runtime.fault("sagemaker-notification", kind="doubled")
    runtime.submit("a")
    first, second = runtime.told(2)
    assert first == second
    assert len(model.got) == 1


def test_late_notification_does_not_hold_up_the_next(runtime):
    runtime.fault("sagemaker-notification", kind="none", wait_s=0.5)
    runtime.submit("a")
    runtime.submit("b")
    assert [told["inferenceId"] for _, told in runtime.told(2)] == ["b", "a"]


def test_invocation_made_to_fail_never_reaches_the_model(runtime, model):
    runtime.fault("sagemaker-run", kind="status", message="made to fail")
    runtime.submit("a")
    ((topic, told),) = runtime.told(1)
    assert (topic, told["failureReason"], model.got) == (BAD, "ClientError: made to fail", [])


def test_submission_whose_answer_is_lost_runs_all_the_same(runtime):
    runtime.fault("sagemaker", kind="lost-answer")
    with pytest.raises(ConnectionClosedError):
        runtime.submit("a")
    assert runtime.ended("a")[0]["status"] == "completed"


def test_submission_that_is_dropped_never_runs(runtime, model):
    runtime.fault("sagemaker", kind="reset")
    with pytest.raises(ConnectionClosedError):
        runtime.submit("a")
    assert (runtime.invocations(), model.got) == ([], [])


def test_submission_that_is_refused_is_an_error_of_botos(runtime):
    runtime.fault("sagemaker", kind="status", status=503, code="ServiceUnavailable")
    with pytest.raises(ClientError) as refused:
        runtime.submit("a")
    assert refused.value.response["Error"]["Code"] == "ServiceUnavailable"
    assert runtime.invocations() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"EndpointName": "flux"}, "flux not found"),
        ({"InferenceId": "a" * 65}, "InferenceId"),
        ({"RequestTTLSeconds": 21_601}, "RequestTTLSeconds"),
        ({"InvocationTimeoutSeconds": 3601}, "InvocationTimeoutSeconds"),
        ({"InputLocation": "https://assets/a"}, "InputLocation"),
        ({"Body": b"{}"}, "Exactly one"),
    ],
)
def test_submission_outside_the_limits_is_a_validation_error(runtime, changes, said):
    call = {"EndpointName": ENDPOINT, "InferenceId": "a", "InputLocation": "s3://assets/a"} | changes
    with pytest.raises(ClientError) as refused:
        runtime.boto.invoke_endpoint_async(**call)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert said in refused.value.response["Error"]["Message"]


def test_submission_without_a_signature_is_refused(runtime):
    assert runtime.http.post(f"/endpoints/{ENDPOINT}/async-invocations").status_code == 403


def test_synchronous_invocation_is_answered_by_the_model(runtime, model):
    answer = runtime.boto.invoke_endpoint(EndpointName=ENDPOINT, Body=b"{}", ContentType="application/json")
    assert answer["Body"].read() == model.body
    model.status = 500
    with pytest.raises(runtime.boto.exceptions.ModelError) as failed:
        runtime.boto.invoke_endpoint(EndpointName=ENDPOINT, Body=b"{}")
    assert failed.value.response["OriginalStatusCode"] == 500


def test_forgetting_keeps_what_still_runs(runtime, model):
    runtime.submit("a")
    runtime.ended("a")
    model.is_held = True
    runtime.submit("b")
    until(lambda: len(model.got) == 2)
    runtime.http.delete("/_sagemaker/invocations").raise_for_status()
    assert [each["inference_id"] for each in runtime.invocations()] == ["b"]
    model.is_held = False
    runtime.ended("b")
