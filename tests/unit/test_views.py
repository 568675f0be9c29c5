"""The shapes of answers: the old servers' keys, and ours beside them."""

import pytest

from backlot.tasks import CostItem, Status, StepOutput, StepTimings
from backlot.views import JobView, TaskView
from tests.unit.fakes import NOW_MS
from tests.unit.work import CDN, TASK_ID, a_task

OLD_TASK = {"task_id", "status", "job_type", "result_url", "error_message", "created_at", "updated_at"}
OLD_JOB = {"job_id", "status", "result_url", "result_s3_uri", "error"}
NEW = {
    *("operation", "result", "error_detail", "progress", "timings", "cost_usd", "cost", "expires_at", "callback_url"),
    "deliveries",
}


def step(name: str, usd: float) -> StepOutput:
    return StepOutput(
        step=name,
        result_url=f"{CDN}/{name}.png",
        width=64,
        height=48,
        content_type="image/png",
        provider="ark",
        model="m",
        cost=[CostItem(item="x", quantity=1, usd=usd)],
        detail={"faces": 1},
        timings=StepTimings(provider_s=1.5),
    )


STEPS = [step("mask-face", 0.001), step("swap-face", 0.03)]
COMPLETED = a_task(
    status=Status.COMPLETED,
    steps=STEPS,
    result_url=f"{CDN}/swap-face.png",
    started_ms=NOW_MS + 1500,
    completed_ms=NOW_MS + 31_500,
)


def failed(**changes) -> dict:
    return TaskView.of(a_task(status=Status.FAILED, **changes)).model_dump(mode="json")


def test_views_have_the_old_keys_and_ours():
    assert set(TaskView.of(COMPLETED).model_dump()) == OLD_TASK | NEW
    assert set(JobView.of(COMPLETED).model_dump()) == OLD_JOB | NEW


def test_view_of_a_pending_task_is_full_of_nulls():
    view = TaskView.of(a_task()).model_dump(mode="json")

    assert (view["task_id"], view["status"], view["job_type"]) == (TASK_ID, "pending", "/api/v1/face-mask/jobs")
    assert {key for key, value in view.items() if value is None} == {
        *("result_url", "error_message", "result", "error_detail", "progress", "cost_usd", "callback_url"),
    }
    assert view["timings"] == {"queued_s": None, "processing_s": None, "steps": {}}


def test_view_of_a_completed_task_has_its_last_steps_result_and_all_costs():
    view = TaskView.of(COMPLETED).model_dump(mode="json")

    assert view["result"]["result_url"] == view["result_url"] == f"{CDN}/swap-face.png"
    assert [each["step"] for each in view["result"]["steps"]] == ["mask-face", "swap-face"]
    assert view["result"]["cost_usd"] == view["cost_usd"] == 0.031
    assert sum(item["usd"] for item in view["cost"]) == pytest.approx(0.031)


def test_view_of_a_completed_task_tells_where_its_time_went():
    timings = TaskView.of(COMPLETED).timings

    assert (timings.queued_s, timings.processing_s) == (1.5, 30.0)
    assert timings.steps["swap-face"].provider_s == 1.5


def test_view_of_a_completed_task_without_steps_has_no_result():
    view = TaskView.of(COMPLETED.model_copy(update={"steps": []}))
    assert (view.status, view.result, view.result_url) == (Status.COMPLETED, None, f"{CDN}/swap-face.png")


def test_view_of_a_failed_task_describes_its_error():
    view = failed(error_name="FaceIndexOutOfRange", error_message="Face index 3 out of range (detected 1 faces)")

    assert view["error_message"] == "Face index 3 out of range (detected 1 faces)"
    assert view["error_detail"] == {
        "code": "FACE_INDEX_OUT_OF_RANGE",
        "message": "Face index 3 out of range (detected 1 faces)",
        "remedy": "Count faces from 0 in the detector's order, and stay below their number.",
        "retry": False,
    }


def test_view_of_a_task_that_failed_on_its_way_keeps_what_it_cost():
    assert failed(error_name="MaybePaid", error_message="", steps=STEPS[:1])["cost_usd"] == 0.001


@pytest.mark.parametrize("message", [None, ""])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("MaybePaid", "MAYBE_PAID"),
        ("DeadLettered", "DEAD_LETTERED"),
        ("ImageTooLarge", "IMAGE_TOO_LARGE"),
        ("States.Timeout", "TIMED_OUT"),
        ("States.DataLimitExceeded", "UNEXPECTED"),
        ("TransientError", "UNEXPECTED"),
        ("", "UNEXPECTED"),
        (None, "UNEXPECTED"),
    ],
)
def test_view_of_a_failed_task_without_words_describes_its_error_nevertheless(name, code, message):
    view = failed(error_name=name, error_message=message)

    assert view["error_detail"]["code"] == code
    assert view["error_detail"]["message"] == view["error_message"]
    assert view["error_message"]
    assert view["error_detail"]["remedy"]
    assert "{" not in view["error_message"]


def test_view_of_a_cancelled_task_has_no_error():
    assert TaskView.of(a_task(status=Status.CANCELLED)).error_detail is None
