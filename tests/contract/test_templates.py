"""The templates: names, limits and permissions that AWS will hold us to."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from aws_cdk import App, Stack, Validations, aws_s3
from cdk_nag import AwsSolutionsChecks

from backlot.image_urls import MAX_URL_CHARS, READABLE_PREFIXES
from backlot.operations import catalogue
from backlot.operations.comfyui_workflow import MAX_BYTES_KEY
from backlot.operations.identity_portrait import KeptPortraitRequest
from cdk.config import Alarms, Providers, Stage, UsagePlan, Worker
from cdk.packaging import ROOT
from lambdas.serve_api.http_requests import MAX_WAIT_S
from lambdas.serve_api.openapi import docs_page

#: Limits of AWS, see the services' quotas pages (read 2026-11-20).
MAX_ANSWER_BYTES, MAX_EXECUTION_INPUT_BYTES = 6_000_000, 262_144


def test_every_machine_has_its_placeholders_substituted(assembly):
    machines = assembly.resources("AWS::StepFunctions::StateMachine")
    assert len(machines) == len(catalogue()) + 1
    for machine in machines.values():
        named = set(re.findall(r"\$\{(\w+)\}", machine["Properties"]["DefinitionString"]))
        assert named == set(machine["Properties"]["DefinitionSubstitutions"])


def test_queue_and_dead_letters_are_as_designed(assembly):
    suffix = assembly.stage.name_suffix
    queues = {
        queue["Properties"]["QueueName"]: queue["Properties"]
        for queue in assembly.resources("AWS::SQS::Queue").values()
    }
    assert set(queues) == {
        f"cpu_tasks_queue{suffix}",
        f"cpu_tasks_dlq{suffix}",
        f"model_tasks_queue{suffix}.fifo",
        f"model_tasks_dlq{suffix}.fifo",
        f"gpu_tasks_queue{suffix}",
        f"gpu_tasks_dlq{suffix}",
    }
    work, models = queues[f"cpu_tasks_queue{suffix}"], queues[f"model_tasks_queue{suffix}.fifo"]
    gpu = queues[f"gpu_tasks_queue{suffix}"]
    assert (work["VisibilityTimeout"], gpu["VisibilityTimeout"]) == (600, 300)
    assert models["VisibilityTimeout"] == 6 * assembly.functions()["invoke_model"]["Timeout"]
    assert {queue["RedrivePolicy"]["maxReceiveCount"] for queue in (work, models, gpu)} == {3}
    assert {name for name, queue in queues.items() if queue.get("FifoQueue")} == {
        name for name in queues if name.endswith(".fifo")
    }


def test_queues_are_named_in_outputs(assembly):
    outputs = assembly.templates["work"]["Outputs"]
    for lane in ("CpuTasks", "ModelTasks", "GpuTasks"):
        assert {f"{lane}QueueUrl", f"{lane}DlqUrl"} <= set(outputs)


def test_api_knows_which_classes_callers_graphs_may_use(assembly):
    allowed = assembly.functions()["serve_api"]["Environment"]["Variables"]["NODE_CLASSES"]
    assert json.loads(allowed) == list(assembly.stage.gpu.node_classes)


def test_worker_ends_before_its_message_comes_back(assembly):
    assert assembly.functions()["run_paid_step"]["Timeout"] < assembly.stage.worker.visibility_s


def test_worker_takes_messages_as_configured(assembly):
    mappings = [each["Properties"] for each in assembly.resources("AWS::Lambda::EventSourceMapping").values()]
    limits = [each["ScalingConfig"]["MaximumConcurrency"] for each in mappings if "ScalingConfig" in each]
    assert limits == [assembly.stage.worker.concurrency]
    assert [each["FunctionResponseTypes"] for each in mappings] == [["ReportBatchItemFailures"]] * 2
    assert [each["BatchSize"] for each in mappings] == [1, 1]


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


def test_task_store_has_the_index_of_the_replaced_table_and_that_of_the_listing(assembly):
    (table,) = (
        each["Properties"]
        for each in assembly.resources("AWS::DynamoDB::Table").values()
        if each["Properties"]["TableName"].startswith("task_store")
    )
    indexes = {index["IndexName"]: index for index in table["GlobalSecondaryIndexes"]}
    keys = {name: [key["AttributeName"] for key in index["KeySchema"]] for name, index in indexes.items()}
    assert keys == {
        "status-created_at-index": ["status", "created_at"],
        "owner-created_ms-index": ["owner", "created_ms"],
    }
    assert {index["Projection"]["ProjectionType"] for index in indexes.values()} == {"ALL"}


def test_results_expire_and_stay_private_to_the_cdn(assembly):
    (bucket,) = assembly.resources("AWS::S3::Bucket").values()
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    for prefix in READABLE_PREFIXES:
        assert {"ExpirationInDays": assembly.stage.result_days, "Prefix": prefix, "Status": "Enabled"} in rules
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())
    (policy,) = assembly.resources("AWS::S3::BucketPolicy").values()
    readers = [
        statement
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow" and statement["Action"] == "s3:GetObject"
    ]
    (reader,) = readers
    assert reader["Principal"] == {"Service": "cloudfront.amazonaws.com"}
    assert not re.search("uploads|faces|model", json.dumps(reader["Resource"]))


def test_faces_are_gone_after_a_day_whatever_the_sweep_does(assembly):
    (bucket,) = assembly.resources("AWS::S3::Bucket").values()
    rules = bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    assert {"ExpirationInDays": 1, "Prefix": "faces/", "Status": "Enabled"} in rules


def test_data_outlives_the_stacks_where_the_stage_says_so(assembly):
    kinds = ("AWS::S3::Bucket", "AWS::DynamoDB::Table")
    policies = {resource["DeletionPolicy"] for kind in kinds for resource in assembly.resources(kind).values()}
    assert policies == {"Retain" if assembly.stage.keep_data else "Delete"}


def test_gateway_waits_longer_than_answers_are_held(assembly):
    methods = assembly.resources("AWS::ApiGateway::Method").values()
    limits = {method["Properties"]["Integration"]["TimeoutInMillis"] for method in methods}
    assert limits == {29_000}
    assert assembly.functions()["serve_api"]["Timeout"] > MAX_WAIT_S
    assert MAX_WAIT_S < 29


def test_webhooks_are_answered_by_their_own_function(assembly):
    posts = [
        method["Properties"]
        for method in assembly.resources("AWS::ApiGateway::Method").values()
        if method["Properties"]["HttpMethod"] == "POST" and "webhooks" in json.dumps(method["Properties"]["ResourceId"])
    ]
    (post,) = posts
    assert post.get("ApiKeyRequired", False) is False
    assert "ReceiveProviderResult" in json.dumps(post["Integration"]["Uri"])


def test_every_method_needs_a_key_but_those_that_are_open(assembly):
    for method in assembly.resources("AWS::ApiGateway::Method").values():
        properties = method["Properties"]
        route = json.dumps(properties["ResourceId"])
        is_open = properties["HttpMethod"] == "OPTIONS" or not re.search("proxy|process|stats", route)
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
    alarms = {
        name: alarm
        for name, alarm in assembly.resources("AWS::CloudWatch::Alarm").items()
        if name.startswith("observability/")
    }
    names = " ".join(alarms)
    for part in (
        "CpuTasksDeadLetters",
        "CpuTasksAge",
        "GpuTasksDeadLetters",
        "GpuTasksAge",
        "ApiServerErrors",
        "RunPaidStepErrors",
    ):
        assert part in names
    assert ("FailedShare" in names) is not assembly.stage.emulated
    (topic,) = (name for name in assembly.resources("AWS::SNS::Topic") if name.startswith("observability/"))
    assert all(alarm["Properties"]["AlarmActions"] == [{"Ref": topic.split("/")[1]}] for alarm in alarms.values())


def test_alarms_may_publish_to_the_topic(assembly):
    (policy,) = (
        policy
        for name, policy in assembly.resources("AWS::SNS::TopicPolicy").items()
        if name.startswith("observability/")
    )
    allowed = [each for each in policy["Properties"]["PolicyDocument"]["Statement"] if each["Effect"] == "Allow"]
    assert [each["Principal"] for each in allowed] == [{"Service": "cloudwatch.amazonaws.com"}]


def test_settler_hears_of_every_machine_and_every_end(assembly):
    (rule,) = assembly.resources("AWS::Events::Rule").values()
    detail = rule["Properties"]["EventPattern"]["detail"]
    assert detail["status"] == ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]
    assert len(detail["stateMachineArn"]) == len(catalogue())


def largest(schema: dict, definitions: dict) -> object:
    """Return the largest value that a JSON schema allows; URLs are held by the policy, and are ASCII."""
    if "$ref" in schema:
        return largest(definitions[schema["$ref"].rsplit("/", 1)[-1]], definitions)
    if MAX_BYTES_KEY in schema:
        return {"": "x" * (schema[MAX_BYTES_KEY] - len('{"": ""}'))}
    if "anyOf" in schema:
        values = (largest(each, definitions) for each in schema["anyOf"])
        return max(values, key=lambda value: len(json.dumps(value)))
    match schema["type"]:
        case "string":
            if schema.get("format") == "uri":
                return "x" * MAX_URL_CHARS
            letters = "\U0001f3ac"
            return max(schema.get("enum", []), key=len, default=letters * schema.get("maxLength", 0))
        case "array":
            return [largest(schema["items"], definitions)] * schema["maxItems"]
        case "object":
            return {name: largest(each, definitions) for name, each in schema["properties"].items()}
    return schema.get("maximum")


@pytest.mark.parametrize("operation", catalogue().values(), ids=lambda operation: operation.name)
def test_largest_request_fits_into_an_execution(operation):
    stored = KeptPortraitRequest if operation.name == "identity-portrait" else operation.request
    schema = stored.model_json_schema()
    request = largest(schema, schema.get("$defs", {}))
    assert len(request) == len(stored.model_fields)
    assert len(json.dumps({"task_id": "x" * 36, "request": request}).encode()) < MAX_EXECUTION_INPUT_BYTES


def test_largest_answer_fits_into_a_function():
    assert len(docs_page().encode()) < MAX_ANSWER_BYTES


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
        (lambda: Providers(seedream_models={"6.0": "x"}), "do not exist: 6.0"),
        (
            lambda: Stage(name="demo", cors_origins=("*",), worker=Worker(timeout_s=589)),
            "a batch of 15 pictures takes 590 s at most, worker.timeout_s is 589",
        ),
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
