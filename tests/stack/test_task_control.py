"""Listing, cancelling and retrying tasks, and keeping the providers' rate limits."""

import concurrent.futures
import json
import random
import time

import pytest

from tests.stack.waiting import until


@pytest.fixture(autouse=True)
def clean_queue(studio) -> None:
    studio.purge()


def pages(studio, **query) -> list[list[str]]:
    """Return the ids of all pages of a listing."""
    found, cursor = [], None
    while True:
        answer = studio.http.get("/api/v1/tasks", params=query | ({"cursor": cursor} if cursor else {}))
        assert answer.status_code == 200, answer.text
        found.append([task["task_id"] for task in answer.json()["tasks"]])
        cursor = answer.json()["next_cursor"]
        if cursor is None:
            return found


def executions(studio, status: str) -> set[str]:
    """Return the names of all executions in a status."""
    machines = studio.aws("stepfunctions").list_state_machines()["stateMachines"]
    pages = [
        studio.aws("stepfunctions").list_executions(stateMachineArn=each["stateMachineArn"], statusFilter=status)
        for each in machines
    ]
    return {execution["name"] for page in pages for execution in page["executions"]}


def states(studio, task_id: str) -> list[str]:
    """Return the states that a face-mask task's execution entered."""
    machine = studio.outputs["StateMachinePrefix"].replace(":stateMachine:", ":execution:") + "face-mask"
    events = studio.aws("stepfunctions").get_execution_history(executionArn=f"{machine}:{task_id}")["events"]
    return [event["stateEnteredEventDetails"]["name"] for event in events if "stateEnteredEventDetails" in event]


def test_listing_pages_through_the_callers_own_tasks_newest_first(studio, astronaut):
    ids = [studio.submit("face-mask", {"image_url": astronaut}) for _ in range(5)]
    for task_id in ids:
        studio.finish(task_id)

    found = pages(studio, limit=2)
    assert [len(page) for page in found[:2]] == [2, 2]
    assert [task_id for page in found for task_id in page][:5] == ids[::-1]
    others = studio.http.get("/api/v1/tasks", headers={"x-api-key": studio.keys["trial"]}).json()["tasks"]
    assert not {task["task_id"] for task in others} & set(ids)


def test_listing_finds_tasks_by_status_and_operation(studio, astronaut):
    failed = studio.do("face-mask", {"image_url": astronaut, "face_index": 99})
    done = studio.do("face-mask", {"image_url": astronaut})

    newest = {
        status: studio.http.get("/api/v1/tasks", params={"status": status, "limit": 1}).json()["tasks"][0]
        for status in ("failed", "completed")
    }
    assert newest == {"failed": failed, "completed": done}
    assert all(
        task["operation"] == "face-mask"
        for task in studio.http.get("/api/v1/tasks", params={"operation": "face-mask"}).json()["tasks"]
    )


def test_listing_with_wrong_parameters_names_them_all(studio):
    query = {"status": "lost", "operation": "make-coffee", "limit": "101", "cursor": "???"}
    answer = studio.http.get("/api/v1/tasks", params=query)

    assert answer.status_code == 422
    assert [problem["loc"] for problem in answer.json()["detail"]] == [["query", name] for name in query]


@pytest.fixture
def slow_detector(studio):
    studio.fault("dashscope", {"kind": "none", "wait_s": 4})


def test_pending_task_that_is_cancelled_is_never_begun(studio, astronaut, slow_detector):
    with studio.changed_function("RunPaidStep", RATE_LIMITS=json.dumps({"dashscope": {"requests_per_minute": 6}})):
        first = studio.submit("face-mask", {"image_url": astronaut})
        until(lambda: studio.calls().get("dashscope") == 1, "the first task's call")
        second = studio.submit("face-mask", {"image_url": astronaut})
        answer = studio.http.delete(f"/api/v1/tasks/{second}")
        studio.finish(first)
        until(lambda: second in executions(studio, "FAILED"), "the end of the cancelled execution")

    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert studio.read(second)["status"] == "cancelled"
    assert studio.calls() == {"dashscope": 1}


def test_running_task_that_is_cancelled_pays_for_nothing_more(studio, astronaut, hopper, slow_detector):
    task_id = studio.submit("full-face-swap", {"source_image_url": astronaut, "target_face_url": hopper})
    until(lambda: studio.calls().get("dashscope") == 1, "the first call")

    assert studio.http.delete(f"/api/v1/tasks/{task_id}").json()["status"] == "cancelled"
    until(lambda: task_id in executions(studio, "FAILED"), "the end of the execution")
    assert studio.calls() == {"dashscope": 1}
    assert studio.read(task_id)["status"] == "cancelled"


