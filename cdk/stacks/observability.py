"""Observability: alarms to one topic, and one dashboard."""

from typing import Any

from aws_cdk import CfnOutput, Duration
from aws_cdk import Stack as CdkStack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from backlot.aws import cloudwatch as metrics
from backlot.operations import catalogue
from cdk.config import Stage
from cdk.constructs.python_function import service_name
from cdk.stacks.api import ApiStack
from cdk.stacks.gpu import GpuStack
from cdk.stacks.models import ModelsStack
from cdk.stacks.work import WorkStack


class ObservabilityStack(CdkStack):
    """What tells the operator."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        work: WorkStack,
        api: ApiStack,
        models: ModelsStack,
        gpu: GpuStack,
        **kwargs: Any,
    ) -> None:
        super().__init__(scope, construct_id, **kwargs)
        self._stage = stage
        self.topic = sns.Topic(self, "Alarms", enforce_ssl=True)
        # A topic with a policy of its own has lost the default one, which lets the account's alarms publish.
        self.topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                resources=[self.topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        if stage.alarms.email:
            self.topic.add_subscription(subscriptions.EmailSubscription(stage.alarms.email))
        functions = [*work.functions, *api.functions, *gpu.functions]
        alarms = [
            *work.cpu_tasks.alarms(self, age_s=stage.alarms.queue_age_s),
            *work.gpu_tasks.alarms(self, age_s=stage.alarms.queue_age_s),
            *api.studio_api.alarms(self, errors=stage.alarms.api_5xx),
            *models.alarms(self),
            *gpu.alarms(self),
            *(alarm for function in functions for alarm in function.alarms(self)),
        ]
        if not stage.emulated:
            alarms.append(self._failed_share())
        for alarm in alarms:
            alarm.add_alarm_action(actions.SnsAction(self.topic))
        self._dashboard(work, api, gpu, alarms)
        CfnOutput(self, "AlarmTopicArn", value=self.topic.topic_arn)

    def _metric(self, name: str, operation: str | None = None, statistic: str = "Sum") -> cloudwatch.Metric:
        dimensions = {"service": service_name(self._stage)} | ({"operation": operation} if operation else {})
        return cloudwatch.Metric(
            namespace=metrics.NAMESPACE,
            metric_name=name,
            dimensions_map=dimensions,
            statistic=statistic,
            period=Duration.minutes(5),
            label=operation,
        )

    def _failed_share(self) -> cloudwatch.Alarm:
        """Make the alarm of the failed share; it needs metric math, which the emulator does not have."""
        limits = self._stage.alarms
        period = Duration.minutes(15)
        expression = cloudwatch.MathExpression(
            expression=f"IF(FILL(failed,0)+FILL(completed,0) >= {limits.failed_share_of}, "
            "FILL(failed,0)/(FILL(failed,0)+FILL(completed,0)), 0)",
            using_metrics={
                "failed": self._metric(metrics.FAILED),
                "completed": self._metric(metrics.COMPLETED),
            },
            period=period,
        )
        return cloudwatch.Alarm(
            self,
            "FailedShare",
            alarm_description=f"More than {limits.failed_share:.0%} of 15 minutes' tasks failed: see TasksFailedByCode",
            metric=expression,
            threshold=limits.failed_share,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=1,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )

    def _dashboard(self, work: WorkStack, api: ApiStack, gpu: GpuStack, alarms: list[cloudwatch.Alarm]) -> None:
        def graph(title: str, name: str, statistic: str) -> cloudwatch.GraphWidget:
            lines = [self._metric(name, operation, statistic) for operation in catalogue()]
            return cloudwatch.GraphWidget(title=title, left=lines, width=8)

        queue, dead_letters = work.cpu_tasks.queue, work.cpu_tasks.dead_letters
        rest_api = api.studio_api.api
        cloudwatch.Dashboard(
            self,
            "Dashboard",
            dashboard_name=f"backlot-{self._stage.name}",
            widgets=[
                [cloudwatch.AlarmStatusWidget(alarms=list(alarms), title="Alarms", width=24)],
                [
                    graph("Tasks accepted", metrics.ACCEPTED, "Sum"),
                    graph("Tasks completed", metrics.COMPLETED, "Sum"),
                    graph("Tasks failed", metrics.FAILED, "Sum"),
                ],
                [
                    graph("Queue time, p95, ms", metrics.QUEUE_TIME, "p95"),
                    graph("Processing time, p95, ms", metrics.PROCESSING_TIME, "p95"),
                    graph("Provider cost, USD", metrics.PROVIDER_COST, "Sum"),
                ],
                [
                    cloudwatch.GraphWidget(
                        title="Queue",
                        width=8,
                        left=[
                            queue.metric_approximate_number_of_messages_visible(),
                            queue.metric_approximate_number_of_messages_not_visible(),
                            dead_letters.metric_approximate_number_of_messages_visible(label="dead letters"),
                        ],
                        right=[queue.metric_approximate_age_of_oldest_message()],
                    ),
                    cloudwatch.GraphWidget(
                        title="API requests", width=8, left=[rest_api.metric_count()], right=[rest_api.metric_latency()]
                    ),
                    cloudwatch.GraphWidget(
                        title="API errors",
                        width=8,
                        left=[rest_api.metric_client_error(), rest_api.metric_server_error()],
                    ),
                ],
                gpu.widgets(),
            ],
        )
