"""What nobody else would find: executions that ended without a record, dead letters, tasks that never started."""

import pytest

from backlot.errors import NotStarted
from backlot.settlement import Settlement
from backlot.steps import Holder
from backlot.sweep import (
    MAX_MESSAGES,
    MAX_TASKS,
    SILENT_AFTER_S,
    UNSTARTED_AFTER_S,
    UNSTARTED_BEFORE_S,
    Sweep,
    Swept,
)
from backlot.tasks import Status
from tests.unit.fakes import NOW_MS, Counter, Counts, DeadLetter, DeadLetters, Executions, Faces, Looks, Tasks, Tokens
from tests.unit.ledger import Ledger
from tests.unit.work import TASK_ID, a_task, an_item

MESSAGE = an_item("mask-face", {})


@pytest.fixture
def settlement(clock) -> Settlement:
    return Settlement(Tasks({TASK_ID: a_task()}), Executions(), Counter(), Counts(), clock)


@pytest.fixture
def sweep(clock) -> Sweep:
    return Sweep(Tasks(), Executions(), [DeadLetters()], Tokens(), Faces(), Ledger(clock), Looks(), clock)


@pytest.mark.parametrize(
    ("status", "error", "message"),
    [
        ("TIMED_OUT", "TimedOut", "The task was not done within its time limit"),
        ("ABORTED", "Aborted", "The task was stopped by the operator"),
        ("FAILED", "Unexpected", "An unexpected error ended the task"),
    ],
)
def test_settle_of_an_open_task_records_what_no_state_could(settlement, clock, status, error, message):
    clock.advance(seconds=60)

    task = settlement.settle(TASK_ID, status)

    assert (task.status, task.error_name, task.error_message) == (Status.FAILED, error, message)
    assert task.completed_ms == clock()
    assert settlement.metrics.ended_tasks == [task]


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
def test_settle_of_a_task_that_has_ended_leaves_it_and_counts_it_once(settlement, status):
    ended = a_task(status=Status.COMPLETED)
    settlement.tasks.kept[TASK_ID] = ended

    assert [settlement.settle(TASK_ID, status) for _ in range(3)] == [ended, None, None]
    assert settlement.metrics.ended_tasks == [ended]


@pytest.mark.parametrize("status", ["SUCCEEDED", "RUNNING", "PENDING_REDRIVE"])
def test_settle_of_an_open_task_that_did_not_fail_waits(settlement, status):
    assert settlement.settle(TASK_ID, status) is None
    assert settlement.tasks.get(TASK_ID).status is Status.PENDING


def test_settle_of_a_retried_tasks_execution_settles_the_task(settlement):
    settlement.settle(TASK_ID, "FAILED")
    settlement.tasks.reopen(settlement.tasks.get(TASK_ID), NOW_MS)

    assert settlement.settle(f"{TASK_ID}.1", "ABORTED").task_id == TASK_ID
    assert [task.error_name for task in settlement.metrics.ended_tasks] == ["Unexpected", "Aborted"]


def test_settle_of_an_execution_before_the_retry_leaves_the_task_alone(settlement):
    settlement.settle(TASK_ID, "FAILED")
    settlement.tasks.reopen(settlement.tasks.get(TASK_ID), NOW_MS)

    assert settlement.settle(TASK_ID, "TIMED_OUT") is None
    assert settlement.tasks.get(TASK_ID).status is Status.PENDING


def wanting_a_webhook(settlement, **changes) -> None:
    settlement.tasks.kept[TASK_ID] = a_task(callback_url="https://a.example/hook", **changes)


def test_settle_of_a_task_that_somebody_waits_for_starts_the_webhook_once(settlement):
    wanting_a_webhook(settlement, status=Status.COMPLETED)
    for _ in range(2):
        settlement.settle(TASK_ID, "SUCCEEDED")

    assert settlement.executions.inputs == {("deliver-webhook", TASK_ID): {"task_id": TASK_ID, "attempt": 0}}


def test_settle_of_a_retried_task_starts_a_webhook_of_its_own(settlement):
    wanting_a_webhook(settlement, status=Status.FAILED, retries=1)
    settlement.settle(TASK_ID, "FAILED")
    assert settlement.executions.inputs == {}

    settlement.settle(f"{TASK_ID}.1", "FAILED")
    assert list(settlement.executions.inputs) == [("deliver-webhook", f"{TASK_ID}.1")]


def test_settle_while_the_webhook_cannot_be_started_is_to_be_done_again(settlement):
    wanting_a_webhook(settlement, status=Status.COMPLETED)
    settlement.executions.is_down = True
    with pytest.raises(NotStarted):
        settlement.settle(TASK_ID, "SUCCEEDED")
    settlement.executions.is_down = False

    assert settlement.settle(TASK_ID, "SUCCEEDED").task_id == TASK_ID
    assert len(settlement.executions.inputs) == 1


def test_settle_of_an_execution_without_a_task_counts_nothing(settlement):
    assert settlement.settle("by-hand", "FAILED") is None
    assert settlement.metrics.ended_tasks == []


