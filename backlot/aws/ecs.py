"""ECS: how many tasks a cluster's services have."""

from typing import Any

from backlot.gpu_backlog import Fleet


class Services:
    """The services of a cluster.

    Args:
        client: a boto3 ECS client.
        cluster: the cluster's name.
    """

    def __init__(self, client: Any, cluster: str) -> None:
        self._client = client
        self._cluster = cluster

    def fleets(self, names: list[str]) -> list[Fleet]:
        """Return the tasks of services, in the order of their names.

        Args:
            names: of up to ten services; an empty one stands for a service without tasks.
        """
        answer = self._client.describe_services(cluster=self._cluster, services=[name for name in names if name])
        found = {each["serviceName"]: Fleet(each["desiredCount"], each["runningCount"]) for each in answer["services"]}
        return [found[name] if name else Fleet() for name in names]
