"""On AWS every attempt of a state has a token of its own, and the one before it is dead.

MiniStack keeps the token over retries, so that a late answer to the first attempt ends the second.
"""

from ministack.core.responses import new_uuid
from ministack.services import stepfunctions


def apply() -> None:
    """Make a token whenever a state that waits for one is entered or retried."""
    apply_arguments = stepfunctions._apply_jsonata_arguments

    def fresh(state_def, raw_input, ctx=None):
        if ctx is not None and ".waitForTaskToken" in state_def.get("Resource", ""):
            ctx["Task"] = {"Token": new_uuid()}
        return apply_arguments(state_def, raw_input, ctx)

    stepfunctions._apply_jsonata_arguments = fresh
