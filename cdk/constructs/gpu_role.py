"""What a worker of the GPU lane may do."""

from aws_cdk import Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from backlot.assets import COMFYUI_PREFIX
from backlot.operations import Lane, catalogue
from cdk.checkpoints import MODEL_PREFIX
from cdk.config import Stage
from cdk.constructs.acknowledged import accept_wildcards
from cdk.constructs.asset_store import AssetStore
from cdk.constructs.machine import machine_arn
from cdk.constructs.task_tables import TaskTables
from cdk.constructs.work_queue import WorkQueue
from cdk.gpu_models import COMFYUI


class GpuWorkerRole(Construct):
    """The role of the worker's containers; in local mode the worker takes it on as well.

    Args:
        stage: of the deployment.
        queue: of the lane's work.
        tables: of tasks, and of what happens once.
        assets: the bucket of pictures and models.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        queue: WorkQueue,
        tables: TaskTables,
        assets: AssetStore,
    ) -> None:
        super().__init__(scope, construct_id)
        tasks = iam.ServicePrincipal("ecs-tasks.amazonaws.com")
        self.role = iam.Role(
            self,
            "Role",
            assumed_by=iam.CompositePrincipal(tasks, iam.AccountPrincipal(Stack.of(self).account))
            if stage.emulated
            else tasks,
        )
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "sqs:ChangeMessageVisibility",
                    "sqs:DeleteMessage",
                    "sqs:ReceiveMessage",
                    "sqs:SendMessage",
                ],
                resources=[queue.queue.queue_arn],
            )
        )
        tables.grant(tables.task_store, self.role, "GetItem", "UpdateItem")
        tables.grant(tables.idempotency, self.role, "GetItem", "UpdateItem")
        assets.grant_read(self.role, f"{MODEL_PREFIX}{COMFYUI}/")
        assets.grant_write(self.role, COMFYUI_PREFIX)
        # Long videos go up in parts.
        assets.grant_abort(self.role, COMFYUI_PREFIX)
        machines = [machine_arn(self, stage, name) for name, each in catalogue().items() if each.lane is Lane.GPU]
        self.role.add_to_policy(
            iam.PolicyStatement(actions=["states:SendTaskFailure", "states:SendTaskSuccess"], resources=machines)
        )

    def grant_protection(self, cluster: ecs.Cluster) -> None:
        """Let a worker ask ECS not to stop it while it works."""
        tasks = cluster.arn_for_tasks("*")
        self.role.add_to_policy(
            iam.PolicyStatement(actions=["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"], resources=[tasks])
        )
        accept_wildcards(self.role, "ECS names tasks when it starts them; what is granted is the cluster", tasks)
