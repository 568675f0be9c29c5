"""Taking requests in: one task and one execution, however often a request is sent."""

import pytest

from backlot.errors import IdempotencyKeyReused, NoFaceFound, NotStarted, TaskNotFailed
from backlot.image_urls import ImageUrlPolicy
from backlot.operations import RequestContext, operation_named
from backlot.submission import KEY_LIFE_S, Submissions
from backlot.tasks import Status, Task
from tests.unit.fakes import NOW_MS, Executions, Faces, SubmissionKeys, Tasks

URL = "https://images.example.com/a.jpg"


@pytest.fixture
def door(clock) -> Submissions:
    policy = ImageUrlPolicy("assets", "https://cdn.example.com")
    return Submissions(Tasks(), SubmissionKeys(), Executions(), policy, Faces(), clock, days=30)


def submit(door, operation="face-mask", *, owner="key-1", key=None, **body):
    found = operation_named(operation)
    context = RequestContext(images=door.images)
    request = found.request.model_validate(body or {"image_url": URL}, context=context)
    return door.submit(found, request, owner=owner, idempotency_key=key)


def test_request_becomes_a_pending_task_and_an_execution_of_its_name(door):
    submission = submit(door)

    task = door.tasks.get(submission.task.task_id)
    assert (task.status, task.owner, task.operation) == (Status.PENDING, "key-1", "face-mask")
    assert (submission.is_new, submission.is_started) == (True, True)
    assert door.executions.inputs == {
        ("face-mask", task.task_id): {
            "task_id": task.task_id,
            "request": {"image_url": URL, "face_position_prompt": None, "face_index": 0},
        }
    }


def test_request_sent_twice_without_a_key_is_two_tasks(door):
    assert submit(door).task.task_id != submit(door).task.task_id
    assert len(door.executions.inputs) == 2


def test_request_sent_twice_with_a_key_is_one_task(door):
    first, again = submit(door, key="k"), submit(door, key="k")

    assert first.task == again.task
    assert (first.is_new, again.is_new, again.is_started) == (True, False, True)
    assert (len(door.tasks.kept), len(door.executions.inputs)) == (1, 1)


def test_request_with_a_key_of_another_owner_is_another_task(door):
    assert submit(door, key="k").task.task_id != submit(door, key="k", owner="key-2").task.task_id


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("face-mask", {"image_url": f"{URL}?other"}),
        ("face-mask", {"image_url": URL, "face_index": 1}),
        ("full-face-swap", {"source_image_url": URL, "target_face_url": URL}),
    ],
    ids=["url", "index", "operation"],
)
def test_request_with_a_used_key_and_another_content_is_refused(door, operation, body):
    submit(door, key="k")

    with pytest.raises(IdempotencyKeyReused):
        submit(door, operation, key="k", **body)
    assert len(door.tasks.kept) == 1


@pytest.mark.parametrize("body", [{"image_url": URL, "face_index": None}, {"image_url": URL, "unknown": 1}])
def test_request_with_a_used_key_and_the_same_meaning_is_the_same(door, body):
    assert submit(door, key="k").task == submit(door, key="k", **body).task


@pytest.mark.parametrize(("later_s", "same"), [(KEY_LIFE_S, True), (KEY_LIFE_S + 1, False)])
def test_key_is_remembered_for_a_day(door, clock, later_s, same):
    first = submit(door, key="k")
    clock.advance(seconds=later_s)

    assert (submit(door, key="k").task.task_id == first.task.task_id) is same


def test_request_is_accepted_while_executions_cannot_start(door):
    door.executions.is_down = True

    submission = submit(door)

    assert (submission.is_new, submission.is_started) == (True, False)
    assert door.tasks.get(submission.task.task_id).status is Status.PENDING


def test_request_sent_again_starts_what_could_not_start(door):
    door.executions.is_down = True
    first = submit(door, key="k")
    door.executions.is_down = False

    again = submit(door, key="k")

    assert (again.task.task_id, again.is_started) == (first.task.task_id, True)
    assert len(door.executions.inputs) == 1


def test_request_sent_again_after_its_record_was_lost_is_stored(door):
    first = submit(door, key="k")
    door.tasks.kept.clear()

    again = submit(door, key="k")

    assert (again.task.task_id, again.is_new) == (first.task.task_id, True)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PENDING])
def test_request_sent_again_for_a_task_that_has_moved_on_starts_nothing(door, status):
    task = submit(door, key="k").task
    door.tasks.kept[task.task_id] = task.model_copy(update={"status": status})
    door.executions.inputs.clear()

    again = submit(door, key="k")

    assert (again.task.status, again.is_started) == (status, True)
    assert door.executions.inputs == {}


@pytest.mark.parametrize(
    ("source", "skips"),
    [
        ("s3://assets/images/face_swap/20261121_100000_0123456789abcdef.png", True),
        ("https://cdn.example.com/images/face_swap/20261121_100000_0123456789abcdef.png?v=1", True),
        ("https://elsewhere.example/images/face_swap/20261121_100000_0123456789abcdef.png", False),
        ("s3://assets/uploads/a.png", False),
    ],
)
def test_full_face_swap_of_a_mask_of_ours_skips_the_detection(door, source, skips):
    task = submit(door, "full-face-swap", source_image_url=source, target_face_url=URL).task

    assert task.request["skip_mask"] is skips


def failed(door) -> Task:
    task = submit(door).task
    return door.tasks.fail(
        task.task_id, retries=0, error_name=NoFaceFound.__name__, error_message=NoFaceFound.sentence, now_ms=NOW_MS
    )


def test_failed_task_is_retried_as_another_execution_of_the_same_request(door):
    task = door.retry(failed(door))

    assert (task.status, task.retries, task.error_name, task.completed_ms) == (Status.PENDING, 1, None, None)
    inputs = door.executions.inputs
    assert inputs["face-mask", f"{task.task_id}.1"] == inputs["face-mask", task.task_id]


def test_retry_of_a_task_that_was_retried_meanwhile_is_refused(door):
    task = failed(door)
    door.retry(task)

    with pytest.raises(TaskNotFailed, match="pending"):
        door.retry(task)
    assert len(door.executions.inputs) == 2


def test_retry_that_cannot_be_started_leaves_the_task_failed_for_the_same_reason(door):
    task = failed(door)
    door.executions.is_down = True

    with pytest.raises(NotStarted):
        door.retry(task)
    kept = door.tasks.get(task.task_id)
    assert (kept.status, kept.error_name, kept.error_message) == (
        Status.FAILED,
        "NoFaceFound",
        "No faces detected in the image",
    )


def test_retry_after_one_that_could_not_be_started_is_started(door):
    task = failed(door)
    door.executions.is_down = True
    with pytest.raises(NotStarted):
        door.retry(task)
    door.executions.is_down = False

    assert door.retry(door.tasks.get(task.task_id)).execution_name == f"{task.task_id}.2"
