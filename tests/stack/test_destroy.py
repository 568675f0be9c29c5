"""A stage of its own, deployed, used and deleted by the command that an operator runs."""

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.deployment import Outputs, context, deploy
from local.emulator import client, start_emulator
from local.environment import inherited
from local.place import ROOT, Place
from local.stack import down


@dataclass
class Deployed:
    place: Place
    outputs: Outputs

    def aws(self, service: str) -> Any:
        return client(self.place, service)

    def destroy(self, answer: str) -> subprocess.CompletedProcess[str]:
        """Run the command, with an operator at its end who types something."""
        # The emulator has no host for each bucket.
        config = self.place.folder / "aws-config"
        config.write_text("[default]\ns3 =\n  addressing_style = path\n")
        environment = {**inherited(), **self.place.client_environment, "AWS_CONFIG_FILE": str(config)}
        return subprocess.run(
            [sys.executable, "-m", "cdk.destroy", "--stage", "local", "--local", json.dumps(context(self.place))],
            cwd=ROOT,
            env=environment,
            input=answer,
            text=True,
            capture_output=True,
            check=False,
        )

    def names(self) -> set[str]:
        """Return the names of what the account has, of the kinds that a stage has."""
        return {
            *(each["StackName"] for each in self.aws("cloudformation").describe_stacks()["Stacks"]),
            *(each["FunctionName"] for each in self.aws("lambda").list_functions()["Functions"]),
            *self.aws("sqs").list_queues().get("QueueUrls", []),
            *self.aws("dynamodb").list_tables()["TableNames"],
            *(each["name"] for each in self.aws("stepfunctions").list_state_machines()["stateMachines"]),
            *(each["Name"] for each in self.aws("secretsmanager").list_secrets()["SecretList"]),
            *(each["name"] for each in self.aws("apigateway").get_rest_apis()["items"]),
            *(each["name"] for each in self.aws("apigateway").get_usage_plans()["items"]),
            *(each["name"] for each in self.aws("apigateway").get_api_keys()["items"]),
            *(each["logGroupName"] for each in self.aws("logs").describe_log_groups()["logGroups"]),
            *(each["Name"] for each in self.aws("ssm").describe_parameters()["Parameters"]),
            *(each["RoleName"] for each in self.aws("iam").list_roles()["Roles"]),
            *(each["Name"] for each in self.aws("s3").list_buckets()["Buckets"]),
            *(each["AlarmName"] for each in self.aws("cloudwatch").describe_alarms()["MetricAlarms"]),
            *(each["TopicArn"] for each in self.aws("sns").list_topics()["Topics"]),
            *(each["Name"] for each in self.aws("scheduler").list_schedules()["Schedules"]),
            *(each["Name"] for each in self.aws("events").list_rules()["Rules"]),
        }


@pytest.fixture(scope="module")
def deployed(worker_id) -> Iterator[Deployed]:
    place = Place.open(ROOT / ".local" / f"test-destroy-{worker_id}")
    down(place)
    start_emulator(place)
    try:
        yield Deployed(place, deploy(place))
    finally:
        down(place)


def test_nothing_of_the_stage_is_left_and_nothing_else_is_touched(deployed):
    bucket = deployed.outputs["BucketName"]
    deployed.aws("s3").put_object(Bucket=bucket, Key="images/one.png", Body=b"one")
    # What others have: another app, and a stage whose name goes on.
    deployed.aws("s3").create_bucket(Bucket="short-drama-assets-local2")
    deployed.aws("sqs").create_queue(QueueName="cpu_tasks_queue-local2")
    for name in ("/aws/lambda/backlot-local2-api", "/aws/lambda/other"):
        deployed.aws("logs").create_log_group(logGroupName=name)
    # What AWS makes behind CloudFormation's back, and what an operator does by hand.
    deployed.aws("logs").create_log_group(logGroupName="/aws/lambda/backlot-local-storage-Custom")
    gateway = deployed.aws("apigateway")
    key = gateway.create_api_key(name="a client's", enabled=True)["id"]
    (plan,) = (each["id"] for each in gateway.get_usage_plans()["items"] if each["name"] == "backlot-local-studio")
    gateway.create_usage_plan_key(usagePlanId=plan, keyId=key, keyType="API_KEY")

    # A task that waits for a worker.
    for mapping in deployed.aws("lambda").list_event_source_mappings()["EventSourceMappings"]:
        deployed.aws("lambda").update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
    machine = deployed.outputs["StateMachinePrefix"] + "face-mask"
    request = {"image_url": "https://images.example/one.png", "face_position_prompt": None, "face_index": 0}
    task = json.dumps({"task_id": "one", "request": request})
    deployed.aws("stepfunctions").start_execution(stateMachineArn=machine, input=task)

    refused = deployed.destroy("prod\n")
    assert refused.returncode == 1
    assert "nothing was deleted" in refused.stderr
    assert deployed.aws("s3").list_objects_v2(Bucket=bucket)["KeyCount"] == 1

    done = deployed.destroy("local\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "stopped 1 executions" in done.stdout
    assert "deleted 1 objects" in done.stdout
    assert "deleted /aws/lambda/backlot-local-storage-Custom" in done.stdout
    assert f"aws apigateway delete-api-key --api-key {key}" in done.stdout
    assert done.stdout.splitlines()[-1] == "nothing else is left"
    # The function that hears of the stopped execution may still write, and the emulator makes its log group for it.
    left = {name for name in deployed.names() if "cdk" not in name.lower() and "SettleExecutionLog" not in name}
    assert {name.rsplit("/", 1)[-1] for name in left} == {
        "short-drama-assets-local2",
        "cpu_tasks_queue-local2",
        "backlot-local2-api",
        "other",
        "a client's",
    }


def test_deleting_again_finds_nothing(deployed):
    done = deployed.destroy("local\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no stack" in done.stdout
