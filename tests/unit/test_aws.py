"""The adapters of AWS: which of its answers are ours to live with, and which are not."""

import io

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody

from backlot.aws import clients
from backlot.aws.dynamodb import Refused, Table
from backlot.aws.gpu_fleet import GpuFleet
from backlot.aws.s3 import Bucket
from backlot.aws.secrets import ProviderKeys, ProviderKeyStatus, variable
from backlot.aws.sqs import MAX_VISIBILITY_S, Message, Queue
from backlot.aws.stepfunctions import MAX_CAUSE_CHARS, Executions, TaskTokens
from backlot.aws.submission_keys import DynamoSubmissionKeys
from backlot.aws.task_progress import TaskProgress
from backlot.errors import ImageNotFetched, ImageTooLarge, ProviderRefused
from backlot.tasks import Progress
from tests.unit.aws_answers import answering, heard, unreachable
from tests.unit.fakes import NOW_MS
from tests.unit.work import a_task

ARN = "arn:aws:states:us-east-1:1:stateMachine:backlot-dev-"
VERSION = "0" * 32
STARTED = {"start_execution": {"executionArn": "arn", "startDate": 0}}


def start(client) -> bool:
    return Executions(client, ARN).start("face-mask", "task", {"task_id": "task"})


def test_execution_that_starts_is_started_under_its_name():
    client = answering("stepfunctions", STARTED)
    calls = heard(client)

    assert start(client) is True
    assert calls == [{"stateMachineArn": f"{ARN}face-mask", "name": "task", "input": '{"task_id": "task"}'}]


def test_execution_that_exists_is_started():
    assert start(answering("stepfunctions", ("start_execution:ExecutionAlreadyExists", 400))) is True


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ThrottlingException", 400),
        ("TooManyRequestsException", 400),
        ("ExecutionLimitExceeded", 400),
        ("InternalFailure", 500),
        ("ServiceUnavailable", 503),
    ],
)
def test_execution_that_cannot_start_for_the_moment_is_not_started(code, status):
    assert start(answering("stepfunctions", (f"start_execution:{code}", status))) is False


def test_execution_is_not_started_while_step_functions_cannot_be_reached():
    assert start(unreachable("stepfunctions")) is False


@pytest.mark.parametrize("code", ["StateMachineDoesNotExist", "AccessDeniedException", "InvalidName"])
def test_execution_that_can_never_start_is_an_error(code):
    with pytest.raises(ClientError, match=code):
        start(answering("stepfunctions", (f"start_execution:{code}", 400)))


@pytest.mark.parametrize("code", ["TaskTimedOut", "TaskDoesNotExist", "InvalidToken"])
def test_token_that_nobody_waits_for_is_dropped(code):
    tokens = TaskTokens(
        answering("stepfunctions", (f"send_task_success:{code}", 400), (f"send_task_failure:{code}", 400))
    )
    tokens.succeed("token", {})
    tokens.fail("token", "NoFaceFound", "words")


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "InvalidOutput"])
def test_token_that_could_not_be_answered_is_an_error(code):
    with pytest.raises(ClientError, match=code):
        TaskTokens(answering("stepfunctions", (f"send_task_success:{code}", 400))).succeed("token", {})


def test_token_is_failed_with_words_as_long_as_step_functions_takes():
    client = answering("stepfunctions", {"send_task_failure": {}}, {"send_task_failure": {}})
    calls = heard(client)

    TaskTokens(client).fail("token", "E" * 256, "x" * MAX_CAUSE_CHARS)
    TaskTokens(client).fail("token", "E" * 257, "x" * (MAX_CAUSE_CHARS + 1))

    assert calls[0] == calls[1]


def bucket_with(body: bytes) -> Bucket:
    stream = StreamingBody(io.BytesIO(body), len(body))
    return Bucket(answering("s3", {"get_object": {"Body": stream, "ContentLength": len(body)}}), "assets")


def test_object_is_read_up_to_its_limit():
    assert bucket_with(b"12345").get("images/a.png", 5) == b"12345"
    with pytest.raises(ImageTooLarge, match="it has 5 bytes, 4 are allowed"):
        bucket_with(b"12345").get("images/a.png", 4)


@pytest.mark.parametrize(("code", "status"), [("NoSuchKey", 404), ("AccessDenied", 403)])
def test_object_that_does_not_exist_is_not_fetched(code, status):
    with pytest.raises(ImageNotFetched, match=r"there is no object images/a\.png"):
        Bucket(answering("s3", (f"get_object:{code}", status)), "assets").get("images/a.png", 5)


def test_object_that_cannot_be_read_for_the_moment_is_an_error():
    with pytest.raises(ClientError, match="SlowDown"):
        Bucket(answering("s3", ("get_object:SlowDown", 503)), "assets").get("images/a.png", 5)


