"""What a worker runs on: an instance, how long it takes to be there, what it costs, and how spot takes it away."""

from dataclasses import dataclass

from backlot.pricing import AWS_PRICES


@dataclass(frozen=True)
class Host:
    """An instance type as the lane uses it.

    Args:
        name: of the type.
        speed: how many times as fast as the operations' times say.
        boot_s: from the wish for an instance to a worker that takes tasks: alarm of the capacity provider, launch,
            ECS agent, image, models to the disk.
        boot_variation: standard deviation by mean.
        start_s: until a worker takes tasks on an instance that still has the models.
        switch_s: to load another model than the last task's.
        spare_s: how long an instance without a worker is kept; what ECS' managed scaling waits before it scales in.
    """

    name: str
    speed: float = 1.0
    boot_s: float = 330.0
    boot_variation: float = 0.2
    start_s: float = 45.0
    switch_s: float = 15.0
    spare_s: float = 900.0

    @property
    def usd_per_h(self) -> float:
        """On-demand price of an hour."""
        return AWS_PRICES[f"ec2/{self.name}/hour"].usd


@dataclass(frozen=True)
class Market:
    """Spot, as the lane meets it.

    Args:
        price_share: price by the on-demand price.
        interruptions_per_h: of each instance, at any time.
        shortages_per_day: times in which no instance is given.
        shortage_s: how long such a time lasts, on average.
        shortage_takes: share of the instances that its beginning takes away.
        notice_s: between the notice and the end.
        launches_per_min: what ECS starts for one service.
    """

    price_share: float = 0.5
    interruptions_per_h: float = 0.03
    shortages_per_day: float = 1.0
    shortage_s: float = 3600.0
    shortage_takes: float = 0.2
    notice_s: float = 120.0
    launches_per_min: int = 500
