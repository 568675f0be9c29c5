"""The GPU lane's hosts, services and scaling, once its models are published."""

from collections.abc import Sequence
from typing import Any

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.acknowledged import accept, accept_warning
from cdk.constructs.gpu_hosts import GpuHosts
from cdk.constructs.gpu_meter import GpuMeter
from cdk.constructs.gpu_network import GpuNetwork
from cdk.constructs.gpu_role import GpuWorkerRole
from cdk.constructs.gpu_scaling import OnDemandScaling, SpotScaling
from cdk.constructs.gpu_worker import GpuWorker
from cdk.constructs.work_queue import WorkQueue

SPOT_SERVICE, ON_DEMAND_SERVICE = "comfyui-spot", "comfyui-on-demand"


class GpuLane(Construct):
    """A cluster with a service on spot instances, one on on-demand instances behind it, and their scaling.

    Args:
        stage: of the deployment.
        queue: of the lane's work.
        role: of the worker.
        environment: of the worker, see `lane_environment`.
        models: the files of the manifest, as they are published in the stage.
        bucket: name of the bucket with them.
        layer: the functions' libraries.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        queue: WorkQueue,
        role: GpuWorkerRole,
        environment: dict[str, str],
        models: Sequence[dict[str, Any]],
        bucket: str,
        layer: lambda_.ILayerVersion,
    ) -> None:
        super().__init__(scope, construct_id)
        network = GpuNetwork(self, "Network", stage=stage)
        self.cluster = ecs.Cluster(self, "Cluster", vpc=network.vpc)
        accept(self.cluster, "the lane has metrics of its own, which scale it", "ECS4")
        role.grant_protection(self.cluster)
        worker = GpuWorker(
            self, "Worker", stage=stage, environment=environment, models=models, bucket=bucket, role=role.role
        )
        spot = GpuHosts(self, "SpotHosts", stage=stage, spot=True, network=network, cluster=self.cluster)
        on_demand = (
            GpuHosts(self, "OnDemandHosts", stage=stage, spot=False, network=network, cluster=self.cluster)
            if stage.gpu.max_on_demand
            else None
        )
        providers = [hosts.provider.capacity_provider_name for hosts in (spot, on_demand) if hosts]
        # CDK makes these itself, but lets no service wait for them.
        self._providers = ecs.CfnClusterCapacityProviderAssociations(
            self,
            "Providers",
            cluster=self.cluster.cluster_name,
            capacity_providers=providers,
            default_capacity_provider_strategy=[],
        )
        # A cluster that CDK does not ask for its hosts.
        self._joined = ecs.Cluster.from_cluster_attributes(
            self, "Joined", cluster_name=self.cluster.cluster_name, vpc=network.vpc
        )
        spot_service = self._service("Spot", SPOT_SERVICE, worker.task, spot, least=stage.gpu.min_workers)
        SpotScaling(self, "SpotScaling", stage=stage, service=spot_service)
        if on_demand:
            service = self._service("OnDemand", ON_DEMAND_SERVICE, worker.task, on_demand, least=0)
            OnDemandScaling(self, "OnDemandScaling", stage=stage, service=service)
        self.meter = GpuMeter(
            self,
            "MeasureGpuLane",
            stage=stage,
            layer=layer,
            queue=queue,
            cluster=self.cluster.cluster_name,
            services=[SPOT_SERVICE, ON_DEMAND_SERVICE] if on_demand else [SPOT_SERVICE],
            spot_group=spot.group.auto_scaling_group_name,
        )

    def _service(
        self, construct_id: str, name: str, task: ecs.Ec2TaskDefinition, hosts: GpuHosts, *, least: int
    ) -> ecs.Ec2Service:
        """Make a service that CloudFormation never waits for a GPU with.

        A circuit breaker would: to it a task that waits for a host is one that fails to start, and it rolls back while
        the host is still coming. So there is none. A deployment sets the number of workers to the least, none if the
        stage says nothing else. It is complete when the busy ones have done their tasks; scaling starts the new ones,
        on hosts that are still there. What never starts is told by the alarm of work without a worker.

        Source: aws-samples/cost-effective-aws-deployment-of-comfyui, pull request 19, read 2026-11-21.
        """
        service = ecs.Ec2Service(
            self,
            construct_id,
            cluster=self._joined,
            service_name=name,
            task_definition=task,
            capacity_provider_strategies=[
                ecs.CapacityProviderStrategy(capacity_provider=hosts.provider.capacity_provider_name, weight=1)
            ],
            desired_count=least,
            # A new worker needs the GPU of an old one; to move one for the sake of zones would need another host.
            min_healthy_percent=0,
            max_healthy_percent=100,
            availability_zone_rebalancing=ecs.AvailabilityZoneRebalancing.DISABLED,
            propagate_tags=ecs.PropagatedTagSource.SERVICE,
        )
        service.node.add_dependency(self._providers)
        accept_warning(service, "it would fire while a host is coming", "@aws-cdk/aws-ecs:shouldUseCircuitBreaker")
        return service
