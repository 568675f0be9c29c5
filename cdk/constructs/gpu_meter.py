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
        spot_group: name of the Auto Scaling group of the spot instances.
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
        spot_group: str,
    ) -> None:
        gpu = stage.gpu
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
                "SPOT_GROUP": spot_group,
                "DEFAULT_PROMPT_S": f"{gpu.default_prompt_s:g}",
                "UTILISATION": f"{gpu.utilisation:g}",
                "DRAIN_S": str(gpu.drain_s),
                "ARRIVALS_MIN": str(gpu.arrivals_min),
                "SPOT_SHORTFALL_MIN": str(gpu.spot_shortfall_min),
            },
        )
        arns = [
            Stack.of(self).format_arn(service="ecs", resource="service", resource_name=f"{cluster}/{name}")
            for name in services
        ]
        for action, resources in (
            ("sqs:GetQueueAttributes", [queue.queue.queue_arn]),
            ("ecs:DescribeServices", arns),
            ("autoscaling:DescribeAutoScalingGroups", ["*"]),
            ("cloudwatch:GetMetricStatistics", ["*"]),
        ):
            self.role.add_to_policy(iam.PolicyStatement(actions=[action], resources=resources))
        accept(
            self.role,
            "neither metrics nor a look at an Auto Scaling group have a resource to name",
            "IAM5[Resource::*]",
        )
        call_every_minute(self, self, "Measures the GPU lane for its scaling")
