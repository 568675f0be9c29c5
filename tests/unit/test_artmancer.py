"""The ArtMancer server's routes: its pages are replayed on in-memory ports, its answers looked at field by field."""

import base64
import io
import json
import random
import re
import subprocess
import sys
from urllib.parse import parse_qsl

import pytest
from PIL import Image

from backlot.assets import debug_prefix
from backlot.aws.model_fleet import FleetState
from backlot.aws.model_watch import progress_key
from backlot.tasks import MadeImage, Status, StepOutput
from lambdas.serve_api import http_requests
from lambdas.serve_api.artmancer import pictures as artmancer_pictures
from tests.artmancer_client import ClientError, Page3, Page21, Reply, in_base64, mask, recorded
from tests.unit.api import CONTEXT, event
from tests.unit.fakes import NOW_MS
from tests.unit.pictures import opened, plain
from tests.unit.work import CDN, TASK_ID, a_task

RESULT = plain(96, 72, "olive")
KEY = "images/masked_edits/20261121_100000_0123456789abcdef.png"
DETAIL = {"seed": 7, "steps": 10, "true_cfg": 1.0, "prompt": "remove the ball", "lora_adapter": "removal-1"}


@pytest.fixture(autouse=True)
def short_hold(monkeypatch):
    monkeypatch.setattr(http_requests, "MAX_WAIT_S", 0.02)


@pytest.fixture
def send(api):
    """Send requests as the gateway hands them on."""

    def call(method, path, body, headers):
        path, _, query = path.partition("?")
        parts = dict(parse_qsl(query)) or None
        sent = event(method, path, body=body, headers={"x-api-key": "k", **headers}, query=parts)
        answer = api.app.resolve(sent, CONTEXT)
        text = answer["body"] or ""
        data = base64.b64decode(text) if answer["isBase64Encoded"] else text.encode()
        return Reply(answer["statusCode"], {name: each[0] for name, each in answer["multiValueHeaders"].items()}, data)

    return call


def edit(api, task_id=TASK_ID, *, status=Status.COMPLETED, picture=RESULT, detail=(), request=(), **changes):
    """Put a masked edit into the store, with its picture if it is completed."""
    asked = {
        "task": "removal",
        "prompt": "remove the ball",
        "negative_prompt": None,
        "num_inference_steps": 10,
        "true_cfg_scale": 1.0,
        "seed": 7,
        "reference_url": None,
    }
    done = {}
    if status is Status.COMPLETED:
        width, height = opened(picture).size
        api.objects.kept[KEY] = picture
        made = MadeImage(result_url=f"{CDN}/{KEY}", width=width, height=height, content_type="image/png")
        step = StepOutput(
            step="edit-masked",
            images=[made],
            provider="sagemaker",
            model="qwen-edit",
            cost=[],
            detail=DETAIL | dict(detail),
        )
        done = {"steps": [step], "result_url": made.result_url, "completed_ms": NOW_MS + 4250}
    if status is not Status.PENDING:
        done["started_ms"] = NOW_MS + 1000
    task = a_task(task_id, operation="masked-edit", status=status, request=asked | dict(request), **(done | changes))
    api.tasks.kept[task_id] = task
    return task


def report(api, task_id, share):
    """Write how far the model is, as its server does."""
    key = progress_key("backlot-dev-qwen-edit", task_id)
    api.objects.kept[key] = json.dumps({"id": task_id, "progress": share}).encode()
    api.objects.dates[key] = NOW_MS / 1000 + 1


@pytest.fixture
def worker(api, monkeypatch):
    """Complete every edit at the second look at it."""
    looks = {}
    get = api.tasks.get

    def look(task_id):
        task = get(task_id)
        looks[task_id] = looks.get(task_id, 0) + 1
        if task is not None and task.operation == "masked-edit" and not task.status.is_final and looks[task_id] > 1:
            return edit(api, task_id, request=task.request)
        return task

    monkeypatch.setattr(api.tasks, "get", look)


