"""The API's answers, route by route."""

import json

import pytest

from backlot import errors
from backlot.aws.model_watch import progress_key
from backlot.errors import BacklotError
from backlot.operations import catalogue
from backlot.tasks import Progress, Status
from lambdas.serve_api import handler as serve_api
from lambdas.serve_api.http_status import http_status
from tests.unit.api import CONTEXT, Api, event
from tests.unit.fakes import NOW_MS
from tests.unit.test_identity_requests import jpeg
from tests.unit.work import TASK_ID, a_task

BODY = {"image_url": "https://images.example.com/a.jpg"}


@pytest.mark.parametrize("name", catalogue())
def test_operations_example_is_accepted_as_a_task(api, name):
    example = catalogue()[name].example
    if "identity_packet" in example:
        example = example | {"identity_packet": example["identity_packet"] | {"image": {"cleanFace": jpeg()}}}
    answer = api.post(f"/api/v1/{name}/tasks", example)

    assert answer.status == 202
    assert answer.json()["message"] == f"{catalogue()[name].label} task submitted successfully"
    assert list(api.executions.inputs) == [(name, answer.json()["task_id"])]


def test_submitted_task_has_the_keys_of_both_old_servers(api):
    body = api.post("/api/v1/face-mask/tasks", BODY).json()

    assert list(body) == ["job_id", "status", "result_url", "result_s3_uri", "error", "task_id", "message"]
    assert body["job_id"] == body["task_id"]
    assert (body["status"], body["result_url"], body["error"]) == ("pending", None, None)


def test_submitted_job_is_answered_with_200(api):
    answer = api.post("/api/v1/face-mask/jobs", BODY)

    assert answer.status == 200
    assert list(answer.json()) == ["job_id", "status", "result_url", "result_s3_uri", "error"]


def test_submission_is_counted_once_however_often_it_is_sent(api):
    for _ in range(3):
        api.post("/api/v1/face-mask/tasks", BODY, headers={"Idempotency-Key": "k"})

    assert api.metrics.accepted_operations == ["face-mask"]


def test_submission_is_accepted_while_executions_cannot_start(api):
    api.executions.is_down = True

    assert api.post("/api/v1/face-mask/tasks", BODY).status == 202


def test_submission_that_is_wrong_stores_nothing(api):
    answer = api.post("/api/v1/face-mask/tasks", {"image_url": "http://10.0.0.1/a.png"})

    assert answer.status == 422
    assert answer.json()["detail"][0]["msg"] == "The image URL is refused: plain http is not allowed; use https"
    assert api.tasks.kept == {}


