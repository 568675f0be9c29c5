"""EC2 Auto Scaling: how many instances a group lacks."""

from typing import Any


class Group:
    """An Auto Scaling group.

    Args:
        client: a boto3 Auto Scaling client.
        name: the group's name.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def missing(self) -> int:
        """Return how many instances are asked for that AWS has not given, or not yet.

        Raises:
            ValueError: there is no such group.
        """
        groups = self._client.describe_auto_scaling_groups(AutoScalingGroupNames=[self._name])["AutoScalingGroups"]
        if not groups:
            raise ValueError(f"there is no Auto Scaling group {self._name}; deploy the stage's GPU stack again")
        (group,) = groups
        there: int = sum(each["LifecycleState"] == "InService" for each in group["Instances"])
        desired: int = group["DesiredCapacity"]
        return max(desired - there, 0)
