"""A portrait of a captured face, from the request to the picture, and what is refused before anything is paid."""

import json

import httpx
import numpy as np
import pytest
from PIL import Image, ImageFilter

from tests.stack.portraits import BROKEN, PORTRAIT, bought, execution, jobs_of, request, with_picture

REFUSED = {"kind": "status", "status": 422, "code": "greater_than", "message": "no"}
FINE = {"kind": "none"}


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), np.int16)


def test_portrait_is_made_and_gone_over_and_nobody_has_asked_how_far_it_is(studio):
    task = studio.do("identity-portrait", request(seed=7))

    assert task["status"] == "completed"
    portrait, harmonized = task["result"]["steps"]
    assert harmonized["detail"] | {"seed": 7} == harmonized["detail"]
    assert (harmonized["detail"]["harmonized"], harmonized["detail"]["reason"]) == (True, None)
    assert portrait["result_url"] != task["result_url"] == harmonized["result_url"]
    assert task["result_url"].startswith(f"{studio.place.front_door}/portraits/")
    first, second = studio.picture(portrait["result_url"]), studio.picture(task["result_url"])
    assert first.size == second.size == (1024, 1024)
    assert 1 < np.abs(pixels(first) - pixels(second)).mean() < 30
    assert second.info["comment"] == b"engine: stand-in"
    assert task["cost_usd"] == pytest.approx(0.0333 + 0.03)
    assert studio.calls() == {"fal": 2, "fal-job": 2, "fal-webhook": 2, "fal-files": 2}
    assert [job["deliveries"] for job in jobs_of(studio, task["task_id"])] == [[200], [200]]


def test_everything_in_the_request_reaches_the_model(studio):
    body = request(mode="quality", fidelity_weight=0.9, denoising_strength=0.36, seed=11)
    task = studio.do("identity-portrait", body)

    portrait, harmonization = (job["arguments"] for job in jobs_of(studio, task["task_id"]))
    for part in (body["master_prompt"], "from the side", "warm sunset", "3500 K"):
        assert part in portrait["prompt"]
    assert portrait["negative_prompt"] == body["negative_prompt"]
    assert (portrait["id_weight"], portrait["num_inference_steps"], portrait["seed"]) == (0.9, 30, 11)
    assert portrait["enable_safety_checker"] is harmonization["enable_safety_checker"] is True
    assert harmonization["strength"] == 0.36
    assert harmonization["num_inference_steps"] >= 10
    assert "from the side" in harmonization["prompt"]


def test_speed_takes_four_steps(studio):
    task = studio.do("identity-portrait", request(mode="speed", enable_harmonization=False))

    (job,) = jobs_of(studio, task["task_id"])
    assert job["arguments"]["num_inference_steps"] == 4


def test_face_does_not_travel_through_the_state_machine_and_nobody_else_can_have_it(studio):
    task = studio.do("identity-portrait", request(enable_harmonization=False))

    sent = json.loads(execution(studio, task["task_id"])["input"])
    assert len(json.dumps(sent)) < 2000
    face_url = sent["request"]["face_url"]
    key = face_url.removeprefix(f"s3://{studio.outputs['BucketName']}/")
    assert key.startswith("faces/")
    assert httpx.get(f"{studio.place.front_door}/{key}").status_code == 403
    stolen = studio.http.post("/api/v1/face-mask/tasks", json={"image_url": face_url})
    assert (stolen.status_code, stolen.json()["detail"][0]["type"]) == (422, "image_url_refused")


def test_same_face_is_stored_once(studio):
    def written() -> dict[str, object]:
        found = studio.aws("s3").list_objects_v2(Bucket=studio.outputs["BucketName"], Prefix="faces/")
        return {each["Key"]: each["LastModified"] for each in found.get("Contents", [])}

    studio.do("identity-portrait", request(enable_harmonization=False))
    before = written()
    studio.do("identity-portrait", request(enable_harmonization=False, master_prompt="another"))

    assert before
    assert written() == before


