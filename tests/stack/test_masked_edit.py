"""masked-edit: real functions and the real model server, with a model that retouches by classical methods."""

import hashlib
import io
import json
import struct

import cv2
import httpx
import numpy as np
import pytest
from PIL import Image

from backlot.assets import task_checkpoint_key
from local.demo import PORTRAITS, pictures
from sagemaker_models.qwen_edit.composite import feathered
from tests.stack.waiting import until

#: The patch on the astronaut's suit, and a free place on the admiral's jacket.
PATCH, JACKET = ((171, 385), (44, 46)), ((424, 436), (48, 50))

#: What the old server's removal checkpoint was given; other steps than the example's tell the two apart.
CONFIG = {"task": "removal", "conditions": {"plain": ["background", "mask"]}, "steps": 3, "true_cfg": 2.5}


@pytest.fixture(autouse=True)
def no_invocations(studio):
    studio.stand_ins.delete("/_sagemaker/invocations")


@pytest.fixture(scope="session")
def patch(studio) -> str:
    return studio.upload("patch.png", pictures.png(mask_of("astronaut.png", PATCH)))


def mask_of(portrait: str, place: tuple) -> np.ndarray:
    return pictures.ellipse(pictures.portrait(portrait), *place)


def photo(name: str) -> np.ndarray:
    return np.asarray(Image.open(PORTRAITS / name).convert("RGB"))


def edited(studio, task: dict) -> np.ndarray:
    assert task["status"] == "completed", task["error_detail"]
    return np.asarray(studio.picture(task["result_url"]))


def invocations(studio, task_id: str) -> list[dict]:
    runs = studio.stand_ins.get("/_sagemaker/invocations").json()
    return [run for run in runs if run["inference_id"].startswith(task_id)]


def detail(task: dict) -> dict:
    return task["result"]["steps"][0]["detail"]


def test_removal_changes_nothing_outside_the_feathered_mask(studio, astronaut, patch):
    body = {"image_url": astronaut, "mask_url": patch, "keep_outside": True, "feather_px": 6}
    task = studio.do("masked-edit", body)

    before, after = photo("astronaut.png"), edited(studio, task)
    alpha = feathered(mask_of("astronaut.png", PATCH), 6)
    assert after.shape == before.shape
    assert np.array_equal(after[alpha == 0], before[alpha == 0])
    assert np.abs(after[alpha == 255].astype(int) - before[alpha == 255]).mean() > 20
    # The patch is blue and white, the suit is orange: nothing blue is left.
    blue = (after[alpha == 255, 2].astype(int) - after[alpha == 255, 0]) > 0
    assert blue.mean() < 0.05
    result = task["result"]
    assert (result["width"], result["height"], result["model"]) == (512, 512, "qwen-edit (stand-in)")
    assert studio.picture(task["result_url"]).info["Comment"] == "engine: stand-in"
    assert detail(task)["conditional_labels"] == ["original", "mask", "mae"]
    assert task["progress"]["value"] == 1.0
    again = studio.do("masked-edit", body | {"seed": detail(task)["seed"]})
    assert np.array_equal(edited(studio, again), after)


def test_insertion_puts_the_references_object_into_the_mask(studio, astronaut, hopper, patch):
    jacket = studio.upload("jacket.png", pictures.png(mask_of("grace_hopper.jpg", JACKET)))
    task = studio.do(
        "masked-edit",
        {
            "task": "insertion",
            "image_url": hopper,
            "mask_url": jacket,
            "reference_url": astronaut,
            "reference_mask_url": patch,
            "keep_outside": True,
        },
    )

    before, after = photo("grace_hopper.jpg"), edited(studio, task)
    inside = mask_of("grace_hopper.jpg", JACKET) == 255
    reference = photo("astronaut.png")[mask_of("astronaut.png", PATCH) == 255]
    # The jacket is nearly black there, and has the patch's colours now.
    assert np.abs(after[inside].mean(axis=0) - reference.mean(axis=0)).max() < 40
    assert np.abs(before[inside].mean(axis=0) - reference.mean(axis=0)).max() > 80
    assert (detail(task)["situation"], after.shape) == ("two-mask", before.shape)


def test_white_balance_takes_the_lights_colour_out(studio, hopper):
    bulb = pictures.tinted(pictures.portrait("grace_hopper.jpg"))
    url = studio.upload("bulb.png", pictures.png(bulb))
    task = studio.do("masked-edit", {"task": "white-balance", "image_url": url})

    def cast(pixels: np.ndarray) -> float:
        """Return how far the white collar is from grey."""
        red, _, blue = pixels[360:400, 190:230].reshape(-1, 3).mean(axis=0)
        return float(red - blue)

    before, after = cv2.cvtColor(bulb, cv2.COLOR_BGR2RGB), edited(studio, task)
    assert abs(cast(after)) < 0.6 * abs(cast(before))


def test_task_tells_how_far_it_is_and_its_model_ends_when_it_is_cancelled(studio, astronaut, patch):
    body = {"image_url": astronaut, "mask_url": patch, "num_inference_steps": 100}
    studio.fault("model-qwen-edit", {"kind": "none", "wait_s": 200})
    task_id = studio.submit("masked-edit", body)
    # Two seconds are a step, and a second later it is seen.
    shares = [until(lambda: (studio.read(task_id)["progress"] or {}).get("value"), "the first step")]
    assert 0 < shares[0] < 0.5
    assert studio.http.delete(f"/api/v1/tasks/{task_id}").json()["status"] == "cancelled"
    # Whoever cancels does not wait for the model; the model's next step is its last.
    until(lambda: invocations(studio, task_id)[0]["status"] == "completed", "the model's end")
    (answer,) = answers(studio, task_id)
    assert answer["error"]["code"] == "Cancelled"
    assert studio.do("masked-edit", body | {"num_inference_steps": 2})["status"] == "completed"
    assert studio.read(task_id)["status"] == "cancelled"


