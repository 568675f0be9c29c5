"""Api: the REST API and the function behind it."""

from typing import Any

from aws_cdk import CfnOutput
from aws_cdk import Stack as CdkStack
from aws_cdk import aws_iam as iam
from constructs import Construct

from backlot.operations import catalogue
from cdk.config import Stage
from cdk.constructs.dependency_layer import DependencyLayer
from cdk.constructs.operation_machine import machine_arn
from cdk.constructs.python_function import PythonFunction
from cdk.constructs.rest_api import StudioApi
from cdk.stacks.storage import StorageStack
from cdk.stacks.work import WorkStack


class ApiStack(CdkStack):
    """What clients talk to."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        storage: StorageStack,
        work: WorkStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        tables = storage.tables
        serve_api = PythonFunction(
            self,
            "ServeApi",
            stage=stage,
            name="serve_api",
            # A layer of this stack's own: CloudFormation cannot change an export that another stack uses.
            layer=DependencyLayer(self, "Dependencies", platform=stage.platform).version,
            memory_mb=1024,
            snap_start=stage.snap_start,
            environment={
                "STAGE": stage.name,
                "TASK_STORE": tables.task_store.table_name,
                "IDEMPOTENCY_TABLE": tables.idempotency.table_name,
                "STATE_MACHINE_PREFIX": machine_arn(self, stage, ""),
                "BUCKET": storage.assets.bucket.bucket_name,
                "CDN_BASE_URL": storage.assets.base_url,
                "INSECURE_HOSTS": ",".join(stage.insecure_hosts),
                "PROVIDER_SECRETS_PREFIX": work.secrets.prefix,
                "SEEDREAM_MODEL": stage.providers.seedream_model,
                "CORS_ORIGINS": ",".join(stage.cors_origins),
                "TASK_DAYS": str(stage.result_days),
            },
        )
        tables.grant(tables.task_store, serve_api.role, "GetItem", "PutItem")
        tables.grant(tables.idempotency, serve_api.role, "UpdateItem")
        work.secrets.grant_describe(serve_api.role)
        serve_api.role.add_to_policy(
            iam.PolicyStatement(
                actions=["states:StartExecution"],
                resources=[machine_arn(self, stage, operation) for operation in catalogue()],
            )
        )
        self.functions = [serve_api]
        self.studio_api = StudioApi(self, "StudioApi", stage=stage, target=serve_api.target)
        CfnOutput(self, "ApiUrl", value=self.studio_api.api.url)
        for name, key_id in self.studio_api.key_ids.items():
            CfnOutput(self, f"ApiKeyId{name.capitalize()}", value=key_id)
