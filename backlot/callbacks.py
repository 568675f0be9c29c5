"""Telling a client's server that a task has ended: a webhook, signed as Standard Webhooks has it.

Source: github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md, read 2026-11-21.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from backlot.clock import Clock
from backlot.tasks import Delivery, Task
from backlot.views import TaskEvent

#: Pauses before the second, third, … attempt, seconds: three and a half hours in all.
WAITS_S = (5, 15, 45, 135, 405, 1215, 3600, 7200)

DELIVERED, GIVEN_UP, LATER = "delivered", "given up", "later"

#: What a receiver answers that wants no more of these (Standard Webhooks, "410 Gone").
GONE = 410


def secret_of(master: str, owner: str) -> bytes:
    """Return the key with which webhooks of an API key are signed.

    Args:
        master: the deployment's own secret.
        owner: id of the API key.
    """
    return hmac.digest(master.encode(), f"webhooks/{owner}".encode(), hashlib.sha256)


def written(secret: bytes) -> str:
    """Return a signing key in the form in which libraries take it: `whsec_…`."""
    return "whsec_" + base64.b64encode(secret).decode()


def signed(secret: bytes, *, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the headers of a signed message.

    Args:
        message_id: the same at every attempt, so that a receiver can tell repetitions.
        timestamp_s: of this attempt, Unix seconds.
        body: exactly as it is sent.
    """
    content = f"{message_id}.{timestamp_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{signature}",
    }


class WebhookFailed(Exception):
    """The receiver could not be reached, or must not be; the message says why.

    Args:
        is_final: whether trying again is of no use.
    """

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final


class Poster(Protocol):
    """Sends a message to a receiver."""

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Return the status of the answer; WebhookFailed without one."""


class DeliveryLog(Protocol):
    """The part of the task store that deliveries need."""

    def get(self, task_id: str) -> Task | None:
        """Read a task."""

    def note_delivery(self, task_id: str, delivery: Delivery) -> None:
        """Add an attempt to the task's record."""


@dataclass(frozen=True)
class Attempt:
    """What became of an attempt.

    Args:
        outcome: DELIVERED, GIVEN_UP or LATER.
        wait_s: for LATER, the pause before the next attempt.
    """

    outcome: str
    wait_s: int = 0


@dataclass(frozen=True)
class Callbacks:
    """Delivers webhooks.

    Args:
        tasks: the task store.
        poster: sends messages.
        master: the deployment's own secret.
        clock: Unix time in milliseconds.
    """

    tasks: DeliveryLog
    poster: Poster
    master: str
    clock: Clock

    def deliver(self, task_id: str, attempt: int) -> Attempt:
        """Try once.

        Args:
            attempt: how many were made before.
        """
        task = self.tasks.get(task_id)
        if task is None or task.callback_url is None or not task.status.is_final:
            return Attempt(GIVEN_UP)
        began_ms = self.clock()
        status, reason, is_final = self._send(task, task.callback_url, began_ms // 1000)
        delivery = Delivery(at_ms=began_ms, took_ms=self.clock() - began_ms, status=status, error=reason)
        self.tasks.note_delivery(task_id, delivery)
        if reason is None:
            return Attempt(DELIVERED)
        return Attempt(GIVEN_UP) if is_final or attempt >= len(WAITS_S) else Attempt(LATER, WAITS_S[attempt])

    def _send(self, task: Task, url: str, now_s: int) -> tuple[int | None, str | None, bool]:
        """Return the answer's status, why it was no success, and whether that is final."""
        ended = datetime.fromtimestamp((task.completed_ms or 0) / 1000, UTC)
        body = TaskEvent.of(task, ended).model_dump_json().encode()
        headers = signed(
            secret_of(self.master, task.owner),
            message_id=f"msg_{task.execution_name}",
            timestamp_s=now_s,
            body=body,
        )
        try:
            status = self.poster.post(url, body, {**headers, "content-type": "application/json"})
        except WebhookFailed as error:
            return None, str(error), error.is_final
        is_success = 200 <= status < 300
        return status, None if is_success else f"HTTP {status}", status == GONE
