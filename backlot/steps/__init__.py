"""The units of work: what a queue message asks for, how it is done once, and the steps themselves.

A step `mask-face` is the module `mask_face` of this package, which defines `STEP`. Nothing lists steps a second time.
"""

from backlot.steps._jobs import JobPolicy, ResultAddress, webhook_address
from backlot.steps._ledger import (
    Adopted,
    Claim,
    Claimed,
    Done,
    Ended,
    Held,
    Holder,
    Job,
    JobAnswers,
    LeaseLost,
    Overtaken,
    Running,
    StepLedger,
)
from backlot.steps._models import NAME as OWN_MODELS
from backlot.steps._runner import ANSWERED, DROPPED, PUT_OFF, WAITING, Outcome, StepRunner, TaskTokens, step_named
from backlot.steps._step import AFTER_PAYING_S, Fetcher, ObjectStore, Step, StepDeps, StepRun, Stopwatch
from backlot.work_items import Cancellation, WorkItem

__all__ = [
    "AFTER_PAYING_S",
    "ANSWERED",
    "DROPPED",
    "OWN_MODELS",
    "PUT_OFF",
    "WAITING",
    "Adopted",
    "Cancellation",
    "Claim",
    "Claimed",
    "Done",
    "Ended",
    "Fetcher",
    "Held",
    "Holder",
    "Job",
    "JobAnswers",
    "JobPolicy",
    "LeaseLost",
    "ObjectStore",
    "Outcome",
    "Overtaken",
    "ResultAddress",
    "Running",
    "Step",
    "StepDeps",
    "StepLedger",
    "StepRun",
    "StepRunner",
    "Stopwatch",
    "TaskTokens",
    "WorkItem",
    "step_named",
    "webhook_address",
]
