"""The load of the GPU lane: what its scaling is told each minute, and what `cdk/capacity` simulates."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """How many workers are wanted for how much work.

    Args:
        utilisation: share of a worker's time that is planned for what comes, above 0 and up to 1.
        drain_s: in which time what waits should be done, seconds.
        arrivals_min: over how many minutes it is counted what comes.
    """

    utilisation: float
    drain_s: float
    arrivals_min: int


@dataclass(frozen=True)
class Reading:
    """What can be seen of the lane from outside.

    Args:
        came: tasks that were sent to its queue within the plan's `arrivals_min`.
        messages: in the queue, those at work and those that are put off among them.
        mean_s: of a task on the GPU, seconds.
        spot: workers that run on spot instances.
        on_demand: workers that run on on-demand instances, which take the place of spot instances.
    """

    came: int
    messages: int
    mean_s: float
    spot: int
    on_demand: int = 0

    @property
    def workers(self) -> int:
        """How many run."""
        return self.spot + self.on_demand

    @property
    def backlog_s(self) -> float:
        """Work that waits or is being done, seconds of one GPU."""
        return self.messages * self.mean_s

    @property
    def waiting_s(self) -> float:
        """Work for which no worker is there, seconds of one GPU."""
        return max(self.messages - self.workers, 0) * self.mean_s


@dataclass(frozen=True)
class LaneLoad:
    """The load.

    Args:
        backlog_s: work that waits or is being done, seconds of one GPU.
        per_worker_s: that for each worker, or for the first one.
        asleep_s: work for which no worker is there while none runs on a spot instance, else 0, seconds of one GPU.
        needed: workers that the work needs.
        percent: those by the workers on spot instances, see `load_percent`.
        workers: that run, on instances of either kind.
        spot_missing: spot instances that are asked for and not there.
        spot_shortfall: those of them that were missing all the time, and are not merely on their way.
    """

    backlog_s: float
    per_worker_s: float
    asleep_s: float
    needed: float
    percent: float
    workers: int
    spot_missing: int
    spot_shortfall: int


def workers_needed(seen: Reading, plan: Plan) -> float:
    """Return how many workers the lane needs: for what comes, and to do what waits.

    came * mean / time / utilisation + waiting / drain: what comes does not depend on how many workers there are, so
    that nobody is sent away because all are busy and nothing waits.
    """
    comes = seen.came * seen.mean_s / (60 * plan.arrivals_min) / plan.utilisation
    return comes + seen.waiting_s / plan.drain_s


def load_percent(needed: float, spot: int) -> float:
    """Return what target tracking looks at: the workers that are needed by those that it multiplies, percent.

    At zero workers no multiple is more, and fewer must not be asked for while hosts come for what is needed: 100, which
    is the target, leaves them alone.

    Args:
        needed: workers.
        spot: workers that run on spot instances.
    """
    if spot:
        return 100 * needed / spot
    return 100 if needed else 0


def lasting(missing: Collection[int], minutes: int) -> int:
    """Return how many instances were missing all the time; none as long as fewer minutes are known.

    Args:
        missing: by minutes, those that count.
        minutes: for how many an instance is missing that is not on its way.
    """
    return min(missing) if len(missing) >= minutes else 0


def lane_load(seen: Reading, plan: Plan, *, missing: Sequence[int], shortfall_min: int) -> LaneLoad:
    """Return the lane's load.

    Args:
        seen: of the lane.
        plan: by which workers are wanted.
        missing: spot instances that were asked for and not there, by minutes, now's last; gaps are left out.
        shortfall_min: for how many minutes an instance is missing that is not on its way.
    """
    needed = workers_needed(seen, plan)
    return LaneLoad(
        backlog_s=seen.backlog_s,
        per_worker_s=seen.backlog_s / max(seen.workers, 1),
        asleep_s=0 if seen.spot else seen.waiting_s,
        needed=needed,
        percent=load_percent(needed, seen.spot),
        workers=seen.workers,
        spot_missing=missing[-1],
        spot_shortfall=lasting(missing[-shortfall_min:], shortfall_min),
    )
