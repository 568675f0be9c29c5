"""How the lane scales: what our metrics say each minute, and what Application Auto Scaling makes of them.

Source: docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html and
    …/APIReference/API_TargetTrackingScalingPolicyConfiguration.html, read 2026-11-21. How far a step inwards goes is
    not documented ("more gradually"); here it goes as far as the metric says.
"""

import math
from dataclasses import dataclass
from typing import Literal

#: The alarms that AWS makes for target tracking on a metric of each minute: so many minutes above the target, so many
#: below this share of it.
HIGH_MIN, LOW_MIN, LOW_SHARE = 3, 15, 0.9

#: For how many minutes no spot instance is missing before on-demand instances are given back.
ENOUGH_MIN = 5

#: What target tracking looks at.
#: `visible`: seconds of work that no worker has taken, for each worker; what AWS' own examples do.
#: `backlog`: seconds of work waiting or at work, for each worker.
#: `load`: workers that are needed for what comes and what waits, by workers.
#: Which workers are counted makes no difference as long as AWS multiplies the same ones: it goes out again.
Metric = Literal["visible", "backlog", "load"]


#: What counts as missing of spot. `workers`: those wanted that do not run, so that booting ones are missing, too.
#: `instances`: those wanted for which AWS has given none.
Shortfall = Literal["workers", "instances"]


@dataclass(frozen=True)
class Window:
    """Hours of each day in which some workers are kept.

    Args:
        from_hour: when they are started; they take tasks some minutes later.
        to_hour: until when.
        workers: how many at least.
    """

    from_hour: float
    to_hour: float
    workers: int


@dataclass(frozen=True)
class Policy:
    """What a stage configures; the names are those of `cdk.config.Gpu` where that has them.

    Args:
        max_spot: workers on spot instances.
        max_on_demand: workers on on-demand instances.
        min_workers: on spot instances, at all times.
        warm_windows: in which more are kept.
        metric: what target tracking looks at.
        target_backlog_s: seconds of work for each worker that `visible` and `backlog` aim at.
        utilisation: share of a worker's time that `load` plans with.
        drain_s: in which time `load` wants to have done what waits.
        arrivals_min: minutes over which `load` counts what comes.
        scale_out_cooldown_s: during which workers that were just added count as there.
        scale_in_cooldown_s: between two steps inwards.
        wake_after_min: minutes for which tasks wait before the first worker is started.
        wake_step_s: seconds of waiting work for which one worker is started from zero.
        spot_shortfall_min: minutes for which spot instances are missing before on-demand ones are started.
        shortfall: what counts as missing.
        default_prompt_s: what a task is taken to need until one was done.
    """

    max_spot: int
    max_on_demand: int = 0
    min_workers: int = 0
    warm_windows: tuple[Window, ...] = ()
    metric: Metric = "load"
    target_backlog_s: float = 120.0
    utilisation: float = 0.7
    drain_s: float = 300.0
    arrivals_min: int = 30
    scale_out_cooldown_s: float = 300.0
    scale_in_cooldown_s: float = 300.0
    wake_after_min: int = 1
    wake_step_s: float = 600.0
    spot_shortfall_min: int = 5
    shortfall: Shortfall = "instances"
    default_prompt_s: float = 30.0

    def at_least(self, now_s: float) -> int:
        """Return how many workers are kept at a moment, seconds since the first midnight."""
        hour = now_s / 3600 % 24
        kept = [window.workers for window in self.warm_windows if window.from_hour <= hour < window.to_hour]
        return max([self.min_workers, *kept])


@dataclass(frozen=True)
class Reading:
    """What can be seen from outside in a minute.

    Args:
        visible: messages that no worker has taken.
        in_flight: messages that a worker has: one at work, and one that it prepares.
        running: workers that take tasks.
        came: tasks that were submitted within the policy's `arrivals_min`.
        mean_s: of a task on a GPU.
        missing: spot instances, as the policy counts them.
    """

    visible: int
    in_flight: int
    running: int
    came: int
    mean_s: float
    missing: int = 0


def measured(policy: Policy, seen: Reading, desired: int) -> float:
    """Return the metric by its target: above 1 workers are missing, below 1 there are too many.

    Args:
        policy: of the stage.
        seen: the minute's reading.
        desired: workers that are wanted.
    """
    if policy.metric == "visible":
        return seen.visible * seen.mean_s / max(1, desired) / policy.target_backlog_s
    everything = seen.visible + seen.in_flight
    if policy.metric == "backlog":
        return everything * seen.mean_s / max(1, desired) / policy.target_backlog_s
    comes = seen.came * seen.mean_s / (60 * policy.arrivals_min) / policy.utilisation
    waits = max(0, everything - seen.running) * seen.mean_s / policy.drain_s
    return (comes + waits) / max(1, desired)


@dataclass
class SpotScaling:
    """The desired count of the spot service: target tracking, and a step from zero.

    Args:
        policy: of the stage.
        desired: workers that are wanted.
    """

    policy: Policy
    desired: int = 0
    _waited: int = 0
    _high: int = 0
    _low: int = 0
    _before: int = 0
    _out_s: float = -math.inf
    _in_s: float = -math.inf

    def decide(self, now_s: float, seen: Reading) -> int:
        """Take a minute's reading; return how many workers are wanted."""
        policy, least = self.policy, self.policy.at_least(now_s)
        self.desired = max(self.desired, least)
        if self.desired:
            self._track(now_s, measured(policy, seen, self.desired), least)
        else:
            self._wake(now_s, seen)
        return self.desired

    def _wake(self, now_s: float, seen: Reading) -> None:
        self._waited = self._waited + 1 if seen.visible else 0
        if self._waited >= self.policy.wake_after_min:
            steps = math.ceil(seen.visible * seen.mean_s / self.policy.wake_step_s)
            self.desired = self._before = min(steps, self.policy.max_spot)
            self._out_s = now_s
            self._waited = self._high = self._low = 0

    def _track(self, now_s: float, ratio: float, least: int) -> None:
        policy = self.policy
        self._high = self._high + 1 if ratio > 1 else 0
        self._low = self._low + 1 if ratio < LOW_SHARE else 0
        if self._high >= HIGH_MIN:
            cools = now_s < self._out_s + policy.scale_out_cooldown_s
            before = self._before if cools else self.desired
            wanted = min(math.ceil(before * ratio), policy.max_spot)
            if wanted > self.desired:
                if not cools:
                    self._before, self._out_s = before, now_s
                self.desired, self._in_s = wanted, -math.inf
        elif self._low >= LOW_MIN and now_s >= self._in_s + policy.scale_in_cooldown_s:
            wanted = max(math.ceil(self.desired * ratio), least)
            if wanted < self.desired:
                self.desired, self._in_s = wanted, now_s


@dataclass
class OnDemandScaling:
    """The desired count of the on-demand service: what spot has not given for some minutes, until it does.

    Args:
        policy: of the stage.
        desired: workers that are wanted.
    """

    policy: Policy
    desired: int = 0
    _more: int = 0
    _fewer: int = 0

    def decide(self, missing: int) -> int:
        """Take how many spot instances are missing in a minute; return how many workers are wanted."""
        wanted = min(missing, self.policy.max_on_demand)
        self._more = self._more + 1 if wanted > self.desired else 0
        self._fewer = self._fewer + 1 if wanted < self.desired else 0
        if self._more >= self.policy.spot_shortfall_min or self._fewer >= ENOUGH_MIN:
            self.desired, self._more, self._fewer = wanted, 0, 0
        return self.desired
