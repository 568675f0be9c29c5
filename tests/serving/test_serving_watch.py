"""Long requests: progress in S3, cancelling by an object there, and inputs that may be left out."""

import asyncio
import json

import pytest

from sagemaker_models.serving.batching import Runner
from sagemaker_models.serving.metrics import Timings
from sagemaker_models.serving.model import Cancelled, ModelError, Outputs, Request, unwatched
from sagemaker_models.serving.request import Invocation
from sagemaker_models.serving.watch import Watch
from tests.serving.servers import PICTURE, Server, request, until
from tests.serving.toys import Steps, Wishes

PROGRESS, CANCEL = "s3://assets/model-results/steps/1.json", "s3://assets/model-requests/1.cancel"


@pytest.fixture(scope="module")
def steps(aws, tmp_path_factory):
    folder = tmp_path_factory.mktemp("steps")
    server = Server("Steps", folder, env=aws.environment, max_concurrent=2, batch_wait_ms=100)
    yield server.until_ready()
    server.close()


@pytest.fixture(autouse=True)
def empty(aws):
    aws.objects.pop(PROGRESS, None)
    aws.objects.pop(CANCEL, None)


def test_progress_is_written_while_the_request_runs(aws, steps):
    running = steps.ask_later(progress=PROGRESS, wishes={"steps": 40, "sleep_s": 0.05})
    body, headers = until(lambda: aws.objects.get(PROGRESS))
    assert not running.done()
    told = json.loads(body)
    assert told["id"] == "task.mask.1"
    assert 0 < told["progress"] < 1
    assert headers == {"Content-Type": "application/json", "Cache-Control": "no-store"}
    assert running.result().json()["values"]["inputs"] == ["image"]


def test_request_of_less_than_a_second_writes_no_progress(aws, steps):
    # An object of its own: what another test's request was writing when it ended may still come.
    silent = f"{PROGRESS}.silent"
    assert steps.ask(progress=silent, wishes={"steps": 1, "sleep_s": 0.05}).status_code == 200
    assert silent not in aws.objects


def test_request_that_is_cancelled_ends_at_its_next_step(aws, steps):
    running = steps.ask_later(cancel=CANCEL, progress=PROGRESS, wishes={"steps": 400, "sleep_s": 0.05})
    until(lambda: PROGRESS in aws.objects)
    aws.objects[CANCEL] = (b"", {"Content-Type": "text/plain"})
    answer = running.result()
    assert (answer.status_code, answer.json()["error"]) == (
        200,
        {"code": "Cancelled", "message": "the request was cancelled"},
    )
    assert answer.json()["timings"]["run_s"] < 10
    assert steps.ask().status_code == 200


def test_request_that_was_cancelled_before_is_not_run(aws, steps):
    aws.objects[CANCEL] = (b"", {"Content-Type": "text/plain"})
    answer = steps.ask(cancel=CANCEL, wishes={"steps": 400, "sleep_s": 0.05})
    assert answer.json()["error"]["code"] == "Cancelled"
    assert answer.json()["timings"]["run_s"] == 0


def test_request_that_is_cancelled_ends_alone_in_its_batch():
    def unwanted(share):
        raise Cancelled

    async def journey():
        runner = Runner(Steps(), 1, batch_wait_s=0.0)
        ways = (unwatched, unwanted)
        requests = [Request({}, Wishes(steps=2), "id", progress) for progress in ways]
        return await asyncio.gather(*(runner.run(each, Timings()) for each in requests))

    wanted, cancelled = asyncio.run(journey())
    assert isinstance(wanted, Outputs)
    assert cancelled == ModelError("Cancelled", "the request was cancelled")


def test_storage_that_refuses_does_not_fail_the_request_and_is_logged_once(steps):
    answer = steps.ask(
        id="unfollowed",
        progress="s3://closed/progress.json",
        cancel="s3://closed/cancel",
        wishes={"steps": 45, "sleep_s": 0.05},
    )
    assert answer.json()["values"]["inputs"] == ["image"]
    complaints = [line for line in steps.log() if line.get("message") == "a request cannot be followed"]
    assert [line["id"] for line in complaints] == ["unfollowed"]
    assert "s3://closed/cancel" in complaints[0]["reason"]


@pytest.mark.parametrize("field", ["progress", "cancel"])
def test_address_that_is_none_is_refused(steps, field):
    answer = steps.ask(**{field: "https://example.com/key"})
    assert answer.json()["error"]["code"] == "RequestInvalid"
    assert field in answer.json()["error"]["message"]


def test_input_that_is_optional_may_come_and_may_be_left_out(steps):
    inline = request()["inputs"]["image"]
    both = steps.ask(inputs={"image": inline, "portrait": inline})
    assert both.json()["values"]["inputs"] == ["image", "portrait"]
    assert steps.ask(inputs={"portrait": inline}).json()["error"]["message"] == "inputs: image is missing"
    refused = steps.ask(inputs={"image": inline, "mask": inline}).json()["error"]
    assert refused["message"] == "inputs: the model takes no mask"


@pytest.mark.parametrize(("share", "kept"), [(-1.0, 0.0), (0.45678, 0.457), (7.0, 1.0), (float("nan"), 0.0)])
def test_share_is_kept_between_nothing_and_all(share, kept):
    watch = Watch(Invocation(id="1", model="steps"), None, None)
    watch.progress(share)
    assert watch._share == kept


def test_share_of_a_cancelled_request_raises():
    watch = Watch(Invocation(id="1", model="steps"), None, None)
    watch._cancelled = True
    with pytest.raises(Cancelled, match="was cancelled"):
        watch.progress(0.5)


def test_request_that_nobody_follows_takes_any_share():
    made = Request({"image": PICTURE}, None, "1")
    assert made.progress is unwatched
    made.progress(0.5)
