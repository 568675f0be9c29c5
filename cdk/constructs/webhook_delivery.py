"""What tells clients' servers that their tasks have ended: a function, its state machine, and the signing secret."""

from aws_cdk import RemovalPolicy, Stack
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_secretsmanager as secretsmanager
from constructs import Construct

from backlot.settlement import WEBHOOK_MACHINE
from cdk.config import Stage
from cdk.constructs.acknowledged import accept
from cdk.constructs.machine import NamedMachine, machine_arn
from cdk.constructs.python_function import PythonFunction
from cdk.constructs.task_tables import TaskTables
from cdk.definitions import read
from cdk.names import secrets_prefix


class WebhookDelivery(Construct):
    """The state machine `backlot-<stage>-deliver-webhook`, which tries for hours.

    Args:
        stage: of the deployment.
        layer: the libraries.
        tables: where the tasks and their deliveries are.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, stage: Stage, layer: lambda_.ILayerVersion, tables: TaskTables
    ) -> None:
        super().__init__(scope, construct_id)
        self._stage = stage
        stack = Stack.of(self)
        self.secret_name = secrets_prefix(stage) + "webhooks"
        # A secret's ARN ends with six characters that only Secrets Manager knows.
        self._secret_arn = (
            f"arn:{stack.partition}:secretsmanager:{stack.region}:{stack.account}:secret:{self.secret_name}-??????"
        )
        secret = secretsmanager.Secret(
            self,
            "Secret",
            secret_name=self.secret_name,
            description="Signing keys of webhooks are made from it",
            generate_secret_string=secretsmanager.SecretStringGenerator(password_length=64, exclude_punctuation=True),
            removal_policy=RemovalPolicy.RETAIN if stage.keep_data else RemovalPolicy.DESTROY,
        )
        accept(secret, "receivers keep the keys that are made from it, and change together with it", "SMG4")
        self.function = PythonFunction(
            self,
            "DeliverWebhook",
            stage=stage,
            name="deliver_webhook",
            layer=layer,
            environment={
                "TASK_STORE": tables.task_store.table_name,
                "INSECURE_HOSTS": ",".join(stage.insecure_hosts),
                "WEBHOOK_SECRET": self.secret_name,
            },
        )
        tables.grant(tables.task_store, self.function.role, "GetItem", "UpdateItem")
        self.grant_read(self.function.role)
        self.machine = NamedMachine(
            self,
            "Machine",
            stage=stage,
            name=WEBHOOK_MACHINE,
            definition=read("deliver_webhook"),
            substitutions={"DeliverWebhookArn": self.function.function.function_arn},
        ).machine
        iam.Grant.add_to_principal(
            grantee=self.machine,
            actions=["lambda:InvokeFunction"],
            resource_arns=[self.function.function.function_arn],
        )

    def grant_read(self, grantee: iam.IGrantable) -> None:
        """Let somebody read the secret."""
        iam.Grant.add_to_principal(
            grantee=grantee, actions=["secretsmanager:GetSecretValue"], resource_arns=[self._secret_arn]
        )

    def grant_start(self, grantee: iam.IGrantable) -> None:
        """Let somebody start deliveries."""
        arn = machine_arn(self, self._stage, WEBHOOK_MACHINE)
        iam.Grant.add_to_principal(grantee=grantee, actions=["states:StartExecution"], resource_arns=[arn])
