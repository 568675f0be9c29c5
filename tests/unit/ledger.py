"""The step ledger in memory, with the transitions that `backlot/steps/_ledger.py` draws."""

import json
from dataclasses import dataclass, field
from typing import Any

from backlot.steps import WorkItem
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
from tests.unit.fakes import Clock


@dataclass
class _Record:
    receipt: str
    until_ms: int
    state: str = "claimed"
    provider: str = ""
    answer: dict[str, Any] | None = None
    output: StepOutput | None = None
    turn: tuple[str, int] = ("", 0)
    slot: tuple[str, int] = ("", 0)
    nonce: str | None = None
    item: WorkItem | None = None
    job: Job | None = None
    bought_ms: int = 0
    attempts: dict[str, tuple[str, str]] = field(default_factory=dict)
    decision: tuple[str, str] = ("", "")


@dataclass
class Ledger:
    """The step ledger."""

    clock: Clock
    records: dict[tuple[str, str], _Record] = field(default_factory=dict)

    def claim(self, holder: Holder, *, now_ms: int, lease_ms: int) -> Claim:
        record = self.records.setdefault((holder.task_id, holder.step), _Record(holder.receipt, until_ms=-1))
        if record.output is not None:
            return Done(record.output)
        if holder.attempt in record.attempts:
            return Ended(*record.attempts[holder.attempt])
        if record.turn[0] == holder.attempt and record.turn[1] > holder.turn:
            return Overtaken()
        if record.until_ms >= now_ms:
            return Held(record.until_ms)
        record.receipt, record.until_ms, record.turn = holder.receipt, now_ms + lease_ms, (holder.attempt, holder.turn)
        slot_ms = record.slot[1] if record.slot[0] == holder.attempt else None
        if record.state == "paying":
            return Unsure(record.provider, record.bought_ms) if record.nonce else Lost(record.provider)
        return Claimed(record.answer, slot_ms, record.job, record.bought_ms)

    def renew(self, holder: Holder, *, now_ms: int, lease_ms: int) -> None:
        self._held(holder).until_ms = now_ms + lease_ms

    def paying(self, holder: Holder, provider: str) -> None:
        record = self._held(holder)
        if record.until_ms <= self.clock():
            raise LeaseLost
        record.state, record.provider = "paying", provider

    def answered(self, holder: Holder, answer: dict[str, Any]) -> None:
        record = self._held(holder)
        record.state, record.answer = "claimed", json.loads(json.dumps(answer))

    def decided(self, holder: Holder, value: dict[str, Any]) -> dict[str, Any]:
        record = self._held(holder)
        if record.decision[0] != holder.execution:
            record.decision = (holder.execution, json.dumps(value))
        return json.loads(record.decision[1])

    def done(self, holder: Holder, output: StepOutput) -> None:
        self._held(holder).output = output

    def ended(self, holder: Holder, error_name: str, error_message: str) -> None:
        record = self._held(holder)
        record.state, record.until_ms = "claimed", 0
        record.attempts[holder.attempt] = (error_name, error_message)

    def submitting(self, holder: Holder, provider: str, *, nonce: str, item: WorkItem) -> None:
        self.paying(holder, provider)
        record = self._held(holder)
        record.nonce, record.item, record.bought_ms = nonce, item, self.clock()

    def submitted(self, holder: Holder, job: Job) -> dict[str, Any] | None:
        record = self._held(holder)
        record.state, record.job = "submitted", job
        return record.answer

    def forgotten(self, holder: Holder) -> None:
        record = self._held(holder)
        record.state, record.answer, record.job, record.nonce = "claimed", None, None, None

    def running(self, task_id: str, step: str) -> Running | None:
        record = self.records.get((task_id, step))
        if record is None or record.output is not None or record.item is None:
            return None
        return Running(record.job, record.provider, record.item)

    def adopt(
        self, task_id: str, step: str, *, nonce: str, request_id: str, answer: dict[str, Any], now_ms: int
    ) -> Adopted | None:
        record = self.records.get((task_id, step))
        if record is None or record.nonce != nonce or record.output is not None or record.answer is not None:
            return None
        if record.job is not None and record.job.request_id != request_id:
            return None
        record.state, record.answer = "claimed", answer
        assert record.item is not None
        item = record.item.model_copy(update={"turn": record.turn[1] + 1})
        return Adopted(item, is_held=record.until_ms > now_ms)

    def put_off(self, holder: Holder, *, slot_ms: int, item: WorkItem) -> None:
        record = self._held(holder)
        record.until_ms, record.turn, record.slot = 0, (holder.attempt, item.turn), (holder.attempt, slot_ms)
        record.item = item

    def release(self, holder: Holder) -> None:
        self._held(holder).until_ms = 0

    def _held(self, holder: Holder) -> _Record:
        record = self.records.get((holder.task_id, holder.step))
        if record is None or record.receipt != holder.receipt or record.output is not None:
            raise LeaseLost
        return record
