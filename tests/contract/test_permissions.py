"""What each role may do, and nothing more."""

import json
import re

import pytest

from backlot.operations import Lane, catalogue

#: Where the work of a lane goes.
QUEUES = {Lane.PAID: "CpuTasksQueue", Lane.MODEL: "ModelTasksQueue", Lane.GPU: "GpuTasksQueue"}

#: Actions that AWS offers for no resource in particular.
WITHOUT_RESOURCE = {
    "autoscaling:DescribeAutoScalingGroups",
    "cloudwatch:GetMetricStatistics",
    "cloudwatch:PutMetricData",
    "ecs:DiscoverPollEndpoint",
    "ecr:GetAuthorizationToken",
    "xray:PutTraceSegments",
    "xray:PutTelemetryRecords",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "logs:CreateLogDelivery",
    "logs:GetLogDelivery",
    "logs:UpdateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:DescribeResourcePolicies",
    "logs:DescribeLogGroups",
}


def below(granted: str) -> set[str]:
    """Return the folders of the bucket that a statement's resources name."""
    return set(re.findall(r"/([^\"]+/)\*", granted))


def test_no_wildcard_resource_where_an_arn_can_be_named(assembly):
    for name, actions, resources in assembly.statements():
        if resources == "*":
            assert set(actions) <= WITHOUT_RESOURCE, name


def test_no_wildcard_action(assembly):
    for name, actions, _ in assembly.statements():
        assert not [action for action in actions if "*" in action], name


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.name)
def test_machine_may_send_work_and_record_and_nothing_else(assembly, operation):
    part = f"{operation.module.title().replace('_', '')}MachineRole"
    granted = assembly.actions_of(f"/{part}")
    own = {action: resource for action, resource in granted.items() if action not in WITHOUT_RESOURCE}
    assert set(own) == {"dynamodb:UpdateItem", "sqs:SendMessage"}
    assert "TaskStore" in own["dynamodb:UpdateItem"]
    assert QUEUES[operation.lane] in own["sqs:SendMessage"]
    assert ("GpuTasksQueue" in own["sqs:SendMessage"]) is (operation.lane is Lane.GPU)
    assert ("ModelTasksQueue" in own["sqs:SendMessage"]) is (Lane.MODEL in operation.lanes)


def test_worker_may_do_what_it_does_and_nothing_else(assembly):
    granted = assembly.actions_of("/RunPaidStepRole")
    own = set(granted) - WITHOUT_RESOURCE - {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert own == {
        "dynamodb:GetItem",
        "dynamodb:UpdateItem",
        "s3:GetObject",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ReceiveMessage",
        "sqs:SendMessage",
        "ssm:GetParameter",
        "states:SendTaskFailure",
        "states:SendTaskSuccess",
    }


def test_api_may_not_read_keys_or_pictures_but_those_that_it_answers_with(assembly):
    granted = assembly.actions_of("/ServeApiRole")
    readable = re.findall(r":secret:([^\"]+)", granted["secretsmanager:GetSecretValue"])
    assert readable == [f"backlot/{assembly.stage.name}/webhooks-??????"]
    assert below(granted["s3:GetObject"]) == {
        "images/smart_masks/",
        "images/cut_outs/",
        "images/masked_edits/",
        "debug/",
        # How far models are, and nothing else of theirs.
        f"model-results/backlot-{assembly.stage.name}-flux/progress/",
        f"model-results/backlot-{assembly.stage.name}-qwen-edit/progress/",
    }


def test_api_may_list_and_delete_debug_sessions_and_nothing_else(assembly):
    granted = assembly.actions_of("/ServeApiRole")
    known = {"s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject"}
    assert {action for action in granted if action.startswith("s3:")} == known
    assert below(granted["s3:DeleteObject"]) == {"debug/"}
    listed = [
        statement["Condition"]
        for name, policy in assembly.resources("AWS::IAM::Policy").items()
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if "/ServeApiRole" in name and statement["Action"] == "s3:ListBucket"
    ]
    assert listed == [{"StringLike": {"s3:prefix": "debug/*"}}]


def test_api_may_write_uploads_faces_archives_of_sessions_and_the_objects_that_release_memory(assembly):
    granted = assembly.actions_of("/ServeApiRole")["s3:PutObject"]
    assert below(granted) == {"uploads/", "faces/", "debug/"}
    released = set(re.findall(r"/model-requests/([\w-]+)/release\"", granted))
    assert released == {f"backlot-{assembly.stage.name}-{model}" for model in assembly.stage.models}


def test_functions_of_the_models_lane_may_ask_and_keep_what_tasks_are_told_to(assembly):
    for function in ("/InvokeModelRole", "/ReceiveModelResultRole"):
        granted = assembly.actions_of(function)
        assert below(granted["s3:PutObject"]) == {"model-requests/", "debug/"}
        own = {folder for folder in below(granted["s3:GetObject"]) if folder.startswith("model")}
        assert own == {"model-results/", "model-failures/", "models/qwen-edit/tasks/"}


def test_worker_that_hears_of_cancelled_tasks_may_cancel_requests_and_write_no_others(assembly):
    written = below(assembly.actions_of("/RunPaidStepRole")["s3:PutObject"])
    assert {folder for folder in written if folder.startswith("model")} == {"model-requests/cancelled/"}


def test_cdn_serves_nothing_that_is_for_a_tasks_owner_or_for_models(assembly):
    (policy,) = assembly.resources("AWS::S3::BucketPolicy").values()
    served = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if "cloudfront" in json.dumps(each)]
    assert below(json.dumps(served)) == {"images/", "portraits/", "seedream/"}


def test_receiver_of_webhooks_may_keep_answers_and_tell_workers_and_nothing_else(assembly):
    granted = assembly.actions_of("/ReceiveProviderResultRole")
    own = set(granted) - WITHOUT_RESOURCE - {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert own == {"dynamodb:UpdateItem", "sqs:SendMessage"}
    assert "Idempotency" in granted["dynamodb:UpdateItem"]


def test_sweep_may_delete_faces_and_no_other_picture(assembly):
    granted = assembly.actions_of("/SweepStalledRole")
    assert granted["s3:DeleteObject"].count("/*") == granted["s3:DeleteObject"].count("/faces/*") == 1


def test_sweep_looks_at_the_dead_letters_of_every_queue(assembly):
    granted = assembly.actions_of("/SweepStalledRole")["sqs:ReceiveMessage"]
    told = json.dumps(assembly.functions()["sweep_stalled"]["Environment"]["Variables"]["DEAD_LETTER_QUEUE_URLS"])
    for lane in ("CpuTasks", "ModelTasks", "GpuTasks"):
        assert f"{lane}DeadLetters" in granted
        assert f"{lane}DeadLetters" in told


def test_workers_are_told_where_webhooks_arrive(assembly):
    (parameter,) = assembly.resources("AWS::SSM::Parameter").values()
    name = parameter["Properties"]["Name"]
    assert assembly.functions()["run_paid_step"]["Environment"]["Variables"]["PUBLIC_URL_PARAMETER"] == name
    granted = assembly.actions_of("/RunPaidStepRole")
    assert f":parameter{name}" in granted["ssm:GetParameter"]
    value = json.dumps(parameter["Properties"]["Value"])
    assert ("localhost:20000" in value) is assembly.stage.emulated
    assert (".execute-api." in value) is not assembly.stage.emulated