def test_finished_task_cannot_be_cancelled(studio, astronaut):
    task = studio.do("face-mask", {"image_url": astronaut})
    answer = studio.http.delete(f"/api/v1/tasks/{task['task_id']}")

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "TASK_HAS_ENDED"
    assert studio.read(task["task_id"]) == task


@pytest.mark.parametrize("call", ["delete", "retry"])
def test_task_of_another_key_cannot_be_controlled(studio, astronaut, call):
    task = studio.do("face-mask", {"image_url": astronaut, "face_index": 99})
    method, path = ("DELETE", "") if call == "delete" else ("POST", "/retry")
    answer = studio.http.request(
        method, f"/api/v1/tasks/{task['task_id']}{path}", headers={"x-api-key": studio.keys["trial"]}
    )

    assert answer.status_code == 404


def test_tasks_cancelled_at_random_moments_end_once_and_nothing_runs_on(studio, astronaut, hopper):
    body = {"source_image_url": astronaut, "target_face_url": hopper, "size": "1024x1024"}
    seconds = random.Random(7)
    moments = [seconds.uniform(0, 4) for _ in range(50)]

    def submit_and_cancel(moment: float) -> tuple[str, int]:
        task_id = studio.submit("full-face-swap", body)
        time.sleep(moment)
        return task_id, studio.http.delete(f"/api/v1/tasks/{task_id}").status_code

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = dict(pool.map(submit_and_cancel, moments))

    ended = {task_id: studio.finish(task_id)["status"] for task_id in answers}
    assert set(answers.values()) <= {200, 409}
    assert ended == {task_id: "cancelled" if status == 200 else "completed" for task_id, status in answers.items()}
    until(lambda: not executions(studio, "RUNNING") & set(answers), "the end of all executions")
    until(lambda: studio.depth("CpuTasksQueueUrl") == 0, "an empty queue")
    assert {task_id: studio.read(task_id)["status"] for task_id in answers} == ended


def test_retried_task_takes_over_what_was_paid(studio, astronaut, hopper):
    studio.fault("ark", {"kind": "status", "status": 403, "code": "AccountOverdueError", "message": "pay"})
    failed = studio.do("full-face-swap", {"source_image_url": astronaut, "target_face_url": hopper})
    assert failed["error_detail"]["code"] == "PROVIDER_REFUSED"

    answer = studio.http.post(f"/api/v1/tasks/{failed['task_id']}/retry")
    assert (answer.status_code, answer.json()["status"], answer.json()["error_message"]) == (202, "pending", None)
    task = studio.finish(failed["task_id"])

    assert (task["status"], task["error_detail"]) == ("completed", None)
    assert [step["step"] for step in task["result"]["steps"]] == ["mask-face", "swap-face"]
    assert studio.calls() == {"dashscope": 1, "ark": 2, "ark-results": 1}
    assert f"{task['task_id']}.1" in executions(studio, "SUCCEEDED")


def test_only_failed_tasks_can_be_retried(studio, astronaut):
    task = studio.do("face-mask", {"image_url": astronaut})
    answer = studio.http.post(f"/api/v1/tasks/{task['task_id']}/retry")

    assert answer.status_code == 409
    assert answer.json()["error"]["message"] == "Only failed tasks can be retried; this one is completed"


def test_provider_is_asked_no_faster_than_its_limit_and_nothing_fails(studio, astronaut):
    with studio.changed_function("RunPaidStep", RATE_LIMITS=json.dumps({"dashscope": {"requests_per_minute": 20}})):
        ids = [studio.submit("face-mask", {"image_url": astronaut}) for _ in range(6)]
        tasks = [studio.finish(task_id) for task_id in ids]

    assert {task["status"] for task in tasks} == {"completed"}
    # Three at once after a pause, then one in three seconds; what is left to do between slot and call takes no second.
    times = studio.stand_ins.get("/_times").json()["dashscope"]
    assert [time > times[0] + 3 * late - 1 for late, time in enumerate(times[3:], 1)] == [True] * 3
    put_off = max(tasks, key=lambda task: task["timings"]["steps"]["mask-face"]["queued_s"])
    assert states(studio, put_off["task_id"]) == ["MaskFace", "RecordCompletion"]


def test_provider_gets_no_more_calls_at_once_than_its_limit(studio, astronaut):
    limits = json.dumps({"dashscope": {"concurrent": 2}})
    studio.fault("dashscope", {"kind": "none", "wait_s": 0.5, "times": 8})
    with studio.changed_function("RunPaidStep", RATE_LIMITS=limits):
        ids = [studio.submit("face-mask", {"image_url": astronaut}) for _ in range(8)]
        tasks = [studio.finish(task_id) for task_id in ids]

    assert {task["status"] for task in tasks} == {"completed"}
    assert studio.stand_ins.get("/_peaks").json()["dashscope"] == 2
