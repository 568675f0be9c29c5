"""Settings of measure_gpu_lane."""

from pydantic import Field

from backlot.settings import EnvironmentSettings


class Settings(EnvironmentSettings):
    """What measure_gpu_lane needs to know.

    Args:
        queue_url: URL of the lane's queue.
        cluster: name of the ECS cluster.
        spot_service: name of the service on spot instances.
        on_demand_service: name of the service on on-demand instances; empty if there is none.
        default_prompt_s: time of a task on the GPU while none was measured, seconds.
        spot_shortfall_min: after how many minutes a missing spot instance counts as not to be had.
    """

    queue_url: str
    cluster: str
    spot_service: str
    on_demand_service: str
    default_prompt_s: float = Field(gt=0)
    spot_shortfall_min: int = Field(ge=1)