def answers(studio, task_id: str) -> list[dict]:
    return [json.loads(stored(studio, run["output_location"])) for run in invocations(studio, task_id)]


def stored(studio, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return studio.aws("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def safetensors(*names: str) -> bytes:
    """Return a file in the format, with tensors of a single number."""
    tensors = {
        name: {"dtype": "F32", "shape": [1], "data_offsets": [4 * place, 4 * place + 4]}
        for place, name in enumerate(names)
    }
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", len(header)) + header + bytes(4 * len(names))


def publish(studio, content: bytes, *, sha256: str | None = None) -> str:
    """Publish a checkpoint for removals, as `make publish-model` does; return its hash."""
    digest = sha256 or hashlib.sha256(content).hexdigest()
    bucket = studio.outputs["BucketName"]
    key = f"models/qwen-edit/tasks/removal/{digest}/lora.safetensors"
    pointer = {
        "uri": f"s3://{bucket}/{key}",
        "sha256": digest,
        "config": CONFIG,
        "published_at": "2026-11-21T20:00:00Z",
    }
    s3 = studio.aws("s3")
    s3.put_object(Bucket=bucket, Key=key, Body=content)
    s3.put_object(Bucket=bucket, Key=task_checkpoint_key("qwen-edit", "removal"), Body=json.dumps(pointer).encode())
    return digest


@pytest.fixture
def unpublished(studio):
    """Leave no checkpoint behind."""
    yield
    studio.aws("s3").delete_object(Bucket=studio.outputs["BucketName"], Key=task_checkpoint_key("qwen-edit", "removal"))


def test_checkpoint_is_switched_between_two_tasks_and_a_bad_one_says_what_is_wrong(
    studio, astronaut, patch, unpublished
):
    body = {"image_url": astronaut, "mask_url": patch, "seed": 1}
    old = detail(studio.do("masked-edit", body))
    published = publish(studio, safetensors("a.lora_A.weight", "a.lora_B.weight"))
    new = detail(studio.do("masked-edit", body))

    assert (old["checkpoint_sha256"], old["conditional_labels"]) == (None, ["original", "mask", "mae"])
    assert (new["checkpoint_sha256"], new["conditional_labels"]) == (published, ["masked_bg", "mask"])

    wrong = publish(studio, safetensors("a.weight"))
    refused = studio.do("masked-edit", body)["error_detail"]
    assert refused["code"] == "CHECKPOINT_REFUSED"
    assert f"{wrong[:16]}: it would load nothing" in refused["message"]
    assert "publish another" in refused["remedy"]

    publish(studio, b"cut off", sha256="0" * 64)
    assert studio.do("masked-edit", body)["error_detail"]["code"] == "FILE_REFUSED"


def test_debug_is_kept_for_the_owner_and_served_to_nobody(studio, astronaut, patch):
    task = studio.do("masked-edit", {"image_url": astronaut, "mask_url": patch, "debug": True})

    kept, s3, bucket = detail(task)["debug"], studio.aws("s3"), studio.outputs["BucketName"]
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=kept["prefix"])["Contents"]
    assert {each["Key"] for each in listed} == {*kept["images"], kept["metadata"], kept["log"]}
    assert kept["labels"] == ["original", "mask", "mae"]
    shown = Image.open(io.BytesIO(stored(studio, f"s3://{bucket}/{kept['images'][1]}")))
    # The mask as the model was given it, on its canvas.
    assert np.array_equal(np.asarray(shown)[:, :, 0], mask_of("astronaut.png", PATCH))
    metadata = json.loads(stored(studio, f"s3://{bucket}/{kept['metadata']}"))
    assert (metadata["task_id"], metadata["success"], metadata["model"]["engine"]) == (
        task["task_id"],
        True,
        "stand-in",
    )
    for key in (kept["images"][0], kept["log"]):
        assert httpx.get(f"{studio.place.front_door}/{key}", timeout=10, trust_env=False).status_code == 403
        answer = studio.http.post(
            "/api/v1/masked-edit/tasks", json={"image_url": f"s3://{bucket}/{key}", "mask_url": patch}
        )
        assert answer.status_code == 422


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        ({"kind": "exception", "times": 9}, "MODEL_FAILED", "ModelFailed: the model raised RuntimeError"),
        ({"kind": "error", "code": "OutputInvalid", "message": "step 3 made no numbers"}, "OUTPUT_INVALID", "step 3"),
    ],
)
def test_model_that_breaks_says_how_and_the_next_task_is_served(studio, astronaut, patch, fault, code, words):
    studio.fault("model-qwen-edit", fault)
    body = {"image_url": astronaut, "mask_url": patch, "num_inference_steps": 1}
    failed = studio.do("masked-edit", body)["error_detail"]
    studio.fault("model-qwen-edit")

    assert failed["code"] == code
    assert words in failed["message"]
    assert studio.do("masked-edit", body)["status"] == "completed"
