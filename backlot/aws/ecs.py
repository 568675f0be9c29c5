"""ECS: how many tasks a cluster's services have."""

from typing import Any


class Services:
    """The services of a cluster.

    Args:
        client: a boto3 ECS client.
        cluster: the cluster's name.
    """

    def __init__(self, client: Any, cluster: str) -> None:
        self._client = client
        self._cluster = cluster

    def running(self, names: list[str]) -> list[int]:
        """Return how many tasks of services run, in the order of their names.

        Args:
            names: of up to ten services; an empty one stands for a service without tasks.
        """
        answer = self._client.describe_services(cluster=self._cluster, services=[name for name in names if name])
        found: dict[str, int] = {each["serviceName"]: each["runningCount"] for each in answer["services"]}
        return [found[name] if name else 0 for name in names]
