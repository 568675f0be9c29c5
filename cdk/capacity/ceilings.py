"""What breaks first when the lane grows: what it asks of AWS at a size, and the quotas of a new account.

Sources, read 2026-11-21: the pages on quotas in the guides of Step Functions (2023 figures, said to be higher in some
accounts), SQS (quotas-queues.html), API Gateway, Lambda, ECS (service-quotas.html), EC2 (using-spot-limits.html) and
DynamoDB (bp-partition-key-design.html, ServiceQuotas.html), all of us-east-1.
"""

import math
from dataclasses import dataclass

_DAY_S = 86_400

#: Writes of a task that change its record: accepted, started, completed, settled.
_RECORD_WRITES = 4

#: State transitions of a one-step operation, the start among them.
_TRANSITIONS = 3

#: How often a worker is heard of.
_BEAT_S = 10

#: Messages that a worker has at once: one at work, and one that it prepares.
_IN_FLIGHT = 2


@dataclass(frozen=True)
class Size:
    """A load, and what one task of it needs.

    Args:
        images_per_day: on average.
        gpu_s: of one task, changes of the model included.
        peak: busiest hour by the average.
        utilisation: share of a worker's time that tasks take in that hour.
        progress_s: between two notes of a task's progress.
        record_kb: size of a task's record.
        reads: of the status, for one task.
        held_s: for which reads with `?wait=` keep a function, for one task.
        vcpus: of one instance.
    """

    images_per_day: float
    gpu_s: float
    peak: float = 1.25
    utilisation: float = 0.7
    progress_s: float = 1.0
    record_kb: float = 2.0
    reads: float = 2.0
    held_s: float = 0.0
    vcpus: int = 4

    @property
    def images_per_s(self) -> float:
        """In the busiest hour."""
        return self.images_per_day * self.peak / _DAY_S

    @property
    def workers(self) -> int:
        """In the busiest hour."""
        return math.ceil(self.images_per_s * self.gpu_s / self.utilisation)


@dataclass(frozen=True)
class Ceiling:
    """A quota, and what a size asks of it.

    Args:
        name: of the quota.
        needed: by the size.
        quota: of a new account.
        can_be_raised: whether AWS raises it.
        remedy: what to do before it is reached.
    """

    name: str
    needed: float
    quota: float
    can_be_raised: bool
    remedy: str

    @property
    def share(self) -> float:
        """How much of the quota is needed; infinite if it is 0."""
        return self.needed / self.quota if self.quota else math.inf


def ceilings(size: Size) -> list[Ceiling]:
    """Return the quotas that a size comes near to, the one that breaks first before all others."""
    rate, workers, record_units = size.images_per_s, size.workers, math.ceil(size.record_kb)
    # Every change of a record is written to both indexes, too, and all changes of one API key's tasks to one partition.
    changes = rate * _RECORD_WRITES * record_units
    # How far a task is lies in an item of its own, apart from the indexes.
    notes = workers * size.utilisation / size.progress_s
    requests = rate * (1 + size.reads)
    found = [
        Ceiling("EC2: vCPUs of G and VT spot instances", workers * size.vcpus, 0, True, "ask for it: make doctor"),
        Ceiling("DynamoDB: writes a second to one partition of an index (an API key's tasks)", changes, 1000, False,
                "spread `owner` and `status` over keys"),
        Ceiling("DynamoDB: writes a second to a table", max(3 * changes, notes), 40_000, True, "ask for it"),
        Ceiling("DynamoDB: writes a second to the item `gpu-fleet`", workers / _BEAT_S, 1000, False,
                "let workers beat more seldom"),
        Ceiling("ECS: tasks of a service", workers, 5000, True, "several services, each with its queue"),
        Ceiling("ECS: container instances of a cluster", workers, 5000, True, "several clusters"),
        Ceiling("SQS: messages in flight", workers * _IN_FLIGHT, 120_000, True, "several queues"),
        Ceiling("Step Functions: StartExecution a second", rate, 300, True, "ask for it"),
        Ceiling("Step Functions: transitions a second", rate * _TRANSITIONS, 1500, True, "ask for it"),
        Ceiling("API Gateway: requests a second", requests, 10_000, True, "ask for it; webhooks instead of reads"),
        Ceiling("Lambda: functions at once", rate * (0.05 * (1 + size.reads) + 0.2 + size.held_s), 1000, True,
                "ask for it; webhooks instead of `?wait=`"),
        Ceiling("S3: writes a second below one prefix", rate, 3500, False, "each operation has its own"),
    ]  # fmt: skip
    return sorted(found, key=lambda ceiling: -ceiling.share)
