"""The network of the GPU hosts."""

from aws_cdk import Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.acknowledged import accept


class GpuNetwork(Construct):
    """Public subnets whose hosts nobody can reach: the security group lets nothing in.

    Hosts fetch pictures from the internet and tens of GB from S3. A NAT gateway before private subnets would cost by
    the hour while nobody works, and by the GB of what is pulled; a public address costs while its host runs. Either
    lets answers in and nothing else. S3 and DynamoDB are reached by gateway endpoints, which are free.

    Args:
        stage: of the deployment.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage) -> None:
        super().__init__(scope, construct_id)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            availability_zones=Stack.of(self).availability_zones[: stage.gpu.zones],
            nat_gateways=0,
            # Nobody is in it, and closing it takes a function of CDK's.
            restrict_default_security_group=False,
            subnet_configuration=[ec2.SubnetConfiguration(name="Hosts", subnet_type=ec2.SubnetType.PUBLIC)],
            gateway_endpoints={
                "S3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "DynamoDb": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.DYNAMODB),
            },
        )
        accept(self.vpc, "hosts only call out; flow logs would cost more than they tell", "VPC7")
        self.hosts = ec2.SecurityGroup(
            self, "Hosts", vpc=self.vpc, description="GPU hosts: nothing comes in", allow_all_outbound=True
        )
