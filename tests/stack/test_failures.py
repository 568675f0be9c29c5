"""Providers, messages and executions that fail: each ends in the right place, and nothing is paid twice."""

import json
import time

import pytest

from tests.stack.waiting import until

THROTTLED = {"kind": "status", "status": 429, "code": "limit_requests", "message": "too many"}


def failed(task) -> tuple[str, str, bool]:
    return task["status"], task["error_detail"]["code"], task["error_detail"]["retry"]


def test_throttled_provider_is_asked_again_by_the_state_machine(studio, astronaut):
    studio.fault("dashscope", THROTTLED, {"kind": "status", "status": 503, "code": "ModelServingError"})

    task = studio.do("face-mask", {"image_url": astronaut})

    assert task["status"] == "completed"
    assert studio.calls() == {"dashscope": 3}


@pytest.mark.parametrize(
    ("provider", "fault", "code", "retry"),
    [
        ("dashscope", {"kind": "status", "status": 400, "code": "data_inspection_failed"}, "CONTENT_REFUSED", False),
        ("dashscope", {"kind": "status", "status": 401, "code": "invalid_api_key"}, "PROVIDER_REFUSED", False),
        ("dashscope", {"kind": "text", "text": '{"faces": []}'}, "NO_FACE_FOUND", False),
        ("dashscope", {"kind": "text", "text": '{"faces": [{"bbox_2d": [12, '}, "PROVIDER_ANSWER_INVALID", True),
        ("dashscope", {"kind": "truncated"}, "MAYBE_PAID", True),
        ("dashscope", {"kind": "reset"}, "MAYBE_PAID", True),
        (
            "ark",
            {"kind": "status", "status": 400, "code": "InputImageSensitiveContentDetected"},
            "CONTENT_REFUSED",
            False,
        ),
        ("ark", {"kind": "status", "status": 429, "code": "SetLimitExceeded"}, "PROVIDER_REFUSED", False),
        ("ark", {"kind": "body", "text": '{"data": []}'}, "PROVIDER_ANSWER_INVALID", True),
        ("ark", {"kind": "body", "text": "<html>"}, "PROVIDER_ANSWER_INVALID", True),
        ("ark", {"kind": "expired"}, "PROVIDER_ANSWER_INVALID", True),
        ("ark", {"kind": "truncated"}, "MAYBE_PAID", True),
    ],
)
def test_final_failure_of_a_provider_is_named_and_not_repeated(studio, astronaut, hopper, provider, fault, code, retry):
    studio.fault(provider, fault)

    task = studio.do("full-face-swap", {"source_image_url": astronaut, "target_face_url": hopper})

    assert failed(task) == ("failed", code, retry)
    assert studio.calls()[provider] == 1
    assert task["error_message"] == task["error_detail"]["message"]
    assert task["result_url"] is None
    if provider == "ark":
        assert task["cost_usd"] > 0


def test_silent_provider_is_given_up_and_the_error_says_so(studio, astronaut):
    studio.fault("dashscope", {"kind": "none", "wait_s": 5})
    with studio.changed_function("RunPaidStep", DASHSCOPE_LIMIT_S="1"):
        task = studio.do("face-mask", {"image_url": astronaut})

    assert failed(task) == ("failed", "PROVIDER_TIMED_OUT", True)
    assert "did not answer within 1 s" in task["error_message"]
    assert studio.calls() == {"dashscope": 1}


def test_picture_that_cannot_be_downloaded_at_once_is_not_bought_again(studio, astronaut, hopper):
    studio.fault("ark-results", {"kind": "status", "status": 503}, {"kind": "truncated"})

    task = studio.do("full-face-swap", {"source_image_url": astronaut, "target_face_url": hopper})

    assert task["status"] == "completed"
    assert studio.calls() == {"dashscope": 1, "ark": 1, "ark-results": 3}


def test_missing_key_says_which(studio, astronaut):
    secrets = studio.aws("secretsmanager")
    before = secrets.get_secret_value(SecretId="backlot/local/dashscope")["SecretString"]
    secrets.put_secret_value(SecretId="backlot/local/dashscope", SecretString=" ")
    try:
        with studio.changed_function("RunPaidStep"):
            task = studio.do("face-mask", {"image_url": astronaut})
    finally:
        secrets.put_secret_value(SecretId="backlot/local/dashscope", SecretString=before)
        with studio.changed_function("RunPaidStep"):
            pass

    assert failed(task) == ("failed", "PROVIDER_REFUSED", False)
    assert "DASHSCOPE_API_KEY is empty" in task["error_message"]


def test_stopped_execution_fails_its_task(studio, astronaut):
    studio.fault("dashscope", {"kind": "none", "wait_s": 3})
    task_id = studio.submit("face-mask", {"image_url": astronaut})
    until(lambda: studio.read(task_id)["status"] == "processing", "the worker")
    arn = studio.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:") + f"face-mask:{task_id}"

    studio.aws("stepfunctions").stop_execution(executionArn=arn)

    assert failed(studio.finish(task_id)) == ("failed", "ABORTED", True)
    time.sleep(3)
    assert studio.read(task_id)["status"] == "failed"


