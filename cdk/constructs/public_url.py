"""Where providers reach our webhooks: the API's address, told to the workers by a parameter.

The API's stack stands on that of the workers, so that it cannot hand them its address while it is deployed.
"""

from aws_cdk import Aws, RemovalPolicy, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from cdk.config import Stage


class PublicUrl(Construct):
    """The parameter.

    Args:
        stage: of the deployment.
        api: whose address it is, unless the stage has another.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, api: apigateway.RestApi) -> None:
        super().__init__(scope, construct_id)
        own = f"https://{api.rest_api_id}.execute-api.{Aws.REGION}.{Aws.URL_SUFFIX}/{stage.api_stage}"
        parameter = ssm.StringParameter(
            self,
            "Parameter",
            parameter_name=public_url_parameter(stage),
            string_value=stage.public_url or own,
            description="Where providers reach Backlot's webhooks, without a trailing slash",
        )
        parameter.apply_removal_policy(RemovalPolicy.DESTROY)


def public_url_parameter(stage: Stage) -> str:
    """Return the parameter's name."""
    return f"/backlot/{stage.name}/public-url"


def public_url_arn(scope: Construct, stage: Stage) -> str:
    """Return the parameter's ARN."""
    stack = Stack.of(scope)
    return f"arn:{stack.partition}:ssm:{stack.region}:{stack.account}:parameter{public_url_parameter(stage)}"
