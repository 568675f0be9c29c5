"""Calls a function every minute."""

from aws_cdk import Duration
from aws_cdk import aws_iam as iam
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_scheduler_targets as targets
from constructs import Construct

from cdk.constructs.acknowledged import accept_wildcards
from cdk.constructs.python_function import PythonFunction


def call_every_minute(scope: Construct, function: PythonFunction, description: str) -> None:
    """Make a schedule in a scope that has no other.

    Args:
        scope: gets the schedule and its role.
        function: is called.
        description: of the schedule.
    """
    caller = iam.Role(scope, "Scheduler", assumed_by=iam.ServicePrincipal("scheduler.amazonaws.com"))
    scheduler.Schedule(
        scope,
        "EveryMinute",
        schedule=scheduler.ScheduleExpression.rate(Duration.minutes(1)),
        target=targets.LambdaInvoke(function.function, role=caller),
        description=description,
    )
    accept_wildcards(caller, "CDK grants all versions of the function", f"{function.function.function_arn}:*")
