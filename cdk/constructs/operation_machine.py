"""The state machine of an operation: its definition, what it may do, and nothing more."""

from aws_cdk import aws_iam as iam
from constructs import Construct

from backlot.operations import Operation
from cdk.config import Stage
from cdk.constructs.machine import NamedMachine
from cdk.constructs.task_tables import TaskTables
from cdk.constructs.work_queue import WorkQueue
from cdk.definitions import definition


class OperationMachine(NamedMachine):
    """The machine that is called by the operation's name.

    Args:
        stage: of the deployment.
        operation: of the catalogue.
        tables: where it records how tasks end.
        queues: by the name that its definition has for a queue's URL, such as `CpuTasksQueueUrl`.
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
        urls = {name: queue.queue.queue_url for name, queue in queues.items()}
        super().__init__(
            scope,
            construct_id,
            stage=stage,
            name=operation.name,
            definition=definition(operation),
            substitutions={"TaskStoreName": tables.task_store.table_name, **urls},
        )
        tables.grant(tables.task_store, self.machine, "UpdateItem")
        for name, queue in queues.items():
            if name in self.placeholders:
                iam.Grant.add_to_principal(
                    grantee=self.machine, actions=["sqs:SendMessage"], resource_arns=[queue.queue.queue_arn]
                )
