"""The function that measures the GPU lane for its scaling."""

from collections.abc import Sequence

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.acknowledged import accept
from cdk.constructs.every_minute import call_every_minute
from cdk.constructs.python_function import PythonFunction
from cdk.constructs.work_queue import WorkQueue


class GpuMeter(PythonFunction):
    """`measure_gpu_lane`, called every minute.

    Args:
        stage: of the deployment.
        layer: the functions' libraries.
        queue: of the lane's work.
        cluster: name of the ECS cluster.
        services: names of the service on spot instances and of the one on on-demand instances, if there is one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        layer: lambda_.ILayerVersion,
        queue: WorkQueue,
        cluster: str,
        services: Sequence[str],
    ) -> None:
        spot, on_demand = (*services, "")[:2]
        super().__init__(
            scope,
            construct_id,
            stage=stage,
            name="measure_gpu_lane",
            layer=layer,
            environment={
                "QUEUE_URL": queue.queue.queue_url,
                "CLUSTER": cluster,
                "SPOT_SERVICE": spot,
                "ON_DEMAND_SERVICE": on_demand,
                "DEFAULT_PROMPT_S": f"{stage.gpu.default_prompt_s:g}",
                "SPOT_SHORTFALL_MIN": str(stage.gpu.spot_shortfall_min),
            },
        )
        arns = [
            Stack.of(self).format_arn(service="ecs", resource="service", resource_name=f"{cluster}/{name}")
            for name in services
        ]
        for action, resources in (
            ("sqs:GetQueueAttributes", [queue.queue.queue_arn]),
            ("ecs:DescribeServices", arns),
            ("cloudwatch:GetMetricStatistics", ["*"]),
        ):
            self.role.add_to_policy(iam.PolicyStatement(actions=[action], resources=resources))
        accept(self.role, "metrics have no resource to name", "IAM5[Resource::*]")
        call_every_minute(self, self, "Measures the GPU lane for its scaling")
