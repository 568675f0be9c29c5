"""Webhooks: how they are signed, when they are tried again, and what is noted."""

import json
from datetime import datetime
from itertools import pairwise

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from backlot.callbacks import DELIVERED, GIVEN_UP, LATER, WAITS_S, Attempt, Callbacks, WebhookFailed, secret_of, written
from backlot.clock import now_ms
from backlot.tasks import Status
from tests.unit.fakes import Clock, Tasks
from tests.unit.work import TASK_ID, a_task

URL = "https://studio.example/hook"


class Receiver:
    """A client's server: what it got, and how it answers."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes, dict[str, str]]] = []
        self.answer: int | WebhookFailed = 204

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        self.got.append((url, body, headers))
        if isinstance(self.answer, WebhookFailed):
            raise self.answer
        return self.answer


@pytest.fixture
def callbacks() -> Callbacks:
    # The library that verifies looks at the real clock.
    clock = Clock(now_ms())
    ended = a_task(status=Status.COMPLETED, completed_ms=clock.now_ms, callback_url=URL)
    return Callbacks(Tasks({TASK_ID: ended}), Receiver(), "master", clock)


def test_delivered_message_is_verified_by_an_independent_library(callbacks):
    assert callbacks.deliver(TASK_ID, 0) == Attempt(DELIVERED)
    ((url, body, headers),) = callbacks.poster.got
    event = Webhook(written(secret_of("master", "key-1"))).verify(body, headers)

    assert url == URL
    assert (event["type"], event["data"]["task_id"]) == ("task.completed", TASK_ID)
    assert datetime.fromisoformat(event["timestamp"]).timestamp() == callbacks.clock.now_ms / 1000
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("master", "owner"), [("another", "key-1"), ("master", "key-2")], ids=["deployment", "API key"]
)
def test_message_is_not_verified_with_the_secret_of_another(callbacks, master, owner):
    callbacks.deliver(TASK_ID, 0)
    ((_, body, headers),) = callbacks.poster.got

    with pytest.raises(WebhookVerificationError):
        Webhook(written(secret_of(master, owner))).verify(body, headers)


def test_changed_message_is_not_verified(callbacks):
    callbacks.deliver(TASK_ID, 0)
    ((_, body, headers),) = callbacks.poster.got

    with pytest.raises(WebhookVerificationError):
        Webhook(written(secret_of("master", "key-1"))).verify(body.replace(b"completed", b"cancelled"), headers)


def test_message_keeps_its_id_at_every_attempt(callbacks):
    callbacks.poster.answer = 503
    callbacks.deliver(TASK_ID, 0)
    callbacks.clock.advance(seconds=5)
    callbacks.deliver(TASK_ID, 1)

    first, second = (headers for _, _, headers in callbacks.poster.got)
    assert first["webhook-id"] == second["webhook-id"] == f"msg_{TASK_ID}"
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 5


def test_waits_grow_and_cover_more_than_an_hour():
    assert all(later >= 2 * earlier for earlier, later in pairwise(WAITS_S))
    assert sum(WAITS_S) > 3600


@pytest.mark.parametrize("attempt", range(len(WAITS_S)))
def test_failed_attempt_is_repeated_after_its_wait(callbacks, attempt):
    callbacks.poster.answer = 500
    assert callbacks.deliver(TASK_ID, attempt) == Attempt(LATER, WAITS_S[attempt])


def test_last_failed_attempt_is_given_up(callbacks):
    callbacks.poster.answer = 500
    assert callbacks.deliver(TASK_ID, len(WAITS_S)) == Attempt(GIVEN_UP)


@pytest.mark.parametrize(
    ("answer", "outcome", "error"),
    [
        (200, DELIVERED, None),
        (299, DELIVERED, None),
        (301, LATER, "HTTP 301"),
        (404, LATER, "HTTP 404"),
        (410, GIVEN_UP, "HTTP 410"),
        (WebhookFailed("no answer within 15 s"), LATER, "no answer within 15 s"),
        (WebhookFailed("the URL is refused", is_final=True), GIVEN_UP, "the URL is refused"),
    ],
)
def test_attempt_is_noted_with_its_answer(callbacks, answer, outcome, error):
    callbacks.poster.answer = answer
    assert callbacks.deliver(TASK_ID, 0).outcome == outcome

    (noted,) = callbacks.tasks.get(TASK_ID).deliveries
    assert (noted.at_ms, noted.error) == (callbacks.clock.now_ms, error)
    assert noted.status == (answer if isinstance(answer, int) else None)


@pytest.mark.parametrize(
    "changes",
    [{"callback_url": None}, {"status": Status.PENDING}],
    ids=["nobody to tell", "retried meanwhile"],
)
def test_nothing_is_sent_where_nothing_is_to_be_told(callbacks, changes):
    callbacks.tasks.kept[TASK_ID] = callbacks.tasks.get(TASK_ID).model_copy(update=changes)

    assert callbacks.deliver(TASK_ID, 0) == Attempt(GIVEN_UP)
    assert callbacks.poster.got == []


def test_nothing_is_sent_for_a_task_that_is_gone(callbacks):
    assert callbacks.deliver("another", 0) == Attempt(GIVEN_UP)


def test_message_tells_of_the_failure(callbacks):
    failed = a_task(
        status=Status.FAILED,
        completed_ms=callbacks.clock.now_ms,
        callback_url=URL,
        error_name="NoFaceFound",
        error_message="No face",
    )
    callbacks.tasks.kept[TASK_ID] = failed
    callbacks.deliver(TASK_ID, 0)
    event = json.loads(callbacks.poster.got[0][1])

    assert (event["type"], event["data"]["error_detail"]["code"]) == ("task.failed", "NO_FACE_FOUND")
