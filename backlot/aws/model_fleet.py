"""SageMaker's account of an endpoint: whether it serves, with how many instances, since when."""

from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError


@dataclass(frozen=True)
class FleetState:
    """An endpoint's state.

    Args:
        in_service: whether it takes requests, with instances or without.
        instances: that run now; none while nothing is to do.
        created_s: when it was made, Unix seconds; 0 if that is not known.
    """

    in_service: bool = False
    instances: int = 0
    created_s: int = 0


class ModelFleet:
    """An endpoint.

    Args:
        client: a boto3 SageMaker client.
        endpoint: its name.
    """

    def __init__(self, client: Any, endpoint: str) -> None:
        self._client = client
        self._endpoint = endpoint

    def state(self) -> FleetState:
        """Return its state; that of an endpoint which does not exist if SageMaker cannot be asked."""
        try:
            described = self._client.describe_endpoint(EndpointName=self._endpoint)
        except (ClientError, BotoCoreError):
            return FleetState()
        return FleetState(
            in_service=described["EndpointStatus"] in ("InService", "Updating"),
            instances=sum(each.get("CurrentInstanceCount", 0) for each in described.get("ProductionVariants", [])),
            created_s=int(described["CreationTime"].timestamp()),
        )
