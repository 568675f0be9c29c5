"""What the lane's tasks run on: instances, and the two ECS services that they belong to."""

from dataclasses import dataclass, field

import simpy


@dataclass(eq=False, slots=True)
class Instance:
    """One instance, and the worker on it, if there is one.

    Args:
        on_demand: of which service.
        launched_s: when it began to cost.
        model: that is loaded; -1 for none.
        is_running: whether its worker takes tasks.
        is_busy: whether a task is at work.
        leaving: whether its worker takes no more tasks.
        doomed: whether spot takes it away.
        wake: fires when its idle worker has something to do, or has to leave.
        worker: the process of its worker; None for a spare instance.
        parked: how often it was spare.
    """

    on_demand: bool
    launched_s: float
    model: int = -1
    is_running: bool = False
    is_busy: bool = False
    leaving: bool = False
    doomed: bool = False
    wake: simpy.Event | None = None
    worker: simpy.Process | None = None
    parked: int = 0


@dataclass
class Service:
    """An ECS service with its capacity provider.

    Args:
        on_demand: what its instances are.
        desired: workers that are wanted.
        workers: instances with a worker, those that boot included.
        spare: instances without one, the newest last.
        instance_h: hours that were paid for.
    """

    on_demand: bool
    desired: int = 0
    workers: dict[Instance, None] = field(default_factory=dict)
    spare: list[Instance] = field(default_factory=list)
    instance_h: float = 0.0
