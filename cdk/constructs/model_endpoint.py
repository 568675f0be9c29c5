"""A SageMaker endpoint for one model of ours: asynchronous, and without an instance while nobody asks for it."""

from aws_cdk import Duration, Stack
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct

from backlot.assets import MODEL_FAILURE_PREFIX, MODEL_RESULT_PREFIX
from cdk.checkpoints import weights_prefix
from cdk.config import Stage
from cdk.constructs.alarm import alarm_at
from cdk.constructs.asset_store import AssetStore
from cdk.constructs.model_image import ModelImage
from cdk.constructs.model_role import ModelRole
from cdk.constructs.scaling_role import scaling_role
from cdk.model_environment import server_settings
from cdk.names import endpoint_name

#: The only variant of each endpoint.
VARIANT = "AllTraffic"


def endpoint_arn(scope: Construct, stage: Stage, model: str) -> str:
    """Return the ARN of a model's endpoint in a stage, for the policies of those who ask it."""
    # SageMaker writes names in small letters there, which ours are.
    return Stack.of(scope).format_arn(
        service="sagemaker", resource="endpoint", resource_name=endpoint_name(stage, model)
    )


class AsyncEndpoint(Construct):
    """An endpoint that takes asynchronous requests, its scaling and its alarms.

    Args:
        stage: of the deployment.
        model: name of the model in the stage.
        sha256: of its checkpoint.
        image: of the model server.
        assets: the bucket with the weights, the requests and the answers.
        succeeded: is told of every answer.
        failed: is told of every request without one.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: Stage,
        model: str,
        sha256: str,
        image: ModelImage,
        assets: AssetStore,
        succeeded: sns.ITopic,
        failed: sns.ITopic,
    ) -> None:
        super().__init__(scope, construct_id)
        self._stage, self._model_name, self._config = stage, model, stage.models[model]
        self.name = endpoint_name(stage, model)
        self._bucket = assets.bucket.bucket_name
        role = ModelRole(self, "Role", stage=stage, model=model, endpoint=self.name, assets=assets)
        image.grant_pull(role.role)
        for topic in (succeeded, failed):
            role.grant_publish(topic)
        hosted = self._model(role.role, image, f"s3://{self._bucket}/{weights_prefix(model, sha256)}")
        settings = self._settings(hosted, succeeded, failed)
        self.endpoint = sagemaker.CfnEndpoint(
            self,
            "Endpoint",
            endpoint_name=self.name,
            endpoint_config_name=settings.attr_endpoint_config_name,
            # An update keeps the number of instances that scaling has chosen.
            retain_all_variant_properties=True,
        )
        self._scale()

    def _model(self, role: iam.Role, image: ModelImage, weights: str) -> sagemaker.CfnModel:
        model = sagemaker.CfnModel(
            self,
            "Model",
            execution_role_arn=role.role_arn,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=image.uri,
                model_data_source=sagemaker.CfnModel.ModelDataSourceProperty(
                    s3_data_source=sagemaker.CfnModel.S3DataSourceProperty(
                        s3_uri=weights, s3_data_type="S3Prefix", compression_type="None"
                    )
                ),
                environment={
                    **server_settings(self._stage, self._model_name, self._bucket),
                    "AWS_DEFAULT_REGION": Stack.of(self).region,
                },
            ),
        )
        # SageMaker tries the role when the model is made, so its policy must be there.
        model.node.add_dependency(role)
        return model

    def _settings(
        self, model: sagemaker.CfnModel, succeeded: sns.ITopic, failed: sns.ITopic
    ) -> sagemaker.CfnEndpointConfig:
        config, types = self._config, sagemaker.CfnEndpointConfig
        pools = [
            types.InstancePoolProperty(instance_type=name, priority=place)
            for place, name in enumerate(config.instance_types, start=1)
        ]
        return types(
            self,
            "Settings",
            production_variants=[
                types.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=model.attr_model_name,
                    # SageMaker allows no 0 here; scaling takes the first instance away when nothing comes.
                    initial_instance_count=max(1, config.min_instances),
                    instance_pools=pools,
                    variant_instance_provision_timeout_in_seconds=config.provision_timeout_s,
                    model_data_download_timeout_in_seconds=config.download_timeout_s,
                    container_startup_health_check_timeout_in_seconds=config.startup_timeout_s,
                    volume_size_in_gb=config.volume_gb,
                    inference_ami_version=config.inference_ami,
                )
            ],
            async_inference_config=types.AsyncInferenceConfigProperty(
                client_config=types.AsyncInferenceClientConfigProperty(
                    max_concurrent_invocations_per_instance=config.concurrency
                ),
                output_config=types.AsyncInferenceOutputConfigProperty(
                    s3_output_path=f"s3://{self._bucket}/{MODEL_RESULT_PREFIX}{self.name}",
                    s3_failure_path=f"s3://{self._bucket}/{MODEL_FAILURE_PREFIX}{self.name}",
                    notification_config=types.AsyncInferenceNotificationConfigProperty(
                        success_topic=succeeded.topic_arn, error_topic=failed.topic_arn
                    ),
                ),
            ),
        )

    def _scale(self) -> None:
        config = self._config
        target = scaling.ScalableTarget(
            self,
            "Instances",
            service_namespace=scaling.ServiceNamespace.SAGEMAKER,
            resource_id=f"endpoint/{self.name}/variant/{VARIANT}",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            min_capacity=config.min_instances,
            max_capacity=config.max_instances,
            role=scaling_role(self, service="sagemaker", resource="SageMakerEndpoint"),
        )
        target.node.add_dependency(self.endpoint)
        target.scale_to_track_metric(
            "Backlog",
            custom_metric=self._metric("ApproximateBacklogSizePerInstance", "Average", Duration.minutes(1)),
            target_value=config.backlog_per_instance,
            scale_in_cooldown=Duration.seconds(config.scale_in_cooldown_s),
            scale_out_cooldown=Duration.seconds(config.scale_out_cooldown_s),
        )
        self._wake(target)

    def _wake(self, target: scaling.ScalableTarget) -> None:
        """Start the first instance: at zero instances there is no backlog per instance to track."""
        config = self._config
        wake = scaling.StepScalingAction(
            self,
            "Wake",
            scaling_target=target,
            adjustment_type=scaling.AdjustmentType.CHANGE_IN_CAPACITY,
            cooldown=Duration.seconds(config.wake_cooldown_s),
            metric_aggregation_type=scaling.MetricAggregationType.AVERAGE,
        )
        wake.add_adjustment(adjustment=1, lower_bound=0)
        asleep = cloudwatch.Alarm(
            self,
            "Asleep",
            alarm_description=f"Requests wait for {self.name}, which has no instance: starts one, and needs nobody.",
            metric=self._metric("HasBacklogWithoutCapacity", "Average", Duration.minutes(1)),
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=config.wake_after_min,
            datapoints_to_alarm=config.wake_after_min,
            treat_missing_data=cloudwatch.TreatMissingData.MISSING,
        )
        asleep.add_alarm_action(actions.ApplicationScalingAction(wake))

    def alarms(self, scope: Construct) -> list[cloudwatch.Alarm]:
        """Make the alarms of requests that failed, that wait for long, and that nobody ever took."""
        config, part = self._config, f"{self.node.id}Model"
        failures = self._metric("InvocationFailures", "Sum", Duration.minutes(5), of_variant=True)
        expired = self._metric("ExpiredRequests", "Sum", Duration.minutes(5), of_variant=True)
        oldest = self._metric("ApproximateAgeOfOldestRequest", "Maximum", Duration.minutes(1))
        return [
            alarm_at(
                scope,
                f"{part}Failures",
                f"{config.alarm_failures} requests to {self.name} failed within 5 minutes; look at its log.",
                failures,
                config.alarm_failures,
            ),
            alarm_at(
                scope,
                f"{part}Age",
                f"The oldest request to {self.name} waits for more than {config.alarm_oldest_s} s.",
                oldest,
                config.alarm_oldest_s,
            ),
            alarm_at(
                scope,
                f"{part}Expired",
                f"A request to {self.name} found no instance within {config.request_ttl_s} s and was given up.",
                expired,
                1,
            ),
        ]

    def _metric(self, name: str, statistic: str, period: Duration, *, of_variant: bool = False) -> cloudwatch.Metric:
        dimensions = {"EndpointName": self.name} | ({"VariantName": VARIANT} if of_variant else {})
        return cloudwatch.Metric(
            namespace="AWS/SageMaker",
            metric_name=name,
            dimensions_map=dimensions,
            statistic=statistic,
            period=period,
        )
