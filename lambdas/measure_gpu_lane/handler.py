"""Measures the GPU lane, for the scaling of its workers.

Trigger: EventBridge Scheduler, every minute.
Input: none.
Output: none; metrics in the log.
Errors: whatever AWS raises.
Retries: the next minute; scaling stays as it is meanwhile.
Idempotency: a minute that is measured twice has both values in its statistics.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Tracer
from aws_lambda_powertools.utilities.typing import LambdaContext

from backlot.aws.autoscaling import Group
from backlot.aws.clients import client
from backlot.aws.cloudwatch import GpuLaneMetrics
from backlot.aws.ecs import Services
from backlot.aws.sqs import Queue
from backlot.clock import now_ms
from backlot.gpu_load import Reading, lane_load
from lambdas.measure_gpu_lane.settings import Settings

logger = Logger()
tracer = Tracer()

#: Within this many minutes a metric that was published can be read.
LATE_MIN = 2


@dataclass(frozen=True)
class Deps:
    """What the function works with."""

    settings: Settings
    queue: Queue
    services: Services
    spot_group: Group
    metrics: GpuLaneMetrics


@cache
def _deps() -> Deps:
    settings = Settings.from_environment()
    return Deps(
        settings,
        Queue(client("sqs"), settings.queue_url),
        Services(client("ecs"), settings.cluster),
        Group(client("autoscaling"), settings.spot_group),
        GpuLaneMetrics(client("cloudwatch")),
    )


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False)
def handler(event: dict[str, Any], context: LambdaContext) -> None:
    """Measure once."""
    del event, context
    deps, now = _deps(), now_ms()
    settings, metrics = deps.settings, deps.metrics
    spot, on_demand = deps.services.running([settings.spot_service, settings.on_demand_service])
    seen = Reading(
        came=metrics.sent(deps.queue.name, now, settings.arrivals_min),
        messages=deps.queue.count(),
        mean_s=metrics.prompt_s(now) or settings.default_prompt_s,
        spot=spot,
        on_demand=on_demand,
    )
    missing = [*metrics.spot_missing(now, settings.spot_shortfall_min + LATE_MIN), deps.spot_group.missing()]
    metrics.load(lane_load(seen, settings.plan, missing=missing, shortfall_min=settings.spot_shortfall_min))