def test_sweep_leaves_faces_whose_hour_is_not_over(studio):
    studio.do("identity-portrait", request(enable_harmonization=False))
    before = {key for key in studio.objects() if key.startswith("faces/")}

    answer = studio.aws("lambda").invoke(FunctionName=studio.function("SweepStalled"))

    assert "FunctionError" not in answer
    assert before
    assert before <= studio.objects()


def test_flagged_portrait_is_refused_and_not_gone_over(studio):
    studio.fault("fal-job", {"kind": "flagged"})

    task = studio.do("identity-portrait", request())

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "CONTENT_REFUSED")
    assert bought(studio) == 1
    assert task["result_url"] is None


def test_portrait_is_the_result_without_harmonization(studio):
    task = studio.do("identity-portrait", request(enable_harmonization=False))

    assert [step["step"] for step in task["result"]["steps"]] == ["make-portrait"]
    assert task["cost_usd"] == pytest.approx(0.0333)


@pytest.mark.parametrize("fault", [REFUSED, BROKEN | {"times": 5}], ids=["refused", "broken"])
def test_portrait_is_the_result_when_harmonization_fails(studio, fault):
    studio.fault("fal-job", FINE, fault)

    task = studio.do("identity-portrait", request())

    portrait, harmonization = task["result"]["steps"]
    assert task["status"] == "completed"
    assert task["result_url"] == portrait["result_url"]
    assert harmonization["detail"]["harmonized"] is False
    assert harmonization["detail"]["reason"].startswith("PROVIDER_")
    assert task["cost_usd"] == pytest.approx(0.0333)


def test_refused_content_of_harmonization_fails_the_task(studio):
    studio.fault("fal-job", FINE, {"kind": "flagged"})

    task = studio.do("identity-portrait", request())

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "CONTENT_REFUSED")


SHARP = Image.open(PORTRAIT).convert("RGB")


@pytest.mark.parametrize(
    ("packet", "code", "words"),
    [
        (with_picture(SHARP.filter(ImageFilter.GaussianBlur(4))), "FACE_UNFIT", "blurred"),
        (with_picture(SHARP.point(lambda value: value // 8)), "FACE_UNFIT", "too dark"),
        (with_picture(SHARP.resize((256, 300))), "FACE_UNFIT", "at least 112"),
        (with_picture(SHARP) | {"qualityMetrics": {"passed": False}}, "FACE_UNFIT", "did not pass its own check"),
        (with_picture(SHARP, {}), "NO_FACE_FOUND", "No faces"),
        (with_picture(SHARP) | {"image": {"cleanFace": "BASE64_PLACEHOLDER"}}, "NO_FACE_FOUND", "No faces"),
        (with_picture(SHARP) | {"image": {"cleanFace": "bm8gaW1hZ2U="}}, "FACE_UNFIT", "cannot be read"),
    ],
    ids=["blurred", "dark", "small", "failed its own check", "no box", "placeholder", "no image"],
)
def test_face_that_cannot_be_used_is_refused_before_anything_is_stored_or_paid(studio, packet, code, words):
    before = studio.objects()
    answer = studio.http.post("/api/v1/identity-portrait/tasks", json=request(identity_packet=packet))

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert words in answer.json()["detail"]
    assert studio.calls() == {}
    assert studio.objects() == before


@pytest.mark.parametrize("strength", [0.34, 0.46])
def test_denoising_strength_outside_its_range_is_refused(studio, strength):
    answer = studio.http.post("/api/v1/identity-portrait/tasks", json=request(denoising_strength=strength))

    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", "denoising_strength"])


def test_box_in_pixels_is_read_as_well(studio):
    packet = with_picture(SHARP, {"x": 178, "y": 129, "width": 170, "height": 215})

    task = studio.do("identity-portrait", request(identity_packet=packet, enable_harmonization=False))

    assert task["status"] == "completed"
