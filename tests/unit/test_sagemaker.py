"""Models of our own: what SageMaker is asked, what its answers mean, and whose step they belong to."""

import json
from datetime import UTC, datetime

import pytest

from backlot.aws.model_fleet import FleetState, ModelFleet
from backlot.aws.sagemaker import Endpoint, SageMaker, failure, inference_id, origin_of, request_key
from backlot.errors import (
    ImageUnreadable,
    MaybePaid,
    ModelFailed,
    ModelRefused,
    ModelTimedOut,
    ModelUnavailable,
)
from backlot.operations import Lane, catalogue
from backlot.steps import Holder, Job
from tests.unit.aws_answers import answering, heard, unreachable
from tests.unit.fakes import Objects
from tests.unit.work import TASK_ID

NONCE = "0123456789abcdef" * 2
ADDRESS = f"model-requests/{TASK_ID}/segment-body/{NONCE}.json"
NUMBER = f"{TASK_ID}.0123456789abcdef"
ENDPOINTS = {"schp": Endpoint("backlot-dev-schp", request_ttl_s=3600, invocation_timeout_s=300)}
TAKEN = {
    "invoke_endpoint_async": {
        "InferenceId": NUMBER,
        "OutputLocation": "s3://assets/model-results/1.out",
        "FailureLocation": "s3://assets/model-failures/1.out",
    }
}
JOB = Job(
    request_id=NUMBER,
    status_url="s3://assets/model-failures/1.out",
    response_url="s3://assets/model-results/1.out",
    cancel_url="",
)


def sagemaker(client=None, **objects: bytes) -> SageMaker:
    return SageMaker(client, Objects(objects), "assets", ENDPOINTS)


def test_request_is_stored_and_the_endpoint_told_where():
    client = answering("sagemaker-runtime", TAKEN)
    calls = heard(client)
    models = sagemaker(client)

    assert models.submit(ADDRESS, "schp", {"inputs": {}}) == JOB
    assert json.loads(models._objects.kept[ADDRESS]) == {"id": NUMBER, "model": "schp", "inputs": {}}
    assert calls == [
        {
            "EndpointName": "backlot-dev-schp",
            "InputLocation": f"s3://assets/{ADDRESS}",
            "InferenceId": NUMBER,
            "ContentType": "application/json",
            "Accept": "application/json",
            "RequestTTLSeconds": 3600,
            "InvocationTimeoutSeconds": 300,
        }
    ]


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("ThrottlingException", 400, ModelUnavailable),
        ("TooManyRequests", 429, ModelUnavailable),
        ("InternalFailure", 500, ModelUnavailable),
        ("ServiceUnavailable", 503, ModelUnavailable),
        ("ValidationError", 400, ModelRefused),
        ("AccessDeniedException", 403, ModelRefused),
    ],
)
def test_refusal_of_sagemaker_is_passing_or_for_the_operator(code, status, error):
    client = answering("sagemaker-runtime", (f"invoke_endpoint_async:{code}", status))
    with pytest.raises(error, match="schp"):
        sagemaker(client).submit(ADDRESS, "schp", {})


def test_lost_answer_leaves_open_whether_the_model_was_asked():
    with pytest.raises(MaybePaid):
        sagemaker(unreachable("sagemaker-runtime")).submit(ADDRESS, "schp", {})


def test_model_without_an_endpoint_cannot_be_asked():
    models = sagemaker()
    with pytest.raises(ModelRefused, match="flux cannot be asked"):
        models.submit(ADDRESS, "flux", {})
    assert models._objects.kept == {}


def test_every_step_of_the_lane_has_ids_that_sagemaker_takes():
    steps = [step for operation in catalogue().values() if operation.lane is Lane.MODEL for step in operation.steps]
    assert steps
    for step in steps:
        key = request_key("sagemaker", Holder(TASK_ID, step, "attempt", 0, "receipt"), NONCE)
        assert len(inference_id(key)) <= 64
        origin = origin_of(f"s3://assets/{key}")
        assert (origin.task_id, origin.step, origin.nonce) == (TASK_ID, step, NONCE)