def test_submission_with_a_used_key_is_refused_with_its_code(api):
    api.post("/api/v1/face-mask/tasks", BODY, headers={"Idempotency-Key": "k"})
    answer = api.post("/api/v1/face-mask/tasks", BODY | {"face_index": 1}, headers={"Idempotency-Key": "k"})

    assert (answer.status, answer.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert answer.json()["detail"] == answer.json()["error"]["message"]


def test_request_without_a_key_is_forbidden(api):
    answer = api.post("/api/v1/face-mask/tasks", BODY, key_id=None)

    assert (answer.status, answer.json()["error"]["code"]) == (403, "API_KEY_MISSING")


@pytest.mark.parametrize(
    ("path", "word"),
    [
        (f"/api/v1/tasks/{TASK_ID}", "Task"),
        (f"/api/v1/jobs/{TASK_ID}", "Job"),
        (f"/api/v1/face-mask/jobs/{TASK_ID}", "Job"),
    ],
)
def test_task_is_read_by_its_owner_only(api, path, word):
    api.tasks.add(a_task())

    assert api.get(path, key_id="key-1").status == 200
    stranger = api.get(path, key_id="key-2")
    assert (stranger.status, stranger.json()["detail"]) == (404, f"{word} not found")
    assert stranger.json()["error"]["code"] == "TASK_NOT_FOUND"


@pytest.mark.parametrize("task_id", ["x", "0", TASK_ID.upper(), TASK_ID[:-1], TASK_ID + "0", "%20"])
def test_task_id_that_is_none_is_not_found(api, task_id):
    assert api.get(f"/api/v1/tasks/{task_id}").status == 404


@pytest.mark.parametrize("path", ["/api/v1/nope/tasks", "/api/v1/FACE-MASK/tasks", "/api/v1/face_mask/jobs"])
def test_operation_that_is_none_is_not_found(api, path):
    answer = api.post(path, BODY)

    assert (answer.status, answer.json()["error"]["code"]) == (404, "OPERATION_NOT_FOUND")


def test_route_that_is_none_is_not_found(api):
    assert api.get("/api/v1/nope").status == 404
    assert api.get("/api/v1/nope").json() == {"detail": "Not Found"}


def ends_soon(api, monkeypatch) -> None:
    """Let a task end while a client waits for it."""
    found = api.tasks.get(TASK_ID)
    looks = iter([found, found])
    ended = found.model_copy(update={"status": Status.FAILED, "error_name": "NoFaceFound"})
    monkeypatch.setattr(api.tasks, "get", lambda _: next(looks, ended))


def test_read_that_waits_answers_when_the_task_ends(api, monkeypatch):
    api.tasks.add(a_task())
    ends_soon(api, monkeypatch)

    answer = api.get(f"/api/v1/tasks/{TASK_ID}", query={"wait": "25"})

    assert (answer.json()["status"], answer.json()["error_message"]) == ("failed", "No faces detected in the image")


def test_read_that_waits_gives_up_after_its_time(api):
    api.tasks.add(a_task())

    assert api.get(f"/api/v1/tasks/{TASK_ID}", query={"wait": "0.01"}).json()["status"] == "pending"


def test_submission_that_waits_is_answered_with_the_task_and_says_so(api, monkeypatch):
    kept = api.tasks.kept
    monkeypatch.setattr(api.tasks, "get", lambda found: kept[found].model_copy(update={"status": Status.COMPLETED}))

    answer = api.post("/api/v1/face-mask/tasks", BODY, headers={"Prefer": "wait=20"})

    assert (answer.status, answer.json()["status"]) == (200, "completed")
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert {"task_id", "job_id", "result", "timings", "message"} <= answer.json().keys()


def test_health_is_well_when_all_is_there(api):
    api.gpus.last_seen_ms = NOW_MS - 30_000
    assert api.get("/health", key_id=None).json() == {
        "status": "healthy",
        "message": "all is well",
        "missing_env_vars": None,
        "issues": None,
        "components": {"dynamodb": "healthy", "comfyui": "healthy"},
        "comfyui_status": "healthy",
        "stage": "dev",
        "queue_size": 0,
        "segmentation_ready": True,
        "version": "1.0.0",
        "provider": "fal.ai",
    }


def test_health_is_answered_and_names_what_is_missing(api):
    api.keys.missing, api.is_store_reachable = {"ark"}, False
    answer = api.get("/health")

    assert answer.status == 200
    assert answer.json()["missing_env_vars"] == ["ARK_API_KEY"]
    assert answer.json()["issues"] == ["ARK_API_KEY is not set", "task_store cannot be read"]
    assert answer.json()["status"] == "degraded"


def test_health_is_answered_when_the_keys_cannot_be_looked_at(api):
    api.keys.is_reachable = False
    answer = api.get("/health")

    assert (answer.status, answer.json()["missing_env_vars"]) == (200, None)
    assert answer.json()["issues"] == ["the providers' keys cannot be looked at"]


def test_operations_are_listed_with_what_a_form_needs(api):
    listed = api.get("/api/v1/operations").json()["operations"]

    assert [each["name"] for each in listed] == list(catalogue())
    for each in listed:
        assert each["request_schema"]["properties"]
        assert (each["estimated_cost_usd"] > 0) == bool(each["providers"])


@pytest.mark.parametrize(
    ("path", "query", "kind", "holds"),
    [
        ("/openapi.json", None, "application/json", '"openapi": "3.1.0"'),
        ("/docs", None, "text/html", "swagger"),
        ("/docs", {"format": "json"}, "application/json", '"openapi": "3.1.0"'),
    ],
)
def test_documentation_needs_no_key(api, path, query, kind, holds):
    answer = api.get(path, query=query, key_id=None)

    assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
    assert holds in answer.text


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://studio.example", "https://studio.example"),
        ("https://tools.example", "https://tools.example"),
        ("https://elsewhere.example", None),
    ],
)
def test_pages_of_the_configured_origins_may_call(api, origin, allowed):
    answer = api.get("/health", headers={"Origin": origin})

    assert answer.headers.get("Access-Control-Allow-Origin") == allowed