def test_page_of_2_1_gets_its_picture_with_the_answer(send, worker):
    page = Page21(send)
    assert page.is_ready()
    assert page.health()["status"] == "healthy"

    answer = page.generate(recorded())

    assert base64.b64decode(answer["image"]) == RESULT
    assert answer["model_used"] == "qwen_local_removal"
    assert answer["generation_time"] == 3.25
    assert re.fullmatch(r"\d{8}_\d{6}_\d{6}", answer["request_id"])
    assert answer["debug_info"] is None
    assert answer["parameters_used"] == {
        "prompt": "remove the ball",
        "negative_prompt": None,
        "num_inference_steps": 10,
        "guidance_scale": 1.0,
        "true_cfg_scale": 1.0,
        "seed": 7,
        "image_size": "96x72",
        "generation_time": 3.25,
        "timestamp": "2026-11-21T10:00:04.250+00:00",
        "has_reference_image": 0.0,
        "task_type": "removal",
    }


@pytest.mark.parametrize("task", ["removal", "insertion", "white-balance"])
def test_pages_of_both_generations_do_every_task(send, worker, task):
    assert Page21(send).generate(recorded(task))["parameters_used"]["has_reference_image"] == float(task == "insertion")
    done = Page3(send).generate(recorded(task, generation="3"))
    assert Image.open(io.BytesIO(done["blob"].body)).format == "WEBP"


def test_page_of_2_1_waits_through_several_holds(api, send, monkeypatch):
    get, looks = api.tasks.get, []

    def ends_late(task_id):
        looks.append(task_id)
        task = get(task_id)
        return edit(api, task_id, request=task.request) if task and len(looks) == 12 else task

    monkeypatch.setattr(api.tasks, "get", ends_late)
    page = Page21(send)

    answer = page.generate(recorded(width=512, conditional_images=[in_base64(mask())] * 2))

    assert base64.b64decode(answer["image"]) == RESULT
    assert page.redirects > 2
    # What was said of the request is not lost on the way.
    assert [warning.partition(" has no effect")[0] for warning in answer["warnings"]] == [
        "width",
        "conditional_images[1:]",
    ]


def test_page_is_told_of_the_task_before_its_fetch_gives_up(api, send):
    page = Page21(send)
    answer = page.fetch("POST", "/api/generate", recorded())
    assert (answer.status, page.redirects) == (202, 18)


def test_client_that_is_no_page_gets_the_task_with_202(api):
    answer = api.post("/api/generate", recorded(enable_cpu_offload=True))

    body = answer.json()
    assert answer.status == 202
    assert (body["success"], body["image"], body["status"], body["image_url"]) == (False, None, "queued", None)
    assert body["task_id"] in api.tasks.kept
    assert body["status_url"] == f"generate/status/{body['task_id']}"
    assert body["warnings"][0].startswith("enable_cpu_offload has no effect")


def test_hold_can_be_declined(api, send):
    answer = Page21(send).fetch("POST", "/api/generate?wait=0", recorded())
    assert answer.status == 202


