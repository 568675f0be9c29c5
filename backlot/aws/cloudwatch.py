"""CloudWatch metrics, written to the log in the embedded metric format.

Every metric is published twice: for all operations together, and for each operation. Names and dimensions are the
contract with the alarms and the dashboard.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from backlot.errors import error_class
from backlot.gpu_load import LaneLoad
from backlot.tasks import Status, Task

NAMESPACE = "Backlot"

ACCEPTED, COMPLETED, CANCELLED = "TasksAccepted", "TasksCompleted", "TasksCancelled"
FAILED, FAILED_BY_CODE = "TasksFailed", "TasksFailedByCode"
QUEUE_TIME, PROCESSING_TIME, PROVIDER_COST = "QueueTime", "ProcessingTime", "ProviderCost"
GPU_PROMPT_SECONDS, GPU_JOBS_DONE = "GpuPromptSeconds", "GpuJobsDone"
GPU_BUSY_SHARE, GPU_CRASHES = "GpuBusyShare", "GpuCrashes"
GPU_BACKLOG, GPU_BACKLOG_PER_WORKER = "GpuBacklogSeconds", "GpuBacklogSecondsPerWorker"
GPU_BACKLOG_WITHOUT_WORKERS, GPU_LOAD = "GpuBacklogWithoutWorkers", "GpuLoad"
GPU_WORKERS, GPU_WORKERS_NEEDED = "GpuWorkers", "GpuWorkersNeeded"
GPU_SPOT_MISSING, GPU_SPOT_SHORTFALL = "GpuSpotMissing", "GpuSpotShortfall"


class OperationMetrics:
    """Publishes the metrics of operations; the dimension `service` comes from POWERTOOLS_SERVICE_NAME."""

    def accepted(self, operation: str) -> None:
        """Count a new task."""
        _publish({ACCEPTED: (MetricUnit.Count, 1)}, operation=operation)

    def ended(self, task: Task) -> None:
        """Count a task that has ended, its times and what it cost."""
        done = task.completed_ms or task.created_ms
        started = task.started_ms or done
        values: dict[str, tuple[MetricUnit, float]] = {
            QUEUE_TIME: (MetricUnit.Milliseconds, started - task.created_ms),
            PROCESSING_TIME: (MetricUnit.Milliseconds, done - started),
            PROVIDER_COST: (MetricUnit.NoUnit, task.cost_usd or 0.0),
        }
        if task.status is Status.COMPLETED:
            values[COMPLETED] = (MetricUnit.Count, 1)
        if task.status is Status.CANCELLED:
            values[CANCELLED] = (MetricUnit.Count, 1)
        if task.status is Status.FAILED:
            values[FAILED] = (MetricUnit.Count, 1)
            code = error_class(task.error_name).code()
            _publish({FAILED_BY_CODE: (MetricUnit.Count, 1)}, operation=task.operation, code=code)
        _publish(values, operation=task.operation)


class GpuMetrics:
    """Publishes the metrics of a worker of the GPU lane; `service` comes from POWERTOOLS_SERVICE_NAME, too."""

    def prompt_done(self, operation: str, seconds: float) -> None:
        """Count a graph that was run to its end, and how long the GPU had it."""
        _publish(
            {GPU_JOBS_DONE: (MetricUnit.Count, 1), GPU_PROMPT_SECONDS: (MetricUnit.Seconds, seconds)},
            operation=operation,
        )

    def busy(self, share: float) -> None:
        """Say for which share of the last minute the GPU had a graph, 0 to 1."""
        _publish({GPU_BUSY_SHARE: (MetricUnit.NoUnit, share)})

    def crashed(self) -> None:
        """Count a ComfyUI that died."""
        _publish({GPU_CRASHES: (MetricUnit.Count, 1)})


class GpuLaneMetrics:
    """Publishes the GPU lane's load, and reads what was published; `service` comes from POWERTOOLS_SERVICE_NAME.

    Args:
        client: a boto3 CloudWatch client.
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def load(self, load: LaneLoad) -> None:
        """Publish the load."""
        _publish(
            {
                GPU_BACKLOG: (MetricUnit.Seconds, load.backlog_s),
                GPU_BACKLOG_PER_WORKER: (MetricUnit.Seconds, load.per_worker_s),
                GPU_BACKLOG_WITHOUT_WORKERS: (MetricUnit.Seconds, load.asleep_s),
                GPU_LOAD: (MetricUnit.Percent, load.percent),
                GPU_WORKERS: (MetricUnit.Count, load.workers),
                GPU_WORKERS_NEEDED: (MetricUnit.Count, load.needed),
                GPU_SPOT_MISSING: (MetricUnit.Count, load.spot_missing),
                GPU_SPOT_SHORTFALL: (MetricUnit.Count, load.spot_shortfall),
            }
        )

    def prompt_s(self, now_ms: int) -> float | None:
        """Return the mean time of a task on the GPU within the last hour, seconds; None if there was none."""
        points = self._own(GPU_PROMPT_SECONDS, now_ms, minutes=60, period_s=3600, statistics=["Sum", "SampleCount"])
        count = sum(point["SampleCount"] for point in points)
        return sum(point["Sum"] for point in points) / count if count else None

    def spot_missing(self, now_ms: int, minutes: int) -> list[int]:
        """Return how many spot instances were missing in each of the last minutes, the newest last."""
        points = self._own(GPU_SPOT_MISSING, now_ms, minutes=minutes, period_s=60, statistics=["Minimum"])
        return [int(point["Minimum"]) for point in sorted(points, key=lambda point: point["Timestamp"])]

    def sent(self, queue: str, now_ms: int, minutes: int) -> int:
        """Return how many messages were sent to a queue of this name within the last minutes, as SQS counts them."""
        points = self._points(
            "AWS/SQS",
            "NumberOfMessagesSent",
            {"QueueName": queue},
            now_ms,
            minutes=minutes,
            period_s=60 * minutes,
            statistics=["Sum"],
        )
        return int(sum(point["Sum"] for point in points))

    def _own(
        self, name: str, now_ms: int, *, minutes: int, period_s: int, statistics: list[str]
    ) -> list[dict[str, Any]]:
        dimensions = {"service": str(EphemeralMetrics(namespace=NAMESPACE).service)}
        return self._points(
            NAMESPACE, name, dimensions, now_ms, minutes=minutes, period_s=period_s, statistics=statistics
        )

    def _points(
        self,
        namespace: str,
        name: str,
        dimensions: dict[str, str],
        now_ms: int,
        *,
        minutes: int,
        period_s: int,
        statistics: list[str],
    ) -> list[dict[str, Any]]:
        end = datetime.fromtimestamp(now_ms / 1000, UTC)
        answer = self._client.get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=end - timedelta(minutes=minutes),
            EndTime=end,
            Period=period_s,
            Statistics=statistics,
        )
        points: list[dict[str, Any]] = answer["Datapoints"]
        return points


def _publish(values: dict[str, tuple[MetricUnit, float]], **dimensions: str) -> None:
    """Write metrics under the service alone and under the service with more dimensions."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    if dimensions:
        metrics.add_dimensions(service=str(metrics.service), **dimensions)
    for name, (unit, value) in values.items():
        metrics.add_metric(name=name, unit=unit, value=value)
    metrics.flush_metrics()
