"""On AWS, a log line in the embedded metric format becomes metrics.

MiniStack keeps the line and makes no metric of it.
"""

import json

import ministack.services.lambda_svc as lambda_service
from ministack.services import cloudwatch


def apply() -> None:
    """Read the lines that functions write."""
    emit = lambda_service._emit_lambda_logs

    def read(function, request_id, text, *rest, **named):
        for line in (text or "").splitlines():
            if '"CloudWatchMetrics"' in line:
                _record(line)
        return emit(function, request_id, text, *rest, **named)

    lambda_service._emit_lambda_logs = read


def _record(line):
    try:
        document = json.loads(line)
    except ValueError:
        return
    for directive in document["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            dimensions = {name: str(document[name]) for name in names}
            for metric in directive["Metrics"]:
                values = document[metric["Name"]]
                for value in values if isinstance(values, list) else [values]:
                    unit = metric.get("Unit", "None")
                    cloudwatch.record_metric(directive["Namespace"], metric["Name"], value, unit, dimensions)
