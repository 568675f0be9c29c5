"""body-masks: what the model is asked, how its answer is waited for, and what is delivered."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from backlot.aws.sagemaker import failure, request_key
from backlot.image_urls import ImageUrlPolicy
from backlot.model_lane import Parked
from backlot.model_results import Notification, StillHeld
from backlot.operations.body_masks import BodyMasksRequest
from backlot.providers.mask_assets import MaskAssets
from backlot.steps import ANSWERED, DROPPED, PUT_OFF, JobPolicy, StepDeps, StepRunner, WorkItem
from lambdas.invoke_model import handler as invoke_model
from lambdas.receive_model_result import handler as receive_model_result
from tests.unit.api import CONTEXT
from tests.unit.fakes import Clock, Hosts, Objects, Pacing, ProviderKeys, Tasks, Tokens
from tests.unit.ledger import Ledger
from tests.unit.models import ENDPOINT, ModelLane, Runtime
from tests.unit.pictures import plain
from tests.unit.work import CDN, LEASE_MS, TASK_ID, a_task

OWN = "s3://assets/uploads/person.png"


@pytest.fixture
def lane(clock) -> ModelLane:
    return ModelLane(clock, "schp")


def item(image_url: str = OWN, output: str = "binary", *, turn: int = 0) -> WorkItem:
    return WorkItem(
        task_token="token",
        task_id=TASK_ID,
        operation="body-masks",
        step="segment-body",
        attempt=f"{TASK_ID}/0",
        input={"image_url": image_url, "output": output},
        turn=turn,
    )


def an_answer(lane: ModelLane, **changes: Any) -> dict[str, Any]:
    answer = {
        "outputs": {name: {"url": url} for name, url in lane.request()["outputs"].items()},
        "values": {"width": 640, "height": 480, "regions": {"upper": {"pixels": 10}}},
        "model": {"engine": "schp"},
        "timings": {"run_s": 0.2},
    }
    return answer | changes


def test_model_is_asked_for_both_regions_of_a_picture_of_ours(lane):
    assert lane.bring(item(output="bounding-rectangle")).kind == PUT_OFF

    request = lane.request()
    assert request["inputs"] == {"image": OWN}
    assert request["parameters"] == {
        "regions": {"upper": [4, 7], "lower": [5, 6, 7]},
        "output": "bounding-rectangle",
    }
    assert list(request["outputs"]) == ["upper", "lower", "seg_map"]
    assert all(url.startswith("s3://assets/images/body_masks/") for url in request["outputs"].values())
    assert len(set(request["outputs"].values())) == 3
    assert lane.tokens.answers == {}


def test_picture_of_a_foreign_host_is_stored_beside_the_request(lane):
    lane.hosts.pictures["https://a.example/a.png"] = plain(20, 20)
    lane.bring(item("https://a.example/a.png"))

    url = lane.request()["inputs"]["image"]
    assert url.startswith(f"s3://assets/model-requests/{TASK_ID}/segment-body/")
    assert lane.objects.kept[url.removeprefix("s3://assets/")] == plain(20, 20)


def test_picture_that_cannot_be_had_ends_the_step_before_the_model_is_asked(lane):
    assert lane.bring(item("https://a.example/a.png")).error_name == "ImageNotFetched"
    assert lane.runtime.asked == []


def test_answer_is_told_once_and_says_where_the_masks_are(lane):
    lane.bring(item())
    outcome = lane.tell(an_answer(lane))

    assert outcome.kind == ANSWERED
    output = outcome.output
    assert [image.result_url for image in output.images] == list(output.detail["masks"].values())
    assert all(url.startswith(f"{CDN}/images/body_masks/") for url in output.detail["masks"].values())
    assert (output.width, output.height, output.provider, output.model) == (640, 480, "sagemaker", "schp")
    assert lane.tokens.answers["token"] == ("done", output.model_dump(mode="json"))
    assert lane.tell(an_answer(lane), receipt="note 2") is None
    assert len(lane.runtime.asked) == 1


def test_stand_in_is_named_as_one(lane):
    lane.bring(item())
    answer = an_answer(lane, model={"engine": "stand-in"})
    assert lane.tell(answer).output.model == "schp (stand-in)"


def test_message_that_comes_again_asks_nobody_again(lane):
    lane.bring(item())
    assert lane.bring(item(), "delivery 2").kind == DROPPED
    assert len(lane.runtime.asked) == 1


def test_answer_that_comes_while_the_step_is_held_waits_for_it(lane, clock):
    """SageMaker can be quicker than the function that asked it."""
    held = []

    def invoke(**asked: Any) -> dict[str, str]:
        locations = Runtime.invoke_endpoint_async(lane.runtime, **asked)
        held.append(asked)
        with pytest.raises(StillHeld):
            lane.tell(an_answer(lane))
        return locations

    lane.runtime.invoke_endpoint_async = invoke
    assert lane.bring(item()).kind == ANSWERED
    assert len(held) == 1


@pytest.mark.parametrize(
    ("reason", "error"),
    [("Received server error (500) from model", "ModelFailed"), ("server error (503)", "ModelUnavailable")],
)
def test_failure_is_told_as_the_steps_error(lane, reason, error):
    lane.bring(item())
    assert lane.tell(failureReason=reason).error_name == error
    assert lane.tokens.answers["token"][0] == error


def test_failed_step_asks_again_when_the_state_machine_retries(lane):
    lane.bring(item())
    lane.tell(failureReason="server error (503)")
    again = item().model_copy(update={"attempt": f"{TASK_ID}/1"})

    assert lane.bring(again, "delivery 2").kind == PUT_OFF
    assert len({asked["InferenceId"] for asked in lane.runtime.asked}) == 2


def test_request_that_is_to_blame_ends_the_step(lane):
    lane.bring(item())
    outcome = lane.tell({"error": {"code": "ImageUnreadable", "message": "it is cut off"}})
    assert outcome.error_name == "ImageUnreadable"


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"outputs": {}}, "lacks lower, seg_map, upper"), ({"values": {}}, "does not describe the picture")],
)
def test_answer_that_cannot_be_used_is_the_models_failure(lane, changes, words):
    lane.bring(item())
    assert lane.tell(an_answer(lane, **changes)).error_name == "ModelFailed"
    assert words in lane.tokens.answers["token"][1]


@pytest.mark.parametrize(
    "change",
    [
        {"requestParameters": {"inputLocation": "s3://assets/uploads/a.json"}},
        {"requestParameters": {"inputLocation": f"model-requests/{TASK_ID}/segment-body/{'0' * 32}.json"}},
        {"inferenceId": "another"},
    ],
    ids=["no request", "another nonce", "another invocation"],
)
def test_notification_of_something_else_is_ignored(lane, change):
    lane.bring(item())
    told = lane.note(failureReason="server error (500)").model_dump(by_alias=True)
    raw = {
        "inferenceId": told["inference_id"] if "inference_id" in told else told["inferenceId"],
        "requestParameters": {"inputLocation": lane.runtime.asked[-1]["InputLocation"]},
        "failureReason": "server error (500)",
    }
    ignored = lane.results.receive(Notification.model_validate(raw | change), receipt="n", lease_ms=LEASE_MS)

    assert ignored is None
    assert lane.tokens.answers == {}


def test_lost_notification_is_found_by_a_look(lane, clock):
    lane.bring(item())
    location = f"model-results/{lane.runtime.asked[0]['InferenceId']}.out"
    clock.advance(seconds=90)
    waiting = lane.ledger.running(TASK_ID, "segment-body").item
    assert lane.bring(waiting, "look 1").kind == PUT_OFF

    lane.objects.kept[location] = json.dumps(an_answer(lane)).encode()
    clock.advance(seconds=60)
    waiting = lane.ledger.running(TASK_ID, "segment-body").item
    assert lane.bring(waiting, "look 2").kind == ANSWERED
    assert len(lane.runtime.asked) == 1


def test_model_that_is_never_done_is_given_up(lane, clock):
    lane.bring(item())
    clock.advance(seconds=ENDPOINT.limit_s + 1)
    waiting = lane.ledger.running(TASK_ID, "segment-body").item
    assert lane.bring(waiting, "look").error_name == "ModelTimedOut"


def test_kept_failure_is_read_by_the_next_look(lane, clock):
    lane.bring(item())
    lane.objects.kept[f"model-failures/{lane.runtime.asked[0]['InferenceId']}.out"] = b"server error (500)"
    waiting = lane.ledger.running(TASK_ID, "segment-body").item
    assert lane.bring(waiting, "look").error_name == "ModelFailed"
    assert failure("x") == {"failure": {"reason": "x"}}


@pytest.mark.parametrize("name", ["user_id", "job_id"])
@pytest.mark.parametrize("value", ["", "../x", "/x", "a/b", ".hidden", "a\\b", "a b", "ä", "x" * 129, "a\n"])
def test_ids_that_could_leave_their_place_are_refused(name, value):
    with pytest.raises(ValidationError):
        BodyMasksRequest.model_validate({"image_url": "https://a.example/a.png", name: value})


@pytest.mark.parametrize("value", ["a", "x" * 128, "9f1c-A_b.c@d:e"])
def test_ids_of_one_word_are_taken(value):
    request = BodyMasksRequest.model_validate({"image_url": "https://a.example/a.png", "job_id": value})
    assert request.job_id == value


@pytest.mark.parametrize("given", [{}, {"user_id": "u"}, {"job_id": "j"}])
def test_delivery_without_names_is_refused(given):
    with pytest.raises(ValidationError, match="needs user_id and job_id"):
        BodyMasksRequest.model_validate({"image_url": "https://a.example/a.png", "deliver": True, **given})


MASKS = {name: f"{CDN}/images/body_masks/{name}.png" for name in ("upper", "lower", "seg_map")}


def delivering(clock: Clock, *, with_service: bool = True) -> StepRunner:
    objects = Objects({f"images/body_masks/{name}.png": name.encode() for name in MASKS})
    service = {MaskAssets.name: MaskAssets(url="https://masks.example/upload")} if with_service else {}
    deps = StepDeps(
        providers=service,
        models={},
        keys=ProviderKeys(),
        images=ImageUrlPolicy.of("assets", CDN, ""),
        objects=objects,
        fetcher=Hosts(),
        result_fetcher=Hosts(),
    )
    tasks = Tasks()
    tasks.add(a_task(operation="body-masks"))
    policy = JobPolicy(request_key, first_look_ms=1000, limit_ms=1000)
    return StepRunner(tasks, Ledger(clock), Tokens(), Parked(), Pacing(), policy, deps, clock)


def delivery(**changes: Any) -> WorkItem:
    images = [{"result_url": url, "width": 9, "height": 9, "content_type": "image/png"} for url in MASKS.values()]
    wanted = {"user_id": "u-1", "job_id": "j-1", "masks": MASKS, "images": images, "model": "schp"} | changes
    return item().model_copy(update={"step": "deliver-masks", "input": wanted, "attempt": f"{TASK_ID}/2"})


def deliver(runner: StepRunner, what: WorkItem):
    return runner.run(what, receipt="r", sent_ms=0, lease_ms=LEASE_MS)


def test_delivery_has_the_parts_of_the_old_component_in_their_order(clock, wire):
    wire.gives({"status": "success", "stored_keys": {"upper_body_mask": "a"}})
    outcome = deliver(delivering(clock), delivery())

    (request,) = wire.sent
    body = request.read()
    assert request.headers["x-internal-auth"] == "key-of-mask-assets"
    names = [part.split(b'"')[0].decode() for part in body.split(b'filename="')[1:]]
    assert names == ["j-1_upper_body_mask.png", "j-1_lower_body_mask.png", "j-1_seg_map.png"]
    assert body.count(b'name="files"') == body.count(b"Content-Type: image/png") == 3
    for name, value in (("user_id", b"u-1"), ("job_id", b"j-1"), ("provider", b"qwen")):
        assert b'name="%s"\r\n\r\n%s\r\n' % (name.encode(), value) in body
    assert outcome.output.detail == {"delivered": True, "attempts": 3, "stored_keys": {"upper_body_mask": "a"}}
    assert [image.result_url for image in outcome.output.images] == list(MASKS.values())


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"status": "success"}, 400, "HTTP 400"),
        ({"status": "success"}, 503, "HTTP 503"),
        (b"<html>", 200, "HTTP 200 without JSON"),
        (b"", 204, "HTTP 204 without JSON"),
    ],
)
def test_delivery_that_was_not_taken_is_an_error_that_is_retried(clock, wire, body, status, words):
    wire.gives(body, status)
    runner = delivering(clock)
    assert deliver(runner, delivery()).error_name == "MasksNotDelivered"
    assert words in runner.tokens.answers["token"][1]


def test_delivery_of_a_stage_without_a_service_says_so(clock):
    runner = delivering(clock, with_service=False)
    assert deliver(runner, delivery()).error_name == "MasksNotDelivered"
    assert "no mask asset service" in runner.tokens.answers["token"][1]


def test_delivery_reads_masks_only(clock):
    stolen = MASKS | {"upper": f"{CDN}/faces/a.jpg"}
    assert deliver(delivering(clock), delivery(masks=stolen)).error_name == "Unexpected"


class Queue:
    def __init__(self) -> None:
        self.delays: dict[str, int] = {}

    def delay(self, receipt_handle: str, seconds: int) -> None:
        self.delays[receipt_handle] = seconds


def hand_over(body: str) -> list[dict[str, str]]:
    record = {
        "messageId": "message-1",
        "receiptHandle": "receipt-1",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "0", "MessageGroupId": "user"},
        "eventSource": "aws:sqs",
    }
    return invoke_model.handler({"Records": [record]}, CONTEXT)["batchItemFailures"]


def test_function_that_asked_takes_the_message_from_the_queue(lane, monkeypatch):
    queue = Queue()
    monkeypatch.setattr(invoke_model, "_deps", lambda: invoke_model.Deps(lane.runner, queue))

    assert hand_over(item().model_dump_json()) == []
    assert len(lane.runtime.asked) == 1
    assert queue.delays == {}


def test_function_that_cannot_read_a_message_gives_it_back(lane, monkeypatch):
    queue = Queue()
    monkeypatch.setattr(invoke_model, "_deps", lambda: invoke_model.Deps(lane.runner, queue))

    assert hand_over("hello") == [{"itemIdentifier": "message-1"}]
    assert queue.delays == {"receipt-1": 5}


def hear(*messages: str) -> None:
    records = [{"Sns": {"MessageId": f"note-{number}", "Message": text}} for number, text in enumerate(messages)]
    receive_model_result.handler({"Records": records}, CONTEXT)


def test_function_that_hears_of_an_answer_goes_on_with_its_step(lane, monkeypatch):
    monkeypatch.setattr(receive_model_result, "_deps", lambda: lane.results)
    lane.bring(item())
    asked = lane.runtime.asked[0]
    location = f"s3://assets/model-results/{asked['InferenceId']}.out"
    lane.objects.kept[location.removeprefix("s3://assets/")] = json.dumps(an_answer(lane)).encode()
    told = {
        "invocationStatus": "Completed",
        "inferenceId": asked["InferenceId"],
        "requestParameters": {"inputLocation": asked["InputLocation"], "endpointName": "e"},
        "responseParameters": {"outputLocation": location, "contentType": "application/json"},
        "eventSource": "aws:sagemaker",
    }
    hear("hello", json.dumps({"inferenceId": "x"}), json.dumps(told))

    assert lane.tokens.answers["token"][0] == "done"
