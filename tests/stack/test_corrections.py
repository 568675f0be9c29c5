"""Each correction of MiniStack: the emulator as it is goes wrong, ours goes right.

On the day on which a test of the first kind fails, MiniStack has learned it, and the correction can go.
"""

import io
import json
import os
import ssl
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest
from botocore.exceptions import ClientError

from local.emulator import client, emulator, start_emulator
from local.place import ACCOUNT, REGION, ROOT, Place
from tests.stack.waiting import until

CORRECTIONS = {path.stem for path in (ROOT / "local" / "ministack" / "corrections").glob("*.py")} - {"__init__"}


@dataclass
class Cloud:
    """An emulator."""

    place: Place
    corrected: bool

    def aws(self, service: str) -> Any:
        return client(self.place, service)

    def machine(self, name: str, definition: dict[str, Any]) -> str:
        role = f"arn:aws:iam::{ACCOUNT}:role/machines"
        created = self.aws("stepfunctions").create_state_machine(
            name=name, definition=json.dumps({"QueryLanguage": "JSONata", **definition}), roleArn=role
        )
        return created["stateMachineArn"]

    def waiting_machine(self, name: str, **more: Any) -> tuple[str, str]:
        """Return a machine that sends a token to a queue and waits, and the queue."""
        url = self.aws("sqs").create_queue(QueueName=name)["QueueUrl"]
        body = {"token": "{% $states.context.Task.Token %}"}
        wait = {
            "Type": "Task",
            "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
            "Arguments": {"QueueUrl": url, "MessageBody": body},
            "TimeoutSeconds": 30,
            "End": True,
            **more,
        }
        return self.machine(name, {"StartAt": "Wait", "States": {"Wait": wait}}), url

    def token(self, url: str) -> str:
        received = until(lambda: self.aws("sqs").receive_message(QueueUrl=url).get("Messages"), "a token")
        self.aws("sqs").delete_message(QueueUrl=url, ReceiptHandle=received[0]["ReceiptHandle"])
        return json.loads(received[0]["Body"])["token"]


def _cloud(folder: str, corrections: str) -> Iterator[Cloud]:
    place = Place.open(ROOT / ".local" / folder)
    emulator(place).stop()
    start_emulator(place, corrections=corrections)
    cloud = Cloud(place, corrections == "all")
    document = json.dumps({"Version": "2012-10-17", "Statement": []})
    cloud.aws("iam").create_role(RoleName="machines", AssumeRolePolicyDocument=document)
    try:
        yield cloud
    finally:
        emulator(place).stop()


@pytest.fixture(scope="module", params=["stock", "corrected"])
def cloud(request) -> Iterator[Cloud]:
    yield from _cloud(request.param, "none" if request.param == "stock" else "all")


def test_every_correction_has_a_test_of_its_name():
    assert {name.removeprefix("test_") for name in globals()} >= CORRECTIONS


def test_own_port(cloud):
    """Only root can take port 443; for others MiniStack keeps to its own by itself."""
    (listener,) = (process for process in psutil.process_iter() if process.pid == _pid(cloud))
    ports = {each.laddr.port for each in listener.net_connections() if each.status == psutil.CONN_LISTEN}

    assert cloud.place.ports.emulator in ports
    assert (443 in ports) == (not cloud.corrected and os.geteuid() == 0)


def test_token_authorization(cloud):
    arn, url = cloud.waiting_machine("authorized")
    iam = cloud.aws("iam")
    iam.create_user(UserName="worker")
    statement = {"Effect": "Allow", "Action": "states:SendTaskSuccess", "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="worker", PolicyName="answer", PolicyDocument=document)
    key = iam.create_access_key(UserName="worker")["AccessKey"]
    worker = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name=REGION).client(
        "stepfunctions", endpoint_url=cloud.place.emulator_url, verify=str(cloud.place.authority)
    )
    other, other_url = cloud.waiting_machine("unauthorized")
    for each in (arn, other):
        cloud.aws("stepfunctions").start_execution(stateMachineArn=each)
    token, other_token = cloud.token(url), cloud.token(other_url)

    assert _is_allowed(worker, token) is cloud.corrected
    assert _is_allowed(worker, other_token) is False


