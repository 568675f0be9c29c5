"""On AWS, an execution that runs for longer than its machine's `TimeoutSeconds` ends as TIMED_OUT, with an event.

MiniStack ignores a machine's time limit.
"""

import contextvars
import json
import threading

from ministack.core.responses import now_iso
from ministack.services import stepfunctions


def apply() -> None:
    """Watch every execution whose machine has a time limit, and let nothing overwrite its end."""
    run, fail = stepfunctions._run_execution, stepfunctions._fail_execution

    def watched(execution_arn):
        execution = stepfunctions._executions.get(execution_arn)
        limit = _limit(execution)
        if limit:
            context = contextvars.copy_context()
            timer = threading.Timer(limit, context.run, args=(_time_out, execution))
            timer.daemon = True
            timer.start()
        return run(execution_arn)

    def fail_if_running(execution, error, cause):
        if execution["status"] == "RUNNING":
            fail(execution, error, cause)

    stepfunctions._run_execution = watched
    stepfunctions._fail_execution = fail_if_running


def _limit(execution):
    machine = stepfunctions._state_machines.get(execution["stateMachineArn"]) if execution else None
    return json.loads(machine["definition"]).get("TimeoutSeconds") if machine else None


def _time_out(execution):
    if execution["status"] != "RUNNING":
        return
    execution.update(status="TIMED_OUT", stopDate=now_iso(), error="States.Timeout", cause=None)
    details = {"executionTimedOutEventDetails": {"error": "States.Timeout"}}
    stepfunctions._add_event(execution, "ExecutionTimedOut", details)
    stepfunctions._emit_execution_status_event(execution)
