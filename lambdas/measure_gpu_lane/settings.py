"""Settings of measure_gpu_lane."""

from pydantic import Field

from backlot.gpu_load import Plan
from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What measure_gpu_lane needs to know.

    Args:
        queue_url: URL of the lane's queue.
        cluster: name of the ECS cluster.
        spot_service: name of the service on spot instances.
        on_demand_service: name of the service on on-demand instances; empty if there is none.
        spot_group: name of the Auto Scaling group of the spot instances.
        default_prompt_s: time of a task on the GPU while none was measured, seconds.
        utilisation: share of a worker's time that is planned for what comes.
        drain_s: in which time what waits should be done, seconds.
        arrivals_min: over how many minutes it is counted what comes.
        spot_shortfall_min: after how many minutes a missing spot instance counts as not to be had.
    """

    queue_url: str
    cluster: str
    spot_service: str
    on_demand_service: str
    spot_group: str
    default_prompt_s: float = Field(gt=0)
    utilisation: float = Field(gt=0, le=1)
    drain_s: float = Field(gt=0)
    arrivals_min: int = Field(ge=1)
    spot_shortfall_min: int = Field(ge=1)

    @property
    def plan(self) -> Plan:
        """How many workers are wanted for how much work."""
        return Plan(self.utilisation, self.drain_s, self.arrivals_min)
