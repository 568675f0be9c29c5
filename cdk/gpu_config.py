"""The GPU lane's part of a stage; the simulation reads it, too, and has none of the libraries that a stage needs."""

from itertools import combinations
from typing import Self
from zoneinfo import available_timezones

from pydantic import BaseModel, Field, model_validator

from backlot.comfyui.schemas import NodeSchemas
from cdk.gpu_instances import INSTANCES

_DAY = "(MON|TUE|WED|THU|FRI|SAT|SUN)"


class WarmWindow(BaseModel, frozen=True, extra="forbid"):
    """Hours in which workers of the GPU lane wait for work, so that nobody waits for a host.

    Args:
        days: of the week, `MON-FRI` or `SAT`.
        from_hour: when it begins.
        to_hour: when it ends.
        time_zone: in which the hours are meant, as the IANA calls it.
        workers: that are there all the time.
    """

    days: str = Field(pattern=f"^{_DAY}(-{_DAY})?$")
    from_hour: int = Field(ge=0, le=22)
    to_hour: int = Field(ge=1, le=23)
    time_zone: str = "Etc/UTC"
    workers: int = Field(ge=1)

    @model_validator(mode="after")
    def _is_a_time(self) -> Self:
        if self.from_hour >= self.to_hour:
            raise ValueError(f"from_hour {self.from_hour} must be before to_hour {self.to_hour}")
        if self.time_zone not in available_timezones():
            raise ValueError(f"{self.time_zone!r} is no time zone; write it like Asia/Shanghai")
        return self


