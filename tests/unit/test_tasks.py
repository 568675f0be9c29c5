"""The task's record."""

import json
import re
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backlot.assets import comfyui_key
from backlot.tasks import (
    CostItem,
    MadeFile,
    Status,
    StepOutput,
    Task,
    TaskCursor,
    is_task_id,
    job_type,
    new_task_id,
    parse_execution_name,
)
from tests.unit.fakes import NOW_MS

TASK = Task.submitted(
    task_id="6f1c1f0a-3a55-4b53-9f57-0c5b8a3f3a10",
    operation="face-mask",
    owner="key-1",
    request={"image_url": "https://a.example/ä.jpg", "face_index": 0},
    now_ms=NOW_MS + 999,
    days=30,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner), max_leaves=5
)


def step(*usd: float) -> StepOutput:
    return StepOutput(
        step="mask-face",
        result_url="https://cdn.example.com/images/a.png",
        width=1,
        height=1,
        content_type="image/png",
        provider="dashscope",
        model="qwen3-vl-plus",
        cost=[CostItem(item="x", quantity=1, usd=each) for each in usd],
        detail={},
    )


def failed(name: str | None, message: str | None) -> Task:
    return TASK.model_copy(update={"status": Status.FAILED, "error_name": name, "error_message": message})


def test_submitted_task_is_pending_and_expires_after_its_days():
    assert TASK.status is Status.PENDING
    assert TASK.job_type == "/api/v1/face-mask/jobs"
    assert (TASK.created_ms, TASK.created_at, TASK.updated_at) == (NOW_MS + 999, NOW_MS // 1000, NOW_MS // 1000)
    assert TASK.expires_at - TASK.created_at == 30 * 24 * 60 * 60


@given(st.dictionaries(st.text(), json_values))
def test_record_of_a_task_reads_back_as_the_task(request_):
    task = TASK.model_copy(update={"request": request_})
    from_table = {key: Decimal(value) if isinstance(value, int) else value for key, value in task.record().items()}

    assert Task.from_record(from_table) == task


def test_record_leaves_out_what_is_not_known_yet():
    assert set(TASK.record()) == {
        *("task_id", "operation", "job_type", "owner", "status", "request"),
        *("created_at", "updated_at", "created_ms", "ttl", "retries"),
    }


def test_record_with_steps_as_a_state_machine_writes_them_is_read():
    record = TASK.record() | {"steps": json.dumps([step(0.1).model_dump(mode="json")]), "completed_ms": Decimal(NOW_MS)}

    read = Task.from_record(record)

    assert read.steps == [step(0.1)]
    assert read.completed_ms == NOW_MS


@pytest.mark.parametrize(
    ("status", "final"),
    [("pending", False), ("processing", False), ("completed", True), ("failed", True), ("cancelled", True)],
)
def test_status_is_final_when_the_task_has_ended(status, final):
    assert Status(status).is_final is final


def test_cost_of_a_task_is_that_of_its_steps():
    assert TASK.cost_usd is None
    assert TASK.model_copy(update={"steps": [step(0.1, 0.2), step(0.000_000_4)]}).cost_usd == 0.3
    assert step(0.1, 0.2).cost_usd == 0.3


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.FAILED])
def test_error_of_a_task_that_did_not_fail_is_none(status):
    task = failed("NoFaceFound", "words").model_copy(update={"status": status})
    assert (task.error, task.public_error_message) == (None, None)


@pytest.mark.parametrize(
    ("name", "stored", "shown"),
    [
        ("FaceIndexOutOfRange", "Face index 3 out of range", "Face index 3 out of range"),
        ("NoFaceFound", "", "No faces detected in the image"),
        ("States.Timeout", "arn:aws:states:us-east-1:1:execution", "The task was not done within its time limit"),
        ("States.Runtime", "$.x in arn:aws:…", "An unexpected error ended the task"),
        ("Unexpected", "a stack trace", "An unexpected error ended the task"),
        (None, None, "An unexpected error ended the task"),
        ("CallerError", "words", "An unexpected error ended the task"),
    ],
)
def test_public_error_message_is_in_our_words(name, stored, shown):
    assert failed(name, stored).public_error_message == shown


@pytest.mark.parametrize("message", ["", None])
@pytest.mark.parametrize("name", ["MaybePaid", "ImageUrlRefused", "FaceIndexOutOfRange", "DeadLettered"])
def test_public_error_message_of_an_error_without_words_has_no_gaps(name, message):
    shown = failed(name, message).public_error_message
    assert shown.endswith(".")
    assert "{" not in shown


def test_new_task_id_is_a_task_id():
    assert is_task_id(new_task_id())


@given(st.uuids())
def test_is_task_id_of_a_uuid_in_its_usual_form_only(value):
    assert is_task_id(str(value))
    assert not is_task_id(value.hex)
    assert not is_task_id(f"{value}\n")
    assert not is_task_id(f"{{{value}}}")


@pytest.mark.parametrize("text", ["", "x", str(uuid.UUID(int=2**128 - 1)).upper(), "é" * 36, "0" * 36, "-" * 36])
def test_is_task_id_of_another_text_is_false(text):
    assert not is_task_id(text)


def test_job_type_is_the_old_servers_path():
    assert job_type("face-swap") == "/api/v1/face-swap/jobs"


@pytest.mark.parametrize(
    "cursor", [TaskCursor(created_ms=NOW_MS, task_id="6f1c"), TaskCursor(created_ms=0, task_id="")]
)
def test_cursor_is_read_as_it_was_written(cursor):
    assert TaskCursor.decode(cursor.encode()) == cursor
    assert re.fullmatch(r"[\w-]+", cursor.encode())


@pytest.mark.parametrize("text", ["", "?", "x", "e30", "é", "eyJjcmVhdGVkX21zIjogIngifQ"])
def test_cursor_that_is_none_is_a_value_error(text):
    with pytest.raises(ValueError, match="not a cursor"):
        TaskCursor.decode(text)


@pytest.mark.parametrize(("retries", "name"), [(0, TASK.task_id), (1, f"{TASK.task_id}.1"), (12, f"{TASK.task_id}.12")])
def test_execution_name_says_task_and_retry(retries, name):
    assert TASK.model_copy(update={"retries": retries}).execution_name == name
    assert parse_execution_name(name) == (TASK.task_id, retries)


def test_output_of_a_step_that_made_no_picture_describes_its_first_file():
    video = MadeFile(result_url="https://cdn.example.com/images/a.mp4", content_type="video/mp4", size_bytes=9)
    output = StepOutput(step="s", images=[], files=[video], provider="", model="m", cost=[], detail={})

    assert (output.result_url, output.content_type, output.width, output.height) == (
        video.result_url,
        "video/mp4",
        None,
        None,
    )


def test_key_of_a_gpu_tasks_object_is_named_after_the_task():
    assert comfyui_key("camera-angle", "t", "-2.png") == "images/comfyui-results/camera-angle/t-2.png"
