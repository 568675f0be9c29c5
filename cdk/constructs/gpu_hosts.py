"""GPU hosts: an Auto Scaling group that an ECS cluster makes as large as its tasks need it."""

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_autoscaling as autoscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.acknowledged import accept, accept_wildcards
from cdk.constructs.gpu_network import GpuNetwork

#: Where a host's NVMe disk is mounted; a container finds the models there.
MODELS_ON_HOST = "/mnt/models"

#: The user of the worker's image.
WORKER_UID = 1000

#: What a host does before its agent starts. One whose disk cannot be mounted does not learn of the cluster.
_START = (
    "set -eu",
    "disks=(/dev/disk/by-id/nvme-Amazon_EC2_NVMe_Instance_Storage_*)",
    'mkfs.xfs -f "${disks[0]}"',
    f"mkdir -p {MODELS_ON_HOST}",
    f'mount -o noatime "${{disks[0]}}" {MODELS_ON_HOST}',
    f"chown {WORKER_UID}:{WORKER_UID} {MODELS_ON_HOST}",
    # An image that a host has is not asked for again when a second worker starts on it.
    "echo ECS_IMAGE_PULL_BEHAVIOR=prefer-cached >> /etc/ecs/ecs.config",
    # On a spot notice ECS drains the host, which stops the worker and gives its place to another host's.
    "echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config",
)


class GpuHosts(Construct):
    """Spot instances, or on-demand instances.

    Args:
        stage: of the deployment.
        spot: whether they are spot instances.
        network: that they live in.
        cluster: that they belong to.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        spot: bool,
        network: GpuNetwork,
        cluster: ecs.Cluster,
    ) -> None:
        super().__init__(scope, construct_id)
        gpu = stage.gpu
        template = self._template(stage, network, cluster)
        self.group = autoscaling.AutoScalingGroup(
            self,
            "Group",
            vpc=network.vpc,
            vpc_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
            min_capacity=0,
            max_capacity=gpu.max_spot if spot else gpu.max_on_demand,
            # ECS takes the protection from hosts without a task before it lets the group shrink.
            new_instances_protected_from_scale_in=True,
            mixed_instances_policy=autoscaling.MixedInstancesPolicy(
                launch_template=template,
                launch_template_overrides=[
                    autoscaling.LaunchTemplateOverrides(instance_type=ec2.InstanceType(name))
                    for name in gpu.instance_types
                ],
                instances_distribution=autoscaling.InstancesDistribution(
                    on_demand_base_capacity=0,
                    on_demand_percentage_above_base_capacity=0 if spot else 100,
                    on_demand_allocation_strategy=autoscaling.OnDemandAllocationStrategy.PRIORITIZED,
                    spot_allocation_strategy=autoscaling.SpotAllocationStrategy.PRICE_CAPACITY_OPTIMIZED,
                ),
            ),
        )
        accept(self.group, "the rule cannot read a list of types; the disk of their template is encrypted", "EC26")
        accept(self.group, "hosts come and go with the work; alarms watch the work", "AS3")
        self.provider = ecs.AsgCapacityProvider(
            self,
            "Provider",
            auto_scaling_group=self.group,
            enable_managed_scaling=True,
            enable_managed_termination_protection=True,
            enable_managed_draining=True,
            target_capacity_percent=100,
        )

    def _template(self, stage: Stage, network: GpuNetwork, cluster: ecs.Cluster) -> ec2.LaunchTemplate:
        image = ecs.EcsOptimizedImage.amazon_linux2023(ecs.AmiHardwareType.GPU)
        start = ec2.UserData.for_linux()
        start.add_commands(*_START, f"echo ECS_CLUSTER={cluster.cluster_name} >> /etc/ecs/ecs.config")
        return ec2.LaunchTemplate(
            self,
            "Template",
            machine_image=image,
            user_data=start,
            role=self._role(cluster),
            security_group=network.hosts,
            associate_public_ip_address=True,
            require_imdsv2=True,
            # The worker looks for its spot notice from a container with a network of its own, one hop further.
            http_put_response_hop_limit=2,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        stage.gpu.root_gb,
                        encrypted=True,
                        volume_type=ec2.EbsDeviceVolumeType.GP3,
                        # An image of several GB is unpacked to it while a task waits.
                        throughput=500,
                        iops=4000,
                    ),
                )
            ],
        )

    def _role(self, cluster: ecs.Cluster) -> iam.Role:
        """Return the role of ECS's agent; containers have roles of their own."""
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("ec2.amazonaws.com"))
        hosts = Stack.of(self).format_arn(
            service="ecs",
            resource="container-instance",
            resource_name=f"{cluster.cluster_name}/*",
            arn_format=ArnFormat.SLASH_RESOURCE_NAME,
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=[
                    "ecs:DeregisterContainerInstance",
                    "ecs:RegisterContainerInstance",
                    "ecs:SubmitAttachmentStateChanges",
                    "ecs:SubmitContainerStateChange",
                    "ecs:SubmitTaskStateChange",
                ],
                resources=[cluster.cluster_arn],
            )
        )
        role.add_to_policy(
            iam.PolicyStatement(
                actions=["ecs:Poll", "ecs:StartTelemetrySession", "ecs:UpdateContainerInstancesState"],
                resources=[hosts],
            )
        )
        role.add_to_policy(iam.PolicyStatement(actions=["ecs:DiscoverPollEndpoint"], resources=["*"]))
        accept(role, "where an agent polls has no resource to name", "IAM5[Resource::*]")
        accept_wildcards(role, "ECS names hosts when they join; what is granted is the cluster", hosts)
        return role
