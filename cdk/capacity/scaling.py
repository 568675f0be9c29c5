"""How the lane scales: what our metrics say each minute, and what Application Auto Scaling makes of them.

Source: docs.aws.amazon.com/autoscaling/application/userguide/target-tracking-scaling-policy-overview.html and
    …/APIReference/API_TargetTrackingScalingPolicyConfiguration.html, read 2026-11-21. How far a step inwards goes is
    not documented ("more gradually"); here it goes as far as the metric says.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Literal, Self

from backlot.gpu_load import Plan, Reading, lasting, load_percent, workers_needed
from cdk.gpu_config import Gpu
from cdk.gpu_steps import ENOUGH_MIN, step_of

#: The alarms that AWS makes for target tracking on a metric of each minute: so many minutes above the target, so many
#: below this share of it.
HIGH_MIN, LOW_MIN, LOW_SHARE = 3, 15, 0.9

#: What target tracking looks at.
#: `visible`: seconds of work that no worker has taken, for each worker; what AWS' own examples do.
#: `backlog`: seconds of work waiting or at work, for each worker.
#: `load`: workers that are needed for what comes and what waits, by workers; what the stacks do.
#: Workers are those on spot instances that run: AWS multiplies the same ones, so that they go out again.
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
    """What a stage configures, under the names of `cdk.gpu_config.Gpu`, and what it could do otherwise.

    Args:
        metric: what target tracking looks at.
        target_backlog_s: seconds of work for each worker that `visible` and `backlog` aim at.
        shortfall: what counts as missing.
    """

    max_spot: int
    max_on_demand: int
    min_workers: int
    warm_windows: tuple[Window, ...]
    utilisation: float
    drain_s: float
    arrivals_min: int
    default_prompt_s: float
    wake_after_min: int
    wake_step_s: float
    scale_out_cooldown_s: float
    scale_in_cooldown_s: float
    spot_shortfall_min: int
    metric: Metric = "load"
    target_backlog_s: float = 120.0
    shortfall: Shortfall = "instances"

    @classmethod
    def of(cls, gpu: Gpu) -> Self:
        """Return what a stage does; its warm windows are opened on every day."""
        return cls(
            max_spot=gpu.max_spot,
            max_on_demand=gpu.max_on_demand,
            min_workers=gpu.min_workers,
            warm_windows=tuple(Window(each.from_hour, each.to_hour, each.workers) for each in gpu.warm_windows),
            utilisation=gpu.utilisation,
            drain_s=gpu.drain_s,
            arrivals_min=gpu.arrivals_min,
            default_prompt_s=gpu.default_prompt_s,
            wake_after_min=gpu.wake_after_min,
            wake_step_s=gpu.wake_step_s,
            scale_out_cooldown_s=gpu.scale_out_cooldown_s,
            scale_in_cooldown_s=gpu.scale_in_cooldown_s,
            spot_shortfall_min=gpu.spot_shortfall_min,
        )

    @property
    def plan(self) -> Plan:
        """How many workers `load` wants for how much work."""
        return Plan(self.utilisation, self.drain_s, self.arrivals_min)

    def at_least(self, now_s: float) -> int:
        """Return how many workers are kept at a moment, seconds since the first midnight."""
        hour = now_s / 3600 % 24
        kept = [window.workers for window in self.warm_windows if window.from_hour <= hour < window.to_hour]
        return max([self.min_workers, *kept])


@dataclass(frozen=True)
class Minute:
    """What is seen in a minute.

    Args:
        lane: as `lambdas/measure_gpu_lane` reads it.
        visible: messages that no worker has taken.
        missing: spot instances, as the policy counts them.
    """

    lane: Reading
    visible: int
    missing: int = 0


def asked_for(policy: Policy, seen: Minute) -> float:
    """Return how many workers the policy's metric asks for."""
    if policy.metric == "visible":
        return seen.visible * seen.lane.mean_s / policy.target_backlog_s
    if policy.metric == "backlog":
        return seen.lane.backlog_s / policy.target_backlog_s
    return workers_needed(seen.lane, policy.plan)


@dataclass
class SpotScaling:
    """The desired count of the spot service: target tracking, and steps from zero.

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

    def decide(self, now_s: float, seen: Minute) -> int:
        """Take what is seen in a minute; return how many workers are wanted."""
        least, spot = self.policy.at_least(now_s), seen.lane.spot
        self.desired = max(self.desired, least)
        self._wake(0 if spot else seen.lane.waiting_s)
        self._track(now_s, spot, load_percent(asked_for(self.policy, seen), spot) / 100, least)
        return self.desired

    def _wake(self, asleep_s: float) -> None:
        """Start as many workers as what waits needs; AWS adds them to those that run, which are none."""
        policy = self.policy
        self._waited = self._waited + 1 if asleep_s else 0
        if self._waited >= policy.wake_after_min:
            self.desired = max(self.desired, step_of(asleep_s, policy.max_spot, policy.wake_step_s))

    def _track(self, now_s: float, running: int, ratio: float, least: int) -> None:
        policy = self.policy
        self._high = self._high + 1 if ratio > 1 else 0
        self._low = self._low + 1 if ratio < LOW_SHARE else 0
        if self._high >= HIGH_MIN:
            cools = now_s < self._out_s + policy.scale_out_cooldown_s
            before = min(self._before, running) if cools else running
            wanted = min(math.ceil(before * ratio), policy.max_spot)
            if wanted > self.desired:
                if not cools:
                    self._before, self._out_s = before, now_s
                self.desired, self._in_s = wanted, -math.inf
        elif self._low >= LOW_MIN and now_s >= self._in_s + policy.scale_in_cooldown_s:
            wanted = max(math.ceil(running * ratio), least)
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
    _missing: deque[int] = field(init=False)
    _enough: int = 0

    def __post_init__(self) -> None:
        self._missing = deque(maxlen=self.policy.spot_shortfall_min)

    def decide(self, missing: int) -> int:
        """Take how many spot instances are missing in a minute; return how many workers are wanted."""
        policy = self.policy
        self._missing.append(missing)
        shortfall = lasting(self._missing, policy.spot_shortfall_min)
        self._enough = 0 if shortfall else self._enough + 1
        if shortfall:
            self.desired = step_of(shortfall - 1, policy.max_on_demand, width=1)
        elif self._enough >= ENOUGH_MIN:
            self.desired = 0
        return self.desired
