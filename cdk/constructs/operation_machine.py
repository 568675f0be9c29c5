"""The state machine of an operation: its ASL file, what it may do, and nothing more."""

import re

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from backlot.operations import Operation
from cdk.config import Stage
from cdk.constructs.acknowledged import accept
from cdk.constructs.task_tables import TaskTables
from cdk.constructs.work_queue import WorkQueue
from cdk.packaging import ROOT


class OperationMachine(Construct):
    """A standard state machine called `backlot-<stage>-<operation>`, so that a person and an ARN find it by name.

    CDK grants nothing to a machine that is defined by text: what the text names is granted here.

    Args:
        stage: of the deployment.
        operation: of the catalogue.
        tables: where it records how tasks end.
        queues: by the name that the file has for a queue's URL, such as `CpuTasksQueueUrl`.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        operation: Operation,
        tables: TaskTables,
        queues: dict[str, WorkQueue],
    ) -> None:
        super().__init__(scope, construct_id)
        definition = (ROOT / "stepfunctions" / f"{operation.module}.asl.json").read_text("utf-8")
        named = set(re.findall(r"\$\{(\w+)\}", definition))
        used = {name: queue for name, queue in queues.items() if name in named}
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/aws/vendedlogs/states/{machine_name(stage, operation.name)}",
            retention=logs.RetentionDays.ONE_MONTH,
            removal_policy=RemovalPolicy.DESTROY,
        )
        self.machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=machine_name(stage, operation.name),
            definition_body=sfn.DefinitionBody.from_string(definition),
            definition_substitutions={
                "TaskStoreName": tables.task_store.table_name,
                **{name: queue.queue.queue_url for name, queue in used.items()},
            },
            tracing_enabled=stage.tracing,
            logs=sfn.LogOptions(destination=log, level=sfn.LogLevel.ERROR, include_execution_data=False),
        )
        tables.grant(tables.task_store, self.machine, "UpdateItem")
        for queue in used.values():
            iam.Grant.add_to_principal(
                grantee=self.machine, actions=["sqs:SendMessage"], resource_arns=[queue.queue.queue_arn]
            )
        accept(self.machine.role, "log delivery and X-Ray have no resources to name", "IAM5[Resource::*]")
        accept(
            self.machine,
            "every execution's history is kept for 90 days; logging it again costs more than running it",
            "SF1",
        )
        if not stage.tracing:
            accept(self.machine, "this stage sends no traces", "SF2")


def machine_name(stage: Stage, operation: str) -> str:
    """Return the name of an operation's state machine."""
    return f"backlot-{stage.name}-{operation}"


def machine_arn(scope: Construct, stage: Stage, operation: str) -> str:
    """Return the ARN of an operation's state machine, or with an empty name the beginning of all of them."""
    stack = Stack.of(scope)
    return f"arn:{stack.partition}:states:{stack.region}:{stack.account}:stateMachine:{machine_name(stage, operation)}"
