"""A state machine that a person and an ARN find by its name."""

import json
import re
from typing import Any

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.acknowledged import accept


class NamedMachine(Construct):
    """A standard state machine called `backlot-<stage>-<name>`.

    CDK grants nothing to a machine that is defined by text; whoever makes it grants what the text names.

    Args:
        stage: of the deployment.
        name: its own.
        definition: in the states language.
        substitutions: values of the definition's placeholders; those that it does not have are left out.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        name: str,
        definition: dict[str, Any],
        substitutions: dict[str, str],
    ) -> None:
        super().__init__(scope, construct_id)
        text = json.dumps(definition)
        self.placeholders = set(re.findall(r"\$\{(\w+)\}", text))
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/aws/vendedlogs/states/{machine_name(stage, name)}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=machine_name(stage, name),
            definition_body=sfn.DefinitionBody.from_string(text),
            definition_substitutions={key: value for key, value in substitutions.items() if key in self.placeholders},
            tracing_enabled=stage.tracing,
            logs=sfn.LogOptions(destination=log, level=sfn.LogLevel.ERROR, include_execution_data=False),
        )
        accept(self.machine.role, "log delivery and X-Ray have no resources to name", "IAM5[Resource::*]")
        accept(
            self.machine,
            "every execution's history is kept for 90 days; logging it again costs more than running it",
            "SF1",
        )
        if not stage.tracing:
            accept(self.machine, "this stage sends no traces", "SF2")


def machine_name(stage: Stage, name: str) -> str:
    """Return the name of a state machine of a stage."""
    return f"backlot-{stage.name}-{name}"


def machine_arn(scope: Construct, stage: Stage, name: str) -> str:
    """Return the ARN of a state machine of a stage, or with an empty name the beginning of all of them."""
    stack = Stack.of(scope)
    return f"arn:{stack.partition}:states:{stack.region}:{stack.account}:stateMachine:{machine_name(stage, name)}"
