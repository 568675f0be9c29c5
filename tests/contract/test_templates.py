"""The templates: names, limits and permissions that AWS will hold us to."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aws_cdk import App, Stack, Validations, aws_s3
from cdk_nag import AwsSolutionsChecks

from backlot.image_urls import MAX_URL_CHARS
from backlot.operations import catalogue
from backlot.operations._operation import MAX_PROMPT_CHARS
from cdk.config import Alarms, Platform, Stage, UsagePlan, Worker
from cdk.packaging import ROOT, host_platform, layer_directory
from lambdas.run_paid_step.settings import Settings as RunPaidStepSettings
from lambdas.serve_api.http_requests import MAX_WAIT_S
from lambdas.serve_api.settings import Settings as ServeApiSettings
from lambdas.settle_execution.settings import Settings as SettleExecutionSettings
from lambdas.sweep_stalled.settings import Settings as SweepStalledSettings

SETTINGS = {
    "serve_api": ServeApiSettings,
    "run_paid_step": RunPaidStepSettings,
    "settle_execution": SettleExecutionSettings,
    "sweep_stalled": SweepStalledSettings,
}

#: Variables of Powertools, which every function has.
POWERTOOLS = {"POWERTOOLS_SERVICE_NAME", "POWERTOOLS_LOG_LEVEL", "POWERTOOLS_TRACE_DISABLED"}

#: Actions that AWS offers for no resource in particular.
WITHOUT_RESOURCE = {
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

#: Limits of AWS, see the services' quotas pages (read 2026-11-20).
MAX_EXECUTION_INPUT_BYTES, MAX_ENVIRONMENT_BYTES, MAX_LAYER_MB, MAX_UNZIPPED_MB = 262_144, 4_096, 60, 250


def functions(assembly):
    return {
        resource["Properties"]["Handler"].split(".")[1]: resource["Properties"]
        for resource in assembly.resources("AWS::Lambda::Function").values()
        if "lambdas." in resource["Properties"]["Handler"]
    }


def statements(assembly):
    for name, policy in assembly.resources("AWS::IAM::Policy").items():
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]:
            actions = statement["Action"]
            resources = statement["Resource"]
            yield name, [actions] if isinstance(actions, str) else actions, resources


def actions_of(assembly, part: str) -> dict[str, str]:
    """Return the actions that the policies of a role grant, with their resources as text."""
    return {
        action: json.dumps(resources)
        for name, actions, resources in statements(assembly)
        if part in name
        for action in actions
    }


def test_every_function_is_known(assembly):
    assert set(functions(assembly)) == set(SETTINGS)


@pytest.mark.parametrize("name", SETTINGS)
def test_environment_has_exactly_the_variables_of_the_settings(assembly, name):
    variables = functions(assembly)[name]["Environment"]["Variables"]
    assert set(variables) - POWERTOOLS == SETTINGS[name].variables()


@pytest.mark.parametrize("name", SETTINGS)
def test_environment_literals_satisfy_the_settings(assembly, name):
    variables = functions(assembly)[name]["Environment"]["Variables"]
    literal = {
        key: value if isinstance(value, str) else "https://resolved.example.com" for key, value in variables.items()
    }
    SETTINGS[name].model_validate(literal)


def test_environments_fit_into_lambdas_limit(assembly):
    for name, function in functions(assembly).items():
        assert len(json.dumps(function["Environment"]["Variables"])) < MAX_ENVIRONMENT_BYTES, name


def test_functions_run_on_the_stages_platform(assembly):
    platform = assembly.stage.platform
    for name, function in functions(assembly).items():
        assert function["Runtime"] == f"python{platform.python}", name
        assert function["Architectures"] == [platform.architecture], name


def test_code_of_a_function_is_ours_alone(assembly):
    for resource in assembly.resources("AWS::Lambda::Function").values():
        properties = resource["Properties"]
        if "lambdas." not in properties["Handler"]:
            continue
        asset = assembly.folder / f"asset.{properties['Code']['S3Key'].removesuffix('.zip')}"
        name = properties["Handler"].split(".")[1]
        top = {path.relative_to(asset).parts[:2] for path in asset.rglob("*.py")}
        assert {parts[0] for parts in top} == {"backlot", "lambdas"}
        assert {parts[1] for parts in top if parts[0] == "lambdas"} == {"__init__.py", name}


@pytest.mark.parametrize("where", ["aws", "host"])
def test_layer_is_within_its_size(where):
    folder = layer_directory(Platform() if where == "aws" else host_platform())
    size_mb = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    assert size_mb <= MAX_LAYER_MB < MAX_UNZIPPED_MB


def test_layer_holds_no_byte_code_and_no_boto3():
    folder = layer_directory(Platform()) / "python"
    assert not list(folder.rglob("*.pyc"))
    assert not (folder / "boto3").exists()
    assert (folder / "pydantic_core").exists()


def test_no_wildcard_resource_where_an_arn_can_be_named(assembly):
    for name, actions, resources in statements(assembly):
        if resources == "*":
            assert set(actions) <= WITHOUT_RESOURCE, name


def test_no_wildcard_action(assembly):
    for name, actions, _ in statements(assembly):
        assert not [action for action in actions if "*" in action], name


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.name)
def test_machine_may_send_work_and_record_and_nothing_else(assembly, operation):
    part = f"{operation.module.title().replace('_', '')}MachineRole"
    granted = actions_of(assembly, f"/{part}")
    own = {action: resource for action, resource in granted.items() if action not in WITHOUT_RESOURCE}
    assert set(own) == {"dynamodb:UpdateItem", "sqs:SendMessage"}
    assert "TaskStore" in own["dynamodb:UpdateItem"]
    assert "CpuTasksQueue" in own["sqs:SendMessage"]


def test_worker_may_do_what_it_does_and_nothing_else(assembly):
    granted = actions_of(assembly, "/RunPaidStepRole")
    own = set(granted) - WITHOUT_RESOURCE - {"logs:CreateLogStream", "logs:PutLogEvents"}
    assert own == {
        "dynamodb:UpdateItem",
        "s3:GetObject",
        "s3:PutObject",
        "secretsmanager:GetSecretValue",
        "sqs:ChangeMessageVisibility",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "sqs:ReceiveMessage",
        "states:SendTaskFailure",
        "states:SendTaskSuccess",
    }


def test_api_may_not_read_keys_or_pictures(assembly):
    granted = set(actions_of(assembly, "/ServeApiRole"))
    assert "secretsmanager:GetSecretValue" not in granted
    assert not [action for action in granted if action.startswith("s3:")]


def test_every_machine_has_its_placeholders_substituted(assembly):
    machines = assembly.resources("AWS::StepFunctions::StateMachine")
    assert len(machines) == len(catalogue())
    for machine in machines.values():
        named = set(re.findall(r"\$\{(\w+)\}", machine["Properties"]["DefinitionString"]))
        assert named == set(machine["Properties"]["DefinitionSubstitutions"])


def test_queue_and_dead_letters_are_as_designed(assembly):
    suffix = assembly.stage.name_suffix
    queues = {
        queue["Properties"]["QueueName"]: queue["Properties"]
        for queue in assembly.resources("AWS::SQS::Queue").values()
    }
    assert set(queues) == {f"cpu_tasks_queue{suffix}", f"cpu_tasks_dlq{suffix}"}
    work = queues[f"cpu_tasks_queue{suffix}"]
    assert work["VisibilityTimeout"] == 600
    assert work["RedrivePolicy"]["maxReceiveCount"] == 3


def test_worker_ends_before_its_message_comes_back(assembly):
    assert functions(assembly)["run_paid_step"]["Timeout"] < assembly.stage.worker.visibility_s


def test_worker_takes_messages_as_configured(assembly):
    (mapping,) = assembly.resources("AWS::Lambda::EventSourceMapping").values()
    assert mapping["Properties"]["ScalingConfig"]["MaximumConcurrency"] == assembly.stage.worker.concurrency
    assert mapping["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_tables_forget_and_can_be_restored(assembly):
    tables = {
        table["Properties"]["TableName"]: table["Properties"]
        for table in assembly.resources("AWS::DynamoDB::Table").values()
    }
    assert {name: table["TimeToLiveSpecification"]["AttributeName"] for name, table in tables.items()} == {
        f"task_store{assembly.stage.name_suffix}": "ttl",
        f"task_idempotency{assembly.stage.name_suffix}": "expires_at",
    }
    for table in tables.values():
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table["DeletionProtectionEnabled"] is assembly.stage.keep_data


def test_task_store_has_the_index_of_the_replaced_table(assembly):
    (table,) = (
        each["Properties"]
        for each in assembly.resources("AWS::DynamoDB::Table").values()
        if each["Properties"]["TableName"].startswith("task_store")
    )
    (index,) = table["GlobalSecondaryIndexes"]
    assert index["IndexName"] == "status-created_at-index"
    assert [key["AttributeName"] for key in index["KeySchema"]] == ["status", "created_at"]
    assert index["Projection"]["ProjectionType"] == "ALL"


def test_results_expire_and_stay_private_to_the_cdn(assembly):
    (bucket,) = assembly.resources("AWS::S3::Bucket").values()
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert {"ExpirationInDays": assembly.stage.result_days, "Status": "Enabled"} in rules
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
    (policy,) = assembly.resources("AWS::S3::BucketPolicy").values()
    readers = [
        statement
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and statement["Action"] == "s3:GetObject"
    ]
    (reader,) = readers
    assert reader["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert "uploads" not in json.dumps(reader["Resource"])


def test_data_outlives_the_stacks_where_the_stage_says_so(assembly):
    kinds = ("AWS::S3::Bucket", "AWS::DynamoDB::Table")
    policies = {resource["DeletionPolicy"] for kind in kinds for resource in assembly.resources(kind).values()}
    assert policies == {"Retain" if assembly.stage.keep_data else "Delete"}


def test_gateway_waits_longer_than_answers_are_held(assembly):
    methods = assembly.resources("AWS::ApiGateway::Method").values()
    limits = {method["Properties"]["Integration"]["TimeoutInMillis"] for method in methods}
    assert limits == {29_000}
    assert functions(assembly)["serve_api"]["Timeout"] > MAX_WAIT_S
    assert MAX_WAIT_S < 29


def test_every_method_needs_a_key_but_those_that_are_open(assembly):
    for method in assembly.resources("AWS::ApiGateway::Method").values():
        properties = method["Properties"]
        is_open = properties["HttpMethod"] == "OPTIONS" or "proxy" not in json.dumps(properties["ResourceId"])
        assert properties.get("ApiKeyRequired", False) is not is_open


def test_keys_have_the_configured_plans(assembly):
    plans = {
        plan["Properties"]["UsagePlanName"]: plan["Properties"]
        for plan in assembly.resources("AWS::ApiGateway::UsagePlan").values()
    }
    for name, plan in assembly.stage.usage_plans.items():
        made = plans[f"backlot-{assembly.stage.name}-{name}"]
        assert made["Throttle"] == {"RateLimit": plan.rate, "BurstLimit": plan.burst}
        assert made.get("Quota", {}).get("Limit") == plan.quota_per_day
    keys = assembly.resources("AWS::ApiGateway::ApiKey").values()
    assert all("Value" not in key["Properties"] for key in keys)


def test_every_alarm_tells_the_topic(assembly):
    alarms = assembly.resources("AWS::CloudWatch::Alarm")
    names = " ".join(alarms)
    for part in ("CpuTasksDeadLetters", "CpuTasksAge", "ApiServerErrors", "RunPaidStepErrors"):
        assert part in names
    assert ("FailedShare" in names) is not assembly.stage.emulated
    assert all(len(alarm["Properties"]["AlarmActions"]) == 1 for alarm in alarms.values())


def test_alarms_may_publish_to_the_topic(assembly):
    (policy,) = assembly.resources("AWS::SNS::TopicPolicy").values()
    allowed = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert [each["Principal"] for each in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]


def test_settler_hears_of_every_machine_and_every_end(assembly):
    (rule,) = assembly.resources("AWS::Events::Rule").values()
    detail = rule["Properties"]["EventPattern"]["detail"]
    assert detail["status"] == ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    assert len(detail["stateMachineArn"]) == len(catalogue())


def test_largest_request_fits_into_an_execution():
    longest = "\U0001f3ac" * MAX_PROMPT_CHARS
    request = {"a": "x" * MAX_URL_CHARS, "b": "x" * MAX_URL_CHARS, "prompt": longest, "size": "x" * 16}
    assert len(json.dumps({"task_id": "x" * 36, "request": request}).encode()) < MAX_EXECUTION_INPUT_BYTES


def test_templates_pass_cfn_lint(assembly):
    paths = [str(path) for path in assembly.folder.glob("*.template.json")]
    # W3005: CDK names dependencies that references imply already.
    lint = str(Path(sys.executable).with_name("cfn-lint"))
    command = [lint, "--ignore-checks", "W3005", "--regions", "us-east-1", "--", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def test_nag_finds_nothing_that_is_not_accepted(assembly):
    report = json.loads((assembly.folder / "validation-report.json").read_text())
    assert report["pluginReports"] == []


def test_nag_would_find_an_open_bucket(tmp_path):
    app = App(outdir=str(tmp_path))
    aws_s3.Bucket(Stack(app, "Open"), "Bucket")
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda: Worker(timeout_s=600, visibility_s=600), "must be below visibility_s"),
        (lambda: Worker(concurrency=1), "greater than or equal to 2"),
        (lambda: Alarms(failed_share=1.0), "less than 1"),
        (lambda: UsagePlan(rate=0, burst=1), "greater than 0"),
        (lambda: Stage(name="x y", cors_origins=("*",)), "should match pattern"),
        (
            lambda: Stage(name="demo", cors_origins=("*",), api_keys=({"name": "a", "plan": "none"},)),
            "do not exist: none",
        ),
    ],
)
def test_stage_that_cannot_work_is_refused(broken, message):
    with pytest.raises(ValueError, match=message):
        broken()


def test_app_without_a_stage_says_which_there_are():
    done = subprocess.run([sys.executable, "app.py"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "choose a stage: -c stage=dev|prod" in done.stderr
