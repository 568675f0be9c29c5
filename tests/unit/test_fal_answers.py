"""What fal's answers mean, whether a webhook brought them or somebody looked."""

import httpx
import pytest

from backlot import errors
from backlot.providers.fal import Fal, is_flagged, webhook_answer
from backlot.providers.paid_api import Refusal
from backlot.steps import Job

QUEUE = "https://queue.fal.example"
JOB = Job(
    request_id="r",
    status_url=f"{QUEUE}/a/b/requests/r/status",
    response_url=f"{QUEUE}/a/b/requests/r",
    cancel_url=f"{QUEUE}/a/b/requests/r/cancel",
)
PICTURE = {"url": "https://files.example/x.jpeg", "width": 64, "height": 32, "content_type": "image/jpeg"}


class Queue:
    """A client whose calls are answered by a function."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.answers: list[httpx.Response | Exception] = []
        self.fal = Fal(base_url=QUEUE, limit_s=5)
        self.fal._http = httpx.Client(base_url=QUEUE, transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def look(self, *answers: httpx.Response | Exception):
        self.answers = list(answers)
        return self.fal.look(key="k:s", job=JOB)

    def submit(self, answer: httpx.Response | Exception) -> Job:
        self.answers = [answer]
        arguments = {"prompt": "p"}
        return self.fal.submit(
            key="k:s", model="a/b/c", arguments=arguments, webhook_url="https://us.example/w?x=1&y=2"
        )


@pytest.fixture
def queue() -> Queue:
    return Queue()


def kind(name: str, words: str = "no") -> dict:
    return {"detail": [{"loc": ["body", "prompt"], "msg": words, "type": name}]}


def test_submission_names_the_webhook_and_the_key(queue):
    job = queue.submit(httpx.Response(200, json={"request_id": "r", "status_url": f"{QUEUE}/somewhere/else"}))

    (request,) = queue.requests
    assert request.url.path == "/a/b/c"
    assert request.url.params["fal_webhook"] == "https://us.example/w?x=1&y=2"
    assert request.headers["Authorization"] == "Key k:s"
    assert job.status_url == f"{QUEUE}/somewhere/else"
    assert (job.response_url, job.cancel_url) == (f"{QUEUE}/a/b/requests/r", f"{QUEUE}/a/b/requests/r/cancel")


@pytest.mark.parametrize("url", ["https://elsewhere.example/status", f"{QUEUE}.elsewhere.example/", 7])
def test_key_is_not_taken_to_addresses_that_are_not_the_queues(queue, url):
    job = queue.submit(httpx.Response(200, json={"request_id": "r", "status_url": url}))

    assert job.status_url == f"{QUEUE}/a/b/requests/r/status"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.ConnectError("down"), errors.ProviderUnavailable),
        (httpx.ReadTimeout("slow"), errors.ProviderTimedOut),
        (httpx.RemoteProtocolError("cut"), errors.MaybePaid),
        (httpx.Response(200, json={"status": "IN_QUEUE"}), errors.MaybePaid),
        (httpx.Response(504, json={}, headers={"x-fal-request-id": "r"}), errors.MaybePaid),
        (httpx.Response(504, text="<html>nginx</html>"), errors.ProviderUnavailable),
        (httpx.Response(429, json={"detail": "slow down"}), errors.ProviderThrottled),
        (httpx.Response(401, json={"detail": "no key"}), errors.ProviderRefused),
        (httpx.Response(402, json={"detail": "no money"}), errors.ProviderRefused),
        (httpx.Response(422, json=kind("content_policy_violation")), errors.ContentRefused),
    ],
)
def test_submission_that_fails_says_whether_it_may_have_been_bought(queue, answer, error):
    with pytest.raises(error):
        queue.submit(answer)
    assert len(queue.requests) == 1


@pytest.mark.parametrize(
    ("name", "status", "error"),
    [
        ("internal_server_error", 500, errors.ProviderUnavailable),
        ("generation_timeout", 504, errors.ProviderUnavailable),
        ("downstream_service_error", 400, errors.ProviderUnavailable),
        ("downstream_service_unavailable", 500, errors.ProviderUnavailable),
        ("file_download_error", 422, errors.ProviderUnavailable),
        ("content_policy_violation", 422, errors.ContentRefused),
        ("no_media_generated", 422, errors.ProviderAnswerInvalid),
        ("image_too_small", 422, errors.ImageShapeRefused),
        ("image_too_large", 422, errors.ImageTooLarge),
        ("file_too_large", 422, errors.ImageTooLarge),
        ("image_load_error", 422, errors.ImageUnreadable),
        ("face_detection_error", 422, errors.NoFaceFound),
        ("greater_than", 422, errors.ProviderRefused),
        ("one_of", 422, errors.ProviderRefused),
        ("missing", 422, errors.ProviderRefused),
        ("", 429, errors.ProviderThrottled),
        ("", 408, errors.ProviderUnavailable),
        ("", 503, errors.ProviderUnavailable),
        ("", 403, errors.ProviderRefused),
    ],
)
def test_failure_is_what_its_type_says_and_else_what_its_status_says(queue, name, status, error):
    assert type(queue.fal.error(Refusal(status, name, "words"))) is error


def test_job_that_failed_is_the_same_by_webhook_and_by_looking(queue):
    told = {"status": "ERROR", "error": "Invalid status code: 422", "payload": kind("content_policy_violation", "bad")}
    done = httpx.Response(200, json={"status": "COMPLETED"})
    looked = queue.look(done, httpx.Response(422, json=told["payload"], headers={"x-fal-request-id": "r"}))

    assert webhook_answer(told) == looked
    with pytest.raises(errors.ContentRefused, match="bad"):
        queue.fal.read(looked)


def test_job_that_is_done_is_the_same_by_webhook_and_by_looking(queue):
    output = {"images": [PICTURE | {"file_name": "x"}], "seed": 7, "has_nsfw_concepts": [False], "prompt": "p" * 9000}
    looked = queue.look(httpx.Response(200, json={"status": "COMPLETED"}), httpx.Response(200, json=output))

    assert webhook_answer({"status": "OK", "payload": output}) == looked
    kept = queue.fal.read(looked)
    assert (kept["images"], kept["seed"]) == ([PICTURE], 7)
    assert not is_flagged(kept)
    assert len(str(looked)) < 1000


@pytest.mark.parametrize(
    "answers",
    [
        [httpx.Response(202, json={"status": "IN_QUEUE"})],
        [httpx.Response(200, json={"status": "IN_PROGRESS"})],
        [httpx.Response(200, text="<html>")],
        [httpx.ConnectError("down")],
        [httpx.Response(429)],
        [httpx.Response(503)],
        [httpx.Response(200, json={"status": "COMPLETED"}), httpx.Response(502)],
    ],
    ids=["queued", "running", "odd", "down", "throttled", "unavailable", "result unavailable"],
)
def test_job_that_cannot_be_asked_is_still_at_work(queue, answers):
    assert queue.look(*answers) is None


def test_key_that_is_refused_does_not_lose_the_job(queue):
    with pytest.raises(errors.ProviderRefused):
        queue.look(httpx.Response(401, json={"detail": "no"}))


@pytest.mark.parametrize("payload", [None, {}, {"images": []}, {"images": [{"url": 5}]}, {"images": "x"}, [1]])
def test_output_without_a_picture_is_no_answer(queue, payload):
    answer = webhook_answer({"status": "OK", "payload": payload})
    with pytest.raises(errors.ProviderAnswerInvalid):
        queue.fal.read(answer)


@pytest.mark.parametrize(("flags", "flagged"), [([True], True), ([False, True], True), ([False], False), (None, False)])
def test_flags_are_read(flags, flagged):
    answer = webhook_answer({"status": "OK", "payload": {"images": [PICTURE], "has_nsfw_concepts": flags}})
    assert is_flagged(answer["output"]) is flagged


@pytest.mark.parametrize(
    "answer", [httpx.Response(200, json={"status": "OK"}), httpx.Response(400), httpx.Response(404)]
)
def test_cancelling_what_has_ended_is_no_error(queue, answer):
    queue.answers = [answer]
    queue.fal.cancel(key="k:s", job=JOB)
    assert (queue.requests[0].method, str(queue.requests[0].url)) == ("PUT", JOB.cancel_url)