def test_request_sent_again_with_its_key_is_one_task(api):
    answers = [api.post("/api/generate", recorded(), headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert len({answer.json()["task_id"] for answer in answers}) == len(api.tasks.kept) == 1


@pytest.mark.parametrize(
    ("error_name", "message", "status", "shown"),
    [
        ("MaskEmpty", "No masks found: the mask has nothing in it", 422, "No masks found: the mask has nothing in it"),
        (
            "ModelUnavailable",
            "The model does not answer: OutOfMemory",
            503,
            "Out of memory: The model does not answer: OutOfMemory",
        ),
        ("ModelFailed", "The model failed: it broke", 500, "The model failed: it broke"),
    ],
)
def test_edit_that_failed_is_shown_with_its_reason(api, send, error_name, message, status, shown):
    edit(api, status=Status.FAILED, error_name=error_name, error_message=message)
    held = Page21(send).fetch("GET", f"/api/generate/held/{TASK_ID}")
    assert (held.status, json.loads(held.body)["detail"]) == (status, shown)
    assert api.get(f"/api/generate/status/{TASK_ID}").json()["error"] == shown
    for route in ("result", "result-image"):
        refused = api.get(f"/api/generate/{route}/{TASK_ID}")
        assert (refused.status, refused.json()["detail"]) == (500, shown)


def test_page_of_3_gets_events_picture_and_result(api, send, worker):
    done = Page3(send).generate(recorded(generation="3"))

    assert [each["status"] for each in done["events"]] == ["queued", "done"]
    last = done["events"][-1]
    assert last.keys() == {
        "task_id",
        "status",
        "progress",
        "current_step",
        "total_steps",
        "error",
        "loading_message",
        "result",
    }
    assert base64.b64decode(last["result"]) == RESULT
    assert done["blob"].headers["Content-Type"] == "image/webp"
    assert done["blob"].headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert base64.b64decode(done["result"]["image"]) == RESULT
    assert (done["result"]["status"], done["debug_info"]) == ("done", None)


def test_page_of_3_is_shown_why_an_edit_failed(api, send, monkeypatch):
    message = "The model failed: CUDA out of memory"
    failed = edit(api, status=Status.FAILED, error_name="ModelFailed", error_message=message)
    monkeypatch.setattr(Page3, "submit", lambda *_: failed.task_id)
    with pytest.raises(ClientError, match="CUDA out of memory"):
        Page3(send).generate({})
    with pytest.raises(ClientError, match="as the page says it"):
        Page3(send).generate_by_event_source({})


def test_event_source_sees_every_step_and_comes_again_by_itself(api, send, monkeypatch):
    shares = iter([None, 0.1, 0.1, 0.5, 0.5, 0.9])

    def goes_on(task_id):
        task = type(api.tasks).get(api.tasks, task_id)
        share = next(shares, "done")
        if share == "done":
            return edit(api, task_id, request=task.request)
        if share is not None:
            report(api, task_id, share)
        return task.model_copy(update={"status": Status.PROCESSING, "started_ms": NOW_MS})

    monkeypatch.setattr(api.tasks, "get", goes_on)
    done = Page3(send).generate_by_event_source(recorded(generation="3"))

    states = [(each["status"], each["current_step"], each["progress"]) for each in done["events"]]
    assert states == [
        ("loading_pipeline", None, 0.2),
        ("processing", 1, 0.28),
        ("processing", 5, 0.6),
        ("processing", 9, 0.92),
        ("done", None, 1.0),
    ]
    assert base64.b64decode(done["image"]) == RESULT


def test_page_of_3_that_polls_gets_its_picture(send, worker):
    done = Page3(send).generate_by_polling(recorded(generation="3"), pause=lambda: None)
    assert [each["status"] for each in done["seen"]] == ["queued", "done"]
    assert base64.b64decode(done["image"]) == RESULT


def test_stream_of_a_request_ends_with_its_result(send, worker):
    answer = Page3(send).fetch("POST", "/api/generate/stream", recorded(generation="3"))
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert '"status": "done"' in answer.body.decode()


def test_stream_of_a_task_that_goes_on_has_its_events_so_far(api):
    edit(api, status=Status.PENDING)
    answer = api.get(f"/api/generate/stream/{TASK_ID}")
    assert answer.status == 200
    assert answer.text.startswith("retry: 1000\n\ndata: {")
    assert answer.text.count("data:") == 1
    again = api.get(f"/api/generate/stream/{TASK_ID}", headers={"Last-Event-ID": "queued"})
    assert again.text == "retry: 1000\n\n"


def test_stream_of_an_unknown_task_is_one_event_with_an_error(api):
    answer = api.get(f"/api/generate/stream/{TASK_ID}")
    assert answer.status == 200
    assert f'data: {{"error": "Task {TASK_ID} not found"}}' in answer.text


@pytest.mark.parametrize(
    ("status", "instances", "progress", "old", "share"),
    [
        (Status.PENDING, 1, None, "queued", 0.0),
        (Status.PROCESSING, 0, None, "initializing_h100", 0.1),
        (Status.PROCESSING, 1, None, "loading_pipeline", 0.2),
        (Status.PROCESSING, 0, 0.5, "processing", 0.6),
        (Status.COMPLETED, 1, None, "done", 1.0),
        (Status.FAILED, 1, None, "error", 0.0),
        (Status.CANCELLED, 1, None, "cancelled", 0.0),
    ],
)
def test_states_have_the_old_words(api, status, instances, progress, old, share):
    api.fleet = FleetState(True, instances=instances)
    edit(api, status=status)
    if progress is not None:
        report(api, TASK_ID, progress)
    body = api.get(f"/api/generate/status/{TASK_ID}").json()
    assert (body["status"], body["progress"]) == (old, share)
    assert (body["current_step"], body["total_steps"]) == ((5, 10) if progress else (None, None))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/generate/status/{}"),
        ("GET", "/api/generate/result/{}"),
        ("GET", "/api/generate/result-image/{}"),
        ("GET", "/api/generate/held/{}"),
        ("POST", "/api/generate/async/cancel/{}"),
    ],
)
def test_task_of_another_key_another_operation_or_nobody_is_not_found(api, method, path):
    edit(api)
    api.tasks.add(a_task("00000000-0000-4000-8000-000000000001"))
    assert api.call(method, path.format(TASK_ID), key_id="key-2").json() == {"detail": f"Task {TASK_ID} not found"}
    for task_id in ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002", "x"):
        answer = api.call(method, path.format(task_id))
        assert (answer.status, answer.json()) == (404, {"detail": f"Task {task_id} not found"})


