"""The API as clients meet it: old shapes, keys, waiting, idempotency, and what nobody may see."""

import json
import uuid

import boto3
import httpx
import pytest
from botocore.exceptions import ClientError

from backlot.operations import catalogue
from local.deployment import STAND_IN_KEYS
from tests.stack.waiting import until

OLD_TASK = ("task_id", "status", "job_type", "result_url", "error_message", "created_at", "updated_at")
OLD_JOB = ("job_id", "status", "result_url", "error")


def test_submitted_task_has_the_keys_of_both_old_servers(studio, astronaut):
    answer = studio.http.post("/api/v1/face-mask/tasks", json={"image_url": astronaut})

    assert answer.status_code == 202
    body = answer.json()
    assert body["message"] == "Face mask task submitted successfully"
    assert body["task_id"] == body["job_id"]
    assert (body["status"], body["result_url"], body["error"]) == ("pending", None, None)
    studio.finish(body["task_id"])


def test_submitted_job_is_answered_with_200_and_nulls(studio, astronaut):
    answer = studio.http.post("/api/v1/face-mask/jobs", json={"image_url": astronaut})

    assert answer.status_code == 200
    nulls = dict.fromkeys(("result_url", "result_s3_uri", "error"))
    assert answer.json() | {"job_id": ""} == {"job_id": "", "status": "pending", **nulls}
    studio.finish(answer.json()["job_id"])


def test_old_client_polls_its_job_to_the_end(studio, astronaut):
    job_id = studio.http.post("/api/v1/face-mask/jobs", json={"image_url": astronaut}).json()["job_id"]
    studio.finish(job_id)

    for path in (f"/api/v1/jobs/{job_id}", f"/api/v1/face-mask/jobs/{job_id}"):
        job = studio.http.get(path).json()
        assert {key: job[key] for key in OLD_JOB} == {
            "job_id": job_id,
            "status": "completed",
            "result_url": job["result_url"],
            "error": None,
        }
        assert job["result_url"].startswith(f"{studio.place.front_door}/images/face_swap/")


def test_read_task_has_the_old_keys_in_their_types(studio, astronaut):
    task = studio.do("face-mask", {"image_url": astronaut})

    assert set(OLD_TASK) <= set(task)
    assert task["job_type"] == "/api/v1/face-mask/jobs"
    assert isinstance(task["created_at"], int)
    assert isinstance(task["updated_at"], int)
    assert task["error_message"] is None


def test_waiting_read_answers_when_the_task_ends(studio, astronaut):
    task_id = studio.submit("face-mask", {"image_url": astronaut})

    assert studio.read(task_id, wait="20")["status"] == "completed"


def test_waiting_read_gives_up_after_its_time(studio, astronaut):
    studio.fault("dashscope", {"kind": "none", "wait_s": 4})
    task_id = studio.submit("face-mask", {"image_url": astronaut})

    assert studio.read(task_id, wait="1")["status"] in ("pending", "processing")
    assert studio.finish(task_id)["status"] == "completed"


def test_prefer_wait_answers_the_submission_with_the_result(studio, astronaut):
    headers = {"Prefer": "respond-async, wait=20"}
    answer = studio.http.post("/api/v1/face-mask/tasks", json={"image_url": astronaut}, headers=headers)

    assert answer.status_code == 200
    assert answer.headers["Preference-Applied"] == "wait=20"
    assert answer.json()["status"] == "completed"
    assert answer.json()["result_url"]


def test_idempotency_key_returns_the_same_task(studio, astronaut):
    key = str(uuid.uuid4())
    body = {"image_url": astronaut}

    ids = {studio.submit("face-mask", body, **{"Idempotency-Key": key}) for _ in range(3)}

    assert len(ids) == 1
    studio.finish(ids.pop())
    assert studio.calls() == {"dashscope": 1}


@pytest.mark.parametrize("changed", ["body", "operation"])
def test_idempotency_key_with_another_request_is_refused(studio, astronaut, hopper, changed):
    key = {"Idempotency-Key": str(uuid.uuid4())}
    task_id = studio.submit("face-mask", {"image_url": astronaut}, **key)
    path = "face-mask" if changed == "body" else "full-face-swap"
    body = {"image_url": hopper, "source_image_url": astronaut, "target_face_url": hopper}

    answer = studio.http.post(f"/api/v1/{path}/tasks", json=body, headers=key)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "IDEMPOTENCY_KEY_REUSED"
    studio.finish(task_id)


def test_idempotency_key_of_another_api_key_is_another_key(studio, astronaut):
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    mine = studio.submit("face-mask", {"image_url": astronaut}, **headers)

    answer = studio.http.post(
        "/api/v1/face-mask/tasks",
        json={"image_url": astronaut},
        headers=headers | {"x-api-key": studio.keys["trial"]},
    )

    assert answer.status_code == 202
    assert answer.json()["task_id"] != mine
    studio.finish(mine)