class Gpu(BaseModel, frozen=True, extra="forbid"):
    """The GPU lane: ComfyUI on hosts of its own, spot instances first. It is there once its models are published.

    docs/capacity.md says where the numbers of its scaling come from.

    Qwen-Image-Edit has 19 GB in 8 bits and its text encoder 9 GB, Qwen-Rapid-AIO 28 GB. All of either fits into the
    48 GB of a g6e's GPU. The 24 GB of a g5's or g6's hold a part, and ComfyUI moves the rest in from the host's memory,
    of which their 4xlarge have enough; smaller ones are for smaller models, and so is g4dn with its 16 GB. Several
    types in several zones are what keeps spot instances coming.

    Args:
        instance_types: that a worker may have, see `cdk/gpu_instances.py`. Spot instances are taken from the pools that
            are cheap and last; on-demand instances in this order.
        zones: availability zones; some regions have two only.
        max_spot: workers on spot instances.
        max_on_demand: workers on on-demand instances, which take the place of spot instances that AWS does not have.
        min_workers: that are always there; also how many are left for a moment when a deployment changes the worker.
        warm_windows: hours in which more of them are always there.
        utilisation: share of a worker's time that is planned for what comes; the rest is for what comes unevenly.
        drain_s: in which time what waits should be done, seconds.
        arrivals_min: over how many minutes it is counted what comes.
        default_prompt_s: how long a task takes while none was measured within an hour, seconds.
        wake_after_min: for how many minutes work waits at zero workers before the first ones are started.
        wake_step_s: waiting work for which one worker is started from zero, seconds.
        scale_out_cooldown_s: during which workers that were just added count as there.
        scale_in_cooldown_s: between two steps inwards; the first comes after a quarter of an hour.
        spot_shortfall_min: for how many minutes AWS does not give a spot instance that is asked for until it counts as
            not to be had; a launch takes one or two.
        prompt_limit_s: longest run of a graph.
        stall_limit_s: longest silence of ComfyUI while a graph runs; a model of 20 GB loads in silence.
        lease_s: how long a message and its step are a worker's without a sign of life.
        visibility_s: after how long a message that nobody began with comes back.
        max_receives: after how many receives it goes to the dead-letter queue.
        stop_timeout_s: between SIGTERM and the end of a worker; ECS allows no more, and a spot notice neither.
        node_classes: of ComfyUI's, that callers' graphs may use.
        cache_gb: of models on a host's disk; what was not used for longest goes first.
        root_gb: of the disk with the image.
        alarm_no_worker_min: for how many minutes work waits and nobody runs.
        alarm_crashes: of ComfyUI within 15 minutes.
        alarm_shortfall_min: for how many minutes spot instances are not to be had.
    """

    instance_types: tuple[str, ...] = Field(
        default=("g6e.xlarge", "g6e.2xlarge", "g6.4xlarge", "g5.4xlarge", "g6e.4xlarge"), min_length=1, max_length=10
    )
    zones: int = Field(default=2, ge=2, le=3)
    max_spot: int = Field(default=4, ge=1, le=1000)
    max_on_demand: int = Field(default=1, ge=0, le=1000)
    min_workers: int = Field(default=0, ge=0)
    warm_windows: tuple[WarmWindow, ...] = ()
    utilisation: float = Field(default=0.7, gt=0, le=1)
    drain_s: int = Field(default=300, ge=30, le=7200)
    arrivals_min: int = Field(default=30, ge=5, le=180)
    default_prompt_s: float = Field(default=30, gt=0, le=3600)
    wake_after_min: int = Field(default=1, ge=1, le=60)
    wake_step_s: int = Field(default=600, ge=1, le=86_400)
    scale_out_cooldown_s: int = Field(default=300, ge=0)
    scale_in_cooldown_s: int = Field(default=300, ge=0)
    spot_shortfall_min: int = Field(default=5, ge=3, le=60)
    prompt_limit_s: int = Field(default=1800, ge=10, le=21_600)
    stall_limit_s: int = Field(default=600, ge=5, le=3600)
    lease_s: int = Field(default=120, ge=30, le=3600)
    visibility_s: int = Field(default=300, ge=30, le=43_200)
    max_receives: int = Field(default=3, ge=1, le=100)
    stop_timeout_s: int = Field(default=120, ge=30, le=120)
    node_classes: tuple[str, ...] = tuple(sorted(NodeSchemas.packaged().names))
    cache_gb: int = Field(default=150, ge=1)
    root_gb: int = Field(default=80, ge=40, le=1000)
    alarm_no_worker_min: int = Field(default=30, ge=5, le=1440)
    alarm_crashes: int = Field(default=3, ge=1)
    alarm_shortfall_min: int = Field(default=60, ge=5, le=1440)

    @model_validator(mode="after")
    def _hosts_fit(self) -> Self:
        unknown = sorted(set(self.instance_types) - set(INSTANCES))
        if unknown:
            raise ValueError(f"no worker can run on {', '.join(unknown)}; cdk/gpu_instances.py has those that it can")
        if len(set(self.instance_types)) < len(self.instance_types):
            raise ValueError("instance_types names a type twice")
        smallest = min(self.instance_types, key=lambda name: INSTANCES[name].disk_gb)
        if self.cache_gb >= INSTANCES[smallest].disk_gb:
            disk_gb = INSTANCES[smallest].disk_gb
            raise ValueError(f"cache_gb {self.cache_gb} does not fit on the disk of {smallest}, which has {disk_gb} GB")
        return self

    @model_validator(mode="after")
    def _workers_fit(self) -> Self:
        for workers in (self.min_workers, *(window.workers for window in self.warm_windows)):
            if workers > self.max_spot:
                raise ValueError(f"{workers} workers that are always there are more than max_spot {self.max_spot}")
        for one, other in combinations(self.warm_windows, 2):
            if one.from_hour < other.to_hour and other.from_hour < one.to_hour:
                raise ValueError("warm_windows overlap: the end of one would end the other")
        if any(window.workers <= self.min_workers for window in self.warm_windows):
            raise ValueError(f"a warm window has no more workers than the {self.min_workers} that are always there")
        return self

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.stall_limit_s >= self.prompt_limit_s:
            raise ValueError(f"stall_limit_s {self.stall_limit_s} must be below prompt_limit_s {self.prompt_limit_s}")
        if self.lease_s > self.visibility_s:
            raise ValueError(f"lease_s {self.lease_s} is above visibility_s {self.visibility_s}")
        if self.alarm_no_worker_min <= self.wake_after_min:
            raise ValueError(
                f"alarm_no_worker_min {self.alarm_no_worker_min} rings before the first workers are even asked for, "
                f"after wake_after_min {self.wake_after_min}"
            )
        if self.alarm_no_worker_min <= self.spot_shortfall_min:
            raise ValueError(
                f"alarm_no_worker_min {self.alarm_no_worker_min} rings before on-demand instances are even asked for, "
                f"after spot_shortfall_min {self.spot_shortfall_min}"
            )
        return self
