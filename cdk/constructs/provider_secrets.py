"""The secrets of the paid APIs."""

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from cdk.config import Stage
from cdk.constructs.acknowledged import accept
from cdk.names import secrets_prefix


class ProviderSecrets(Construct):
    """One secret for each provider, called `backlot/<stage>/<provider>`, without a value: the operator puts the key in.

    Args:
        stage: of the deployment.
        providers: their names.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, providers: list[str]) -> None:
        super().__init__(scope, construct_id)
        self.prefix = secrets_prefix(stage)
        stack = Stack.of(self)
        # A secret's ARN ends with six characters that only Secrets Manager knows.
        self._arns = [
            f"arn:{stack.partition}:secretsmanager:{stack.region}:{stack.account}:secret:{self.prefix}{provider}-??????"
            for provider in providers
        ]
        for provider in providers:
            # L1, because the L2 would put a generated value in, which looks like a key and is none.
            resource = secretsmanager.CfnSecret(
                self,
                provider.capitalize(),
                name=self.prefix + provider,
                description=f"API key of {provider}, as plain text",
            )
            resource.apply_removal_policy(RemovalPolicy.DESTROY)
            accept(resource, "the providers have no API to rotate keys with", "SMG4")

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Let somebody read the keys."""
        self._grant(grantee, "secretsmanager:GetSecretValue")

    def grant_describe(self, grantee: iam.IGrantable) -> None:
        """Let somebody see whether the keys are set, and not the keys."""
        self._grant(grantee, "secretsmanager:DescribeSecret")

    def _grant(self, grantee: iam.IGrantable, action: str) -> None:
        iam.Grant.add_to_principal(grantee=grantee, actions=[action], resource_arns=self._arns)
