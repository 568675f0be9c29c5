"""Deleting a stage: in which order, what is asked, what is kept, and that another stage is left alone."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from cdk.config import DEV, PROD
from cdk.destroy import __main__ as command
from cdk.destroy.__main__ import destroy
from cdk.destroy.account import AwsAccount
from cdk.destroy.things import NotDestroyed, PlanKey, Resource, Stack, data_of, in_order, log_prefixes
from cdk.names import stack_prefix
from tests.unit.aws_answers import answering, heard, unreachable

BUCKET = Resource("AWS::S3::Bucket", "assets-dev")
TABLE = Resource("AWS::DynamoDB::Table", "task_store-dev")
SECRET = Resource(
    "AWS::SecretsManager::Secret", "arn:aws:secretsmanager:us-east-1:1:secret:backlot/dev/webhooks-AbCdEf"
)
MACHINE = Resource("AWS::StepFunctions::StateMachine", "arn:aws:states:us-east-1:1:stateMachine:backlot-dev-face-mask")
PLAN, KEY = Resource("AWS::ApiGateway::UsagePlan", "plan1"), Resource("AWS::ApiGateway::ApiKey", "key1")


def stack(name: str, created_s: float = 0) -> Stack:
    return Stack(name, f"arn:{name}", "CREATE_COMPLETE", created_s)


@dataclass
class Memory:
    """An account that remembers what was done, in its order."""

    deployed: dict[str, list[Resource]]
    groups: list[str] = field(default_factory=list)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    keys: list[PlanKey] = field(default_factory=list)
    running: int = 0
    survives: set[str] = field(default_factory=set)
    iam: list[str] = field(default_factory=list)
    stuck: str = ""
    place: str = "account 1, region us-east-1"
    done: list[str] = field(default_factory=list)

    def stacks(self, prefix):
        return [stack(name, created) for created, name in enumerate(self.deployed) if name.startswith(prefix)]

    def resources(self, stack):
        return self.deployed[stack.name]

    def delete_stack(self, stack):
        if stack.name == self.stuck:
            raise NotDestroyed(f"{stack.name} was not deleted: Bucket (not empty)")
        del self.deployed[stack.name]
        self.done.append(stack.name)

    def stop_executions(self, machine):
        self.done.append("stop")
        return self.running

    def plan_keys(self, plan):
        return self.keys

    def detach_key(self, key):
        self.done.append(f"detach {key.key}")

    def release_hosts(self, resources):
        return None

    def empty_bucket(self, name):
        self.done.append(f"empty {name}")
        return 3

    def delete_log_groups(self, prefix):
        found = [name for name in self.groups if name.startswith(prefix)]
        self.groups = [name for name in self.groups if name not in found]
        return found

    def roles(self, prefix):
        return [Resource("AWS::IAM::Role", name) for name in self.iam if name.startswith(prefix)]

    def exists(self, data):
        return data.name in self.survives

    def tagged(self, tags):
        return [arn for arn, has in self.tags.items() if tags.items() <= has.items()]


@pytest.fixture
def account():
    """Stage dev, deployed, beside stage prod and a stage whose name goes on."""
    return Memory(
        {
            "backlot-dev-storage": [BUCKET, TABLE],
            "backlot-dev-work": [MACHINE, SECRET],
            "backlot-dev-api": [PLAN, KEY],
            "backlot-dev-observability": [],
            "backlot-prod-storage": [replace(BUCKET, name="assets")],
            "backlot-dev2-storage": [replace(BUCKET, name="assets-dev2")],
            "somebody-elses": [],
        },
        groups=[
            "/aws/lambda/backlot-dev-api-CustomThing",
            "/aws/lambda/backlot-dev2-api-CustomThing",
            "/aws/sagemaker/Endpoints/backlot-dev-schp",
            "/aws/sagemaker/Endpoints/backlot-prod-schp",
            "/aws/lambda/dev",
        ],
    )


def run(account, stage=DEV, answer=None):
    said: list[str] = []
    left = destroy(stage, account, confirm=lambda _: stage.name if answer is None else answer, say=said.append)
    return left, said


def test_stage_is_deleted_and_others_are_left_alone(account):
    left, said = run(account)
    assert list(account.deployed) == ["backlot-prod-storage", "backlot-dev2-storage", "somebody-elses"]
    assert account.groups == [
        "/aws/lambda/backlot-dev2-api-CustomThing",
        "/aws/sagemaker/Endpoints/backlot-prod-schp",
        "/aws/lambda/dev",
    ]
    assert (left, said[-1]) == ([], "nothing else is left")


def test_stacks_go_before_those_that_they_use_and_the_bucket_is_emptied_last(account):
    run(account)
    assert account.done == [
        "backlot-dev-observability",
        "backlot-dev-api",
        "stop",
        "backlot-dev-work",
        "empty assets-dev",
        "backlot-dev-storage",
    ]


def test_stack_of_an_older_app_goes_first():
    names = ["backlot-dev-storage", "backlot-dev-api", "backlot-dev-old", "backlot-dev-older", "backlot-dev-gpu"]
    ordered = in_order([stack(name, created) for created, name in enumerate(names)], DEV)
    assert [each.name.removeprefix("backlot-dev-") for each in ordered] == ["older", "old", "api", "gpu", "storage"]


def test_stack_of_another_stage_is_refused():
    with pytest.raises(NotDestroyed, match="these are no stacks of stage dev: backlot-dev2-api"):
        in_order([stack("backlot-dev-api"), stack("backlot-dev2-api")], DEV)


@pytest.mark.parametrize("prefix", [stack_prefix(DEV), *log_prefixes(DEV)])
def test_names_of_a_stage_are_not_those_of_one_whose_name_goes_on(prefix):
    other = [stack_prefix(DEV.model_copy(update={"name": name})) for name in ("dev2", "de", "adev")]
    assert not any(name.startswith(prefix.rsplit("/", 1)[-1]) for name in other)


@pytest.mark.parametrize("answer", ["", "yes", "prod", "Dev", "dev "])
def test_another_answer_deletes_nothing(account, answer):
    before = dict(account.deployed)
    with pytest.raises(NotDestroyed, match="the answer was not dev; nothing was deleted"):
        run(account, answer=answer)
    assert (account.deployed, account.done) == (before, [])


def test_data_is_kept_and_its_deletion_told():
    bucket, table = replace(BUCKET, name="assets"), replace(TABLE, name="task_store")
    account = Memory({"backlot-prod-storage": [bucket, table], "backlot-prod-work": [SECRET]})
    account.survives = {"assets", "task_store", SECRET.name}
    account.tags = {
        arn: {"app": "backlot", "stage": "prod"}
        for arn in ("arn:aws:s3:::assets", "arn:aws:dynamodb:us-east-1:1:table/task_store", SECRET.name)
    }
    left, said = run(account, PROD)
    assert not any(step.startswith("empty") for step in account.done)
    assert left == []
    assert "kept: assets; to delete it: aws s3 rb --force s3://assets" in said
    assert any("--no-deletion-protection-enabled && aws dynamodb delete-table" in line for line in said)
    assert any("aws secretsmanager delete-secret --secret-id arn:" in line for line in said)


def test_what_is_left_is_named(account):
    account.tags = {
        "arn:aws:sqs:us-east-1:1:forgotten": {"app": "backlot", "stage": "dev"},
        "arn:aws:sqs:us-east-1:1:of-prod": {"app": "backlot", "stage": "prod"},
        "arn:aws:sqs:us-east-1:1:of-another-app": {"app": "other", "stage": "dev"},
        "arn:aws:dynamodb:us-east-1:1:table/task_store-dev": {"app": "backlot", "stage": "dev"},
    }
    left, said = run(account)
    assert left == ["arn:aws:sqs:us-east-1:1:forgotten"]
    assert "left: arn:aws:sqs:us-east-1:1:forgotten" in said


def test_data_that_should_have_gone_is_left_and_not_kept(account):
    arn = "arn:aws:dynamodb:us-east-1:1:table/task_store-dev"
    account.tags = {arn: {"app": "backlot", "stage": "dev"}}
    account.survives = {"task_store-dev"}
    assert run(account)[0] == ["task_store-dev"]


def test_role_of_all_apis_logs_is_kept_and_other_roles_are_left(account):
    logging = "backlot-dev-api-StudioApiRestApiCloudWatchRole861958-X"
    account.iam = [logging, "backlot-dev-work-RunPaidStepRole-X", "backlot-dev2-work-Role"]
    left, said = run(account)
    assert left == ["backlot-dev-work-RunPaidStepRole-X"]
    assert any(line.startswith(f"kept: {logging}; to delete it: aws iam detach-role-policy") for line in said)


@pytest.mark.parametrize(
    ("arn", "data"),
    [
        ("arn:aws:s3:::assets-dev", BUCKET),
        ("arn:aws-cn:s3:::assets-dev", BUCKET),
        ("arn:aws:dynamodb:us-east-1:1:table/task_store-dev", TABLE),
        (SECRET.name, SECRET),
        ("arn:aws:sqs:us-east-1:1:cpu_tasks_queue", None),
        ("arn:aws:lambda:us-east-1:1:function:s3", None),
    ],
)
def test_data_is_known_by_its_arn(arn, data):
    assert data_of(arn) == data


def test_key_made_by_hand_is_taken_out_of_its_plan_and_told(account):
    account.keys = [PlanKey("plan1", "key1", "backlot-dev-studio"), PlanKey("plan1", "key2", "a client's")]
    _, said = run(account)
    assert account.done[0] == "detach key2"
    assert "detach key1" not in account.done
    assert any("aws apigateway delete-api-key --api-key key2" in line for line in said)


def test_running_executions_are_stopped_once_nobody_starts_new_ones(account):
    account.running = 2
    _, said = run(account)
    assert account.done.index("backlot-dev-api") < account.done.index("stop") < account.done.index("backlot-dev-work")
    assert "stopped 2 executions" in said


def test_stack_that_stays_is_told_with_its_reason_and_can_be_tried_again(account):
    account.stuck = "backlot-dev-storage"
    with pytest.raises(NotDestroyed, match="backlot-dev-storage was not deleted: Bucket"):
        run(account)
    account.stuck = ""
    assert run(account)[0] == []
    assert "backlot-dev-storage" not in account.deployed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stage", "nowhere"], "there is no stage 'nowhere' on AWS; choose STAGE=dev|prod"),
        (["--stage", "local"], "there is no stage 'local' on AWS"),
    ],
)
def test_command_that_cannot_work_says_why_and_fails(capsys, arguments, message):
    assert command.main(arguments) == 1
    assert f"not destroyed: {message}" in capsys.readouterr().err


@pytest.mark.parametrize(("yes", "code", "err"), [("dev", 0, ""), ("prod", 1, "the answer was not dev")])
def test_command_takes_the_name_from_scripts(monkeypatch, capsys, account, yes, code, err):
    monkeypatch.setattr(AwsAccount, "of", lambda _: account)
    assert command.main(["--stage", "dev", "--yes", yes]) == code
    assert err in capsys.readouterr().err


def test_command_that_nobody_answers_says_how_scripts_do(monkeypatch, capsys, account):
    monkeypatch.setattr(AwsAccount, "of", lambda _: account)
    monkeypatch.setattr("builtins.input", lambda _: (_ for _ in ()).throw(EOFError))
    assert command.main(["--stage", "dev"]) == 1
    assert "in scripts say YES=<stage>" in capsys.readouterr().err


class Session:
    """A session with clients whose answers are written by a test."""

    region_name = "us-east-1"

    def __init__(self, **clients):
        identity = {"get_caller_identity": {"Account": "1", "UserId": "u", "Arn": "arn:aws:iam::1:user/u"}}
        self.clients = {"sts": answering("sts", identity)} | clients

    def client(self, service):
        return self.clients[service]


def aws(**clients) -> AwsAccount:
    return AwsAccount(Session(**clients), look_s=0.01)


def described(name: str, status: str = "CREATE_COMPLETE") -> dict:
    return {
        "StackName": name,
        "StackId": f"arn:{name}",
        "StackStatus": status,
        "CreationTime": datetime(2026, 11, 21, tzinfo=UTC),
    }


def test_stacks_are_found_by_their_prefix():
    names = ["backlot-dev-api", "backlot-dev2-api", "other"]
    answer = {"describe_stacks": {"Stacks": [described(name) for name in names]}}
    found = aws(cloudformation=answering("cloudformation", answer)).stacks("backlot-dev-")
    assert [each.name for each in found] == ["backlot-dev-api"]


def test_stack_that_cannot_be_deleted_says_which_resource_stands_in_the_way():
    summary = {
        "LogicalResourceId": "Bucket",
        "ResourceType": "AWS::S3::Bucket",
        "ResourceStatus": "DELETE_FAILED",
        "ResourceStatusReason": "The bucket you tried to delete is not empty",
        "LastUpdatedTimestamp": datetime(2026, 11, 21, tzinfo=UTC),
    }
    client = answering(
        "cloudformation",
        {"delete_stack": {}},
        {"describe_stacks": {"Stacks": [described("backlot-dev-storage", "DELETE_FAILED")]}},
        {"list_stack_resources": {"StackResourceSummaries": [summary]}},
    )
    with pytest.raises(NotDestroyed, match=r"was not deleted: Bucket \(The bucket you tried to delete is not empty\)"):
        aws(cloudformation=client).delete_stack(stack("backlot-dev-storage"))


def test_bucket_is_emptied_of_all_versions():
    versions = {"Versions": [{"Key": "a", "VersionId": "1"}], "DeleteMarkers": [{"Key": "b", "VersionId": "2"}]}
    client = answering("s3", {"list_object_versions": versions}, {"delete_objects": {}})
    calls = heard(client)
    assert aws(s3=client).empty_bucket("assets") == 2
    objects = [{"Key": "a", "VersionId": "1"}, {"Key": "b", "VersionId": "2"}]
    assert calls[1]["Delete"]["Objects"] == objects


def test_object_that_cannot_be_deleted_is_told():
    versions = {"Versions": [{"Key": "a", "VersionId": "1"}]}
    refused = {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "Access Denied"}]}
    client = answering("s3", {"list_object_versions": versions}, {"delete_objects": refused})
    with pytest.raises(NotDestroyed, match="the bucket assets was not emptied: a: Access Denied"):
        aws(s3=client).empty_bucket("assets")


def test_workers_and_hosts_are_released():
    service = "arn:aws:ecs:us-east-1:1:service/cluster1/comfyui-spot"
    tasks = [f"arn:aws:ecs:us-east-1:1:task/cluster1/{number}" for number in range(11)]
    ecs = answering(
        "ecs", {"list_tasks": {"taskArns": tasks}}, {"update_task_protection": {}}, {"update_task_protection": {}}
    )
    hosts = {"InstanceId": "i-1", "AvailabilityZone": "a", "LifecycleState": "InService", "HealthStatus": "Healthy"}
    group = {
        "AutoScalingGroupName": "group1",
        "MinSize": 0,
        "MaxSize": 1,
        "DesiredCapacity": 1,
        "DefaultCooldown": 0,
        "AvailabilityZones": ["a"],
        "HealthCheckType": "EC2",
        "CreatedTime": datetime(2026, 11, 21, tzinfo=UTC),
        "Instances": [{**hosts, "ProtectedFromScaleIn": True}],
    }
    autoscaling = answering(
        "autoscaling",
        {"describe_auto_scaling_groups": {"AutoScalingGroups": [group]}},
        {"set_instance_protection": {}},
    )
    asked, protected = heard(ecs), heard(autoscaling)
    resources = [
        Resource("AWS::ECS::Service", service),
        Resource("AWS::AutoScaling::AutoScalingGroup", "group1"),
        BUCKET,
    ]
    aws(ecs=ecs, autoscaling=autoscaling).release_hosts(resources)
    assert asked[0] == {"cluster": "cluster1", "serviceName": "comfyui-spot"}
    assert [len(call["tasks"]) for call in asked[1:]] == [10, 1]
    assert protected[1] == {
        "AutoScalingGroupName": "group1",
        "InstanceIds": ["i-1"],
        "ProtectedFromScaleIn": False,
    }


@pytest.mark.parametrize(
    ("resource", "answer", "there"),
    [
        (BUCKET, {"head_bucket": {}}, True),
        (BUCKET, ("head_bucket:404", 404), False),
        (TABLE, {"describe_table": {}}, True),
        (TABLE, ("describe_table:ResourceNotFoundException", 400), False),
        (SECRET, {"describe_secret": {"Name": "backlot/dev/webhooks"}}, True),
        (SECRET, {"describe_secret": {"DeletedDate": datetime(2026, 11, 21, tzinfo=UTC)}}, False),
        (SECRET, ("describe_secret:ResourceNotFoundException", 400), False),
    ],
)
def test_what_may_be_kept_is_looked_for(resource, answer, there):
    service = {"S3": "s3", "DynamoDB": "dynamodb", "SecretsManager": "secretsmanager"}[resource.kind.split("::")[1]]
    assert aws(**{service: answering(service, answer)}).exists(resource) is there


def test_roles_are_found_by_their_prefix():
    role = {"Path": "/", "RoleId": "AROA0000000000000", "CreateDate": datetime(2026, 11, 21, tzinfo=UTC)}
    names = ["backlot-dev-api-Role", "backlot-dev2-api-Role", "cdk-role"]
    roles = [{**role, "RoleName": name, "Arn": f"arn:aws:iam::1:role/{name}"} for name in names]
    found = aws(iam=answering("iam", {"list_roles": {"Roles": roles}})).roles("backlot-dev-")
    assert found == [Resource("AWS::IAM::Role", "backlot-dev-api-Role")]


def test_refusal_of_the_credentials_is_told():
    client = answering("s3", ("head_bucket:403", 403))
    with pytest.raises(NotDestroyed, match=r"assets-dev cannot be looked at: .*403"):
        aws(s3=client).exists(BUCKET)


def test_unreachable_aws_is_told():
    with pytest.raises(NotDestroyed, match="the account cannot be reached: Could not connect"):
        AwsAccount(Session(sts=unreachable("sts")))


def test_credentials_of_another_account_are_refused(monkeypatch):
    monkeypatch.setattr("boto3.Session", lambda **_: Session())
    with pytest.raises(NotDestroyed, match="stage dev is in account 2; these credentials are of 1"):
        AwsAccount.of(DEV.model_copy(update={"account": "2"}))
