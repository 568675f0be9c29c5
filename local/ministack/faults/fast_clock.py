"""Hours pass in seconds: while `<TMPDIR>/fast-clock` holds a number, state machines wait that many times shorter."""

import tempfile
import time
from pathlib import Path

from ministack.services import stepfunctions

SWITCH = Path(tempfile.gettempdir()) / "fast-clock"


def apply() -> None:
    """Divide the pauses of wait states and retries."""

    def sleep(seconds):
        time.sleep(seconds / float(SWITCH.read_text()) if SWITCH.exists() else seconds)

    stepfunctions._scaled_sleep = sleep
