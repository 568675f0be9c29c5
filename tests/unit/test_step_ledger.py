"""The step ledger on DynamoDB: what each record means to whoever comes next."""

from typing import Any

import pytest

from backlot.aws.dynamodb import Table
from backlot.aws.step_ledger import DynamoStepLedger
from backlot.steps._ledger import Claimed, Done, Ended, Held, Holder, LeaseLost, Lost, Overtaken
from backlot.tasks import StepOutput
from tests.unit.aws_answers import answering
from tests.unit.fakes import NOW_MS
from tests.unit.work import an_item

HOLDER = Holder("task", "mask-face", "task/0", 0, "receipt")
LEASE = {"lease_until_ms": {"N": str(NOW_MS + 1000)}}
OUTPUT = StepOutput(
    step="mask-face",
    result_url="https://cdn.example.com/images/a.png",
    width=1,
    height=1,
    content_type="image/png",
    provider="dashscope",
    model="qwen3-vl-plus",
    cost=[],
    detail={},
)


def ledger(answer: Any) -> DynamoStepLedger:
    return DynamoStepLedger(Table(answering("dynamodb", answer), "idempotency", "id"), days=30)


def claim(answer: Any) -> Any:
    return ledger(answer).claim(HOLDER, now_ms=NOW_MS, lease_ms=1000)


def written(**item: dict[str, Any]) -> dict[str, Any]:
    return {"update_item": {"Attributes": LEASE | item}}


def refused(**item: dict[str, Any]) -> tuple[str, int, dict[str, Any]]:
    return "update_item:ConditionalCheckFailedException", 400, {"Item": LEASE | item}


@pytest.mark.parametrize(
    ("answer", "decided"),
    [
        (written(), {"checkpoint": "new"}),
        (
            refused(receipt={"S": "receipt"}, decided_by={"S": "task"}, decision={"S": '{"checkpoint": "old"}'}),
            {"checkpoint": "old"},
        ),
    ],
)
def test_what_a_step_decides_is_kept_for_its_execution(answer, decided):
    assert ledger(answer).decided(HOLDER, {"checkpoint": "new"}) == decided


@pytest.mark.parametrize(
    "item",
    [
        {"receipt": {"S": "another"}, "decided_by": {"S": "task"}, "decision": {"S": "{}"}},
        {"receipt": {"S": "receipt"}, "state": {"S": "done"}},
    ],
)
def test_step_that_another_worker_has_decides_nothing(item):
    with pytest.raises(LeaseLost):
        ledger(refused(**item)).decided(HOLDER, {})


def test_claim_of_a_step_that_nobody_has_is_ours():
    assert claim(written(state={"S": "claimed"})) == Claimed(None)


def test_claim_of_a_step_that_was_paid_brings_the_answer():
    assert claim(written(state={"S": "claimed"}, answer={"S": '{"text": "[]"}'})) == Claimed({"text": "[]"})


def test_claim_of_a_step_about_to_be_paid_is_lost():
    assert claim(written(state={"S": "paying"}, provider={"S": "ark"})) == Lost("ark")


def test_claim_of_a_step_at_work_tells_until_when_it_is_held():
    assert claim(refused(state={"S": "claimed"})) == Held(NOW_MS + 1000)


def test_claim_of_a_step_that_is_done_brings_its_result():
    assert claim(refused(state={"S": "done"}, step_output={"S": OUTPUT.model_dump_json()})) == Done(OUTPUT)


def test_claim_of_an_attempt_that_ended_brings_its_error():
    error = {"M": {"name": {"S": "NoFaceFound"}, "message": {"S": "words"}}}
    assert claim(refused(state={"S": "claimed"}, attempts={"M": {"task/0": error}})) == Ended("NoFaceFound", "words")


def test_claim_of_a_turn_that_was_put_off_is_overtaken():
    assert claim(refused(state={"S": "claimed"}, turn_of={"S": "task/0"}, turn={"N": "1"})) == Overtaken()


def test_claim_of_the_first_turn_of_another_attempt_is_not_overtaken():
    assert claim(refused(state={"S": "claimed"}, turn_of={"S": "task/9"}, turn={"N": "1"})) == Held(NOW_MS + 1000)


@pytest.mark.parametrize(("attempt", "slot_ms"), [("task/0", NOW_MS), ("task/9", None)])
def test_claim_brings_the_slot_of_its_own_attempt(attempt, slot_ms):
    slot = {"M": {"attempt": {"S": attempt}, "ms": {"N": str(NOW_MS)}}}
    assert claim(written(state={"S": "claimed"}, slot=slot)) == Claimed(None, slot_ms)


def test_claim_after_another_attempt_ended_is_held_as_long_as_somebody_works():
    error = {"M": {"name": {"S": "NoFaceFound"}, "message": {"S": "words"}}}
    assert claim(refused(state={"S": "claimed"}, attempts={"M": {"task/9": error}})) == Held(NOW_MS + 1000)


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger: ledger.paying(HOLDER, "ark"),
        lambda ledger: ledger.answered(HOLDER, {}),
        lambda ledger: ledger.done(HOLDER, OUTPUT),
        lambda ledger: ledger.ended(HOLDER, "NoFaceFound", "words"),
        lambda ledger: ledger.put_off(HOLDER, slot_ms=NOW_MS, item=an_item("mask-face", {})),
        lambda ledger: ledger.release(HOLDER),
    ],
    ids=["paying", "answered", "done", "ended", "put off", "release"],
)
def test_write_after_another_worker_took_the_step_is_refused(write):
    with pytest.raises(LeaseLost):
        write(ledger(refused(state={"S": "claimed"}, receipt={"S": "another"})))


def test_lease_that_another_worker_has_is_not_renewed():
    with pytest.raises(LeaseLost):
        ledger(refused(state={"S": "claimed"})).renew(HOLDER, now_ms=NOW_MS, lease_ms=1000)