def test_answers_about_tasks_are_kept_by_no_cache(api):
    api.tasks.add(a_task())

    assert api.get(f"/api/v1/tasks/{TASK_ID}").headers["Cache-Control"] == "no-store"
    assert api.get("/api/v1/tasks/none").headers["Cache-Control"] == "no-store"


def test_defect_is_answered_with_500_and_without_its_words(api, monkeypatch):
    def fail(_):
        raise RuntimeError("password=secret")

    monkeypatch.setattr(api.tasks, "get", fail)
    answer = api.get(f"/api/v1/tasks/{TASK_ID}")

    assert (answer.status, answer.json()["error"]["code"]) == (500, "UNEXPECTED")
    assert "secret" not in answer.text


def test_handler_answers_an_event_and_logs_it_without_its_body(api, monkeypatch, caplog):
    monkeypatch.setattr(serve_api, "_app", lambda: api.app)
    answer = serve_api.handler(event("POST", "/api/v1/face-mask/tasks", body=BODY), CONTEXT)

    assert answer["statusCode"] == 202
    assert [(record.message, record.status) for record in caplog.records] == [("request served", 202)]
    assert "images.example.com" not in json.dumps([vars(record) for record in caplog.records], default=str)


def test_health_without_gpu_workers_is_no_issue_and_says_so(api):
    reports = []
    for api.gpus.last_seen_ms in (None, NOW_MS - 30_001):
        reports.append(Api(api.clock, gpus=api.gpus).get("/health").json())

    for report in reports:
        assert (report["status"], report["comfyui_status"], report["issues"]) == ("healthy", "unhealthy", None)
        assert report["components"]["comfyui"] == "unhealthy: no GPU worker runs; the first task starts one"


def test_health_is_answered_when_the_records_cannot_be_read(api, monkeypatch):
    def fail():
        raise ConnectionError("no table")

    monkeypatch.setattr(api.gpus, "seen_ms", fail)
    api.is_store_reachable = False

    assert api.get("/health").json()["comfyui_status"] == "unhealthy"


def test_caches_of_the_gpus_are_cleared_for_those_who_have_a_key(api):
    assert api.post("/api/clear-cache", None, key_id=None).status == 403
    assert api.gpus.cleared_ms is None

    answer = api.post("/api/clear-cache", None)

    assert (answer.status, answer.json()) == (200, {"success": True, "message": "Cache cleared"})
    assert api.gpus.cleared_ms == NOW_MS


def test_job_of_the_gpu_lane_is_accepted_with_202_and_read_by_its_own_path(api):
    answer = api.post("/api/v1/camera-angle/jobs", BODY | {"horizontal": -2, "steps": 8})

    assert answer.status == 202
    assert answer.json() == {
        "job_id": answer.json()["job_id"],
        "status": "pending",
        "result_url": None,
        "result_s3_uri": None,
        "error": None,
    }
    read = api.get(f"/api/v1/camera-angle/jobs/{answer.json()['job_id']}")
    assert (read.status, read.json()["status"]) == (200, "pending")


def test_job_of_the_gpu_lane_that_has_ended_meanwhile_is_answered_with_200(api, monkeypatch):
    kept = api.tasks.kept
    monkeypatch.setattr(api.tasks, "get", lambda found: kept[found].model_copy(update={"status": Status.COMPLETED}))

    answer = api.post("/api/v1/camera-angle/jobs", BODY, headers={"Prefer": "wait=20"})

    assert (answer.status, answer.json()["status"]) == (200, "completed")


