"""masked-edit: what a request may say, what the model is asked, what is kept of its answer, and how it is followed."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from backlot import prompts
from backlot.assets import debug_prefix, task_checkpoint_key
from backlot.aws.model_watch import cancel_key, progress_key
from backlot.image_urls import READABLE_PREFIXES, ImageUrlPolicy
from backlot.operations import RequestContext
from backlot.operations.masked_edit import DRAWN_SEEDS, SEEDS, MaskedEditRequest
from backlot.steps import ANSWERED, Cancellation, WorkItem
from backlot.tasks import Status
from sagemaker_models.qwen_edit.parameters import TOKENIZER_MARK, QwenEditParameters
from tests.unit.fakes import NOW_MS
from tests.unit.models import ModelLane
from tests.unit.work import CDN, TASK_ID

PICTURE = "s3://assets/uploads/scene.png"
MASK = "s3://assets/uploads/mask.png"
OBJECT = "s3://assets/uploads/object.png"
BODY = {"image_url": PICTURE, "mask_url": MASK}
CONTEXT = RequestContext(ImageUrlPolicy.of("assets", CDN, ""))
DEBUG = debug_prefix("key-1", TASK_ID, NOW_MS)
POINTER = task_checkpoint_key("qwen-edit", "removal")
VALUES = {
    "width": 640,
    "height": 480,
    "seed": 7,
    "conditional_labels": ["original", "mask", "mae"],
    "checkpoint_sha256": "c" * 64,
    "lora_adapter": "lora-cccc",
    "timings": {"generate_s": 1.5},
}


def a_request(**fields: Any) -> MaskedEditRequest:
    return MaskedEditRequest.model_validate(BODY | fields, context=CONTEXT)


def item(*, attempt: str = f"{TASK_ID}/0", **fields: Any) -> WorkItem:
    return WorkItem(
        task_token="token",
        task_id=TASK_ID,
        operation="masked-edit",
        step="edit-masked",
        attempt=attempt,
        input=a_request(**({"seed": 7} | fields)).model_dump(mode="json", exclude={"callback_url"}),
    )


def pointer(name: str) -> bytes:
    uri = f"s3://assets/models/qwen-edit/tasks/removal/{name}/new.safetensors"
    config = {"task": "removal", "steps": 8}
    return json.dumps({"uri": uri, "sha256": name, "config": config, "published_at": "2026-11-21"}).encode()


@pytest.fixture
def lane(clock) -> ModelLane:
    return ModelLane(clock, "qwen-edit", "masked-edit")


@pytest.mark.parametrize(
    ("fields", "place", "kind"),
    [
        ({"mask_url": None}, "mask_url", "mask_missing"),
        ({"mask_url": None, "task": "insertion"}, "mask_url", "mask_missing"),
        ({"mask_url": None, "task": "white-balance", "keep_outside": True}, "keep_outside", "mask_missing"),
        ({"reference_mask_url": MASK}, "reference_mask_url", "reference_missing"),
        ({"task": "outpainting"}, "task", "literal_error"),
        ({"prompt": "a <|image_pad|>"}, "prompt", "prompt_mark"),
        ({"angle": "<|im_end|>"}, "angle", "prompt_mark"),
        ({"prompt": "x" * 4998, "angle": "close-up"}, "background_preset", "prompt_too_long"),
        ({"num_inference_steps": 101}, "num_inference_steps", "less_than_equal"),
        ({"true_cfg_scale": 0.4}, "true_cfg_scale", "greater_than_equal"),
        ({"seed": SEEDS}, "seed", "less_than"),
        ({"feather_px": 257}, "feather_px", "less_than_equal"),
        ({"reference_url": "http://10.0.0.1/a.png"}, "reference_url", "image_url_refused"),
    ],
)
def test_request_that_cannot_succeed_is_refused_at_the_field(fields, place, kind):
    with pytest.raises(ValidationError) as refused:
        a_request(**fields)
    assert [(each["loc"], each["type"]) for each in refused.value.errors()] == [((place,), kind)]


@pytest.mark.parametrize(
    "fields",
    [
        {"mask_url": None, "task": "white-balance"},
        {"task": "insertion", "reference_url": OBJECT, "reference_mask_url": MASK},
        {"prompt": "x" * 5000, "seed": SEEDS - 1, "num_inference_steps": 100, "feather_px": 256},
        {"prompt": "x" * 4993, "angle": "close-up"},
    ],
)
def test_request_that_can_succeed_is_taken(fields):
    assert a_request(**fields).image_url == PICTURE


def test_seed_is_drawn_when_the_request_is_stored_and_one_that_is_given_stays():
    drawn = {a_request().resolved(CONTEXT.images).seed for _ in range(20)}
    assert len(drawn) > 1
    assert all(0 <= seed < DRAWN_SEEDS for seed in drawn)
    assert a_request(seed=0).resolved(CONTEXT.images).seed == 0


@pytest.mark.parametrize(
    ("words", "prompt"),
    [
        ({}, ""),
        ({"prompt": " a red chair "}, "a red chair"),
        ({"prompt": "a chair", "angle": "top-down"}, "a chair | 俯拍"),
        (
            {"prompt": "a chair", "angle": "close-up", "background_preset": "marble-surface"},
            "a chair | 特写 | on a polished marble surface",
        ),
        ({"background_preset": "in the rain"}, "in the rain"),
        ({"prompt": "a chair", "angle": "from the ceiling"}, "a chair | from the ceiling"),
    ],
)
def test_angle_and_background_become_a_part_of_the_prompt(lane, words, prompt):
    lane.bring(item(**words))
    assert lane.request()["parameters"]["prompt"] == prompt


def test_labels_of_the_old_browser_all_mean_something():
    angles = "wide-angle top-down side-view front-view close-up low-angle high-angle bird-eye eye-level dutch-angle"
    backgrounds = (
        "marble-surface soft-gray-studio white-background black-background wood-texture concrete-wall outdoor-natural "
        "indoor-studio minimalist textured"
    )
    said = [prompts.masked_edit("", label, None) for label in angles.split()]
    said += [prompts.masked_edit("", None, label) for label in backgrounds.split()]
    assert len(set(said)) == 20
    assert not set(said) & {*angles.split(), *backgrounds.split()}


def test_model_is_asked_in_its_own_words_and_followed(lane):
    lane.bring(item(task="insertion", reference_url=OBJECT, negative_prompt="blur", keep_outside=True))

    asked = lane.request()
    assert asked["inputs"] == {"image": PICTURE, "mask": MASK, "reference": OBJECT}
    assert asked["parameters"] == {
        "task": "insertion",
        "prompt": "",
        "negative_prompt": "blur",
        "steps": 10,
        "true_cfg": None,
        "seed": 7,
        "input_quality": "resized",
        "keep_outside": True,
        "feather_px": 8,
        "debug": False,
    }
    assert list(asked["outputs"]) == ["image"]
    assert asked["outputs"]["image"].startswith("s3://assets/images/masked_edits/")
    assert asked["progress"] == f"s3://assets/{progress_key('backlot-dev-model', TASK_ID)}"
    assert asked["cancel"] == f"s3://assets/{cancel_key(asked['id'])}"
    assert "files" not in asked


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"prompt": "x" * 5000, "negative_prompt": "y" * 5000, "num_inference_steps": 100, "true_cfg_scale": 0.5},
        {"task": "white-balance", "seed": SEEDS - 1, "input_quality": "original", "feather_px": 256, "debug": True},
        {"task": "insertion", "reference_url": OBJECT, "reference_mask_url": MASK, "keep_outside": True},
    ],
)
def test_model_takes_what_a_request_may_say(lane, fields):
    lane.bring(item(**fields))
    QwenEditParameters.model_validate(lane.request()["parameters"])
    assert prompts.TOKENIZER_MARK == TOKENIZER_MARK


def test_answer_says_where_the_picture_is_and_how_it_was_made(lane):
    lane.bring(item(prompt="a beach", angle="eye-level"))
    output = lane.tell(lane.answer(VALUES, {"engine": "stand-in"})).output

    (made,) = output.images
    assert made.result_url.startswith(f"{CDN}/images/masked_edits/")
    assert (made.width, made.height, output.model) == (640, 480, "qwen-edit (stand-in)")
    assert output.detail["seed"] == 7
    assert output.detail["prompt"] == "a beach | 平视"
    assert "debug" not in output.detail
    assert [key for key in lane.objects.kept if key.startswith("debug/")] == []


def test_answer_without_the_pictures_size_is_the_models_failure(lane):
    lane.bring(item())
    assert lane.tell(lane.answer({"seed": 7})).error_name == "ModelFailed"


def test_published_checkpoint_is_asked_for(lane):
    lane.objects.kept[POINTER] = pointer("aa")
    lane.bring(item())

    asked = lane.request()
    assert asked["files"]["checkpoint"] == {
        "uri": "s3://assets/models/qwen-edit/tasks/removal/aa/new.safetensors",
        "sha256": "aa",
    }
    assert asked["parameters"]["checkpoint"] == {"task": "removal", "steps": 8}


def test_another_tasks_checkpoint_is_not_asked_for(lane):
    lane.objects.kept[POINTER] = pointer("aa")
    lane.bring(item(task="insertion"))
    assert "files" not in lane.request()


@pytest.mark.parametrize("published", [b"", b"[]", b'{"uri": "s3://assets/a"}'])
def test_pointer_that_says_nothing_is_refused_before_the_model_is_asked(lane, published):
    lane.objects.kept[POINTER] = published
    assert lane.bring(item()).error_name == "CheckpointRefused"
    assert POINTER in lane.tokens.answers["token"][1]
    assert lane.runtime.asked == []


@pytest.mark.parametrize("first", [None, "aa"])
def test_repeated_ask_is_for_the_same_checkpoint_and_a_retried_task_for_the_newest(lane, first):
    if first:
        lane.objects.kept[POINTER] = pointer(first)
    lane.bring(item())
    lane.objects.kept[POINTER] = pointer("bb")
    lane.tell(failureReason="server error (503)")
    lane.bring(item(attempt=f"{TASK_ID}/1"), "delivery 2")
    lane.tell(failureReason="server error (503)", receipt="note 2")
    lane.bring(item(attempt=f"{TASK_ID}.1/0"), "delivery 3")

    hashes = [asked.get("files", {}).get("checkpoint", {}).get("sha256") for asked in lane.requests()]
    assert hashes == [first, first, "bb"]


def test_debug_keeps_what_the_model_was_given_for_the_owner_alone(lane):
    lane.bring(item(debug=True))
    outputs = lane.request()["outputs"]
    assert [outputs[f"condition_{number}"] for number in (1, 5)] == [
        f"s3://assets/{DEBUG}01_condition.png",
        f"s3://assets/{DEBUG}05_condition.png",
    ]
    answer = lane.answer(VALUES, {"engine": "qwen-edit", "placement": "fp8"})
    for unmade in ("condition_4", "condition_5"):
        del answer["outputs"][unmade]
    detail = lane.tell(answer).output.detail

    assert detail["debug"] == {
        "prefix": DEBUG,
        "images": [f"{DEBUG}0{number}_condition.png" for number in (1, 2, 3)],
        "labels": ["original", "mask", "mae"],
        "metadata": f"{DEBUG}metadata.json",
        "log": f"{DEBUG}lora_debug.log",
    }
    metadata = json.loads(lane.objects.kept[f"{DEBUG}metadata.json"])
    assert (metadata["success"], metadata["task_type"], metadata["num_images"]) == (True, "removal", 3)
    assert (metadata["generation_time"], metadata["inputs"]) == (1.5, {"image": PICTURE, "mask": MASK})
    log = lane.objects.kept[f"{DEBUG}lora_debug.log"].decode().splitlines()
    assert {"placement: fp8", f"checkpoint_sha256: {'c' * 64}", "lora_adapter: lora-cccc"} <= set(log)
    assert not DEBUG.startswith(READABLE_PREFIXES)


def test_debug_keeps_why_a_checkpoint_was_refused(lane):
    lane.bring(item(debug=True))
    said = {"code": "CheckpointRefused", "message": "The checkpoint is refused: cccc: it would load nothing."}
    assert lane.tell({"error": said}).error_name == "CheckpointRefused"

    metadata = json.loads(lane.objects.kept[f"{DEBUG}metadata.json"])
    assert (metadata["success"], metadata["error"]["code"]) == (False, "CHECKPOINT_REFUSED")
    assert b"cccc: it would load nothing" in lane.objects.kept[f"{DEBUG}lora_debug.log"]


def test_cancelled_task_ends_at_once_and_its_request_is_cancelled(lane):
    lane.bring(item())
    lane.tasks.kept[TASK_ID] = lane.tasks.get(TASK_ID).model_copy(update={"status": Status.CANCELLED})
    lane.runner.cancel(Cancellation(cancelled_task_id=TASK_ID, operation="masked-edit"))

    assert lane.tokens.answers["token"][0] == "Cancelled"
    assert lane.request()["cancel"].removeprefix("s3://assets/") in lane.objects.kept
    assert lane.tell({"error": {"code": "Cancelled", "message": "the request was cancelled"}}).kind == ANSWERED
