"""What a model's container may do."""

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from aws_cdk import aws_sns as sns
from constructs import Construct

from backlot.assets import MODEL_FAILURE_PREFIX, MODEL_REQUEST_PREFIX, MODEL_RESULT_PREFIX
from cdk.checkpoints import MODEL_PREFIX
from cdk.config import Stage
from cdk.constructs.acknowledged import accept
from cdk.constructs.asset_store import AssetStore
from cdk.constructs.python_function import RETENTION


class ModelRole(Construct):
    """The role of an endpoint's instances: SageMaker's own work and the container's are done with the same one.

    Args:
        stage: of the deployment.
        model: name of the model in the stage.
        endpoint: name of the endpoint.
        assets: the bucket with the weights, the requests and the answers.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: Stage, model: str, endpoint: str, assets: AssetStore
    ) -> None:
        super().__init__(scope, construct_id)
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
        given = (f"{MODEL_PREFIX}{model}/", MODEL_REQUEST_PREFIX, *stage.models[model].input_prefixes)
        assets.grant_read(self.role, *given)
        answers = (f"{MODEL_RESULT_PREFIX}{endpoint}/", f"{MODEL_FAILURE_PREFIX}{endpoint}/")
        assets.grant_write(self.role, *stage.models[model].output_prefixes, *answers)
        # SageMaker writes long answers in parts.
        assets.grant_abort(self.role, *answers)
        assets.grant_list(self.role)
        self._grant_log(stage, endpoint)
        self.role.add_to_policy(
            iam.PolicyStatement(
                actions=["cloudwatch:PutMetricData"],
                resources=["*"],
                conditions={"StringEquals": {"cloudwatch:namespace": "/aws/sagemaker/Endpoints"}},
            )
        )
        accept(self.role, "metrics have no resource to name; the namespace is a condition", "IAM5[Resource::*]")

    def _grant_log(self, stage: Stage, endpoint: str) -> None:
        log = logs.LogGroup(
            self,
            "Log",
            log_group_name=f"/aws/sagemaker/Endpoints/{endpoint}",
            retention=RETENTION[stage.log_days],
            removal_policy=RemovalPolicy.DESTROY,
        )
        log.grant(self.role, "logs:CreateLogStream", "logs:PutLogEvents", "logs:DescribeLogStreams")

    def grant_publish(self, topic: sns.ITopic) -> None:
        """Let SageMaker tell a topic what became of a request."""
        self.role.add_to_policy(iam.PolicyStatement(actions=["sns:Publish"], resources=[topic.topic_arn]))
