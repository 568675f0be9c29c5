"""What came out of a run."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdk.capacity.workload import Floats


@dataclass(frozen=True)
class Outcome:
    """One run.

    Args:
        wait_s: of each task, from its arrival until the start of the work that was finished.
        times_done: how often each task was done.
        work_s: of GPUs on tasks that were done, changes of the model included.
        lost_s: of GPUs on tasks that spot broke off.
        spot_h: instance hours.
        on_demand_h: instance hours.
        usd: their price.
        trace: minute by minute: seconds, tasks that wait, workers that run, workers that run or start.
    """

    wait_s: Floats
    times_done: NDArray[np.int32]
    work_s: float
    lost_s: float
    spot_h: float
    on_demand_h: float
    usd: float
    trace: Floats

    @property
    def images(self) -> int:
        """Tasks that were done."""
        return int(np.count_nonzero(self.times_done))

    @property
    def instance_h(self) -> float:
        """Hours of all instances."""
        return self.spot_h + self.on_demand_h

    @property
    def utilisation(self) -> float:
        """Share of the paid time in which tasks were done."""
        return self.work_s / 3600 / self.instance_h

    @property
    def usd_per_image(self) -> float:
        """Price of the instances by images."""
        return self.usd / self.images

    def wait(self, percent: float) -> float:
        """Return a percentile of the waits, seconds."""
        return float(np.percentile(self.wait_s, percent))

    def within(self, limit_s: float) -> float:
        """Return the share of tasks that waited for no longer than a limit."""
        return float(np.mean(self.wait_s <= limit_s))