def test_result_of_a_task_that_goes_on_is_refused_in_the_old_words(api):
    edit(api, status=Status.PENDING)
    for route in ("result", "result-image"):
        answer = api.get(f"/api/generate/{route}/{TASK_ID}")
        assert (answer.status, answer.json()["detail"]) == (400, "Task not completed yet. Current status: queued")


def test_cancel_ends_the_task_and_says_so(api, send):
    edit(api, status=Status.PENDING)
    page = Page3(send)
    answer = page.cancel(TASK_ID)
    assert answer == {
        "success": True,
        "message": f"Async generation task {TASK_ID} marked for cancellation",
        "task_id": TASK_ID,
    }
    assert api.tasks.kept[TASK_ID].status is Status.CANCELLED
    assert page.cancel(TASK_ID)["success"] is True
    stream = Page3(send).fetch("GET", f"/api/generate/stream/{TASK_ID}")
    assert '"status": "cancelled"' in stream.body.decode()


def test_several_numbers_of_steps_are_tasks_of_their_own(api, worker):
    answer = api.post("/api/generate/multi-steps", recorded(generation="3")).json()
    assert answer["steps"] == [5, 10, 25]
    assert [each["step"] for each in answer["results"]] == [5, 10, 25]
    assert len({each["task_id"] for each in answer["results"]}) == 3
    assert [api.tasks.kept[each["task_id"]].request["num_inference_steps"] for each in answer["results"]] == [5, 10, 25]
    assert all(base64.b64decode(each["image"]) == RESULT for each in answer["results"] if each["error"] is None)


def noise(width, height):
    return Image.frombytes("RGB", (width, height), random.Random(1).randbytes(width * height * 3))