@pytest.mark.parametrize("location", ["", "s3://assets/uploads/a.png", "model-requests/x/y/z.json"])
def test_location_of_something_else_has_no_origin(location):
    assert origin_of(location) is None
    with pytest.raises(ValueError, match="no key of a request"):
        inference_id(location)


def looked(**objects: bytes):
    models = sagemaker()
    models._objects.kept = {f"model-{name}/1.out": data for name, data in objects.items()}
    return models.look(key="", job=JOB)


def test_look_finds_the_answer_the_failure_or_nothing():
    assert looked() is None
    assert looked(results=b'{"outputs": {}}') == {"output": {"outputs": {}}}
    assert looked(failures=b"Received server error (500)") == failure("Received server error (500)")
    assert looked(results=b'{"outputs": {}}', failures=b"x") == {"output": {"outputs": {}}}


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"{"])
def test_answer_that_is_no_object_is_a_failure(data):
    assert looked(results=data) == failure("its answer is no JSON object")


def test_look_reads_nothing_but_our_bucket():
    models = sagemaker()
    assert models.output("s3://other/model-results/1.out") is None
    assert models.output("https://assets/model-results/1.out") is None


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (failure("Received server error (503) from model"), ModelUnavailable, "unavailable"),
        (failure("Received client error (429) from model"), ModelUnavailable, "unavailable"),
        (failure("Received server error (500) from model"), ModelFailed, "error \\(500\\)"),
        (failure("Request expired"), ModelFailed, "expired"),
        ({"output": {"error": {"code": "ImageUnreadable", "message": "it is cut off"}}}, ImageUnreadable, "cut off"),
        ({"output": {"error": {"code": "OutOfMemory", "message": "no memory"}}}, ModelFailed, "no memory"),
        ({"output": {"error": {"code": "Unexpected", "message": "x"}}}, ModelFailed, "x"),
        ({"output": {"error": {"code": "ProviderThrottled", "message": "x"}}}, ModelFailed, "x"),
        ({"output": {"error": {}}}, ModelFailed, "failed"),
    ],
)
def test_failed_answer_is_an_error_of_ours(answer, error, words):
    with pytest.raises(error, match=words):
        sagemaker().read(answer)


def test_sentence_of_a_models_error_is_not_written_twice():
    said = {"code": "ImageUnreadable", "message": str(ImageUnreadable(reason="it is cut off"))}
    with pytest.raises(ImageUnreadable) as error:
        sagemaker().read({"output": {"error": said}})
    assert str(error.value) == "The image cannot be read: it is cut off"


def test_answer_without_an_error_is_the_output():
    assert sagemaker().read({"output": {"values": {}}}) == {"values": {}}


def test_silence_is_a_time_out_of_the_model():
    assert str(sagemaker().overdue(3960)) == "The model sagemaker was not done within 3960 s"
    assert isinstance(sagemaker().unheard(), ModelTimedOut)


def test_fleet_tells_its_instances():
    described = {
        "describe_endpoint": {
            "EndpointName": "e",
            "EndpointArn": "arn:aws:sagemaker:us-east-1:111111111111:endpoint/e",
            "EndpointStatus": "InService",
            "CreationTime": datetime.fromtimestamp(1_795_255_200, UTC),
            "LastModifiedTime": datetime.fromtimestamp(1_795_255_200, UTC),
            "ProductionVariants": [{"VariantName": "a", "CurrentInstanceCount": 2}, {"VariantName": "b"}],
        }
    }
    client = answering("sagemaker", described)
    assert ModelFleet(client, "e").state() == FleetState(True, 2, 1_795_255_200)


def test_fleet_that_does_not_exist_serves_nothing():
    client = answering("sagemaker", ("describe_endpoint:ValidationException", 400))
    assert ModelFleet(client, "e").state() == FleetState()
    assert ModelFleet(unreachable("sagemaker"), "e").state() == FleetState()
