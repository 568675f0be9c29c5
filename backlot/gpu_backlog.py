"""The load of the GPU lane: what its scaling is told each minute."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fleet:
    """Workers of one kind.

    Args:
        desired: that scaling asks for.
        running: that are there.
    """

    desired: int = 0
    running: int = 0

    @property
    def missing(self) -> int:
        """How many are asked for and not there."""
        return max(self.desired - self.running, 0)


@dataclass(frozen=True)
class LaneLoad:
    """The load.

    Args:
        backlog_s: work that waits or is being done, seconds of one GPU.
        per_worker_s: that for each worker on a spot instance, or for the first one.
        without_workers_s: that while no worker runs on a spot instance, else 0.
        workers: that run, on instances of either kind.
        spot_missing: spot workers that are asked for and not there.
        spot_shortfall: those of them that were missing all the time, and are not merely on their way.
    """

    backlog_s: float
    per_worker_s: float
    without_workers_s: float
    workers: int
    spot_missing: int
    spot_shortfall: int


def lane_load(
    *,
    messages: int,
    prompt_s: float,
    spot: Fleet,
    on_demand: Fleet,
    earlier_missing: Sequence[int],
    shortfall_min: int,
) -> LaneLoad:
    """Return the lane's load.

    Args:
        messages: in the queue, those at work and those that are put off among them.
        prompt_s: mean time of a task on the GPU, seconds.
        spot: workers on spot instances.
        on_demand: workers on on-demand instances, which take the place of spot instances that are not to be had.
        earlier_missing: spot workers that were missing, by minutes, the newest last; gaps are left out.
        shortfall_min: for how many minutes a worker is missing that is not on its way.
    """
    backlog_s = messages * prompt_s
    return LaneLoad(
        backlog_s=backlog_s,
        per_worker_s=backlog_s / max(spot.running, 1),
        without_workers_s=0 if spot.running else backlog_s,
        workers=spot.running + on_demand.running,
        spot_missing=spot.missing,
        spot_shortfall=_lasting(spot.missing, earlier_missing, shortfall_min),
    )


def _lasting(missing: int, earlier: Sequence[int], minutes: int) -> int:
    """Return how many were missing in each of the last minutes; none as long as fewer minutes are known."""
    last = earlier[-minutes:]
    return min(missing, *last) if len(last) == minutes else 0