@pytest.mark.parametrize(
    ("asked_s", "set_s"), [(-1, 0), (0, 0), (5, 5), (43_200, MAX_VISIBILITY_S), (43_201, MAX_VISIBILITY_S)]
)
def test_message_is_delayed_within_what_the_queue_knows(asked_s, set_s):
    client = answering("sqs", {"change_message_visibility": {}})
    calls = heard(client)

    Queue(client, "https://sqs.example/1/cpu_tasks_queue").delay("receipt", asked_s)

    assert calls[0]["VisibilityTimeout"] == set_s


def test_message_is_received_with_what_is_known_of_it():
    message = {
        "MessageId": "id",
        "ReceiptHandle": "handle",
        "Body": "{}",
        "Attributes": {"ApproximateReceiveCount": "2", "SentTimestamp": "5"},
    }
    client = answering("sqs", {"receive_message": {"Messages": [message]}}, {"receive_message": {}})
    calls = heard(client)
    queue = Queue(client, "https://sqs.example/1/gpu_tasks_queue")

    assert queue.receive(wait_s=5, hidden_s=125) == Message("id", "handle", "{}", receives=2, sent_ms=5)
    assert queue.receive(wait_s=5, hidden_s=125) is None
    assert (calls[0]["WaitTimeSeconds"], calls[0]["VisibilityTimeout"], calls[0]["MaxNumberOfMessages"]) == (5, 125, 1)


def test_message_is_deleted_by_its_receipt():
    client = answering("sqs", {"delete_message": {}})
    calls = heard(client)
    Queue(client, "https://sqs.example/1/gpu_tasks_queue").delete("handle")
    assert calls == [{"QueueUrl": "https://sqs.example/1/gpu_tasks_queue", "ReceiptHandle": "handle"}]


def test_file_is_uploaded_with_its_type(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"video")
    client = answering("s3", {"put_object": {}})
    calls = heard(client)
    Bucket(client, "assets").upload("images/a.mp4", tmp_path / "a.mp4", content_type="video/mp4", cache_control="x")
    assert {name: calls[0][name] for name in ("Bucket", "Key", "ContentType", "CacheControl")} == {
        "Bucket": "assets",
        "Key": "images/a.mp4",
        "ContentType": "video/mp4",
        "CacheControl": "x",
    }


def fleet(*answers) -> GpuFleet:
    return GpuFleet(Table(answering("dynamodb", *answers), "once", "id"))


@pytest.mark.parametrize(("attributes", "wanted_ms"), [({}, 0), ({"clear_cache_ms": {"N": "7"}}, 7)])
def test_beat_hears_when_caches_are_to_be_cleared(attributes, wanted_ms):
    assert fleet({"update_item": {"Attributes": {"seen_ms": {"N": "5"}} | attributes}}).beat(5) == wanted_ms


@pytest.mark.parametrize(
    ("answer", "seen_ms"),
    [({}, None), ({"Item": {"clear_cache_ms": {"N": "7"}}}, None), ({"Item": {"seen_ms": {"N": "5"}}}, 5)],
)
def test_fleet_was_heard_of_when_a_worker_said_so(answer, seen_ms):
    assert fleet({"get_item": answer}).seen_ms() == seen_ms


def test_caches_are_cleared_without_touching_what_else_is_known():
    client = answering("dynamodb", {"update_item": {"Attributes": {"clear_cache_ms": {"N": "9"}}}})
    calls = heard(client)
    GpuFleet(Table(client, "once", "id")).clear_caches(9)
    assert calls[0]["UpdateExpression"] == "SET clear_cache_ms = :now"
    assert calls[0]["ExpressionAttributeValues"] == {":now": {"N": "9"}}


def test_peek_hands_messages_out_and_lets_them_be_seen_again():
    message = {"MessageId": "1", "ReceiptHandle": "r1", "Body": "body", "Attributes": {"ApproximateReceiveCount": "3"}}
    client = answering(
        "sqs",
        {"receive_message": {"Messages": [message]}},
        {"receive_message": {}},
        {"change_message_visibility": {}},
    )
    calls = heard(client)
    queue = Queue(client, "https://sqs.example/1/cpu_tasks_dlq")

    seen = [(each.body, each.receives) for each in queue.peek(at_most=50, hidden_s=60)]

    assert (queue.name, seen) == ("cpu_tasks_dlq", [("body", 3)])
    assert (calls[-1]["ReceiptHandle"], calls[-1]["VisibilityTimeout"]) == ("r1", 0)


def key_of(value: str) -> str:
    secret = {"Name": "backlot/dev/ark", "SecretString": value}
    return ProviderKeys(answering("secretsmanager", {"get_secret_value": secret}), "backlot/dev/").key("ark")


def test_key_is_read_without_the_spaces_around_it():
    assert key_of(" sk-!~123\n") == "sk-!~123"


