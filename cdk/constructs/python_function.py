"""A Lambda function of ours: the folder `lambdas/<name>`, the domain, the layer, its own log and its own role."""

from aws_cdk import Duration, IgnoreMode, RemovalPolicy, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk.config import Platform, Stage
from cdk.constructs.acknowledged import accept, accept_warning
from cdk.constructs.dependency_layer import ARCHITECTURES, RUNTIMES
from cdk.packaging import ROOT, code_directory

RETENTION = {7: logs.RetentionDays.ONE_WEEK, 30: logs.RetentionDays.ONE_MONTH, 90: logs.RetentionDays.THREE_MONTHS}


class PythonFunction(Construct):
    """A function whose role may write its log and its traces, and what is granted to it.

    Args:
        stage: of the deployment.
        name: folder below `lambdas`.
        layer: the libraries.
        environment: the variables of its `Settings`.
        memory_mb: of the function.
        timeout: of one invocation.
        snap_start: whether it starts from a snapshot, which gives it a version and an alias.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        name: str,
        layer: lambda_.ILayerVersion,
        environment: dict[str, str],
        memory_mb: int = 512,
        timeout: Duration | None = None,
        snap_start: bool = False,
    ) -> None:
        super().__init__(scope, construct_id)
        self.log_group = logs.LogGroup(
            self, "Log", retention=RETENTION[stage.log_days], removal_policy=RemovalPolicy.DESTROY
        )
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)
        self.function = lambda_.Function(
            self,
            "Function",
            runtime=RUNTIMES[stage.platform.python],
            architecture=ARCHITECTURES[stage.platform.architecture],
            handler=f"lambdas.{name}.handler.handler",
            code=_code(name, stage.platform),
            layers=[layer],
            role=self.role,
            log_group=self.log_group,
            memory_size=memory_mb,
            timeout=timeout or Duration.seconds(30),
            tracing=lambda_.Tracing.ACTIVE if stage.tracing else lambda_.Tracing.DISABLED,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
            environment={
                "POWERTOOLS_SERVICE_NAME": service_name(stage),
                "POWERTOOLS_LOG_LEVEL": "INFO",
                "POWERTOOLS_TRACE_DISABLED": "false" if stage.tracing else "true",
                **environment,
            },
        )
        accept(
            self.function,
            "python3.13 is the newest runtime that the code and its wheels are tested with",
            "L1",
        )
        if stage.tracing:
            accept(self.role, "X-Ray has no resources to name", "IAM5[Resource::*]")
        if snap_start:
            warning = "@aws-cdk/aws-lambda:snapStartRequirePublish"
            accept_warning(self.function, "its alias below publishes a version", warning)
        self.target: lambda_.IFunction = (
            lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)
            if snap_start
            else self.function
        )

    def alarms(self, scope: Construct) -> list[cloudwatch.Alarm]:
        """Make the alarm that rings when the function fails."""
        return [
            cloudwatch.Alarm(
                scope,
                f"{self.node.id}Errors",
                alarm_description=f"{Stack.of(self).stack_name}: {self.node.id} fails; look at its log.",
                metric=self.function.metric_errors(period=Duration.minutes(5), statistic="Sum"),
                threshold=1,
                evaluation_periods=1,
                treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            )
        ]


def service_name(stage: Stage) -> str:
    """Return the value of the dimension `service` of a stage's metrics, and the name in its logs."""
    return f"backlot-{stage.name}"


def _code(name: str, platform: Platform) -> lambda_.Code:
    ours = [
        *("backlot", "backlot/**", "lambdas", "lambdas/__init__.py", "lambdas/__pycache__", "lambdas/__pycache__/**"),
        *(f"lambdas/{name}", f"lambdas/{name}/**"),
    ]
    directory = code_directory(platform)
    # Byte code in the checkout is of whatever Python ran last.
    stale = ["__pycache__"] if directory == ROOT else []
    return lambda_.Code.from_asset(
        str(directory), exclude=["*", *(f"!{path}" for path in ours), *stale], ignore_mode=IgnoreMode.GIT
    )
