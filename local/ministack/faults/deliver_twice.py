"""SQS delivers at least once: while `<TMPDIR>/deliver-twice` exists, every message reaches its function twice."""

import tempfile
import time
from pathlib import Path

from ministack.services import sqs

SWITCH = Path(tempfile.gettempdir()) / "deliver-twice"


def apply() -> None:
    """Let a message that was received for the first time be received again at once."""
    receive = sqs._receive_messages_for_esm

    def twice(queue_url, max_number):
        messages = receive(queue_url, max_number)
        if SWITCH.exists():
            for message in messages:
                if message["receive_count"] == 1:
                    message["visible_at"] = time.time()
        return messages

    sqs._receive_messages_for_esm = twice
