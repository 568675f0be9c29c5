"""The step ledger in the idempotency table; see backlot/steps/_ledger.py for what its states mean."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from backlot.aws.dynamodb import Refused, Table
from backlot.clock import now_ms as clock_ms
from backlot.steps._ledger import Claim, Claimed, Done, Ended, Held, Holder, LeaseLost, Lost
from backlot.tasks import StepOutput

CLAIMED, PAYING, DONE = "claimed", "paying", "done"


class DynamoStepLedger:
    """The records of steps, one item each.

    Args:
        table: the idempotency table, whose key is `id`.
        days: how long a record is kept after it was first claimed.
    """

    def __init__(self, table: Table, *, days: int) -> None:
        self._table = table
        self._days = days

    def claim(self, holder: Holder, *, now_ms: int, lease_ms: int) -> Claim:
        """Take the step if nobody has it, or tell why not."""
        written = self._table.update(
            _key(holder),
            "SET #state = if_not_exists(#state, :claimed), receipt = :receipt, lease_until_ms = :until, "
            "attempts = if_not_exists(attempts, :none), expires_at = if_not_exists(expires_at, :expiry)",
            condition="attribute_not_exists(id) OR "
            "(#state <> :done AND lease_until_ms < :now AND attribute_not_exists(attempts.#attempt))",
            names={"#state": "state", "#attempt": holder.attempt},
            values={
                ":claimed": CLAIMED,
                ":done": DONE,
                ":receipt": holder.receipt,
                ":until": now_ms + lease_ms,
                ":now": now_ms,
                ":none": {},
                ":expiry": now_ms // 1000 + self._days * 86_400,
            },
        )
        if isinstance(written, Refused):
            return _refusal(written.item or {}, holder)
        if written["state"] == PAYING:
            return Lost(str(written["provider"]))
        return Claimed(json.loads(written["answer"]) if "answer" in written else None)

    def paying(self, holder: Holder, provider: str) -> None:
        """Note that a paid call is about to be sent to a provider; refused when the lease has run out."""
        self._write(
            holder,
            "SET #state = :paying, provider = :provider",
            {":paying": PAYING, ":provider": provider, ":now": clock_ms()},
            extra=" AND lease_until_ms > :now",
        )

    @retry(
        retry=retry_if_exception_type((ClientError, BotoCoreError)),
        stop=stop_after_delay(60),
        wait=wait_exponential(multiplier=0.5, max=10),
        reraise=True,
    )
    def answered(self, holder: Holder, answer: dict[str, Any]) -> None:
        """Keep a paid call's answer; tried for a minute, because without it the money is lost."""
        self._write(
            holder, "SET #state = :claimed, answer = :answer", {":claimed": CLAIMED, ":answer": json.dumps(answer)}
        )

    def done(self, holder: Holder, output: StepOutput) -> None:
        """Keep the step's result; it is never done again."""
        self._write(
            holder,
            "SET #state = :done_now, step_output = :output",
            {":done_now": DONE, ":output": output.model_dump_json()},
        )

    def ended(self, holder: Holder, error_name: str, error_message: str) -> None:
        """Give the step back after this attempt ended with an error; an answer that was paid for stays."""
        self._write(
            holder,
            "SET #state = :claimed, lease_until_ms = :zero, attempts.#attempt = :error",
            {":claimed": CLAIMED, ":zero": 0, ":error": {"name": error_name, "message": error_message}},
            names={"#attempt": holder.attempt},
        )

    def release(self, holder: Holder) -> None:
        """Let the lease run out at once, so that the same message can be tried again; nothing else changes."""
        self._write(holder, "SET lease_until_ms = :zero", {":zero": 0})

    def _write(
        self,
        holder: Holder,
        update: str,
        values: dict[str, Any],
        *,
        names: dict[str, str] | None = None,
        extra: str = "",
    ) -> None:
        written = self._table.update(
            _key(holder),
            update,
            condition="receipt = :receipt AND #state <> :done" + extra,
            names={"#state": "state", **(names or {})},
            values={":receipt": holder.receipt, ":done": DONE, **values},
        )
        if isinstance(written, Refused):
            raise LeaseLost(f"{holder.task_id} {holder.step}")


def _key(holder: Holder) -> str:
    return f"step#{holder.task_id}#{holder.step}"


def _refusal(item: dict[str, Any], holder: Holder) -> Claim:
    if item.get("state") == DONE:
        return Done(StepOutput.model_validate_json(item["step_output"]))
    error = item.get("attempts", {}).get(holder.attempt)
    if error:
        return Ended(str(error["name"]), str(error["message"]))
    return Held(int(item.get("lease_until_ms", 0)))
