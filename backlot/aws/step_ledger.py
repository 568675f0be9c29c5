"""The step ledger in the idempotency table; see backlot/steps/_ledger.py for what its states mean."""

import json
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_exponential

from backlot.aws.dynamodb import Refused, Table
from backlot.clock import now_ms as clock_ms
from backlot.steps._ledger import (
    Adopted,
    Claim,
    Claimed,
    Done,
    Ended,
    Held,
    Holder,
    Job,
    LeaseLost,
    Lost,
    Overtaken,
    Running,
    Unsure,
)
from backlot.tasks import StepOutput
from backlot.work_items import WorkItem

CLAIMED, PAYING, SUBMITTED, DONE = "claimed", "paying", "submitted", "done"

#: For writes without which money is lost.
_for_a_minute = retry(
    retry=retry_if_exception_type((ClientError, BotoCoreError)),
    stop=stop_after_delay(60),
    wait=wait_exponential(multiplier=0.5, max=10),
    reraise=True,
)


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
            _key(holder.task_id, holder.step),
            "SET #state = if_not_exists(#state, :claimed), receipt = :receipt, lease_until_ms = :until, "
            "attempts = if_not_exists(attempts, :none), expires_at = if_not_exists(expires_at, :expiry), "
            "turn_of = :attempt, turn = :turn",
            condition="attribute_not_exists(id) OR "
            "(#state <> :done AND lease_until_ms < :now AND attribute_not_exists(attempts.#attempt) "
            "AND (turn_of <> :attempt OR turn <= :turn))",
            names={"#state": "state", "#attempt": holder.attempt},
            values={
                ":claimed": CLAIMED,
                ":done": DONE,
                ":receipt": holder.receipt,
                ":until": now_ms + lease_ms,
                ":now": now_ms,
                ":none": {},
                ":attempt": holder.attempt,
                ":turn": holder.turn,
                ":expiry": now_ms // 1000 + self._days * 86_400,
            },
        )
        if isinstance(written, Refused):
            return _refusal(written.item or {}, holder)
        if written["state"] == PAYING:
            provider = str(written["provider"])
            return Unsure(provider, int(written["bought_ms"])) if "nonce" in written else Lost(provider)
        slot = written.get("slot", {})
        return Claimed(
            answer=json.loads(written["answer"]) if "answer" in written else None,
            slot_ms=int(slot["ms"]) if slot.get("attempt") == holder.attempt else None,
            job=_job(written),
            bought_ms=int(written.get("bought_ms", 0)),
            answered_ms=int(written.get("answered_ms", 0)),
        )

    def renew(self, holder: Holder, *, now_ms: int, lease_ms: int) -> None:
        """Hold the step for longer; LeaseLost if another worker has taken it since."""
        self._write(holder, "SET lease_until_ms = :until", {":until": now_ms + lease_ms})

    def paying(self, holder: Holder, provider: str) -> None:
        """Note that a paid call is about to be sent to a provider; refused when the lease has run out."""
        self._write(
            holder,
            "SET #state = :paying, provider = :provider",
            {":paying": PAYING, ":provider": provider, ":now": clock_ms()},
            extra=" AND lease_until_ms > :now",
        )

    @_for_a_minute
    def answered(self, holder: Holder, answer: dict[str, Any]) -> None:
        """Keep a paid call's answer; tried for a minute, because without it the money is lost."""
        self._write(
            holder,
            "SET #state = :claimed, answer = :answer, answered_ms = :now",
            {":claimed": CLAIMED, ":answer": json.dumps(answer), ":now": clock_ms()},
        )

    def submitting(self, holder: Holder, provider: str, *, nonce: str, item: WorkItem) -> None:
        """Note that a job is about to be bought, by which nonce its webhook is known, and who waits for it."""
        now_ms = clock_ms()
        self._write(
            holder,
            "SET #state = :paying, provider = :provider, nonce = :nonce, work_item = :item, bought_ms = :now "
            "REMOVE job, request_id",
            {
                ":paying": PAYING,
                ":provider": provider,
                ":nonce": nonce,
                ":item": item.model_dump_json(),
                ":now": now_ms,
            },
            extra=" AND lease_until_ms > :now AND attribute_not_exists(answer)",
        )

    @_for_a_minute
    def submitted(self, holder: Holder, job: Job) -> dict[str, Any] | None:
        """Keep a job that was bought; return its answer if the webhook was quicker."""
        written = self._table.update(
            _key(holder.task_id, holder.step),
            "SET #state = :submitted, job = :job, request_id = :request_id",
            condition="receipt = :receipt AND #state = :paying",
            names={"#state": "state"},
            values={
                ":receipt": holder.receipt,
                ":paying": PAYING,
                ":submitted": SUBMITTED,
                ":job": job.model_dump_json(),
                ":request_id": job.request_id,
            },
        )
        item = written.item or {} if isinstance(written, Refused) else {}
        if isinstance(written, Refused) and (item.get("receipt") != holder.receipt or "answer" not in item):
            raise LeaseLost(f"{holder.task_id} {holder.step}")
        return json.loads(item["answer"]) if item else None

    def forgotten(self, holder: Holder) -> None:
        """Drop a job and its answer, because it failed."""
        self._write(
            holder, "SET #state = :claimed REMOVE answer, job, request_id, nonce, work_item", {":claimed": CLAIMED}
        )

    def running(self, task_id: str, step: str) -> Running | None:
        """Return what a step waits for: a job, or its turn."""
        record = self._table.get(_key(task_id, step)) or {}
        if record.get("state") == DONE or "work_item" not in record:
            return None
        return Running(_job(record), record.get("provider"), WorkItem.model_validate_json(record["work_item"]))

    def adopt(
        self, task_id: str, step: str, *, nonce: str, request_id: str, answer: dict[str, Any], now_ms: int
    ) -> Adopted | None:
        """Keep a job's answer, unless the step is done or has an answer, or the nonce or the job is another."""
        written = self._table.update(
            _key(task_id, step),
            "SET #state = :claimed, answer = :answer, answered_ms = :now",
            condition="nonce = :nonce AND #state <> :done AND attribute_not_exists(answer) "
            "AND (attribute_not_exists(request_id) OR request_id = :request_id)",
            names={"#state": "state"},
            values={
                ":nonce": nonce,
                ":request_id": request_id,
                ":claimed": CLAIMED,
                ":done": DONE,
                ":answer": json.dumps(answer),
                ":now": now_ms,
            },
        )
        if isinstance(written, Refused):
            return None
        item = WorkItem.model_validate_json(written["work_item"])
        # The next turn, so that the message which waits for its time is overtaken.
        item = item.model_copy(update={"turn": int(written["turn"]) + 1})
        return Adopted(item, is_held=int(written["lease_until_ms"]) > now_ms)

    def decided(self, holder: Holder, value: dict[str, Any]) -> dict[str, Any]:
        """Keep what a step decides when it first asks; return it, or what was decided before in this execution."""
        written = self._table.update(
            _key(holder.task_id, holder.step),
            "SET decision = :value, decided_by = :execution",
            condition="receipt = :receipt AND #state <> :done "
            "AND (attribute_not_exists(decided_by) OR decided_by <> :execution)",
            names={"#state": "state"},
            values={
                ":receipt": holder.receipt,
                ":done": DONE,
                ":value": json.dumps(value),
                ":execution": holder.execution,
            },
        )
        if not isinstance(written, Refused):
            return value
        item = written.item or {}
        if item.get("receipt") != holder.receipt or item.get("decided_by") != holder.execution:
            raise LeaseLost(f"{holder.task_id} {holder.step}")
        decision: dict[str, Any] = json.loads(item["decision"])
        return decision

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

    def put_off(self, holder: Holder, *, slot_ms: int, item: WorkItem) -> None:
        """Give the step back for the next turn, which `item` is, and remember when it may call its provider."""
        self._write(
            holder,
            "SET lease_until_ms = :zero, turn = :next, slot = :slot, work_item = :item",
            {
                ":zero": 0,
                ":next": item.turn,
                ":slot": {"attempt": holder.attempt, "ms": slot_ms},
                ":item": item.model_dump_json(),
            },
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
            _key(holder.task_id, holder.step),
            update,
            condition="receipt = :receipt AND #state <> :done" + extra,
            names={"#state": "state", **(names or {})},
            values={":receipt": holder.receipt, ":done": DONE, **values},
        )
        if isinstance(written, Refused):
            raise LeaseLost(f"{holder.task_id} {holder.step}")


def _key(task_id: str, step: str) -> str:
    return f"step#{task_id}#{step}"


def _job(record: dict[str, Any]) -> Job | None:
    return Job.model_validate_json(record["job"]) if "job" in record else None


def _refusal(item: dict[str, Any], holder: Holder) -> Claim:
    if item.get("state") == DONE:
        return Done(StepOutput.model_validate_json(item["step_output"]))
    error = item.get("attempts", {}).get(holder.attempt)
    if error:
        return Ended(str(error["name"]), str(error["message"]))
    if item.get("turn_of") == holder.attempt and item.get("turn", 0) > holder.turn:
        return Overtaken()
    return Held(int(item.get("lease_until_ms", 0)))
