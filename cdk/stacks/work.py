"""Work: queues, state machines, and the functions that do and settle what they say."""

import json
from typing import Any

from aws_cdk import CfnOutput, Duration
from aws_cdk import Stack as CdkStack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda_event_sources as event_sources
from constructs import Construct

from backlot.assets import (
    DEBUG_PREFIX,
    FACE_PREFIX,
    MASK_PREFIX,
    MODEL_FAILURE_PREFIX,
    MODEL_REQUEST_PREFIX,
    MODEL_RESULT_PREFIX,
    PORTRAIT_PREFIX,
    SEEDREAM_PREFIX,
    SMART_MASK_PREFIX,
    task_checkpoints_prefix,
)
from backlot.aws.model_watch import CANCEL_PREFIX
from backlot.aws.task_store import STATUS_INDEX
from backlot.operations import catalogue
from backlot.providers.mask_assets import MaskAssets
from backlot.steps.edit_masked import MODEL as EDIT_MODEL
from cdk.config import Stage
from cdk.constructs.dependency_layer import DependencyLayer
from cdk.constructs.every_minute import call_every_minute
from cdk.constructs.machine import machine_arn
from cdk.constructs.operation_machine import OperationMachine
from cdk.constructs.provider_secrets import ProviderSecrets
from cdk.constructs.public_url import public_url_arn, public_url_parameter
from cdk.constructs.python_function import PythonFunction
from cdk.constructs.webhook_delivery import WebhookDelivery
from cdk.constructs.work_queue import WorkQueue
from cdk.names import endpoint_name
from cdk.stacks.models import ModelsStack
from cdk.stacks.storage import StorageStack

#: Longest run of a function of the models' lane, seconds: reading a foreign picture and asking for it.
INVOKE_MODEL_S = 60

_FINAL = ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"]