def test_picture_that_is_too_long_for_an_answer_comes_as_a_jpeg_and_by_its_address(api):
    buffer = io.BytesIO()
    noise(1300, 1200).save(buffer, "PNG")
    assert len(buffer.getvalue()) > artmancer_pictures.MAX_PICTURE_BYTES
    edit(api, picture=buffer.getvalue())

    body = api.get(f"/api/generate/result/{TASK_ID}").json()

    assert len(body["image"]) <= artmancer_pictures.MAX_BASE64_CHARS
    shown = opened(base64.b64decode(body["image"]))
    assert (shown.format, shown.size) == ("JPEG", (1300, 1200))
    assert body["image_url"] == f"{CDN}/{KEY}"
    assert body["warnings"] == [
        "image is a JPEG of 1300x1200 at quality 95: the PNG is too long for an answer, see image_url."
    ]


def test_picture_for_an_answer_shrinks_until_it_fits():
    buffer = io.BytesIO()
    noise(1500, 300).save(buffer, "PNG")
    sent = artmancer_pictures.in_base64(buffer.getvalue(), 300_000)
    assert opened(base64.b64decode(sent.text)).size == (1280, 256)
    assert sent.note.startswith("image is a JPEG of 1280x256 at quality 80")


def test_preview_is_at_most_2560_long_and_a_broken_picture_is_sent_as_it_is():
    kind, body = artmancer_pictures.small_file(plain(3000, 30))
    assert (kind, opened(body).size) == ("image/webp", (2560, 26))
    assert artmancer_pictures.small_file(b"no picture") == ("image/png", b"no picture")


def test_debug_info_has_the_conditional_images_that_fit(api, monkeypatch):
    prefix = debug_prefix("key-1", TASK_ID, NOW_MS)
    keys = [f"{prefix}{number:02d}_condition.png" for number in (1, 2)]
    api.objects.kept |= dict.fromkeys(keys, plain(8, 8))
    labels = ["original", "mask"]
    edit(
        api,
        detail={"debug": {"prefix": prefix, "images": keys, "labels": labels}, "loaded_adapters": ["removal-1"]},
    )
    info = api.get(f"/api/generate/result/{TASK_ID}").json()["debug_info"]
    assert [base64.b64decode(image) for image in info["conditional_images"]] == [plain(8, 8)] * 2
    assert (info["conditional_labels"], info["lora_adapter"]) == (labels, "removal-1")
    assert (info["input_image_size"], info["output_image_size"]) == ("96x72", "96x72")
    assert info["session_name"] == f"20261121_100000_{TASK_ID[:8]}"

    api.objects.kept[keys[1]] = bytes(artmancer_pictures.MAX_PICTURE_BYTES)
    body = api.get(f"/api/generate/result/{TASK_ID}").json()
    assert len(body["debug_info"]["conditional_images"]) == 1
    assert body["warnings"] == ["Not all conditional images are in the answer; see /api/debug/sessions."]


def test_result_that_is_not_kept_any_more_says_so(api):
    edit(api)
    api.objects.kept.clear()
    answer = api.get(f"/api/generate/result/{TASK_ID}")
    assert (answer.status, answer.json()["detail"]) == (500, "Result not available")


@pytest.mark.parametrize("path", ["/api/generate", "/api/generate/async", "/api/generate/multi-steps"])
def test_request_without_the_model_is_refused_as_unavailable(clock, path):
    from tests.unit.api import Api  # noqa: PLC0415 - the fixture has all models

    answer = Api(clock, closed_models="qwen-edit").post(path, recorded())
    assert (answer.status, answer.json()["error"]["code"]) == (503, "NOT_DEPLOYED")


def test_cold_start_does_not_pay_for_the_old_models():
    code = "import sys, lambdas.serve_api.handler; print(*(name for name in sys.modules if name.startswith('lambdas')))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    late = {"editor", "edits", "artmancer_views", "artmancer_requests", "debug_sessions", "debug_views", "health_views"}
    assert "lambdas.serve_api.routes.edits" in out.split()
    assert not {f"lambdas.serve_api.{name}" for name in late} & set(out.split())
