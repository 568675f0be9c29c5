"""On AWS, an alarm looks at the metric with exactly its dimensions, and at what it says about missing data.

MiniStack mixes all dimensions of a metric's name, so that the alarm of one queue rings for another.
"""

import time

from ministack.services import cloudwatch

_COMPARISONS = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}
_MISSING = {"breaching": "ALARM", "notBreaching": "OK"}


def apply() -> None:
    """Evaluate alarms by their own dimensions."""
    cloudwatch._evaluate_alarm = _evaluate


def _evaluate(alarm):
    if not alarm.get("Namespace") or not alarm.get("MetricName"):
        return
    state, reason = _state(alarm)
    before = alarm["StateValue"]
    if state == before:
        return
    alarm.update(StateValue=state, StateReason=reason, StateUpdatedTimestamp=int(time.time()))
    cloudwatch._record_history(alarm["AlarmName"], before, state, reason)
    cloudwatch._dispatch_alarm_actions(alarm, before, state, reason)
    cloudwatch._evaluate_parent_alarms(alarm)


def _state(alarm):
    dimensions = alarm.get("Dimensions") or []
    if not isinstance(dimensions, dict):
        dimensions = {each["Name"]: each["Value"] for each in dimensions}
    key = (alarm["Namespace"], alarm["MetricName"], cloudwatch._dims_key(dimensions))
    since = time.time() - (alarm.get("Period") or 60) * (alarm.get("EvaluationPeriods") or 1)
    points = [point for point in list(cloudwatch._metrics.get(key) or []) if point["Timestamp"] >= since]
    if not points:
        state = _MISSING.get(alarm.get("TreatMissingData"), "INSUFFICIENT_DATA")
        return (alarm["StateValue"] if alarm.get("TreatMissingData") == "ignore" else state), "no data"
    statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
    value = cloudwatch._stat_value(cloudwatch._calc_stats(points), statistic, points)
    breaching = _COMPARISONS[alarm["ComparisonOperator"]](value, alarm.get("Threshold", 0))
    return (
        "ALARM" if breaching else "OK"
    ), f"Threshold Crossed: {statistic} {value} against {alarm.get('Threshold', 0)}"
