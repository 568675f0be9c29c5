"""The tables: tasks, and what makes submissions and steps happen once."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from constructs import Construct

from backlot.aws.task_store import OWNER_INDEX, STATUS_INDEX
from cdk.config import Stage
from cdk.names import idempotency_name, task_store_name


class TaskTables(Construct):
    """`task_store` with its indexes, that of the replaced servers' table among them, and the idempotency table."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self._stage = stage
        self.task_store = self._table("TaskStore", task_store_name(stage), "task_id", "ttl")
        self.task_store.add_global_secondary_index(
            index_name=STATUS_INDEX,
            partition_key=dynamodb.Attribute(name="status", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="created_at", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.ALL,
        )
        self.task_store.add_global_secondary_index(
            index_name=OWNER_INDEX,
            partition_key=dynamodb.Attribute(name="owner", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="created_ms", type=dynamodb.AttributeType.NUMBER),
            projection_type=dynamodb.ProjectionType.ALL,
        )
        self.idempotency = self._table("Idempotency", idempotency_name(stage), "id", "expires_at")

    def _table(self, construct_id: str, name: str, key: str, ttl: str) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            construct_id,
            table_name=name,
            partition_key=dynamodb.Attribute(name=key, type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=ttl,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._stage.keep_data,
            removal_policy=RemovalPolicy.RETAIN if self._stage.keep_data else RemovalPolicy.DESTROY,
        )

    def grant(self, table: dynamodb.ITable, grantee: iam.IGrantable, *actions: str) -> None:
        """Let somebody do named things with a table, and nothing with its indexes."""
        iam.Grant.add_to_principal(
            grantee=grantee, actions=[f"dynamodb:{action}" for action in actions], resource_arns=[table.table_arn]
        )

    def grant_query(self, grantee: iam.IGrantable, index: str) -> None:
        """Let somebody query one index of `task_store`."""
        iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["dynamodb:Query"],
            resource_arns=[f"{self.task_store.table_arn}/index/{index}"],
        )
