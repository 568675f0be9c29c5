"""Findings of cdk-nag that we accept, each beside its resource and with its reason."""

from typing import Any

from aws_cdk import Acknowledgment, Annotations, Stack, Validations
from constructs import IConstruct


def accept(construct: IConstruct, reason: str, *findings: str) -> None:
    """Accept findings of the AwsSolutions pack on a construct and what is below it.

    Args:
        construct: with the findings.
        reason: why they do not hold here.
        findings: their ids without the pack's name, such as `IAM5[Resource::*]`.
    """
    for finding in findings:
        Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason))


def accept_wildcards(construct: IConstruct, reason: str, *arns: str) -> None:
    """Accept ARNs with a wildcard in the policies of a construct.

    Args:
        construct: with the policies.
        reason: why no narrower ARN can be named.
        arns: as they are written into the policies, tokens and all.
    """
    accept(construct, reason, *(f"IAM5[Resource::{_as_found(construct, arn)}]" for arn in arns))


def accept_warning(construct: IConstruct, reason: str, warning: str) -> None:
    """Accept a warning of the CDK itself on a construct and what is below it.

    Args:
        construct: with the warning.
        reason: why it does not hold here.
        warning: its id.
    """
    Annotations.of(construct).acknowledge_warning(warning, reason)


def _as_found(construct: IConstruct, arn: str) -> str:
    """Write an ARN as cdk-nag names it: `{"Ref": "AWS::Region"}` is `<AWS::Region>`, `Fn::GetAtt` is `<Id.Arn>`."""
    resolved = Stack.of(construct).resolve(arn)
    parts = resolved["Fn::Join"][1] if isinstance(resolved, dict) and "Fn::Join" in resolved else [resolved]
    return "".join(_flat(part) for part in parts)


def _flat(part: Any) -> str:
    if isinstance(part, str):
        return part
    return f"<{part['Ref']}>" if "Ref" in part else f"<{'.'.join(part['Fn::GetAtt'])}>"
