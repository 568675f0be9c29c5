"""Gpu: the role of ComfyUI's workers, and their hosts and scaling once the models are published."""

from typing import Any

from aws_cdk import CfnOutput, Duration, Fn
from aws_cdk import Stack as CdkStack
from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct

from backlot.aws import cloudwatch as metrics
from cdk.config import Stage
from cdk.constructs.alarm import alarm_at
from cdk.constructs.dependency_layer import DependencyLayer
from cdk.constructs.gpu_lane import GpuLane
from cdk.constructs.gpu_role import GpuWorkerRole
from cdk.constructs.gpu_scaling import lane_metric
from cdk.constructs.gpu_worker import lane_environment
from cdk.constructs.python_function import PythonFunction
from cdk.gpu_models import Manifest
from cdk.stacks.storage import StorageStack
from cdk.stacks.work import WorkStack


class GpuStack(CdkStack):
    """The GPU lane.

    Args:
        stage: of the deployment.
        storage: with models and results.
        work: with the lane's queue.
        manifest: the models that the workflows need; as long as one is not published in the stage, there are no hosts.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        storage: StorageStack,
        work: WorkStack,
        manifest: Manifest,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._stage = stage
        queue, tables, assets = work.gpu_tasks, storage.tables, storage.assets
        role = GpuWorkerRole(self, "Worker", stage=stage, queue=queue, tables=tables, assets=assets)
        CfnOutput(self, "GpuWorkerRoleArn", value=role.role.role_arn)
        # The emulator has no hosts; local mode starts the worker itself.
        missing = [] if stage.emulated else manifest.missing(stage)
        if missing:
            CfnOutput(
                self,
                "GpuModelsNotPublished",
                value=", ".join(missing),
                description="Without these the GPU lane has no hosts, see make publish-gpu-model",
            )
        self.is_open = not missing
        self.lane = (
            None
            if stage.emulated or missing
            else GpuLane(
                self,
                "Lane",
                stage=stage,
                queue=queue,
                role=role,
                environment=lane_environment(stage, queue=queue, tables=tables, assets=assets),
                models=manifest.of(stage),
                bucket=assets.bucket.bucket_name,
                layer=DependencyLayer(self, "Dependencies", platform=stage.platform).version,
            )
        )

    @property
    def availability_zones(self) -> list[str]:
        """The zones of whichever region this becomes: CDK would look them up, or know two of them."""
        return [Fn.select(index, Fn.get_azs()) for index in range(self._stage.gpu.zones)]

    @property
    def functions(self) -> list[PythonFunction]:
        """The stack's functions."""
        return [self.lane.meter] if self.lane else []

    def alarms(self, scope: Construct) -> list[cloudwatch.Alarm]:
        """Make the alarms of work without a worker, of crashes, and of spot instances that are not to be had."""
        if self.lane is None:
            return []
        gpu = self._stage.gpu
        unserved = cloudwatch.MathExpression(
            expression="IF(workers < 1 AND backlog > 0, 1, 0)",
            using_metrics={
                "workers": lane_metric(self._stage, metrics.GPU_WORKERS),
                "backlog": lane_metric(self._stage, metrics.GPU_BACKLOG),
            },
            period=Duration.minutes(1),
        )
        crashes = lane_metric(self._stage, metrics.GPU_CRASHES, "Sum").with_(period=Duration.minutes(15))
        shortfall = lane_metric(self._stage, metrics.GPU_SPOT_SHORTFALL, "Minimum")
        return [
            alarm_at(
                scope,
                "GpuNoWorker",
                f"Tasks wait for {gpu.alarm_no_worker_min} minutes and no GPU worker runs.",
                unserved,
                1,
                periods=gpu.alarm_no_worker_min,
            ),
            alarm_at(
                scope,
                "GpuCrashes",
                f"ComfyUI has died {gpu.alarm_crashes} times within 15 minutes; look at the log of the workers.",
                crashes,
                gpu.alarm_crashes,
            ),
            alarm_at(
                scope,
                "GpuSpotShortfall",
                f"Spot instances are not to be had for {gpu.alarm_shortfall_min} minutes; on-demand ones cost more.",
                shortfall,
                1,
                periods=gpu.alarm_shortfall_min,
            ),
        ]

    def widgets(self) -> list[cloudwatch.IWidget]:
        """Make the dashboard's row of the lane."""
        if self.lane is None:
            return []

        def graph(title: str, *lines: tuple[str, str]) -> cloudwatch.GraphWidget:
            left = [lane_metric(self._stage, name, statistic) for name, statistic in lines]
            return cloudwatch.GraphWidget(title=title, left=left, width=8)

        return [
            graph("GPU backlog, s", (metrics.GPU_BACKLOG, "Average"), (metrics.GPU_BACKLOG_PER_WORKER, "Average")),
            graph(
                "GPU workers",
                (metrics.GPU_WORKERS_NEEDED, "Average"),
                (metrics.GPU_WORKERS, "Average"),
                (metrics.GPU_SPOT_MISSING, "Average"),
                (metrics.GPU_SPOT_SHORTFALL, "Average"),
            ),
            graph(
                "GPU time of a task, s, and busy share",
                (metrics.GPU_PROMPT_SECONDS, "Average"),
                (metrics.GPU_BUSY_SHARE, "Average"),
            ),
        ]
