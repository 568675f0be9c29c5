"""Portraits by FLUX of our own: the same request, the same answers, and nothing bought."""

import json
import uuid

from tests.stack.portraits import execution, request, with_picture
from tests.stack.test_identity_lens import generate
from tests.stack.test_identity_portrait import SHARP, pixels
from tests.stack.waiting import until


def invocations(studio, task_id: str) -> list[dict]:
    """Return what FLUX was asked for a task, in the order in which it began."""
    every = studio.stand_ins.get("/_sagemaker/invocations").json()
    return [run for run in every if run["inference_id"].startswith(task_id)]


def models_asked(studio) -> dict[str, int]:
    """Return who made pictures, and how often, since the test began."""
    return {name: calls for name, calls in studio.calls().items() if name.startswith(("fal", "model-"))}


def requests_of(studio, task_id: str) -> dict[str, dict]:
    """Return what lies below a task's requests to models, by key."""
    s3, bucket = studio.aws("s3"), studio.outputs["BucketName"]
    keys = [key for key in studio.objects() if key.startswith(f"model-requests/{task_id}/")]
    return {key: json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read()) for key in keys}


def own(**changes):
    """Return a request that nobody has made before."""
    return request(master_prompt=f"a sailor, shot {uuid.uuid4()}", route="own", **changes)


def test_portrait_is_made_and_gone_over_by_flux_of_our_own(studio):
    task = studio.do("identity-portrait", own(seed=7, mode="quality"))

    assert (task["status"], task["error_detail"]) == ("completed", None)
    portrait, blended = task["result"]["steps"]
    assert [portrait["step"], blended["step"]] == ["paint-portrait", "blend-portrait"]
    assert portrait["result_url"] != task["result_url"] == blended["result_url"]
    assert task["result_url"].startswith(f"{studio.place.front_door}/portraits/")
    first, second = studio.picture(portrait["result_url"]), studio.picture(task["result_url"])
    assert first.size == second.size == (1024, 1024)
    assert 1 < abs(pixels(first) - pixels(second)).mean() < 30
    assert second.info["comment"] == b"engine: stand-in"
    assert (portrait["model"], portrait["provider"]) == ("flux-dev (stand-in)", "sagemaker")
    assert (portrait["detail"]["seed"], blended["detail"]["seed"]) == (7, 7)
    assert (portrait["detail"]["steps_run"], blended["detail"]["steps_run"]) == (28, 12)
    assert (blended["detail"]["harmonized"], blended["detail"]["reason"]) == (True, None)
    assert "non-commercial" in json.dumps(portrait["detail"]["licences"])
    assert task["cost_usd"] == 0
    assert models_asked(studio) == {"model-flux": 2}


def test_face_is_named_to_flux_and_copied_nowhere(studio):
    task = studio.do("identity-portrait", own(enable_harmonization=False))

    face_url = json.loads(execution(studio, task["task_id"])["input"])["request"]["face_url"]
    ((key, asked),) = requests_of(studio, task["task_id"]).items()
    assert key.endswith(".json")
    assert asked["inputs"] == {"portrait": face_url}
    assert len(task["result"]["steps"]) == 1


def test_face_that_was_deleted_meanwhile_ends_the_task(studio):
    studio.fault("sagemaker-run", {"kind": "none", "wait_s": 2})
    # A picture of its own, so that no other test's face is deleted.
    task_id = studio.submit("identity-portrait", own(identity_packet=with_picture(SHARP.rotate(2))))
    asked = until(lambda: requests_of(studio, task_id), "the request")
    bucket = studio.outputs["BucketName"]
    (face_url,) = (each["inputs"]["portrait"] for each in asked.values())
    studio.aws("s3").delete_object(Bucket=bucket, Key=face_url.removeprefix(f"s3://{bucket}/"))

    task = studio.finish(task_id)
    assert (task["status"], task["error_detail"]["code"]) == ("failed", "FACE_FORGOTTEN")


def test_app_of_a_stage_that_makes_portraits_itself_is_answered_as_before(studio):
    body = own(seed=3)
    del body["route"]
    with studio.changed_function("ServeApi", PORTRAIT_ROUTE="own"):
        answer = generate(studio, body)
        joined = generate(studio, body)
        health = studio.http.get("/health").json()

    assert (answer["success"], answer["error"], answer["image_base64"]) == (True, None, None)
    assert (answer["model_version"], answer["seed"]) == ("flux-dev", 3)
    assert answer["inference_time"] > 0
    assert studio.picture(answer["image_url"]).size == (1024, 1024)
    assert joined == answer
    assert health["provider"] == "own"
    status = studio.http.get(f"/api/status/{answer['task_id']}").json()
    assert status == {"status": "completed", "progress": 1.0, "result": answer}
    assert models_asked(studio) == {"model-flux": 2}


def test_portrait_is_the_result_when_the_second_pass_breaks(studio):
    studio.fault("model-flux", {"kind": "none"}, {"kind": "exception"})
    task = studio.do("identity-portrait", own())

    portrait, blended = task["result"]["steps"]
    assert (task["status"], task["result_url"]) == ("completed", portrait["result_url"])
    assert blended["detail"]["harmonized"] is False
    assert blended["detail"]["reason"].startswith("MODEL_FAILED: ")
    assert [run["status"] for run in invocations(studio, task["task_id"])] == ["completed", "failed"]


def test_broken_first_pass_fails_the_task_and_a_retry_goes_on(studio):
    studio.fault("model-flux", {"kind": "exception"})
    task = studio.do("identity-portrait", own(enable_harmonization=False))
    assert (task["status"], task["error_detail"]["code"]) == ("failed", "MODEL_FAILED")

    again = studio.http.post(f"/api/v1/tasks/{task['task_id']}/retry")
    assert again.status_code == 202
    assert studio.finish(task["task_id"])["status"] == "completed"


def test_busy_model_is_asked_again(studio):
    studio.fault("sagemaker-run", {"kind": "status", "message": "Received server error (503) from model."})
    task = studio.do("identity-portrait", own(enable_harmonization=False))

    assert (task["status"], task["error_detail"]) == ("completed", None)
    assert [run["status"] for run in invocations(studio, task["task_id"])] == ["failed", "completed"]


def test_cancelled_portrait_ends_at_once_and_flux_stops_at_its_next_step(studio):
    studio.fault("model-flux", {"kind": "none", "wait_s": 40})
    task_id = studio.submit("identity-portrait", own(mode="quality"))
    progress = until(lambda: studio.read(task_id)["progress"], "how far it is")
    assert 0 < progress["value"] < 1

    assert studio.http.delete(f"/api/v1/tasks/{task_id}").json()["status"] == "cancelled"
    until(lambda: execution(studio, task_id)["status"] != "RUNNING", "the end of the execution")
    until(lambda: [run["status"] for run in invocations(studio, task_id)] == ["completed"], "FLUX's answer", 30)
    answer = studio.aws("s3").get_object(
        Bucket=studio.outputs["BucketName"],
        Key=f"model-results/backlot-local-flux/{invocations(studio, task_id)[0]['inference_id']}.out",
    )
    assert json.loads(answer["Body"].read())["error"]["code"] == "Cancelled"
    assert studio.read(task_id)["status"] == "cancelled"