def test_completed_job_has_its_url_under_both_names(api):
    url = "https://cdn.example.com/images/comfyui-results/camera-angle/x.png"
    api.tasks.add(a_task(operation="camera-angle", status=Status.COMPLETED, result_url=url))

    job = api.get(f"/api/v1/jobs/{TASK_ID}").json()

    assert (job["result_url"], job["result_s3_uri"]) == (url, url)


@pytest.mark.parametrize(("operation", "told"), [("face-mask", 1), ("body-masks", 1), ("camera-angle", 0)])
def test_cancelling_tells_workers_that_do_not_look_at_the_record(api, operation, told):
    api.tasks.add(a_task(operation=operation, status=Status.PROCESSING, started_ms=NOW_MS))

    assert api.call("DELETE", f"/api/v1/tasks/{TASK_ID}").json()["status"] == "cancelled"
    assert len(api.queue.items) == told


def test_request_whose_seed_is_chosen_is_one_task_however_often_it_is_sent(api):
    answers = [
        api.post("/api/v1/camera-angle/tasks", BODY, headers={"Idempotency-Key": "shot-17"}).json() for _ in range(3)
    ]

    assert len({answer["task_id"] for answer in answers}) == 1
    other = api.post("/api/v1/camera-angle/tasks", BODY | {"zoom": 1}, headers={"Idempotency-Key": "shot-17"})
    assert (other.status, other.json()["error"]["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")


def test_workflow_that_cannot_be_run_is_refused_by_node_and_field_before_it_is_stored(api):
    body = json.loads(json.dumps(catalogue()["comfyui-workflow"].example))
    body["workflow"]["2"]["inputs"]["width"] = "768"
    body["workflow"]["6"] = {"class_type": "ImageFlip", "inputs": {"image": ["2", 0]}}
    answer = api.post("/api/v1/comfyui-workflow/tasks", body)

    assert answer.status == 422
    assert answer.json()["detail"] == [
        {
            "type": "workflow",
            "loc": ["body", "workflow", "2", "inputs", "width"],
            "msg": "it takes a whole number",
            "input": "768",
        },
        {
            "type": "workflow",
            "loc": ["body", "workflow", "6"],
            "msg": "class 'ImageFlip' is not allowed here",
            "input": {"class_type": "ImageFlip", "inputs": "<dict>"},
        },
    ]
    assert not api.tasks.kept


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("ApiKeyMissing", 403),
        ("RequestTooLarge", 413),
        ("TaskNotFound", 404),
        ("OperationNotFound", 404),
        ("IdempotencyKeyReused", 422),
        ("ImageUrlRefused", 422),
        ("NoFaceFound", 422),
        ("ProviderThrottled", 503),
        ("MaybePaid", 500),
        ("Unexpected", 500),
    ],
)
def test_http_status_of_an_error_follows_its_kind(name, status):
    error = getattr(errors, name)
    raised: BacklotError = error.__new__(error)
    assert http_status(raised) == status


def test_operation_without_machines_is_refused_and_stores_nothing():
    api = Api(lambda: NOW_MS, closed_lanes="gpu")
    answer = api.post("/api/v1/camera-angle/tasks", {"image_url": BODY["image_url"]})

    assert (answer.status, answer.json()["error"]["code"]) == (503, "NOT_DEPLOYED")
    assert answer.json()["detail"] == "This stage has no machines for camera-angle yet"
    assert api.tasks.kept == {}
    assert api.post("/api/v1/face-mask/tasks", BODY).status == 202


@pytest.mark.parametrize(("closed", "status"), [("schp", 503), ("flux,schp", 503), ("flux", 202)])
def test_operation_is_refused_exactly_if_one_of_its_models_has_no_endpoint(closed, status):
    api = Api(lambda: NOW_MS, closed_models=closed)
    answer = api.post("/api/v1/body-masks/tasks", {"image_url": BODY["image_url"]})

    assert answer.status == status
    assert bool(api.tasks.kept) is (status == 202)
    assert status == 202 or answer.json()["error"]["code"] == "NOT_DEPLOYED"


def portrait(**changes):
    packet = {
        "image": {"cleanFace": jpeg()},
        "facialData": {"boundingBox": {"x": 20, "y": 20, "width": 360, "height": 360}},
    }
    return {"identity_packet": packet, "master_prompt": "a sailor", "negative_prompt": ""} | changes


