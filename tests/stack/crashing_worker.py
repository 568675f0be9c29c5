"""The worker of the paid lane in a process of its own, which kills itself at a point that the first argument names.

It reads one SQS event from standard input and writes the handler's answer. Environment: the function's own.
"""

import json
import os
import signal
import sys
import threading
from types import SimpleNamespace
from typing import Any

from backlot.aws.deliveries import LEASE_MARGIN_S
from lambdas.run_paid_step import handler as worker

#: How long after the last moment of the call it was noted, seconds; the stand-in takes longer to answer.
ON_THE_WIRE_S = 0.4

#: Longest life of a claim, milliseconds; the rest of what the handler adds to the remaining time.
LEASE_MS = 1500


def die(*_: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_on_the_wire(*_: Any) -> None:
    threading.Timer(ON_THE_WIRE_S, die).start()


#: Which call of which port it dies before or after.
POINTS = {
    "before the call": ("ledger", "paying", die, None),
    "when the call is noted": ("ledger", "paying", None, die),
    "after submit": ("ledger", "paying", None, die_on_the_wire),
    "after the answer": ("ledger", "answered", die, None),
    "when the answer is kept": ("ledger", "answered", None, die),
    "before the token reply": ("tokens", "succeed", die, None),
}


def arm(point: str) -> None:
    """Let the worker die at a point."""
    port_name, method, before, after = POINTS[point]
    port = getattr(worker._deps().runner, port_name)
    call = getattr(port, method)

    def deadly(*arguments: Any, **named: Any) -> Any:
        if before:
            before()
        result = call(*arguments, **named)
        if after:
            after()
        return result

    setattr(port, method, deadly)


def main() -> None:
    if sys.argv[1] != "never":
        arm(sys.argv[1])
    context = SimpleNamespace(
        function_name="run_paid_step",
        memory_limit_in_mb=2048,
        invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:run_paid_step",
        aws_request_id=str(os.getpid()),
        get_remaining_time_in_millis=lambda: LEASE_MS - LEASE_MARGIN_S * 1000,
    )
    answer = worker.handler(json.load(sys.stdin), context)
    print(json.dumps({"answer": answer}), file=sys.__stdout__)


if __name__ == "__main__":
    main()
