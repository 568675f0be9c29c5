"""Jobs of a provider that works for long: bought once, whoever brings the result, and cancelled with their task."""

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.stack.portraits import BROKEN, bought, execution, jobs_of, request
from tests.stack.waiting import until


@pytest.fixture
def eager(studio):
    """Let workers look at jobs after a second instead of fifteen."""
    with studio.changed_function("RunPaidStep", JOB_FIRST_LOOK_S="1"):
        yield


@pytest.fixture
def impatient_queue(studio):
    """Let messages of vanished workers come back after seconds instead of minutes."""
    yield from visibility(studio, 10)


def visibility(studio, seconds: int) -> Iterator[None]:
    sqs, url = studio.aws("sqs"), studio.outputs["CpuTasksQueueUrl"]
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(seconds)})
    yield
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": "600"})


def test_lost_webhook_is_made_up_for_by_looking(studio, eager):
    studio.fault("fal-webhook", {"kind": "lost", "times": 2})

    task = studio.do("identity-portrait", request())

    assert task["status"] == "completed"
    assert bought(studio) == 2
    assert studio.calls()["fal-status"] >= 2


def test_webhook_that_comes_twice_changes_nothing(studio):
    studio.fault("fal-webhook", {"kind": "doubled", "times": 2})

    task = studio.do("identity-portrait", request())
    until(lambda: all(len(job["deliveries"]) == 2 for job in jobs_of(studio, task["task_id"])), "the second webhooks")

    assert [job["deliveries"] for job in jobs_of(studio, task["task_id"])] == [[200, 200], [200, 200]]
    assert studio.read(task["task_id"]) == task
    assert (bought(studio), studio.calls()["fal-files"]) == (2, 2)


def test_forged_webhook_is_refused_and_the_job_found_by_looking(studio, eager):
    studio.fault("fal-webhook", {"kind": "forged"})

    task = studio.do("identity-portrait", request(enable_harmonization=False))

    (job,) = jobs_of(studio, task["task_id"])
    assert job["deliveries"] == [401]
    assert task["status"] == "completed"
    assert studio.calls()["fal-status"] >= 1


def test_webhook_is_taken_once_and_says_nothing_to_strangers(studio):
    body = json.dumps({"request_id": "x", "status": "OK", "payload": {}}).encode()
    signed = studio.stand_ins.post("/_fal/signed", content=body).json()
    url = f"{studio.place.front_door}/webhooks/fal?task=x&step=make-portrait&nonce=x"

    answers = [httpx.post(url, content=content, headers=signed) for content in (body, body, body + b" ")]
    unsigned = httpx.post(url, content=body)

    assert [answer.status_code for answer in (*answers, unsigned)] == [200, 409, 401, 401]
    assert answers[0].json() == {"status": "ignored"}
    assert answers[2].json() == unsigned.json() == {"status": "refused"}


def test_nobody_can_aim_at_a_step_without_its_nonce(studio):
    studio.fault("fal-job", {"kind": "none", "wait_s": 4})
    task_id = studio.submit("identity-portrait", request(enable_harmonization=False))
    (job,) = until(lambda: jobs_of(studio, task_id), "the job")
    body = json.dumps({"request_id": job["request_id"], "status": "OK", "payload": {"images": []}}).encode()
    signed = studio.stand_ins.post("/_fal/signed", content=body).json()
    url = httpx.URL(job["webhook_url"]).copy_set_param("nonce", "0" * 32)

    assert httpx.post(url, content=body, headers=signed).json() == {"status": "ignored"}
    assert studio.finish(task_id)["status"] == "completed"


def test_worker_killed_while_it_submits_does_not_buy_twice(studio, impatient_queue):
    studio.fault("fal", {"kind": "none", "wait_s": 4})
    with studio.changed_function("RunPaidStep", timeout_s=8, JOB_FIRST_LOOK_S="1"):
        task_id = studio.submit("identity-portrait", request(enable_harmonization=False))
        until(lambda: bought(studio) == 1, "the submission")
        studio.kill_workers()
        task = studio.finish(task_id)

    assert task["status"] == "completed"
    assert bought(studio) == len(jobs_of(studio, task_id)) == 1


def test_submission_whose_answer_is_lost_is_known_by_its_webhook(studio):
    studio.fault("fal", {"kind": "lost-answer"})

    task = studio.do("identity-portrait", request(enable_harmonization=False))

    assert task["status"] == "completed"
    assert bought(studio) == 1


