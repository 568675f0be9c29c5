"""The role with which Application Auto Scaling works."""

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct


def scaling_role(scope: Construct, *, service: str, resource: str) -> iam.IRole:
    """Name the role that Application Auto Scaling makes for itself; a role of ours would not be used.

    Args:
        scope: gets the reference.
        service: whose resource is scaled, as its principal has it: `ecs`.
        resource: as the role's name has it: `ECSService`.
    """
    stack, principal = Stack.of(scope), f"{service}.application-autoscaling.amazonaws.com"
    name = f"AWSServiceRoleForApplicationAutoScaling_{resource}"
    arn = f"arn:{stack.partition}:iam::{stack.account}:role/aws-service-role/{principal}/{name}"
    return iam.Role.from_role_arn(scope, "ScalingRole", arn, mutable=False)
