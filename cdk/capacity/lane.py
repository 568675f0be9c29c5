"""The lane as a discrete-event simulation: a queue, workers on instances, and the scaling that looks once a minute."""

from collections import deque
from collections.abc import Generator
from typing import Any

import numpy as np
import simpy

from backlot.gpu_load import Reading
from cdk.capacity.fleet import Instance, Service
from cdk.capacity.market import Host, Market
from cdk.capacity.outcome import Outcome
from cdk.capacity.scaling import Minute, OnDemandScaling, Policy, SpotScaling
from cdk.capacity.workload import Workload, lognormal

_MINUTE_S = 60.0

#: How old our metrics are when an alarm acts on them.
_ALARM_S = 30.0

#: Before the end that a spot notice names: storing results, giving back.
_MARGIN_S = 10.0

#: Over how many minutes the mean time of a task is taken.
_MEAN_MIN = 60

_Process = Generator[simpy.Event, Any, None]


class Lane:
    """One run of the lane.

    Args:
        workload: what comes.
        policy: how it scales.
        host: what workers run on.
        market: how spot behaves.
        seed: of everything that is drawn here.
    """

    def __init__(self, workload: Workload, policy: Policy, host: Host, market: Market, *, seed: int) -> None:
        self._workload, self._policy, self._host, self._market = workload, policy, host, market
        # Spot runs short at the same moments, whatever the policy: runs are compared under one weather.
        self._random, self._weather = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
        self._begins_s = float(workload.arrival_s[0] // _MINUTE_S * _MINUTE_S)
        self._env = simpy.Environment(initial_time=self._begins_s)
        self._all_done = self._env.event()
        self._queue: deque[int] = deque()
        self._idle: dict[Instance, None] = {}
        self._spot, self._on_demand = Service(on_demand=False), Service(on_demand=True)
        self._is_short = False
        self._at_work = self._running = 0
        self._started_s = np.full(len(workload), np.nan)
        self._times_done = np.zeros(len(workload), np.int32)
        self._left = len(workload)
        self._work_s = self._lost_s = 0.0
        self._recent: deque[tuple[int, float]] = deque([(0, 0.0)], maxlen=_MEAN_MIN)
        self._trace: list[tuple[float, int, int, int]] = []

    def run(self) -> Outcome:
        """Run until every task is done; return what became of them."""
        self._env.process(self._arrive())
        self._env.process(self._scale())
        if self._market.shortages_per_day:
            self._env.process(self._fall_short())
        self._env.run(until=self._all_done)
        services = (self._spot, self._on_demand)
        for service in services:
            for instance in [*service.workers, *service.spare]:
                self._pay(service, instance)
        return Outcome(
            wait_s=self._started_s - self._workload.arrival_s,
            times_done=self._times_done,
            work_s=self._work_s,
            lost_s=self._lost_s,
            spot_h=self._spot.instance_h,
            on_demand_h=self._on_demand.instance_h,
            usd=self._host.usd_per_h * (self._on_demand.instance_h + self._spot.instance_h * self._market.price_share),
            trace=np.array(self._trace).reshape(-1, 4),
        )

    def _arrive(self) -> _Process:
        env, queue, idle = self._env, self._queue, self._idle
        for job, at_s in enumerate(self._workload.arrival_s.tolist()):
            if at_s > env.now:
                yield env.timeout(at_s - env.now)
            queue.append(job)
            if idle:
                self._wake(next(iter(idle)))

    def _wake(self, instance: Instance) -> None:
        del self._idle[instance]
        if instance.wake is not None:
            instance.wake.succeed()

    def _serve(self, service: Service, instance: Instance, start_s: float) -> _Process:
        """Be a worker, from the wish for one until it is stopped."""
        env, idle = self._env, self._idle
        try:
            yield env.timeout(start_s)
        except simpy.Interrupt:
            self._stop(service, instance)
            return
        self._running += 1
        instance.is_running = True
        while not instance.leaving:
            if self._queue:
                yield from self._do(instance, self._queue.popleft())
            else:
                instance.wake = env.event()
                idle[instance] = None
                yield instance.wake
        self._running -= 1
        instance.is_running = False
        self._stop(service, instance)
        if self._queue and idle:
            # A task that this one was woken for, or has given back.
            self._wake(next(iter(idle)))

    def _do(self, instance: Instance, job: int) -> _Process:
        """Do one task, or give it back if spot takes the instance away before it is done."""
        env, model = self._env, int(self._workload.model[job])
        takes_s = float(self._workload.service_s[job]) / self._host.speed
        # The model of a worker's first task is loaded while the worker starts.
        takes_s += self._host.switch_s if instance.model not in {-1, model} else 0.0
        instance.model, instance.is_busy = model, True
        began_s = self._started_s[job] = env.now
        self._at_work += 1
        try:
            yield env.timeout(takes_s)
        except simpy.Interrupt:
            self._lost_s += env.now - began_s
            self._queue.appendleft(job)
        else:
            self._work_s += takes_s
            self._times_done[job] += 1
            done, work_s = self._recent[-1]
            self._recent[-1] = (done + 1, work_s + takes_s)
            self._left -= 1
            if not self._left:
                self._all_done.succeed()
        instance.is_busy = False
        self._at_work -= 1

    def _stop(self, service: Service, instance: Instance) -> None:
        """End a worker; its instance stays for a while, unless spot takes it."""
        del service.workers[instance]
        instance.worker = None
        if instance.doomed:
            self._pay(service, instance)
        else:
            service.spare.append(instance)
            self._env.process(self._part_with(service, instance))

    def _part_with(self, service: Service, instance: Instance) -> _Process:
        instance.parked += 1
        parked = instance.parked
        yield self._env.timeout(self._host.spare_s)
        if instance in service.spare and instance.parked == parked:
            service.spare.remove(instance)
            self._pay(service, instance)

    def _pay(self, service: Service, instance: Instance) -> None:
        service.instance_h += (self._env.now - instance.launched_s) / 3600

    def _scale(self) -> _Process:
        """Look once a minute, and let AWS do what the alarms say."""
        spot, on_demand = SpotScaling(self._policy), OnDemandScaling(self._policy)
        self._spot.desired = spot.desired = self._policy.at_least(self._begins_s)
        self._follow(self._spot)
        while True:
            yield self._env.timeout(_MINUTE_S - _ALARM_S)
            seen = self._read()
            yield self._env.timeout(_ALARM_S)
            self._spot.desired = spot.decide(self._env.now, seen)
            self._on_demand.desired = on_demand.decide(seen.missing)
            self._follow(self._spot)
            self._follow(self._on_demand)

    def _read(self) -> Minute:
        done = sum(count for count, _ in self._recent)
        mean_s = sum(work_s for _, work_s in self._recent) / done if done else self._policy.default_prompt_s
        self._recent.append((0, 0.0))
        booting_too = len(self._spot.workers) + len(self._on_demand.workers)
        self._trace.append((self._env.now, len(self._queue), self._running, booting_too))
        spot = sum(each.is_running for each in self._spot.workers)
        there = len(self._spot.workers) if self._policy.shortfall == "instances" else spot
        prepared = min(len(self._queue), self._at_work)
        since_s = self._env.now - _MINUTE_S * self._policy.arrivals_min
        first, last = np.searchsorted(self._workload.arrival_s, [since_s, self._env.now])
        lane = Reading(
            came=int(last - first),
            messages=len(self._queue) + self._at_work,
            mean_s=mean_s,
            spot=spot,
            on_demand=self._running - spot,
        )
        return Minute(
            lane,
            visible=len(self._queue) - prepared,
            missing=max(0, self._spot.desired - there),
        )

    def _follow(self, service: Service) -> None:
        """Start or stop workers until there are as many as wanted: what ECS does with a service."""
        missing = service.desired - sum(not instance.doomed for instance in service.workers)
        for _ in range(min(missing, self._market.launches_per_min)):
            if service.spare:
                self._start(service, service.spare.pop(), self._host.start_s)
            elif service.on_demand or not self._is_short:
                self._launch(service)
        if missing < 0:
            # Those at work are protected, and those that boot are soon idle.
            idle = [each for each in self._idle if each.on_demand is service.on_demand]
            for instance in idle[:-missing]:
                instance.leaving = True
                self._wake(instance)

    def _launch(self, service: Service) -> None:
        instance = Instance(on_demand=service.on_demand, launched_s=self._env.now)
        boot_s = self._host.boot_s
        if boot_s:
            boot_s = float(lognormal(self._random, boot_s, self._host.boot_variation, 1)[0])
        self._start(service, instance, boot_s)
        if not service.on_demand and self._market.interruptions_per_h:
            lives_s = self._random.exponential(3600 / self._market.interruptions_per_h)
            self._env.process(self._take_away(service, instance, lives_s))

    def _start(self, service: Service, instance: Instance, start_s: float) -> None:
        instance.leaving = False
        service.workers[instance] = None
        instance.worker = self._env.process(self._serve(service, instance, start_s))

    def _take_away(self, service: Service, instance: Instance, after_s: float) -> _Process:
        """Give notice to a spot instance, and end it."""
        yield self._env.timeout(after_s)
        if instance.doomed or (instance not in service.workers and instance not in service.spare):
            return
        instance.doomed = instance.leaving = True
        if instance in service.spare:
            service.spare.remove(instance)
            self._pay(service, instance)
        elif instance in self._idle:
            self._wake(instance)
        elif instance.is_running:
            yield self._env.timeout(self._market.notice_s - _MARGIN_S)
            if instance.is_busy and instance.worker is not None:
                instance.worker.interrupt()
        elif not instance.is_running and instance.worker is not None:
            instance.worker.interrupt()

    def _fall_short(self) -> _Process:
        """Let spot run out now and then: nothing is given, and some of what there is is taken."""
        market = self._market
        while True:
            yield self._env.timeout(self._weather.exponential(86_400 / market.shortages_per_day))
            self._is_short = True
            for instance in [*self._spot.workers, *self._spot.spare]:
                if self._random.random() < market.shortage_takes:
                    self._env.process(self._take_away(self._spot, instance, 0.0))
            yield self._env.timeout(self._weather.exponential(market.shortage_s))
            self._is_short = False
