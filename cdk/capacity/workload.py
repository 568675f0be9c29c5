"""What the lane is asked to do: when tasks arrive, and how long each one keeps a GPU."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DAY_S = 86_400.0
_MINUTE_S = 60.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Operation:
    """An operation of the lane, on the stage's first instance type.

    Args:
        name: of the catalogue.
        share: of all tasks.
        mean_s: on the GPU, once its model is loaded.
        variation: standard deviation by mean; times are lognormal.
        model: what must be loaded; two operations with different models make a worker switch.
    """

    name: str
    share: float
    mean_s: float
    variation: float
    model: int


@dataclass(frozen=True)
class Demand:
    """How tasks arrive: groups that a person or a program submits at once, by a Poisson process with a day's profile.

    Args:
        images_per_day: on average.
        profile: weight of each hour of the day.
        group: mean number of tasks submitted at once; their sizes are geometric, their operation is one.
        campaigns_per_day: large groups, at any moment of the hours with weight.
        campaign_share: of a day's images that one campaign submits at once.
    """

    images_per_day: float
    profile: tuple[float, ...]
    group: float = 4.0
    campaigns_per_day: float = 0.0
    campaign_share: float = 0.0


@dataclass(frozen=True)
class Workload:
    """Tasks in the order of their arrival.

    Args:
        arrival_s: seconds since midnight of the first day.
        service_s: on the GPU.
        model: which each one needs.
    """

    arrival_s: Floats
    service_s: Floats
    model: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.arrival_s)


def draw(
    demand: Demand, operations: Sequence[Operation], *, days: float, seed: int, from_hour: float = 0.0
) -> Workload:
    """Draw a workload; the same seed draws the same.

    Args:
        demand: how tasks arrive.
        operations: what they are; their shares make 1.
        days: how long tasks arrive.
        seed: of the generator.
        from_hour: of the day at which it begins; arrivals are counted from midnight all the same.
    """
    random = np.random.default_rng(seed)
    starts = np.arange(from_hour * 3600, from_hour * 3600 + days * DAY_S, _MINUTE_S)
    weights = _weights(demand.profile, starts)
    by_groups = 1 - demand.campaigns_per_day * demand.campaign_share
    per_minute = weights * demand.images_per_day * by_groups / demand.group
    groups = random.poisson(per_minute)
    times = np.repeat(starts, groups) + random.random(int(groups.sum())) * _MINUTE_S
    sizes = random.geometric(1 / demand.group, len(times))
    campaigns = random.poisson(demand.campaigns_per_day * days)
    if campaigns:
        at = random.choice(starts, campaigns, p=weights / weights.sum())
        times = np.concatenate([times, at])
        many = max(1, round(demand.images_per_day * demand.campaign_share))
        sizes = np.concatenate([sizes, np.full(campaigns, many)])
    kinds = random.choice(len(operations), len(times), p=[each.share for each in operations])
    order = np.argsort(times, kind="stable")
    arrival_s = np.repeat(times[order], sizes[order])
    kind = np.repeat(kinds[order], sizes[order])
    service_s = np.empty(len(kind))
    for index, operation in enumerate(operations):
        here = kind == index
        service_s[here] = lognormal(random, operation.mean_s, operation.variation, int(here.sum()))
    model = np.array([each.model for each in operations], np.int16)[kind]
    return Workload(arrival_s, service_s, model)


def lognormal(random: np.random.Generator, mean: float, variation: float, count: int) -> Floats:
    """Draw from the lognormal distribution with this mean and this standard deviation by mean."""
    variance = np.log1p(variation**2)
    return random.lognormal(np.log(mean) - variance / 2, np.sqrt(variance), count)


def _weights(profile: tuple[float, ...], starts: Floats) -> Floats:
    """Return the share of a day's images in each minute: the hours' weights, joined by straight lines."""
    hours = np.arange(len(profile) + 1) + 0.5
    minutes = np.arange(0, DAY_S, _MINUTE_S)
    around: Floats = np.interp((minutes / 3600 - 0.5) % 24 + 0.5, hours, [*profile, profile[0]])
    of_start: Floats = around[((starts % DAY_S) // _MINUTE_S).astype(int)]
    share: Floats = of_start / around.sum()
    return share