def test_retry_tokens(cloud):
    retry = [{"ErrorEquals": ["Again"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    arn, url = cloud.waiting_machine("retried", Retry=retry)
    states = cloud.aws("stepfunctions")
    states.start_execution(stateMachineArn=arn)
    first = cloud.token(url)
    states.send_task_failure(taskToken=first, error="Again", cause="")

    assert (cloud.token(url) != first) is cloud.corrected


def test_machine_timeout(cloud):
    pause = {"StartAt": "Pause", "States": {"Pause": {"Type": "Wait", "Seconds": 3, "End": True}}}
    arn = cloud.machine("slow", {**pause, "TimeoutSeconds": 1})
    states = cloud.aws("stepfunctions")
    execution = states.start_execution(stateMachineArn=arn)["executionArn"]

    def ended() -> str | None:
        status = states.describe_execution(executionArn=execution)["status"]
        return None if status == "RUNNING" else status

    assert until(ended, "the end") == ("TIMED_OUT" if cloud.corrected else "SUCCEEDED")


def test_secret_without_value(cloud):
    secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "empty"}}
    template = json.dumps({"Resources": {"Secret": secret}})
    cloud.aws("cloudformation").create_stack(StackName="empty", TemplateBody=template)
    secrets = cloud.aws("secretsmanager")

    def described() -> dict[str, Any] | None:
        try:
            return secrets.describe_secret(SecretId="empty")
        except ClientError:
            return None

    versions = until(described, "the secret").get("VersionIdsToStages", {})
    assert (versions == {}) is cloud.corrected


def test_alarm_dimensions(cloud):
    metrics = cloud.aws("cloudwatch")
    metrics.put_metric_alarm(
        AlarmName="of another queue",
        Namespace="Test",
        MetricName="Depth",
        Dimensions=[{"Name": "Queue", "Value": "another"}],
        Statistic="Maximum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="notBreaching",
    )
    datum = {"MetricName": "Depth", "Dimensions": [{"Name": "Queue", "Value": "one"}], "Value": 5}
    metrics.put_metric_data(Namespace="Test", MetricData=[datum])

    (alarm,) = metrics.describe_alarms(AlarmNames=["of another queue"])["MetricAlarms"]
    assert (alarm["StateValue"] != "ALARM") is cloud.corrected


def test_queue_metrics(cloud):
    sqs, metrics = cloud.aws("sqs"), cloud.aws("cloudwatch")
    sqs.send_message(QueueUrl=sqs.create_queue(QueueName="measured")["QueueUrl"], MessageBody="x")
    time.sleep(6)

    found = metrics.list_metrics(Namespace="AWS/SQS", Dimensions=[{"Name": "QueueName", "Value": "measured"}])
    assert bool(found["Metrics"]) is cloud.corrected


def test_embedded_metrics(cloud):
    directive = {"Namespace": "Embedded", "Dimensions": [["who"]], "Metrics": [{"Name": "Count", "Unit": "Count"}]}
    line = json.dumps({"_aws": {"Timestamp": 1, "CloudWatchMetrics": [directive]}, "who": "me", "Count": 3})
    invoke(cloud, "measure", f"print({line!r})")

    found = cloud.aws("cloudwatch").list_metrics(Namespace="Embedded")
    assert bool(found["Metrics"]) is cloud.corrected


def test_key_identity(cloud):
    gateway = cloud.aws("apigateway")
    function = invoke(
        cloud, "echo", "import json\n    return {'statusCode': 200, 'body': json.dumps(event['requestContext'])}"
    )
    api = gateway.create_rest_api(name="echo")["id"]
    root = gateway.get_resources(restApiId=api)["items"][0]["id"]
    gateway.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE", apiKeyRequired=True)
    uri = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
    gateway.put_integration(
        restApiId=api, resourceId=root, httpMethod="GET", type="AWS_PROXY", integrationHttpMethod="POST", uri=uri
    )
    gateway.create_deployment(restApiId=api, stageName="live")
    key = gateway.create_api_key(name="key", enabled=True)
    plan = gateway.create_usage_plan(name="plan", apiStages=[{"apiId": api, "stage": "live"}])["id"]
    gateway.create_usage_plan_key(usagePlanId=plan, keyId=key["id"], keyType="API_KEY")
    cloud.aws("lambda").add_permission(
        FunctionName="echo", StatementId="api", Action="lambda:InvokeFunction", Principal="apigateway.amazonaws.com"
    )

    answer = httpx.get(
        f"{cloud.place.emulator_url}/_aws/execute-api/{api}/live/",
        headers={"x-api-key": key["value"]},
        verify=ssl.create_default_context(cafile=str(cloud.place.authority)),
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["identity"].get("apiKeyId") == key["id"]) is cloud.corrected


def test_broken_worker(cloud):
    mark = cloud.place.run / "at-work"
    breaks = f"import pathlib, time\nmark = pathlib.Path({str(mark)!r})\nif mark.exists():\n    raise RuntimeError\n"
    invoke(cloud, "breaks", "mark.touch()\n    time.sleep(2)\n    mark.unlink()\n    return 'done'", head=breaks)
    functions = cloud.aws("lambda")

    with ThreadPoolExecutor(1) as thread:
        first = thread.submit(functions.invoke, FunctionName="breaks")
        until(mark.exists, "the first to be at work")
        second = functions.invoke(FunctionName="breaks")

    assert "FunctionError" in second
    assert (json.load(first.result()["Payload"]) == "done") is cloud.corrected


def invoke(cloud: Cloud, name: str, body: str, head: str = "") -> str:
    """Make a function, call it once, and return its ARN."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", f"{head}def handler(event, context):\n    {body}\n")
    document = {"Version": "2012-10-17", "Statement": []}
    role = cloud.aws("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(document))["Role"]["Arn"]
    functions = cloud.aws("lambda")
    made = functions.create_function(
        FunctionName=name, Runtime="python3.11", Handler="main.handler", Role=role, Code={"ZipFile": packed.getvalue()}
    )
    functions.get_waiter("function_active_v2").wait(FunctionName=name)
    functions.invoke(FunctionName=name, Payload=json.dumps({"requestContext": {}}))
    return made["FunctionArn"]


def _is_allowed(worker: Any, token: str) -> bool:
    try:
        worker.send_task_success(taskToken=token, output="{}")
    except worker.exceptions.ClientError as error:
        return error.response["Error"]["Code"] != "AccessDeniedException"
    return True


def _pid(cloud: Cloud) -> int:
    return int(Path(cloud.place.run / "ministack.pid").read_text().split()[0])
