"""Models of our own: what SageMaker is asked, what its answers mean, and whose step they belong to."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backlot import errors
from backlot.aws.model_fleet import FleetState, ModelFleet
from backlot.aws.model_watch import cancel_key
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

ROOT = Path(__file__).resolve().parents[2]
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
    steps = [step for operation in catalogue().values() if Lane.MODEL in operation.lanes for step in operation.steps]
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


#: What servers of ours can answer, and what a task says then. The first come as an answer, the others as a failure,
#: with the HTTP status of docs/serving.md.
ANSWERED = {
    "RequestInvalid": ModelFailed,
    "ImageNotFetched": errors.ImageNotFetched,
    "ImageTooLarge": errors.ImageTooLarge,
    "ImageUnreadable": ImageUnreadable,
    "ImageShapeRefused": errors.ImageShapeRefused,
    "LabelsRefused": errors.LabelsRefused,
    "NoFaceFound": errors.NoFaceFound,
    "InputMissing": errors.InputMissing,
    "InputRefused": errors.InputRefused,
    "MaskEmpty": errors.MaskEmpty,
    "TaskUnavailable": errors.TaskUnavailable,
    "CheckpointRefused": errors.CheckpointRefused,
    "FileRefused": errors.FileRefused,
    "Cancelled": errors.Cancelled,
    "OutputInvalid": errors.OutputInvalid,
}
FAILED = {
    "RequestInvalid": (400, ModelFailed),
    "RequestTooLarge": (413, ModelFailed),
    "ModelFailed": (500, ModelFailed),
    "StorageUnavailable": (500, ModelFailed),
    "Unexpected": (500, ModelFailed),
    "NotLoaded": (503, ModelUnavailable),
    "Overloaded": (503, ModelUnavailable),
    "Draining": (503, ModelUnavailable),
    "OutOfMemory": (503, ModelUnavailable),
    "DeviceLost": (503, ModelUnavailable),
}

#: How codes stand in the servers' source.
CODE = re.compile(
    r"\b(?:Refused|ModelError|RequestFault|ServerFault|Busy|BodyRefused|BodyTooLong)\((?:.*, )?\s*\"([A-Z]\w+)\""
    r"|\bcode(?:: str)? ?= ?\"([A-Z]\w+)\""
)


def test_every_code_of_the_servers_has_a_meaning():
    sources = [path.read_text() for path in (ROOT / "sagemaker_models").rglob("*.py")]
    codes = {code for source in sources for found in CODE.findall(source) for code in found if code}
    assert {"MaskEmpty", "OutOfMemory", "ImageShapeRefused", "TaskUnavailable"} <= codes
    assert codes <= {*ANSWERED, *FAILED}


@pytest.mark.parametrize(("code", "error"), ANSWERED.items())
def test_answer_of_a_server_says_in_its_words_what_is_wrong(code, error):
    with pytest.raises(error) as raised:
        sagemaker().read({"output": {"error": {"code": code, "message": "the sentence of the model"}}})
    assert type(raised.value) is error
    assert "{" in error.sentence or str(raised.value) == error.sentence
    assert "{" not in error.sentence or "the sentence of the model" in str(raised.value)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("code", FAILED)
def test_failure_of_a_server_says_in_its_words_what_is_wrong(code, wrapped):
    status, error = FAILED[code]
    said = json.dumps({"error": {"code": code, "message": "the sentence of the server"}})
    kept = json.dumps({"failureReason": "x", "originalMessage": said}) if wrapped else said
    models = sagemaker()
    models._objects.kept["model-failures/1.out"] = kept.encode()
    with pytest.raises(error, match=f"{code}: the sentence of the server") as raised:
        models.read(models.failed(f"Received error ({status}) from model", JOB))
    assert type(raised.value) is error


@pytest.mark.parametrize("kept", [None, b"", b"[]", b"null", b"oops", b'{"originalMessage": "oops"}', b'{"error": 1}'])
def test_failure_of_which_nothing_is_kept_has_sagemakers_words(kept):
    models = sagemaker()
    if kept is not None:
        models._objects.kept["model-failures/1.out"] = kept
    for job in (JOB, None):
        assert models.failed("Received server error (503)", job) == failure("Received server error (503)")


def test_cancelled_request_is_known_by_its_own_object():
    models = sagemaker()
    models.cancel(key="", job=JOB)
    assert list(models._objects.kept) == [cancel_key(NUMBER)]


@pytest.mark.parametrize(("model", "followed"), [("qwen-edit", True), ("schp", False)])
def test_only_models_that_take_long_are_followed(model, followed):
    endpoint = Endpoint("backlot-dev-x", request_ttl_s=3600, invocation_timeout_s=300)
    models = SageMaker(answering("sagemaker-runtime", TAKEN), Objects(), "assets", {model: endpoint})
    models.submit(ADDRESS, model, {})
    asked = json.loads(models._objects.kept[ADDRESS])
    assert ("progress" in asked, "cancel" in asked) == (followed, followed)


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