class WorkStack(CdkStack):
    """The paid lane, the lane of our own models, and the queue and machines of the GPU lane."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        storage: StorageStack,
        models: ModelsStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._stage = stage
        self._storage = storage
        self._models = models
        providers = {provider for operation in catalogue().values() for provider in operation.providers}
        providers |= {MaskAssets.name} if stage.mask_assets_url else set()
        self.secrets = ProviderSecrets(self, "Secrets", stage=stage, providers=sorted(providers))
        self.cpu_tasks = WorkQueue(
            self,
            "CpuTasks",
            queue_name="cpu_tasks_queue",
            suffix=stage.name_suffix,
            visibility=Duration.seconds(stage.worker.visibility_s),
            max_receives=stage.worker.max_receives,
        )
        self.model_tasks = WorkQueue(
            self,
            "ModelTasks",
            queue_name="model_tasks_queue",
            suffix=stage.name_suffix,
            visibility=Duration.seconds(6 * INVOKE_MODEL_S),
            max_receives=stage.worker.max_receives,
            fifo=True,
        )
        self.gpu_tasks = WorkQueue(
            self,
            "GpuTasks",
            queue_name="gpu_tasks_queue",
            suffix=stage.name_suffix,
            visibility=Duration.seconds(stage.gpu.visibility_s),
            max_receives=stage.gpu.max_receives,
        )
        self._queues = {"CpuTasks": self.cpu_tasks, "ModelTasks": self.model_tasks, "GpuTasks": self.gpu_tasks}
        self.machines = [
            OperationMachine(
                self,
                operation.module.title().replace("_", ""),
                stage=stage,
                operation=operation,
                tables=storage.tables,
                queues={f"{name}QueueUrl": queue for name, queue in self._queues.items()},
            )
            for operation in catalogue().values()
        ]
        self._layer = DependencyLayer(self, "Dependencies", platform=stage.platform).version
        self.webhooks = WebhookDelivery(self, "Webhooks", stage=stage, layer=self._layer, tables=storage.tables)
        self._answers_tokens = [machine_arn(self, stage, operation) for operation in catalogue()]
        self.functions = [
            self._worker(),
            self._asker(),
            self._model_receiver(),
            self._settler(),
            self._sweeper(),
            self.webhooks.function,
        ]
        CfnOutput(self, "StateMachinePrefix", value=machine_arn(self, stage, ""))
        for name, queue in self._queues.items():
            CfnOutput(self, f"{name}QueueUrl", value=queue.queue.queue_url)
            CfnOutput(self, f"{name}DlqUrl", value=queue.dead_letters.queue_url)

    def _worker(self) -> PythonFunction:
        stage, tables, assets = self._stage, self._storage.tables, self._storage.assets
        worker = PythonFunction(
            self,
            "RunPaidStep",
            stage=stage,
            name="run_paid_step",
            layer=self._layer,
            memory_mb=stage.worker.memory_mb,
            timeout=Duration.seconds(stage.worker.timeout_s),
            environment={
                "TASK_STORE": tables.task_store.table_name,
                "IDEMPOTENCY_TABLE": tables.idempotency.table_name,
                "QUEUE_URL": self.cpu_tasks.queue.queue_url,
                "BUCKET": assets.bucket.bucket_name,
                "CDN_BASE_URL": assets.base_url,
                "INSECURE_HOSTS": ",".join(stage.insecure_hosts),
                "PROVIDER_SECRETS_PREFIX": self.secrets.prefix,
                "TASK_DAYS": str(stage.result_days),
                "RATE_LIMITS": json.dumps(
                    {name: limit.model_dump() for name, limit in stage.providers.rate_limits.items()}
                ),
                "DASHSCOPE_BASE_URL": stage.providers.dashscope_base_url,
                "QWEN_VL_MODEL": stage.providers.qwen_vl_model,
                "DASHSCOPE_LIMIT_S": f"{stage.providers.dashscope_limit_s:g}",
                "ARK_BASE_URL": stage.providers.ark_base_url,
                "SEEDREAM_MODEL": stage.providers.seedream_model,
                "ARK_LIMIT_S": f"{stage.providers.ark_limit_s:g}",
                "FAL_BASE_URL": stage.providers.fal_base_url,
                "FAL_CALL_LIMIT_S": f"{stage.providers.fal_call_limit_s:g}",
                "PORTRAIT_MODEL": stage.providers.portrait_model,
                "HARMONIZE_MODEL": stage.providers.harmonize_model,
                "PUBLIC_URL_PARAMETER": public_url_parameter(stage),
                "JOB_FIRST_LOOK_S": f"{stage.providers.job_first_look_s:g}",
                "JOB_LIMIT_S": f"{stage.providers.job_limit_s:g}",
                "MASK_ASSETS_URL": stage.mask_assets_url or "",
            },
        )
        tables.grant(tables.task_store, worker.role, "GetItem", "UpdateItem")
        tables.grant(tables.idempotency, worker.role, "GetItem", "UpdateItem")
        assets.grant_read(worker.role, FACE_PREFIX)
        own = (MASK_PREFIX, SEEDREAM_PREFIX, PORTRAIT_PREFIX, SMART_MASK_PREFIX)
        # An object there cancels a request that a model of our own works on.
        assets.grant_write(worker.role, *own, CANCEL_PREFIX)
        worker.role.add_to_policy(
            iam.PolicyStatement(actions=["ssm:GetParameter"], resources=[public_url_arn(self, stage)])
        )
        self.secrets.grant_read(worker.role)
        self._let_answer_tokens(worker)
        self.cpu_tasks.grant_send(worker.role)
        worker.function.add_event_source(
            event_sources.SqsEventSource(
                self.cpu_tasks.queue,
                batch_size=1,
                max_concurrency=stage.worker.concurrency,
                report_batch_item_failures=True,
            )
        )
        return worker

    def _model_environment(self) -> dict[str, str]:
        """Return what both functions of the models' lane know."""
        stage, tables, assets = self._stage, self._storage.tables, self._storage.assets
        endpoints = {
            name: {
                "name": endpoint_name(stage, name),
                "request_ttl_s": model.request_ttl_s,
                "invocation_timeout_s": model.invocation_timeout_s,
            }
            for name, model in stage.models.items()
        }
        environment = {
            "TASK_STORE": tables.task_store.table_name,
            "IDEMPOTENCY_TABLE": tables.idempotency.table_name,
            "BUCKET": assets.bucket.bucket_name,
            "CDN_BASE_URL": assets.base_url,
            "INSECURE_HOSTS": ",".join(stage.insecure_hosts),
            "TASK_DAYS": str(stage.result_days),
            "MODEL_ENDPOINTS": json.dumps(endpoints),
        }
        if stage.sagemaker_url:
            environment["AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"] = stage.sagemaker_url
        return environment

    def _asker(self) -> PythonFunction:
        asker = PythonFunction(
            self,
            "InvokeModel",
            stage=self._stage,
            name="invoke_model",
            layer=self._layer,
            timeout=Duration.seconds(INVOKE_MODEL_S),
            environment={**self._model_environment(), "QUEUE_URL": self.model_tasks.queue.queue_url},
        )
        self._let_run_models(asker)
        self._models.grant_invoke(asker.role)
        asker.function.add_event_source(
            event_sources.SqsEventSource(self.model_tasks.queue, batch_size=1, report_batch_item_failures=True)
        )
        return asker

    def _model_receiver(self) -> PythonFunction:
        receiver = PythonFunction(
            self,
            "ReceiveModelResult",
            stage=self._stage,
            name="receive_model_result",
            layer=self._layer,
            timeout=Duration.seconds(INVOKE_MODEL_S),
            environment=self._model_environment(),
        )
        self._let_run_models(receiver)
        for topic in (self._models.succeeded, self._models.failed):
            receiver.function.add_event_source(event_sources.SnsEventSource(topic))
        return receiver

    def _let_run_models(self, function: PythonFunction) -> None:
        """Let a function do the steps of the models' lane: read answers, write requests, answer tokens."""
        tables, assets = self._storage.tables, self._storage.assets
        tables.grant(tables.task_store, function.role, "GetItem", "UpdateItem")
        tables.grant(tables.idempotency, function.role, "GetItem", "UpdateItem")
        answers = (MODEL_RESULT_PREFIX, MODEL_FAILURE_PREFIX)
        assets.grant_read(function.role, *answers, task_checkpoints_prefix(EDIT_MODEL))
        assets.grant_write(function.role, MODEL_REQUEST_PREFIX, DEBUG_PREFIX)
        self._let_answer_tokens(function)

    def _settler(self) -> PythonFunction:
        tables = self._storage.tables
        settler = PythonFunction(
            self,
            "SettleExecution",
            stage=self._stage,
            name="settle_execution",
            layer=self._layer,
            environment={
                "TASK_STORE": tables.task_store.table_name,
                "IDEMPOTENCY_TABLE": tables.idempotency.table_name,
                "STATE_MACHINE_PREFIX": machine_arn(self, self._stage, ""),
            },
        )
        tables.grant(tables.task_store, settler.role, "GetItem", "UpdateItem")
        tables.grant(tables.idempotency, settler.role, "UpdateItem")
        self.webhooks.grant_start(settler.role)
        events.Rule(
            self,
            "ExecutionEnded",
            description="An operation's execution has ended",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "status": _FINAL,
                    "stateMachineArn": [machine.machine.state_machine_arn for machine in self.machines],
                },
            ),
            targets=[targets.LambdaFunction(settler.function, retry_attempts=2)],
        )
        return settler

    def _sweeper(self) -> PythonFunction:
        tables = self._storage.tables
        sweeper = PythonFunction(
            self,
            "SweepStalled",
            stage=self._stage,
            name="sweep_stalled",
            layer=self._layer,
            environment={
                "TASK_STORE": tables.task_store.table_name,
                "STATE_MACHINE_PREFIX": machine_arn(self, self._stage, ""),
                "DEAD_LETTER_QUEUE_URLS": ",".join(queue.dead_letters.queue_url for queue in self._queues.values()),
                "BUCKET": self._storage.assets.bucket.bucket_name,
                "IDEMPOTENCY_TABLE": tables.idempotency.table_name,
                "MODEL_QUEUE_URL": self.model_tasks.queue.queue_url,
                "TASK_DAYS": str(self._stage.result_days),
            },
        )
        tables.grant(tables.idempotency, sweeper.role, "GetItem")
        self.model_tasks.grant_send(sweeper.role)
        self._storage.assets.grant_sweep(sweeper.role, FACE_PREFIX)
        tables.grant_query(sweeper.role, STATUS_INDEX)
        sweeper.role.add_to_policy(
            iam.PolicyStatement(actions=["states:StartExecution"], resources=self._answers_tokens)
        )
        sweeper.role.add_to_policy(
            iam.PolicyStatement(
                actions=["sqs:ReceiveMessage", "sqs:ChangeMessageVisibility"],
                resources=[queue.dead_letters.queue_arn for queue in self._queues.values()],
            )
        )
        self._let_answer_tokens(sweeper)
        call_every_minute(self, sweeper, "Looks for tasks that nothing else would move")
        return sweeper

    def _let_answer_tokens(self, function: PythonFunction) -> None:
        """Grant by the machines' names: granting by reference makes a cycle as soon as a machine calls the function."""
        function.role.add_to_policy(
            iam.PolicyStatement(
                actions=["states:SendTaskSuccess", "states:SendTaskFailure"], resources=self._answers_tokens
            )
        )
