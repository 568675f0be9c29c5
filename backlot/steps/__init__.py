"""The units of work: what a queue message asks for, how it is done once, and the steps themselves.

A step `mask-face` is the module `mask_face` of this package, which defines `STEP`. Nothing lists steps a second time.
"""

from backlot.steps._ledger import Holder, LeaseLost, StepLedger
from backlot.steps._runner import ANSWERED, DROPPED, WAITING, Outcome, StepRunner, step_named
from backlot.steps._step import Step, StepDeps, StepRun, WorkItem

__all__ = [
    "ANSWERED",
    "DROPPED",
    "WAITING",
    "Holder",
    "LeaseLost",
    "Outcome",
    "Step",
    "StepDeps",
    "StepLedger",
    "StepRun",
    "StepRunner",
    "WorkItem",
    "step_named",
]