@pytest.mark.parametrize("value", [" ", "\n"])
def test_key_that_is_blank_is_refused(value):
    with pytest.raises(ProviderRefused, match="ARK_API_KEY is empty"):
        key_of(value)


@pytest.mark.parametrize("value", ["sk-1\nsk-2", "sk 1", "sk-\u00e4", "sk-\x00", "\u201csk-1\u201d"])
def test_key_that_no_header_can_carry_is_refused_and_not_repeated(value):
    with pytest.raises(ProviderRefused, match="ARK_API_KEY has characters that no key has") as caught:
        key_of(value)
    assert "sk" not in str(caught.value)


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "AccessDeniedException"])
def test_key_that_is_not_set_is_refused(code):
    keys = ProviderKeys(answering("secretsmanager", (f"get_secret_value:{code}", 400)), "backlot/dev/")
    with pytest.raises(ProviderRefused, match="DASHSCOPE_API_KEY is not set"):
        keys.key("dashscope")


@pytest.mark.parametrize(
    ("answer", "is_set"),
    [
        ({"describe_secret": {"VersionIdsToStages": {VERSION: ["AWSCURRENT"]}}}, True),
        ({"describe_secret": {"VersionIdsToStages": {VERSION: ["AWSPREVIOUS"]}}}, False),
        ({"describe_secret": {}}, False),
        (("describe_secret:ResourceNotFoundException", 400), False),
    ],
)
def test_key_status_is_set_if_the_secret_has_a_current_value(answer, is_set):
    assert ProviderKeyStatus(answering("secretsmanager", answer), "backlot/dev/").is_set("ark") is is_set


@pytest.mark.parametrize(("provider", "name"), [("ark", "ARK_API_KEY"), ("fal", "FAL_KEY")])
def test_variable_of_a_provider_is_what_people_know(provider, name):
    assert variable(provider) == name


def table(client) -> Table:
    return Table(client, "task_store", "task_id")


@pytest.mark.parametrize(
    ("client", "reachable"),
    [
        (answering("dynamodb", {"get_item": {}}), True),
        (answering("dynamodb", ("get_item:ResourceNotFoundException", 400)), False),
        (unreachable("dynamodb"), False),
    ],
    ids=["there", "no such table", "no connection"],
)
def test_table_is_reachable_if_it_can_be_read(client, reachable):
    assert table(client).is_reachable() is reachable


def test_table_refuses_a_write_by_returning_the_item_that_stands():
    item = {"task_id": {"S": "task"}, "created_at": {"N": "7"}}
    refusal = ("put_item:ConditionalCheckFailedException", 400, {"Item": item})

    refused = table(answering("dynamodb", refusal)).insert({"task_id": "task"})

    assert refused == Refused({"task_id": "task", "created_at": 7})


def test_table_that_fails_for_another_reason_is_an_error():
    with pytest.raises(ClientError, match="ProvisionedThroughputExceeded"):
        table(answering("dynamodb", ("put_item:ProvisionedThroughputExceededException", 400))).insert({"task_id": "x"})
    with pytest.raises(BotoCoreError):
        table(unreachable("dynamodb")).insert({"task_id": "x"})


@pytest.mark.parametrize("refused", [False, True], ids=["new", "bound"])
def test_submission_key_is_bound_to_one_task(refused):
    item = {"task_id": {"S": "first"}, "fingerprint": {"S": "print"}}
    answer = (
        ("update_item:ConditionalCheckFailedException", 400, {"Item": item})
        if refused
        else {"update_item": {"Attributes": item}}
    )
    keys = DynamoSubmissionKeys(Table(answering("dynamodb", answer), "keys", "id"))

    assert keys.claim("key", task_id="mine", fingerprint="mine", now_s=0, life_s=1) == ("first", "print")


def test_client_when_needed_is_made_once_and_not_before(monkeypatch):
    made = []
    monkeypatch.setattr(clients, "client", lambda service: made.append(service) or answering("sqs"))
    later = clients.ClientWhenNeeded("sqs")
    assert made == []

    assert later.meta.service_model.service_name == "sqs"
    assert later.meta.service_model.service_name == "sqs"
    assert made == ["sqs"]


PROGRESS = Progress(value=0.4, node="14", at_ms=NOW_MS)


@pytest.mark.parametrize(("started_ms", "shown"), [(NOW_MS - 1, PROGRESS), (NOW_MS + 1, None), (None, None)])
def test_progress_is_that_of_the_present_attempt(started_ms, shown):
    record = {"progress": {"S": PROGRESS.model_dump_json()}, "at_ms": {"N": str(NOW_MS)}}
    progress = TaskProgress(Table(answering("dynamodb", {"get_item": {"Item": record}}), "once", "id"))

    assert progress.of(a_task(started_ms=started_ms)) == shown