def test_submission_of_which_nothing_is_heard_may_have_been_paid(studio):
    studio.fault("fal", {"kind": "reset"})
    with studio.changed_function("RunPaidStep", JOB_FIRST_LOOK_S="1", JOB_LIMIT_S="3"):
        task = studio.do("identity-portrait", request())

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "MAYBE_PAID")
    assert bought(studio) == 1


def test_result_that_comes_after_its_task_was_given_up_is_taken_by_a_retry(studio):
    studio.fault("fal", {"kind": "lost-answer"})
    studio.fault("fal-webhook", {"kind": "none", "wait_s": 10})
    with studio.changed_function("RunPaidStep", JOB_FIRST_LOOK_S="1", JOB_LIMIT_S="2"):
        failed = studio.do("identity-portrait", request(enable_harmonization=False))
    (job,) = jobs_of(studio, failed["task_id"])
    until(lambda: jobs_of(studio, failed["task_id"])[0]["deliveries"] == [200], "the late webhook")

    studio.http.post(f"/api/v1/tasks/{failed['task_id']}/retry").raise_for_status()
    task = studio.finish(failed["task_id"])

    assert (failed["error_detail"]["code"], job["deliveries"]) == ("MAYBE_PAID", [])
    assert task["status"] == "completed"
    assert bought(studio) == 1


def test_worker_killed_with_the_result_goes_on_with_it(studio, impatient_queue):
    studio.fault("fal-files", {"kind": "none", "wait_s": 30})
    with studio.changed_function("RunPaidStep", timeout_s=8):
        task_id = studio.submit("identity-portrait", request(enable_harmonization=False))
        until(lambda: studio.calls().get("fal-files") == 1, "the download")
        studio.kill_workers()
        task = studio.finish(task_id)

    assert task["status"] == "completed"
    assert (bought(studio), studio.calls()["fal-files"]) == (1, 2)


@pytest.fixture
def every_message_twice(studio):
    switch = studio.place.run / "tmp" / "deliver-twice"
    # What earlier tests have left hidden comes back for minutes, and is not what is waited for here.
    studio.purge()
    switch.touch()
    # Longer than the lease below: a worker that a busy machine lets run out of time is made up for, too.
    yield from visibility(studio, 45)
    switch.unlink()


def test_messages_that_come_twice_buy_once(studio, every_message_twice):
    studio.fault("fal-webhook", {"kind": "doubled", "times": 6})
    # A second copy waits for the lease of the first, which is as long as the function's time limit; a task whose
    # messages all lose that race waits once for each of them.
    with studio.changed_function("RunPaidStep", timeout_s=30, JOB_FIRST_LOOK_S="2"):
        ids = [studio.submit("identity-portrait", request(master_prompt=f"shot {number}")) for number in range(3)]
        tasks = [studio.finish(task_id, 180) for task_id in ids]
        until(lambda: studio.depth("CpuTasksQueueUrl") == 0, "an empty queue", 240)

    assert [(task["status"], task["error_detail"]) for task in tasks] == [("completed", None)] * 3
    assert [len(jobs_of(studio, task_id)) for task_id in ids] == [2] * 3


def test_slow_job_is_given_up_and_cancelled(studio):
    studio.fault("fal-job", {"kind": "none", "wait_s": 30})
    with studio.changed_function("RunPaidStep", JOB_FIRST_LOOK_S="1", JOB_LIMIT_S="3"):
        task = studio.do("identity-portrait", request(enable_harmonization=False))

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "PROVIDER_TIMED_OUT")
    assert [job["status"] for job in jobs_of(studio, task["task_id"])] == ["CANCELLED"]


def test_job_that_failed_for_the_moment_is_bought_again(studio):
    studio.fault("fal-job", BROKEN)

    task = studio.do("identity-portrait", request(enable_harmonization=False))

    assert task["status"] == "completed"
    assert [len(job["deliveries"]) for job in jobs_of(studio, task["task_id"])] == [1, 1]


def test_cancelled_task_cancels_its_job_and_ends_at_once(studio):
    studio.fault("fal-job", {"kind": "none", "wait_s": 30})
    task_id = studio.submit("identity-portrait", request())
    until(lambda: [job["status"] for job in jobs_of(studio, task_id)] == ["IN_PROGRESS"], "the job")

    assert studio.http.delete(f"/api/v1/tasks/{task_id}").json()["status"] == "cancelled"
    until(lambda: [job["status"] for job in jobs_of(studio, task_id)] == ["CANCELLED"], "the job's end", 8)
    ended = until(lambda: (it := execution(studio, task_id))["status"] != "RUNNING" and it, "the execution's end", 8)

    assert (ended["status"], ended["error"]) == ("FAILED", "Cancelled")
    assert studio.read(task_id)["status"] == "cancelled"
