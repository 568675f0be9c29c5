"""Api: the REST API and the function behind it."""

import json
from typing import Any

from aws_cdk import CfnOutput
from aws_cdk import Stack as CdkStack
from aws_cdk import aws_iam as iam
from constructs import Construct

from backlot.assets import (
    CUT_OUT_PREFIX,
    DEBUG_PREFIX,
    FACE_PREFIX,
    MASKED_EDIT_PREFIX,
    SMART_MASK_PREFIX,
    UPLOAD_PREFIX,
)
from backlot.aws.model_watch import FOLLOWED, progress_prefix
from backlot.aws.task_store import OWNER_INDEX, STATUS_INDEX
from backlot.operations import Lane, catalogue
from backlot.providers.fal import Fal
from backlot.steps.segment_body import MODEL
from cdk.config import Stage
from cdk.constructs.dependency_layer import DependencyLayer
from cdk.constructs.machine import machine_arn
from cdk.constructs.model_endpoint import endpoint_arn
from cdk.constructs.public_url import PublicUrl
from cdk.constructs.python_function import PythonFunction
from cdk.constructs.rest_api import StudioApi
from cdk.model_environment import release_key
from cdk.names import endpoint_name
from cdk.stacks.storage import StorageStack
from cdk.stacks.work import WorkStack


class ApiStack(CdkStack):
    """What clients talk to.

    Args:
        stage: of the deployment.
        storage: with records and results.
        work: that its requests begin.
        closed_lanes: lanes whose machines are not deployed.
        closed_models: models of our own that have no endpoint.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        storage: StorageStack,
        work: WorkStack,
        closed_lanes: tuple[Lane, ...],
        closed_models: tuple[str, ...],
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._stage, self._storage, self._work = stage, storage, work
        self._closed_lanes, self._closed_models = closed_lanes, closed_models
        # A layer of this stack's own: CloudFormation cannot change an export that another stack uses.
        self._layer = DependencyLayer(self, "Dependencies", platform=stage.platform).version
        serve_api, receiver = self._serve_api(), self._receiver()
        self.functions = [serve_api, receiver]
        self.studio_api = StudioApi(self, "StudioApi", stage=stage, target=serve_api.target)
        self.studio_api.add_webhook(Fal.name, receiver.target)
        PublicUrl(self, "PublicUrl", stage=stage, api=self.studio_api.api)
        CfnOutput(self, "ApiUrl", value=self.studio_api.api.url)
        for name, key_id in self.studio_api.key_ids.items():
            CfnOutput(self, f"ApiKeyId{name.capitalize()}", value=key_id)

    def _serve_api(self) -> PythonFunction:
        stage, storage, work = self._stage, self._storage, self._work
        tables = storage.tables
        serve_api = PythonFunction(
            self,
            "ServeApi",
            stage=stage,
            name="serve_api",
            layer=self._layer,
            memory_mb=1024,
            snap_start=stage.snap_start,
            environment={
                "STAGE": stage.name,
                "TASK_STORE": tables.task_store.table_name,
                "IDEMPOTENCY_TABLE": tables.idempotency.table_name,
                "STATE_MACHINE_PREFIX": machine_arn(self, stage, ""),
                "QUEUE_URL": work.cpu_tasks.queue.queue_url,
                "BUCKET": storage.assets.bucket.bucket_name,
                "CDN_BASE_URL": storage.assets.base_url,
                "INSECURE_HOSTS": ",".join(stage.insecure_hosts),
                "PROVIDER_SECRETS_PREFIX": work.secrets.prefix,
                "SEEDREAM_MODEL": stage.providers.seedream_model,
                "WEBHOOK_SECRET": work.webhooks.secret_name,
                "UPLOAD_BASE_URL": stage.upload_base_url or "",
                "SEEDREAM_MODELS": ",".join(
                    f"{alias}={model_id}" for alias, model_id in stage.providers.seedream_models.items()
                ),
                "CORS_ORIGINS": ",".join(stage.cors_origins),
                "TASK_DAYS": str(stage.result_days),
                "QUEUE_MAX": json.dumps(stage.queue_max),
                "NODE_CLASSES": json.dumps(stage.gpu.node_classes),
                "CLOSED_LANES": ",".join(self._closed_lanes),
                "CLOSED_MODELS": ",".join(self._closed_models),
                "PORTRAIT_ROUTE": stage.portraits,
                "DELIVERS_MASKS": "true" if stage.mask_assets_url else "false",
                "MODEL_ENDPOINTS": json.dumps({name: endpoint_name(stage, name) for name in stage.models}),
                "MODEL_CONCURRENCY": str(stage.models[MODEL].concurrency),
                **({"AWS_ENDPOINT_URL_SAGEMAKER": stage.sagemaker_url} if stage.sagemaker_url else {}),
            },
        )
        serve_api.role.add_to_policy(
            iam.PolicyStatement(
                actions=["sagemaker:DescribeEndpoint"],
                resources=[endpoint_arn(self, stage, name) for name in stage.models],
            )
        )
        tables.grant(tables.task_store, serve_api.role, "GetItem", "PutItem", "UpdateItem")
        tables.grant_query(serve_api.role, OWNER_INDEX)
        tables.grant_query(serve_api.role, STATUS_INDEX)
        tables.grant(tables.idempotency, serve_api.role, "GetItem", "UpdateItem")
        storage.assets.grant_write(serve_api.role, UPLOAD_PREFIX)
        # Older clients want pictures in the answer.
        storage.assets.grant_read_below(
            serve_api.role, SMART_MASK_PREFIX, CUT_OUT_PREFIX, MASKED_EDIT_PREFIX, DEBUG_PREFIX
        )
        # Sessions are listed and deleted by their owners, and packed for them.
        storage.assets.grant_sweep(serve_api.role, DEBUG_PREFIX)
        storage.assets.grant_write(serve_api.role, DEBUG_PREFIX)
        storage.assets.grant_write_objects(serve_api.role, *(release_key(stage, model) for model in stage.models))
        followed = sorted(FOLLOWED & set(stage.models))
        if followed:
            progress = (progress_prefix(endpoint_name(stage, model)) for model in followed)
            storage.assets.grant_read_below(serve_api.role, *progress)
        work.secrets.grant_describe(serve_api.role)
        work.webhooks.grant_read(serve_api.role)
        serve_api.role.add_to_policy(
            iam.PolicyStatement(
                actions=["states:StartExecution"],
                resources=[machine_arn(self, stage, operation) for operation in catalogue()],
            )
        )
        work.cpu_tasks.grant_send(serve_api.role)
        storage.assets.grant_write(serve_api.role, FACE_PREFIX)
        return serve_api

    def _receiver(self) -> PythonFunction:
        tables, queue = self._storage.tables, self._work.cpu_tasks
        receiver = PythonFunction(
            self,
            "ReceiveProviderResult",
            stage=self._stage,
            name="receive_provider_result",
            layer=self._layer,
            environment={
                "IDEMPOTENCY_TABLE": tables.idempotency.table_name,
                "QUEUE_URL": queue.queue.queue_url,
                "TASK_DAYS": str(self._stage.result_days),
                "FAL_JWKS_URL": self._stage.providers.fal_jwks_url,
            },
        )
        tables.grant(tables.idempotency, receiver.role, "UpdateItem")
        queue.grant_send(receiver.role)
        return receiver
