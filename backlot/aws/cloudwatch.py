"""CloudWatch metrics, written to the log in the embedded metric format.

Every metric is published twice: for all operations together, and for each operation. Names and dimensions are the
contract with the alarms and the dashboard.
"""

from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from backlot.errors import error_class
from backlot.tasks import Status, Task

NAMESPACE = "Backlot"

ACCEPTED, COMPLETED, CANCELLED = "TasksAccepted", "TasksCompleted", "TasksCancelled"
FAILED, FAILED_BY_CODE = "TasksFailed", "TasksFailedByCode"
QUEUE_TIME, PROCESSING_TIME, PROVIDER_COST = "QueueTime", "ProcessingTime", "ProviderCost"


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


def _publish(values: dict[str, tuple[MetricUnit, float]], **dimensions: str) -> None:
    """Write metrics under the service alone and under the service with more dimensions."""
    metrics = EphemeralMetrics(namespace=NAMESPACE)
    metrics.add_dimensions(service=str(metrics.service), **dimensions)
    for name, (unit, value) in values.items():
        metrics.add_metric(name=name, unit=unit, value=value)
    metrics.flush_metrics()