def test_execution_beyond_its_machines_time_fails_its_task(studio, astronaut):
    states = studio.aws("stepfunctions")
    arn = studio.outputs["StateMachinePrefix"] + "face-mask"
    definition = states.describe_state_machine(stateMachineArn=arn)["definition"]
    short = json.loads(definition) | {"TimeoutSeconds": 2}
    studio.fault("dashscope", {"kind": "none", "wait_s": 5})
    states.update_state_machine(stateMachineArn=arn, definition=json.dumps(short))
    try:
        task = studio.do("face-mask", {"image_url": astronaut})
    finally:
        states.update_state_machine(stateMachineArn=arn, definition=definition)

    assert failed(task) == ("failed", "TIMED_OUT", True)


def a_bell(studio) -> str:
    """Subscribe a queue to the alarms, as an operator subscribes an address; return its URL."""
    arn = "arn:aws:sqs:us-east-1:000000000000:bell"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    url = studio.aws("sqs").create_queue(QueueName="bell", Attributes={"Policy": policy})["QueueUrl"]
    studio.aws("sns").subscribe(TopicArn=studio.outputs["AlarmTopicArn"], Protocol="sqs", Endpoint=arn)
    return url


def test_work_nobody_can_finish_fails_its_task_rings_an_alarm_and_stays(studio, astronaut):
    bell = a_bell(studio)
    with studio.changed_function("RunPaidStep", IDEMPOTENCY_TABLE="no-such-table"):
        task_id = studio.submit("face-mask", {"image_url": astronaut})
        until(lambda: studio.depth("CpuTasksDlqUrl") == 1, "the dead letter", 90)

    # The scheduler does so every minute.
    studio.aws("lambda").invoke(FunctionName=studio.function("SweepStalled"))
    assert failed(studio.finish(task_id, 120)) == ("failed", "DEAD_LETTERED", True)
    assert studio.depth("CpuTasksDlqUrl") == 1
    rung = until(lambda: studio.aws("sqs").receive_message(QueueUrl=bell).get("Messages"), "the alarm", 60)
    assert "DeadLetters" in rung[0]["Body"]
    assert "ALARM" in rung[0]["Body"]
    studio.aws("sqs").purge_queue(QueueUrl=studio.outputs["CpuTasksDlqUrl"])


def test_task_whose_execution_was_never_started_is_started_by_the_sweep(studio, astronaut):
    table = studio.aws("dynamodb")
    task_id = studio.do("face-mask", {"image_url": astronaut})["task_id"]
    item = table.get_item(TableName="task_store", Key={"task_id": {"S": task_id}})["Item"]
    lost = {key: item[key] for key in ("operation", "job_type", "owner", "request", "ttl")}
    born = int(time.time()) - 300
    lost_id = "00000000-0000-4000-8000-000000000001"
    lost |= {
        "task_id": {"S": lost_id},
        "status": {"S": "pending"},
        "created_at": {"N": str(born)},
        "updated_at": {"N": str(born)},
        "created_ms": {"N": str(born * 1000)},
    }
    table.put_item(TableName="task_store", Item=lost)

    studio.aws("lambda").invoke(FunctionName=studio.function("SweepStalled"))

    assert studio.finish(lost_id)["status"] == "completed"


def test_ended_tasks_are_counted_once_by_operation_and_code(studio, astronaut):
    metrics = studio.aws("cloudwatch")

    def count(name: str, **dimensions: str) -> float:
        answer = metrics.get_metric_statistics(
            Namespace="Backlot",
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=time.time() - 3600,
            EndTime=time.time() + 60,
            Period=7200,
            Statistics=["Sum"],
        )
        return sum(point["Sum"] for point in answer["Datapoints"])

    who = {"service": "backlot-local", "operation": "face-mask"}
    before = [count(name, **who) for name in ("TasksAccepted", "TasksCompleted", "TasksFailed")]
    refused_before = count("TasksFailedByCode", **who, code="NO_FACE_FOUND")
    studio.do("face-mask", {"image_url": astronaut})
    studio.fault("dashscope", {"kind": "text", "text": "[]"})
    studio.do("face-mask", {"image_url": astronaut})

    def counted() -> bool:
        after = [count(name, **who) for name in ("TasksAccepted", "TasksCompleted", "TasksFailed")]
        return [now - then for now, then in zip(after, before, strict=True)] == [2, 1, 1]

    until(counted, "two accepted, one completed, one failed")
    assert count("TasksFailedByCode", **who, code="NO_FACE_FOUND") - refused_before == 1
    assert count("ProviderCost", **who) > 0
    assert count("QueueTime", service="backlot-local") > 0
