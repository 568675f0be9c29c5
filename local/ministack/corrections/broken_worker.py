"""On AWS, an environment of a function that cannot be started ends alone, and the function's others go on.

MiniStack ends all of them, in the middle of what they do or while they start.
"""

import sys
import threading

from ministack.core import lambda_runtime
from ministack.services import lambda_svc


def apply() -> None:
    """End the worker that broke, and no other."""
    acquire, invalidate = lambda_svc.acquire_worker, lambda_svc.invalidate_worker
    leased = threading.local()

    def acquire_and_remember(*names, **limits):
        leased.worker, reason = acquire(*names, **limits)
        return leased.worker, reason

    def end_what_broke(func_name, **scope):
        # Called while an error is handled, it is about the worker that this thread has; else the function has changed.
        if sys.exc_info()[0] is None:
            invalidate(func_name, **scope)
            return
        with lambda_runtime._lock:
            for workers in lambda_runtime._workers.values():
                if leased.worker in workers:
                    workers.remove(leased.worker)
        lambda_runtime.kill_workers([leased.worker])

    lambda_svc.acquire_worker = acquire_and_remember
    lambda_svc.invalidate_worker = end_what_broke
