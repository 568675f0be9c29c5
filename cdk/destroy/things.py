"""Which things are a stage's, in which order its stacks go, and how what stays is deleted."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cdk.config import Stage
from cdk.names import stack_prefix


class NotDestroyed(Exception):
    """Something could not be deleted; the message is a sentence for the operator."""


@dataclass(frozen=True)
class Stack:
    """A deployed stack.

    Args:
        name: of the stack.
        stack_id: its ARN, by which it is known once it is deleted.
        status: CloudFormation's.
        created_s: when it was created, Unix seconds.
    """

    name: str
    stack_id: str
    status: str
    created_s: float


@dataclass(frozen=True)
class Resource:
    """A resource of a stack.

    Args:
        kind: its type, such as `AWS::S3::Bucket`.
        name: its physical id.
    """

    kind: str
    name: str


@dataclass(frozen=True)
class PlanKey:
    """An API key in a usage plan.

    Args:
        plan: id of the plan.
        key: id of the key.
        name: of the key.
    """

    plan: str
    key: str
    name: str


class Account(Protocol):
    """An AWS account in one region, as the operator's credentials reach it; every method raises `NotDestroyed`."""

    @property
    def place(self) -> str:
        """Return which account and region this is."""

    def stacks(self, prefix: str) -> list[Stack]:
        """Return the stacks whose names begin so."""

    def resources(self, stack: Stack) -> list[Resource]:
        """Return what a stack consists of."""

    def delete_stack(self, stack: Stack) -> None:
        """Delete a stack, and wait until it is gone."""

    def stop_executions(self, machine: str) -> int:
        """Stop what runs in a state machine; return how many executions that were."""

    def plan_keys(self, plan: str) -> list[PlanKey]:
        """Return the keys of a usage plan."""

    def detach_key(self, key: PlanKey) -> None:
        """Take a key out of its usage plan."""

    def release_hosts(self, resources: Sequence[Resource]) -> None:
        """Take the protection from workers and hosts, which keeps services and groups from being deleted."""

    def empty_bucket(self, name: str) -> int:
        """Delete all objects of a bucket, in all versions; return how many."""

    def delete_log_groups(self, prefix: str) -> list[str]:
        """Delete the log groups whose names begin so; return their names."""

    def roles(self, prefix: str) -> list[Resource]:
        """Return the roles whose names begin so."""

    def exists(self, data: Resource) -> bool:
        """Tell whether a bucket, table or secret is there."""

    def tagged(self, tags: dict[str, str]) -> list[str]:
        """Return the ARNs of what has these tags."""


#: The stacks, each before those that it uses.
ORDER = ("observability", "api", "gpu", "work", "models", "storage")

#: What holds data, and how it is deleted.
_DATA = {
    "AWS::S3::Bucket": "aws s3 rb --force s3://{name}",
    "AWS::DynamoDB::Table": "aws dynamodb update-table --table-name {name} --no-deletion-protection-enabled && "
    "aws dynamodb delete-table --table-name {name}",
    "AWS::SecretsManager::Secret": "aws secretsmanager delete-secret --secret-id {name}",
}

#: Part of the name of the role that CDK keeps, for the account's API Gateway knows one such role for all APIs.
LOGGING_ROLE = "CloudWatchRole"

_DELETE_LOGGING_ROLE = (
    "aws iam detach-role-policy --role-name {name} "
    "--policy-arn arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs && "
    "aws iam delete-role --role-name {name}"
)

#: How ARNs of data begin, behind the partition, region and account.
_ARN = re.compile(
    r"arn:[^:]+:(?:(?P<bucket>s3):::|(?P<table>dynamodb):[^:]*:\d*:table/|(?P<secret>secretsmanager):)(.*)"
)


def log_prefixes(stage: Stage) -> tuple[str, ...]:
    """Return what the names of log groups begin with that AWS has made for a stage, behind CloudFormation's back."""
    ours = stack_prefix(stage)
    return (
        f"/aws/lambda/{ours}",
        f"/aws/sagemaker/Endpoints/{ours}",
        f"/aws/ecs/containerinsights/{ours}",
        f"/aws/vendedlogs/states/{ours}",
    )


def tags(stage: Stage) -> dict[str, str]:
    """Return the tags of everything that a stage consists of."""
    return {"app": "backlot", "stage": stage.name}


def in_order(stacks: Iterable[Stack], stage: Stage) -> list[Stack]:
    """Return a stage's stacks in the order in which they can be deleted; those of an older app go first.

    Raises:
        NotDestroyed: one of them is another stage's.
    """
    places = {stack_prefix(stage) + name: place for place, name in enumerate(ORDER)}
    ours = list(stacks)
    strangers = [stack.name for stack in ours if not stack.name.startswith(stack_prefix(stage))]
    if strangers:
        raise NotDestroyed(f"these are no stacks of stage {stage.name}: {', '.join(strangers)}")
    return sorted(ours, key=lambda stack: (places.get(stack.name, -1), -stack.created_s))


def hand_made(plan_keys: Iterable[PlanKey], resources: Iterable[Resource]) -> list[PlanKey]:
    """Return the keys that somebody has put into a usage plan by hand."""
    ours = {resource.name for resource in resources if resource.kind == "AWS::ApiGateway::ApiKey"}
    return [key for key in plan_keys if key.key not in ours]


def of_kind(resources: Iterable[Resource], kind: str) -> list[str]:
    """Return the names of the resources of one type."""
    return [resource.name for resource in resources if resource.kind == kind]


def data_of(arn: str) -> Resource | None:
    """Return the bucket, table or secret of an ARN; None if it is of something else."""
    match = _ARN.fullmatch(arn)
    if match is None:
        return None
    if match["secret"]:
        return Resource("AWS::SecretsManager::Secret", arn)
    return Resource("AWS::S3::Bucket" if match["bucket"] else "AWS::DynamoDB::Table", match[4])


def can_be_kept(resource: Resource, stage: Stage) -> bool:
    """Tell whether something outlives its stack on purpose."""
    if resource.kind == "AWS::IAM::Role":
        return LOGGING_ROLE in resource.name
    return resource.kind == "AWS::ApiGateway::Account" or (resource.kind in _DATA and stage.keep_data)


def how_to_delete(resource: Resource) -> str:
    """Return the command that deletes something that was kept."""
    return _DATA.get(resource.kind, _DELETE_LOGGING_ROLE).format(name=resource.name)
