"""How many workers the GPU lane has."""

from aws_cdk import Duration, TimeZone
from aws_cdk import aws_applicationautoscaling as scaling
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from backlot.aws import cloudwatch as metrics
from cdk.config import Stage
from cdk.constructs.python_function import service_name
from cdk.constructs.scaling_role import scaling_role
from cdk.gpu_config import Gpu, WarmWindow
from cdk.gpu_steps import ENOUGH_MIN, steps


def lane_metric(stage: Stage, name: str, statistic: str = "Average") -> cloudwatch.Metric:
    """Return a metric of the whole lane, by minutes."""
    return cloudwatch.Metric(
        namespace=metrics.NAMESPACE,
        metric_name=name,
        dimensions_map={"service": service_name(stage)},
        statistic=statistic,
        period=Duration.minutes(1),
    )


class SpotScaling(Construct):
    """Gives the spot service as many workers as the load needs, whether or not AWS has so many instances.

    The metric is the number of workers that are needed by the spot workers that run, in percent, and the target 100:
    if Application Auto Scaling multiplies the tasks that run, what comes out is what is needed. AWS does not document
    whether it multiplies these or the tasks that are wanted; then hosts that are still coming are asked for again, up
    to `max_spot`, until they run. `backlot/gpu_load.py` says what is needed; `cdk/capacity` simulates the former, see
    docs/capacity.md.

    Args:
        stage: of the deployment.
        service: on spot instances.

    Source: github.com/aws/containers-roadmap, issue 525, read 2026-11-21: during a deployment what an old and a new one
        have was added up, which fits either.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, service: ecs.Ec2Service) -> None:
        super().__init__(scope, construct_id)
        gpu = stage.gpu
        target = _target(self, service, least=gpu.min_workers, most=gpu.max_spot)
        target.scale_to_track_metric(
            "Load",
            custom_metric=lane_metric(stage, metrics.GPU_LOAD),
            target_value=100,
            scale_out_cooldown=Duration.seconds(gpu.scale_out_cooldown_s),
            scale_in_cooldown=Duration.seconds(gpu.scale_in_cooldown_s),
        )
        # No multiple of zero is more: the first workers come by steps.
        wake = _steps(
            self, "Wake", target, scaling.AdjustmentType.CHANGE_IN_CAPACITY, cooldown_s=gpu.scale_out_cooldown_s
        )
        _add_steps(wake, gpu.max_spot, width=gpu.wake_step_s)
        asleep = cloudwatch.Alarm(
            self,
            "Asleep",
            alarm_description="Tasks wait and no worker runs on a spot instance: starts some, and needs nobody.",
            metric=lane_metric(stage, metrics.GPU_BACKLOG_WITHOUT_WORKERS),
            threshold=0,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=gpu.wake_after_min,
            treat_missing_data=cloudwatch.TreatMissingData.MISSING,
        )
        asleep.add_alarm_action(actions.ApplicationScalingAction(wake))
        for number, window in enumerate(gpu.warm_windows, start=1):
            _warm(target, f"Window{number}", window, gpu)


class OnDemandScaling(Construct):
    """Gives the on-demand service as many workers as there are spot instances that are not to be had.

    Args:
        stage: of the deployment.
        service: on on-demand instances.
    """

    def __init__(self, scope: Construct, construct_id: str, *, stage: Stage, service: ecs.Ec2Service) -> None:
        super().__init__(scope, construct_id)
        gpu = stage.gpu
        target = _target(self, service, least=0, most=gpu.max_on_demand)
        stand_in = _steps(self, "StandIn", target, scaling.AdjustmentType.EXACT_CAPACITY)
        _add_steps(stand_in, gpu.max_on_demand, width=1)
        leave = _steps(self, "Leave", target, scaling.AdjustmentType.EXACT_CAPACITY)
        leave.add_adjustment(adjustment=0, upper_bound=0)
        above, below = (
            cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
        )
        for name, action, comparison, minutes in (("Short", stand_in, above, 1), ("Enough", leave, below, ENOUGH_MIN)):
            alarm = cloudwatch.Alarm(
                self,
                name,
                alarm_description="Spot instances that are not to be had: scales on-demand instances, needs nobody.",
                metric=lane_metric(stage, metrics.GPU_SPOT_SHORTFALL, "Maximum"),
                threshold=1,
                comparison_operator=comparison,
                evaluation_periods=minutes,
                treat_missing_data=cloudwatch.TreatMissingData.MISSING,
            )
            alarm.add_alarm_action(actions.ApplicationScalingAction(action))


def _target(scope: Construct, service: ecs.Ec2Service, *, least: int, most: int) -> scaling.ScalableTarget:
    target = scaling.ScalableTarget(
        scope,
        "Workers",
        service_namespace=scaling.ServiceNamespace.ECS,
        resource_id=f"service/{service.cluster.cluster_name}/{service.service_name}",
        scalable_dimension="ecs:service:DesiredCount",
        min_capacity=least,
        max_capacity=most,
        role=scaling_role(scope, service="ecs", resource="ECSService"),
    )
    target.node.add_dependency(service)
    return target


def _steps(
    scope: Construct,
    construct_id: str,
    target: scaling.ScalableTarget,
    kind: scaling.AdjustmentType,
    *,
    cooldown_s: int = 0,
) -> scaling.StepScalingAction:
    return scaling.StepScalingAction(
        scope,
        construct_id,
        scaling_target=target,
        adjustment_type=kind,
        cooldown=Duration.seconds(cooldown_s),
        metric_aggregation_type=scaling.MetricAggregationType.MAXIMUM,
    )


def _add_steps(action: scaling.StepScalingAction, most: int, *, width: float) -> None:
    """Add the steps to numbers of workers, see `cdk.gpu_steps.steps`."""
    counts, lower = zip(*steps(most, width), strict=True)
    for count, begin, end in zip(counts, lower, [*lower[1:], None], strict=True):
        action.add_adjustment(adjustment=count, lower_bound=begin, upper_bound=end)


def _warm(target: scaling.ScalableTarget, construct_id: str, window: WarmWindow, gpu: Gpu) -> None:
    """Keep workers in a window: said again every ten minutes, for a deployment sets the service back to the least."""
    zone = TimeZone.of(window.time_zone)
    hours = f"{window.from_hour}-{window.to_hour - 1}"
    target.scale_on_schedule(
        f"{construct_id}Open",
        schedule=scaling.Schedule.expression(f"cron(0/10 {hours} ? * {window.days} *)"),
        time_zone=zone,
        min_capacity=window.workers,
    )
    target.scale_on_schedule(
        f"{construct_id}Close",
        schedule=scaling.Schedule.expression(f"cron(0 {window.to_hour} ? * {window.days} *)"),
        time_zone=zone,
        min_capacity=gpu.min_workers,
    )