def test_task_of_another_key_is_not_found(studio, astronaut):
    task_id = studio.do("face-mask", {"image_url": astronaut})["task_id"]
    other = {"x-api-key": studio.keys["trial"]}

    for path, word in ((f"/api/v1/tasks/{task_id}", "Task"), (f"/api/v1/jobs/{task_id}", "Job")):
        answer = studio.http.get(path, headers=other)
        assert (answer.status_code, answer.json()["detail"]) == (404, f"{word} not found")


@pytest.mark.parametrize("key", ["", "wrong-key-wrong-key-wrong"])
def test_without_a_known_key_there_is_no_answer(studio, key):
    answer = httpx.get(f"{studio.place.front_door}/api/v1/operations", headers={"x-api-key": key} if key else {})

    assert answer.status_code == 403
    assert answer.json()["error"]["remedy"].startswith("Send")


def test_trial_plan_is_throttled_with_our_words(studio):
    headers = {"x-api-key": studio.keys["trial"]}

    answers = [studio.http.get("/api/v1/operations", headers=headers) for _ in range(12)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert refused
    assert refused[0].json()["error"]["code"] == "THROTTLED"
    assert refused[0].json()["error"]["retry"] is True


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/docs"])
def test_open_routes_need_no_key(studio, path):
    answer = httpx.get(f"{studio.place.front_door}{path}", timeout=30)

    assert answer.status_code == 200


@pytest.mark.parametrize("how", ["without a value", "deleted"])
def test_health_names_the_keys_that_are_missing(studio, how):
    secrets = studio.aws("secretsmanager")
    secrets.delete_secret(SecretId="backlot/local/ark", ForceDeleteWithoutRecovery=True)
    if how == "without a value":
        secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"Name": "backlot/local/ark"}}
        studio.aws("cloudformation").create_stack(
            StackName="only-a-secret", TemplateBody=json.dumps({"Resources": {"Ark": secret}})
        )
        until(lambda: secrets.describe_secret(SecretId="backlot/local/ark"), "the secret")
    try:
        with studio.changed_function("ServeApi"):
            degraded = studio.http.get("/health").json()
    finally:
        if how == "deleted":
            secrets.create_secret(Name="backlot/local/ark")
        secrets.put_secret_value(SecretId="backlot/local/ark", SecretString=STAND_IN_KEYS["ark"])
    with studio.changed_function("ServeApi"):
        healthy = studio.http.get("/health").json()

    assert (degraded["status"], degraded["missing_env_vars"]) == ("degraded", ["ARK_API_KEY"])
    assert (healthy["status"], healthy["missing_env_vars"]) == ("healthy", None)


def test_catalogue_lists_the_operations_with_schemas(studio):
    listed = studio.http.get("/api/v1/operations").json()["operations"]

    assert [each["name"] for each in listed] == list(catalogue())
    assert listed[0]["request_schema"]["required"] == ["image_url"]


def test_page_of_a_configured_origin_may_call_and_look(studio, astronaut):
    origin = {"Origin": "http://localhost:3000"}
    preflight = studio.http.options(
        "/api/v1/face-mask/tasks", headers=origin | {"Access-Control-Request-Method": "POST"}
    )
    url = studio.do("face-mask", {"image_url": astronaut})["result_url"]
    refused = httpx.get(f"{studio.place.front_door}/api/v1/operations", headers=origin)

    assert preflight.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert "X-Api-Key" in preflight.headers["Access-Control-Allow-Headers"]
    assert httpx.get(url, headers=origin).headers["Access-Control-Allow-Origin"] == "http://localhost:3000"
    assert refused.headers["Access-Control-Allow-Origin"] == "*"


def test_page_of_another_origin_is_not_allowed(studio):
    answer = studio.http.get("/health", headers={"Origin": "https://elsewhere.example.com"})

    assert "Access-Control-Allow-Origin" not in answer.headers


def test_uploads_are_not_on_the_cdn(studio, astronaut):
    assert httpx.get(f"{studio.place.front_door}/uploads/astronaut.png").status_code == 403


def test_bucket_is_closed_to_strangers(studio, astronaut):
    url = f"{studio.place.emulator_url}/{studio.outputs['BucketName']}/uploads/astronaut.png"
    with httpx.Client(verify=False) as stranger:
        assert stranger.get(url).status_code == 403


def test_iam_is_enforced(studio):
    iam = studio.aws("iam")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    session = boto3.Session(key["AccessKeyId"], key["SecretAccessKey"], region_name="us-east-1")
    table = session.client("dynamodb", endpoint_url=studio.place.emulator_url, verify=str(studio.place.authority))
    with pytest.raises(ClientError, match="AccessDenied"):
        table.get_item(TableName="task_store", Key={"task_id": {"S": "x"}})