def test_sweep_of_a_dead_letter_fails_its_task_and_leaves_it(sweep):
    (queue,) = sweep.dead_letters
    queue.messages = [DeadLetter(MESSAGE.model_dump_json(), receives=3)]

    assert sweep.run() == Swept(dead_letters=1)
    assert sweep.tokens.answers["token"] == (
        "DeadLettered",
        "The step was started 3 times and never finished; its message is in cpu_tasks_dlq",
    )
    assert len(queue.messages) == 1


@pytest.mark.parametrize(
    "body",
    ["", "hello", "{}", "[]", '{"task_token": "t"}', MESSAGE.model_copy(update={"task_token": ""}).model_dump_json()],
)
def test_sweep_of_a_message_that_is_no_work_goes_on_with_the_next(sweep, body):
    sweep.dead_letters[0].messages = [DeadLetter(body), DeadLetter(MESSAGE.model_dump_json())]

    assert sweep.run() == Swept(dead_letters=1, unreadable=1)
    assert list(sweep.tokens.answers) == ["token"]


def test_sweep_looks_at_every_queue_and_at_so_many_messages_only(sweep):
    letter = DeadLetter(MESSAGE.model_dump_json())
    sweep.dead_letters[:] = [DeadLetters([letter] * (MAX_MESSAGES + 1)), DeadLetters([letter])]

    assert sweep.run().dead_letters == MAX_MESSAGES + 1


@pytest.mark.parametrize(
    ("age_s", "started"),
    [
        (UNSTARTED_AFTER_S - 1, 0),
        (UNSTARTED_AFTER_S, 1),
        (UNSTARTED_BEFORE_S, 1),
        (UNSTARTED_BEFORE_S + 1, 0),
    ],
)
def test_sweep_starts_tasks_that_are_pending_for_too_long(sweep, clock, age_s, started):
    sweep.tasks.add(a_task(now_ms=clock() - age_s * 1000))

    assert sweep.run() == Swept(started=started)
    assert len(sweep.executions.inputs) == started


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_sweep_leaves_tasks_that_have_moved_on(sweep, clock, status):
    sweep.tasks.add(a_task(now_ms=clock() - 300_000, status=status))

    assert sweep.run() == Swept()


def test_sweep_counts_what_it_could_not_start(sweep, clock):
    sweep.executions.is_down = True
    sweep.tasks.add(a_task(now_ms=clock() - 300_000))

    assert sweep.run() == Swept(not_started=1)


def test_sweep_starts_so_many_tasks_at_once(sweep, clock):
    for number in range(MAX_TASKS + 1):
        sweep.tasks.add(a_task(f"task {number}", now_ms=clock() - 300_000))

    assert sweep.run().started == MAX_TASKS


def test_sweep_starts_a_task_with_what_its_submission_would_have_sent(sweep, clock):
    task = a_task(now_ms=clock() - 300_000)
    sweep.tasks.add(task)
    sweep.run()

    assert sweep.executions.inputs == {("face-mask", TASK_ID): {"task_id": TASK_ID, "request": task.request}}


def test_settle_counts_completed_tasks_once_for_good(settlement):
    settlement.tasks.kept[TASK_ID] = a_task(status=Status.COMPLETED, operation="body-masks")
    for _ in range(2):
        settlement.settle(TASK_ID, "SUCCEEDED")
    assert settlement.completed.kept == {"body-masks": 1}


def test_settle_counts_no_failed_task_as_completed(settlement):
    settlement.settle(TASK_ID, "FAILED")
    assert settlement.completed.kept == {}


@pytest.mark.parametrize(
    ("age_s", "operation", "step", "provider", "looked_for"),
    [
        (SILENT_AFTER_S, "body-masks", "segment-body", "sagemaker", 0),
        (SILENT_AFTER_S + 1, "body-masks", "segment-body", "sagemaker", 1),
        (SILENT_AFTER_S + 1, "identity-portrait", "paint-portrait", "sagemaker", 1),
        (SILENT_AFTER_S + 1, "identity-portrait", "make-portrait", "fal", 0),
        (SILENT_AFTER_S + 1, "face-mask", "mask-face", "sagemaker", 0),
    ],
    ids=["too early", "silent", "second route", "another provider", "another lane"],
)
def test_sweep_lets_silent_models_be_looked_at(sweep, clock, age_s, operation, step, provider, looked_for):
    task = a_task(now_ms=clock() - age_s * 1000, operation=operation, status=Status.PROCESSING)
    sweep.tasks.add(task)
    item = an_item(step, {})
    holder = Holder(TASK_ID, step, item.attempt, 0, "receipt")
    sweep.steps.claim(holder, now_ms=clock(), lease_ms=1000)
    sweep.steps.submitting(holder, provider, nonce="0" * 32, item=item)

    assert sweep.run() == Swept(looked_for=looked_for)
    assert sweep.looks.sent == [item] * looked_for
