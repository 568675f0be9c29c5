"""The AWS account, as the operator's credentials reach it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Self

import boto3
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, WaiterError

from cdk.clients import Clients
from cdk.config import Stage
from cdk.destroy.things import NotDestroyed, PlanKey, Resource, Stack

#: CloudFront takes its time to leave all of its places.
_WAIT_S = 3600


class AwsAccount:
    """One region of an account.

    Args:
        session: a boto3 session.
        look_s: between two looks at a stack that is being deleted.
    """

    def __init__(self, session: Any, look_s: float = 5) -> None:
        self._look_s = look_s
        self._clients = Clients(session)
        with _explained("the account cannot be reached"):
            account = self._clients.of("sts").get_caller_identity()["Account"]
        self.place = f"account {account}, region {session.region_name}"
        self._account = account

    @classmethod
    def of(cls, stage: Stage) -> Self:
        """Find the account of a stage.

        Raises:
            NotDestroyed: there are no credentials or no region, or they are of another account.
        """
        with _explained("the account cannot be reached"):
            session = boto3.Session(region_name=stage.region)
            found = cls(session)
        if stage.account not in {None, found._account}:
            raise NotDestroyed(
                f"stage {stage.name} is in account {stage.account}; these credentials are of {found._account}"
            )
        return found

    def stacks(self, prefix: str) -> list[Stack]:
        """Return the stacks whose names begin so."""
        with _explained("the stacks cannot be listed"):
            found = self._clients.pages("cloudformation", "describe_stacks", "Stacks")
        return [
            Stack(each["StackName"], each["StackId"], each["StackStatus"], each["CreationTime"].timestamp())
            for each in found
            if each["StackName"].startswith(prefix)
        ]

    def resources(self, stack: Stack) -> list[Resource]:
        """Return what a stack consists of."""
        with _explained(f"{stack.name} cannot be looked at"):
            found = self._clients.pages(
                "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack.stack_id
            )
        return [
            Resource(each["ResourceType"], each["PhysicalResourceId"])
            for each in found
            if each.get("PhysicalResourceId")
        ]

    def delete_stack(self, stack: Stack) -> None:
        """Delete a stack, and wait until it is gone."""
        client = self._clients.of("cloudformation")
        with _explained(f"{stack.name} was not deleted"):
            client.delete_stack(StackName=stack.stack_id)
            try:
                client.get_waiter("stack_delete_complete").wait(
                    StackName=stack.stack_id,
                    WaiterConfig={"Delay": self._look_s, "MaxAttempts": int(_WAIT_S / self._look_s)},
                )
            except WaiterError as error:
                raise NotDestroyed(f"{stack.name} was not deleted: {self._why(stack)}") from error

    def _why(self, stack: Stack) -> str:
        found = self._clients.pages(
            "cloudformation", "list_stack_resources", "StackResourceSummaries", StackName=stack.stack_id
        )
        failed = [
            f"{each['LogicalResourceId']} ({each.get('ResourceStatusReason', 'no reason given')})"
            for each in found
            if each["ResourceStatus"] == "DELETE_FAILED"
        ]
        return "; ".join(failed) or f"it was not gone within {_WAIT_S} s; see its events in the CloudFormation console"

    def stop_executions(self, machine: str) -> int:
        """Stop what runs in a state machine; return how many executions that were."""
        with _explained(f"the executions of {machine} were not stopped"):
            running = self._clients.pages(
                "stepfunctions", "list_executions", "executions", stateMachineArn=machine, statusFilter="RUNNING"
            )
            for each in running:
                self._clients.of("stepfunctions").stop_execution(
                    executionArn=each["executionArn"], error="StageDestroyed", cause="the stage is being deleted"
                )
        return len(running)

    def plan_keys(self, plan: str) -> list[PlanKey]:
        """Return the keys of a usage plan."""
        with _explained(f"the keys of usage plan {plan} cannot be listed"):
            found = self._clients.pages("apigateway", "get_usage_plan_keys", "items", usagePlanId=plan)
        return [PlanKey(plan, each["id"], each.get("name", each["id"])) for each in found]

    def detach_key(self, key: PlanKey) -> None:
        """Take a key out of its usage plan."""
        with _explained(f"the API key {key.name} was not taken out of its usage plan"):
            self._clients.of("apigateway").delete_usage_plan_key(usagePlanId=key.plan, keyId=key.key)

    def release_hosts(self, resources: Sequence[Resource]) -> None:
        """Take the protection from workers and hosts, which keeps services and groups from being deleted."""
        services = [each.name for each in resources if each.kind == "AWS::ECS::Service"]
        groups = [each.name for each in resources if each.kind == "AWS::AutoScaling::AutoScalingGroup"]
        with _explained("the GPU hosts were not released"):
            for arn in services:
                # arn:…:service/<cluster>/<service>
                _, cluster, service = arn.rsplit("/", 2)
                tasks = self._clients.pages("ecs", "list_tasks", "taskArns", cluster=cluster, serviceName=service)
                for some in _slices(tasks, 10):
                    self._clients.of("ecs").update_task_protection(cluster=cluster, tasks=some, protectionEnabled=False)
            for group in groups:
                found = self._clients.pages(
                    "autoscaling", "describe_auto_scaling_groups", "AutoScalingGroups", AutoScalingGroupNames=[group]
                )
                hosts = [host["InstanceId"] for each in found for host in each["Instances"]]
                for some in _slices(hosts, 50):
                    self._clients.of("autoscaling").set_instance_protection(
                        AutoScalingGroupName=group, InstanceIds=some, ProtectedFromScaleIn=False
                    )

    def empty_bucket(self, name: str) -> int:
        """Delete all objects of a bucket, in all versions; return how many."""
        client, deleted = self._clients.of("s3"), 0
        with _explained(f"the bucket {name} was not emptied"):
            for page in client.get_paginator("list_object_versions").paginate(Bucket=name):
                found = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in found]
                if objects:
                    answer = client.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
                    for failed in answer.get("Errors", []):
                        raise NotDestroyed(f"the bucket {name} was not emptied: {failed['Key']}: {failed['Message']}")
                    deleted += len(objects)
        return deleted

    def delete_log_groups(self, prefix: str) -> list[str]:
        """Delete the log groups whose names begin so; return their names."""
        with _explained(f"the log groups {prefix}… were not deleted"):
            found = self._clients.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix)
            names = [each["logGroupName"] for each in found]
            for name in names:
                self._clients.of("logs").delete_log_group(logGroupName=name)
        return names

    def roles(self, prefix: str) -> list[Resource]:
        """Return the roles whose names begin so."""
        with _explained("the roles cannot be listed"):
            found = self._clients.pages("iam", "list_roles", "Roles")
        return [Resource("AWS::IAM::Role", each["RoleName"]) for each in found if each["RoleName"].startswith(prefix)]

    def exists(self, data: Resource) -> bool:
        """Tell whether a bucket, table or secret is there."""
        looks: dict[str, Callable[[], dict[str, Any]]] = {
            "AWS::S3::Bucket": lambda: self._clients.of("s3").head_bucket(Bucket=data.name),
            "AWS::DynamoDB::Table": lambda: self._clients.of("dynamodb").describe_table(TableName=data.name),
            "AWS::SecretsManager::Secret": lambda: self._clients.of("secretsmanager").describe_secret(
                SecretId=data.name
            ),
        }
        with _explained(f"{data.name} cannot be looked at"):
            try:
                # A secret can be had back for some days after it was deleted.
                return "DeletedDate" not in looks[data.kind]()
            except ClientError as error:
                if error.response["Error"]["Code"] in {"404", "NoSuchBucket", "ResourceNotFoundException"}:
                    return False
                raise

    def tagged(self, tags: dict[str, str]) -> list[str]:
        """Return the ARNs of what has these tags."""
        filters = [{"Key": key, "Values": [value]} for key, value in tags.items()]
        with _explained("what is tagged cannot be listed"):
            found = self._clients.pages(
                "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=filters
            )
        return [each["ResourceARN"] for each in found]


def _slices(names: list[str], size: int) -> Iterator[list[str]]:
    """Yield a list in parts of the size that a call takes."""
    for start in range(0, len(names), size):
        yield names[start : start + size]


@contextmanager
def _explained(what: str) -> Iterator[None]:
    try:
        yield
    except (NoCredentialsError, NoRegionError) as error:
        raise NotDestroyed(f"{what}: no credentials or no region for AWS; set AWS_PROFILE or the like") from error
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise NotDestroyed(f"{what}: {error}") from error
