"""Storage: what outlives everything else."""

from typing import Any

from aws_cdk import Aws, CfnOutput
from aws_cdk import Stack as CdkStack
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.asset_store import AssetStore
from cdk.constructs.task_tables import TaskTables
from cdk.names import bucket_name


class StorageStack(CdkStack):
    """The bucket with its CDN, and the tables."""

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, **kwargs: Any) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self.assets = AssetStore(
            self, "Assets", stage=stage, bucket_name=bucket_name(stage, Aws.ACCOUNT_ID, Aws.REGION)
        )
        self.tables = TaskTables(self, "Tables", stage=stage)
        CfnOutput(self, "BucketName", value=self.assets.bucket.bucket_name)
        CfnOutput(self, "TaskStoreName", value=self.tables.task_store.table_name)
        CfnOutput(self, "IdempotencyTableName", value=self.tables.idempotency.table_name)
        CfnOutput(self, "CdnDomain", value=self.assets.distribution.distribution_domain_name)
        CfnOutput(self, "CdnUrl", value=self.assets.base_url)
