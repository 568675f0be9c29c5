"""An alarm that rings at a threshold and above, and not for want of data."""

from aws_cdk import aws_cloudwatch as cloudwatch
from constructs import Construct


def alarm_at(
    scope: Construct,
    construct_id: str,
    description: str,
    metric: cloudwatch.IMetric,
    threshold: float,
    *,
    periods: int = 1,
) -> cloudwatch.Alarm:
    """Make the alarm.

    Args:
        scope: gets it.
        construct_id: its own.
        description: what it means, for the operator.
        metric: that it looks at.
        threshold: from where on it rings.
        periods: of the metric, in all of which that is so.
    """
    return cloudwatch.Alarm(
        scope,
        construct_id,
        alarm_description=description,
        metric=metric,
        threshold=threshold,
        comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
        evaluation_periods=periods,
        treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
    )
