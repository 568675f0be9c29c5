"""Findings of cdk-nag that we accept, each beside its resource and with its reason."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def accept(construct: IConstruct, reason: str, *findings: str) -> None:
    """Accept findings of the AwsSolutions pack on a construct and what is below it.

    Args:
        reason: why the finding does not hold here.
        findings: their ids without the pack's name, such as `IAM5[Resource::*]`.
    """
    for finding in findings:
        Validations.of(construct).acknowledge(Acknowledgment(id=f"AwsSolutions-{finding}", reason=reason))