def test_execution_is_told_the_route():
    api = Api(lambda: NOW_MS, portrait_route="own")
    assert api.post("/api/v1/identity-portrait/tasks", portrait()).status == 202

    (sent,) = api.executions.inputs.values()
    assert sent["request"]["route"] == "own"


@pytest.mark.parametrize(("route", "status"), [("own", 503), ("fal", 202), (None, 202)])
def test_own_route_of_a_stage_without_flux_is_refused_and_the_other_is_not(route, status):
    api = Api(lambda: NOW_MS, closed_models="flux,segment")
    answer = api.post("/api/v1/identity-portrait/tasks", portrait(route=route))

    assert answer.status == status
    assert bool(api.tasks.kept) is (status == 202)
    assert status == 202 or answer.json()["error"]["code"] == "NOT_DEPLOYED"


def test_app_is_told_in_its_own_words_that_flux_is_not_there():
    api = Api(lambda: NOW_MS, closed_models="flux")
    answer = api.post("/api/generate", portrait(route="own"))

    assert (answer.status, answer.json()["error"]["code"]) == (200, 4001)
    assert api.tasks.kept == {}


@pytest.mark.parametrize(
    ("route", "closed", "issues"),
    [
        ("fal", "", "FAL_KEY is not set"),
        ("fal", "flux", "FAL_KEY is not set"),
        ("own", "", None),
        ("own", "flux", "portraits are to be made by flux, which is not deployed"),
    ],
)
def test_health_asks_for_what_the_stages_route_needs(route, closed, issues):
    api = Api(lambda: NOW_MS, portrait_route=route, closed_models=closed)
    api.keys.missing = {"fal"}
    report = api.get("/health").json()

    assert report["issues"] == (None if issues is None else [issues])
    assert report["status"] == ("healthy" if issues is None else "degraded")
    assert report["provider"] == {"fal": "fal.ai", "own": "own"}[route]
    assert report["missing_env_vars"] == (["FAL_KEY"] if route == "fal" else None)


def test_task_of_the_gpu_lane_tells_how_far_it_is():
    api = Api(
        lambda: NOW_MS, progress=Progress(value=0.4, node="14", node_class="KSampler", step=3, steps=8, at_ms=NOW_MS)
    )
    task_id = api.post("/api/v1/camera-angle/tasks", {"image_url": BODY["image_url"]}).json()["task_id"]
    api.tasks.start(task_id, NOW_MS)
    progress = api.get(f"/api/v1/tasks/{task_id}").json()["progress"]

    assert (progress["value"], progress["node"], progress["step"], progress["steps"]) == (0.4, "14", 3, 8)


MASKED_EDIT = BODY | {"mask_url": BODY["image_url"]}


@pytest.mark.parametrize(
    ("body", "written_s", "value"),
    [
        (b'{"id": "a", "progress": 0.45}', NOW_MS / 1000, 0.45),
        (b'{"id": "a", "progress": 0.45}', NOW_MS / 1000 - 5, None),
        (None, 0, None),
    ],
    ids=["of this attempt", "of an earlier one", "nothing heard"],
)
def test_task_tells_how_far_its_model_is(body, written_s, value):
    api = Api(lambda: NOW_MS)
    task_id = api.post("/api/v1/masked-edit/tasks", MASKED_EDIT).json()["task_id"]
    key = progress_key("backlot-dev-qwen-edit", task_id)
    if body:
        api.objects.kept[key], api.objects.dates[key] = body, written_s
    assert api.get(f"/api/v1/tasks/{task_id}").json()["progress"] is None
    api.tasks.start(task_id, NOW_MS)

    progress = api.get(f"/api/v1/jobs/{task_id}").json()["progress"]
    assert (progress and progress["value"]) == value


def test_request_without_a_mask_is_told_so_before_anything_is_stored():
    api = Api(lambda: NOW_MS)
    answer = api.post("/api/v1/masked-edit/tasks", {"image_url": BODY["image_url"]})
    assert (answer.status, answer.json()["detail"][0]["loc"]) == (422, ["body", "mask_url"])
    assert api.tasks.kept == {}
