"""Clients' servers are told that tasks have ended, however long they are down."""

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.stack.waiting import until

#: How much faster pauses pass.
SPEED = 60


@pytest.fixture
def hook(studio, request) -> str:
    return f"{studio.place.stand_ins}/hooks/{request.node.name}"


@pytest.fixture
def fast_clock(studio):
    """Let the pauses between attempts pass sixty times faster."""
    switch = studio.place.run / "tmp" / "fast-clock"
    switch.write_text(str(SPEED))
    yield
    switch.unlink()


def got(studio, hook: str) -> list[dict]:
    return studio.stand_ins.get(f"/_hooks/{hook.rsplit('/', 1)[-1]}").json()


def secret(studio, key: str = "studio") -> str:
    answer = studio.http.get("/api/v1/webhook-secret", headers={"x-api-key": studio.keys[key]})
    return answer.json()["secret"]


def test_ended_task_is_told_with_a_signature_that_an_independent_library_verifies(studio, astronaut, hook):
    task_id = studio.submit("face-mask", {"image_url": astronaut, "callback_url": hook})
    (message,) = until(lambda: got(studio, hook), "the webhook")

    event = Webhook(secret(studio)).verify(message["body"].encode(), message["headers"])
    task = until(lambda: (found := studio.read(task_id))["deliveries"] and found, "the delivery in the record")
    assert event["type"] == "task.completed"
    assert event["data"] | {"deliveries": []} == task | {"deliveries": []}
    assert [(each["status"], each["error"]) for each in task["deliveries"]] == [(204, None)]
    with pytest.raises(WebhookVerificationError):
        Webhook(secret(studio, "trial")).verify(message["body"].encode(), message["headers"])


def test_failed_and_cancelled_tasks_are_told_too(studio, astronaut, hook):
    studio.do("face-mask", {"image_url": astronaut, "face_index": 99, "callback_url": hook})
    studio.fault("dashscope", {"kind": "none", "wait_s": 3})
    cancelled = studio.submit("face-mask", {"image_url": astronaut, "callback_url": hook})
    until(lambda: studio.calls().get("dashscope") == 2, "the call")
    studio.http.delete(f"/api/v1/tasks/{cancelled}")

    told = until(lambda: len(found := got(studio, hook)) == 2 and found, "both webhooks")
    types = [Webhook(secret(studio)).verify(each["body"].encode(), each["headers"])["type"] for each in told]
    assert types == ["task.failed", "task.cancelled"]


def test_receiver_that_is_down_for_ten_minutes_gets_its_message_once(studio, astronaut, hook, fast_clock):
    # The first five attempts come within 200 s; the sixth after ten minutes.
    studio.fault("hooks", {"kind": "status", "status": 503, "times": 2}, {"kind": "reset", "times": 3})
    task_id = studio.submit("face-mask", {"image_url": astronaut, "callback_url": hook})
    until(lambda: got(studio, hook), "the webhook")
    task = until(lambda: len((found := studio.read(task_id))["deliveries"]) == 6 and found, "all attempts")

    assert [each["status"] for each in task["deliveries"]] == [503, 503, None, None, None, 204]
    apart_s = (task["deliveries"][-1]["at_ms"] - task["deliveries"][0]["at_ms"]) / 1000 * SPEED
    assert apart_s >= 600
    (message,) = got(studio, hook)
    assert Webhook(secret(studio)).verify(message["body"].encode(), message["headers"])["type"] == "task.completed"


def test_receiver_that_wants_no_more_is_left_alone(studio, astronaut, hook, fast_clock):
    studio.fault("hooks", {"kind": "status", "status": 410})
    task_id = studio.submit("face-mask", {"image_url": astronaut, "callback_url": hook})
    machine = studio.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:") + "deliver-webhook"
    states = studio.aws("stepfunctions")

    def ended() -> str | None:
        try:
            status = states.describe_execution(executionArn=f"{machine}:{task_id}")["status"]
        except states.exceptions.ExecutionDoesNotExist:
            return None
        return status if status != "RUNNING" else None

    assert until(ended, "the end of the delivery") == "FAILED"
    assert got(studio, hook) == []


@pytest.mark.parametrize(
    "url",
    ["http://studio.example/hook", "https://10.0.0.1/hook", "https://localhost/hook", "s3://bucket/key", "hook", ""],
)
def test_callback_that_must_not_be_called_is_refused_at_once(studio, astronaut, url):
    answer = studio.http.post("/api/v1/face-mask/tasks", json={"image_url": astronaut, "callback_url": url})

    assert answer.status_code == 422
    (problem,) = answer.json()["detail"]
    assert (problem["loc"], problem["type"]) == (["body", "callback_url"], "callback_url_refused")
