"""A step is done once: every row of the table in ARCHITECTURE.md, and every way in which a run can end between two."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from backlot.errors import NoFaceFound, ProviderUnavailable
from backlot.steps import ANSWERED, DROPPED, PUT_OFF, WAITING, LeaseLost, Step, StepRun, step_named
from backlot.tasks import Status, StepOutput
from tests.unit.work import LEASE_MS, TASK_ID, an_item


class BuyInput(BaseModel):
    """What the step below is asked for."""

    what: str = "picture"


@dataclass
class Shop:
    """A step that buys something, and what may go wrong on the way."""

    sold: int = 0
    meanwhile: Callable[[], None] | None = None
    before: Exception | None = None
    while_paying: BaseException | None = None
    after: Exception | None = None

    def sell(self) -> dict:
        if self.while_paying:
            raise self.while_paying
        self.sold += 1
        return {"number": self.sold}

    def run(self, request: BuyInput, run: StepRun) -> StepOutput:
        if self.before:
            raise self.before
        if self.meanwhile:
            self.meanwhile()
        answer = run.kept_answer or run.pay("shop", self.sell)
        if self.after:
            raise self.after
        return StepOutput(
            step="buy",
            result_url=f"https://cdn.example.com/{request.what}/{answer['number']}",
            width=1,
            height=1,
            content_type="image/png",
            provider="shop",
            model="m",
            cost=[],
            detail={},
        )


@pytest.fixture
def shop(monkeypatch) -> Shop:
    shop = Shop()
    step = Step(name="buy", input=BuyInput, run=shop.run, provider="shop")
    monkeypatch.setattr("backlot.steps._runner.step_named", lambda name: {"buy": step}[name])
    return shop


def buy(attempt: int = 0, token: str = "token", **step_input) -> object:
    return an_item("buy", step_input, attempt=attempt, token=token)


def die(worker, shop, item) -> None:
    """Let a worker vanish while it pays: its last write, which gives the step back, is lost, too."""
    shop.while_paying = KeyboardInterrupt()
    with failing(worker.ledger, "release"), pytest.raises(ConnectionError):
        worker.deliver(item)
    shop.while_paying = None


@contextmanager
def failing(port: object, method: str) -> Iterator[None]:
    """Let a call of a port fail for a reason that is none of ours."""

    def fail(*_: object, **__: object) -> None:
        raise ConnectionError("AWS cannot be reached")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(port, method, fail)
        yield


def test_step_that_nobody_has_is_done_and_answered(worker, shop):
    outcome = worker.deliver(buy())

    assert (outcome.kind, shop.sold) == (ANSWERED, 1)
    kind, output = worker.tokens.answers["token"]
    assert (kind, output["result_url"]) == ("done", "https://cdn.example.com/picture/1")


def test_step_marks_its_task_as_processing_since_its_first_start(worker, shop):
    worker.deliver(buy())
    worker.clock.advance(seconds=5)
    worker.deliver(buy(attempt=1))

    assert worker.task().status is Status.PROCESSING
    assert worker.clock() - worker.task().started_ms == 5000


def test_step_that_is_done_tells_where_its_time_went(worker, shop):
    outcome = worker.deliver(buy())

    assert outcome.output.timings.queued_s == 2.5
    assert outcome.output.timings.processing_s == 0
    assert 0 < outcome.output.timings.provider_s < 1


def test_step_whose_message_comes_from_a_clock_ahead_of_ours_waited_no_time(worker, shop):
    assert worker.deliver(buy(), queued_ms=-40).output.timings.queued_s == 0


def test_step_of_a_task_that_was_cancelled_ends_its_execution(worker, shop):
    worker.end_task()

    assert worker.deliver(buy()).error_name == "Cancelled"
    assert (shop.sold, worker.tokens.answers) == (0, {"token": ("Cancelled", "The task was cancelled")})


def test_step_of_a_task_that_does_not_exist_is_not_done(worker, shop):
    assert worker.deliver(buy().model_copy(update={"task_id": "another"})).error_name == "Cancelled"
    assert shop.sold == 0


def test_step_of_a_task_that_is_cancelled_meanwhile_pays_nothing(worker, shop):
    shop.meanwhile = worker.end_task

    assert worker.deliver(buy()).error_name == "Cancelled"
    assert shop.sold == 0


def test_step_before_its_slot_is_put_off_and_done_then(worker, shop):
    worker.pacing.slot_ms = worker.clock() + 2500
    assert worker.deliver(buy()).kind == PUT_OFF
    ((again, delay_s),) = worker.sent.items
    assert (again.turn, delay_s, shop.sold, worker.tokens.answers) == (1, 3, 0, {})

    worker.clock.advance(seconds=3)
    done = worker.deliver(again)
    assert (done.kind, shop.sold, worker.pacing.reserved) == (ANSWERED, 1, 1)
    assert done.output.timings.queued_s == 2.5 + 3


def test_copy_of_a_message_that_was_put_off_is_dropped(worker, shop):
    worker.pacing.slot_ms = worker.clock() + 2500
    worker.deliver(buy())

    assert worker.deliver(buy()).kind == DROPPED
    assert len(worker.sent.items) == 1


def test_step_whose_slot_is_far_away_is_looked_at_before_and_keeps_it(worker, shop):
    worker.pacing.slot_ms = worker.clock() + 1_000_000
    worker.deliver(buy())
    again, delay_s = worker.sent.items[0]
    worker.clock.advance(seconds=delay_s)
    worker.deliver(again)

    assert [delay for _, delay in worker.sent.items] == [900, 100]
    assert worker.pacing.reserved == 1


def test_step_without_a_seat_is_put_off_and_gives_back_what_it_took(worker, shop):
    worker.pacing.seats = 0
    assert worker.deliver(buy()).kind == PUT_OFF
    worker.pacing.seats = 1
    worker.clock.advance(seconds=2)

    assert worker.deliver(worker.sent.items[0][0]).kind == ANSWERED
    assert (worker.pacing.seats, worker.pacing.reserved) == (1, 1)


def test_step_that_was_paid_needs_neither_slot_nor_seat(worker, shop):
    shop.after = RuntimeError("the bucket cannot be reached")
    with pytest.raises(RuntimeError):
        worker.deliver(buy())
    shop.after = None
    worker.pacing.slot_ms, worker.pacing.seats = worker.clock() + 60_000, 0

    assert worker.deliver(buy()).kind == ANSWERED


def test_step_that_cannot_be_sent_again_is_given_back_by_its_message(worker, shop):
    worker.pacing.slot_ms = worker.clock() + 2500
    with failing(worker.sent, "send"), pytest.raises(ConnectionError):
        worker.deliver(buy())
    worker.pacing.slot_ms = 0

    assert worker.deliver(buy()).kind == ANSWERED


def test_step_that_somebody_works_on_waits_until_the_lease_ends(worker, shop):
    die(worker, shop, buy())
    worker.clock.advance(seconds=20)

    outcome = worker.deliver(buy())

    assert (outcome.kind, outcome.wait_ms, shop.sold) == (WAITING, LEASE_MS - 20_000, 0)
    assert worker.tokens.answers == {}


def test_step_whose_lease_ends_this_very_moment_still_waits(worker, shop):
    die(worker, shop, buy())
    worker.clock.now_ms += LEASE_MS

    assert worker.deliver(buy()).kind == WAITING


def test_step_about_to_pay_whose_lease_has_run_out_may_have_been_paid(worker, shop):
    die(worker, shop, buy())
    worker.clock.now_ms += LEASE_MS + 1

    outcome = worker.deliver(buy())

    assert (outcome.kind, outcome.error_name, shop.sold) == (ANSWERED, "MaybePaid", 0)
    assert worker.tokens.answers["token"][1].startswith("shop may have charged")


def test_step_with_an_expired_claim_that_paid_nothing_is_done(worker, shop):
    shop.before = RuntimeError("out of memory")
    with pytest.raises(RuntimeError):
        worker.deliver(buy())
    shop.before = None

    assert worker.deliver(buy()).kind == ANSWERED
    assert shop.sold == 1


def test_step_that_was_paid_goes_on_with_the_answer(worker, shop):
    shop.after = RuntimeError("the bucket cannot be reached")
    with pytest.raises(RuntimeError):
        worker.deliver(buy())
    shop.after = None

    assert worker.deliver(buy()).output.result_url.endswith("/1")
    assert shop.sold == 1


def test_step_that_is_done_gives_its_result_again(worker, shop):
    first = worker.deliver(buy(token="first"))
    worker.clock.advance(seconds=1)
    again = worker.deliver(buy(token="second"))

    assert again.output == first.output
    assert worker.tokens.answers["first"] == worker.tokens.answers["second"]
    assert shop.sold == 1


def test_attempt_that_ended_with_an_error_gives_the_error_again(worker, shop):
    shop.before = NoFaceFound()
    worker.deliver(buy(token="first"))
    shop.before = None

    assert worker.deliver(buy(token="second")).error_name == "NoFaceFound"
    assert worker.tokens.answers["second"] == ("NoFaceFound", "No faces detected in the image")
    assert shop.sold == 0


def test_next_attempt_after_an_error_is_done(worker, shop):
    shop.while_paying = ProviderUnavailable(provider="shop", reason="busy")
    assert worker.deliver(buy(attempt=0, token="first")).error_name == "ProviderUnavailable"
    shop.while_paying = None

    assert worker.deliver(buy(attempt=1, token="second")).error_name is None
    assert shop.sold == 1


def test_next_attempt_after_an_error_behind_the_payment_does_not_pay(worker, shop):
    shop.after = ProviderUnavailable(provider="shop", reason="its picture cannot be downloaded")
    worker.deliver(buy(attempt=0))
    shop.after = None

    assert worker.deliver(buy(attempt=1)).output.result_url.endswith("/1")
    assert shop.sold == 1


def test_next_attempt_after_it_may_have_been_paid_is_a_fresh_one(worker, shop):
    die(worker, shop, buy(attempt=0))
    worker.clock.now_ms += LEASE_MS + 1
    worker.deliver(buy(attempt=0))

    assert worker.deliver(buy(attempt=1)).error_name is None
    assert shop.sold == 1


def test_defect_while_paying_may_have_been_paid(worker, shop):
    shop.while_paying = RuntimeError("a defect")
    with pytest.raises(RuntimeError):
        worker.deliver(buy())

    assert worker.deliver(buy()).error_name == "MaybePaid"
    assert shop.sold == 0


def test_worker_that_lost_its_lease_pays_nothing(worker, shop):
    shop.meanwhile = lambda: worker.clock.advance(seconds=LEASE_MS / 1000 + 1)
    with pytest.raises(LeaseLost):
        worker.deliver(buy())

    assert (shop.sold, worker.tokens.answers) == (0, {})


def test_result_that_could_not_be_kept_is_kept_by_the_next_delivery_at_once(worker, shop):
    with failing(worker.ledger, "done"), pytest.raises(ConnectionError):
        worker.deliver(buy())

    assert worker.deliver(buy()).kind == ANSWERED
    assert shop.sold == 1


def test_answer_that_could_not_be_sent_is_sent_by_the_next_delivery(worker, shop):
    with failing(worker.tokens, "succeed"), pytest.raises(ConnectionError):
        worker.deliver(buy())

    worker.deliver(buy())
    assert worker.tokens.answers["token"][0] == "done"
    assert shop.sold == 1


@pytest.mark.parametrize("item", [buy(what=7), an_item("nope", {}), an_item("Buy", {})], ids=["input", "step", "case"])
def test_message_that_asks_for_something_impossible_fails_its_task(worker, shop, item):
    assert worker.deliver(item).error_name == "Unexpected"
    assert worker.tokens.answers["token"][0] == "Unexpected"


@pytest.mark.parametrize("name", ["mask-face", "swap-face"])
def test_step_named_of_a_step_is_the_step(name):
    assert step_named(name).name == name


@pytest.mark.parametrize("name", ["", "nope", "mask_face", "-runner", "_runner", "Mask-Face", "..errors", "mask-face-"])
def test_step_named_of_anything_else_is_an_error(name):
    with pytest.raises(KeyError):
        step_named(name)


@pytest.mark.parametrize(("length", "valid"), [(0, False), (1, True), (2048, True), (2049, False)])
def test_work_item_has_a_token_that_step_functions_takes(length, valid):
    make = lambda: an_item("mask-face", {}, token="t" * length)  # noqa: E731
    if valid:
        assert make().task_id == TASK_ID
    else:
        with pytest.raises(ValueError, match="task_token"):
            make()
