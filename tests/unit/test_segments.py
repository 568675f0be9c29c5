"""smart-mask and remove-background: what requests may say, what the model is asked, and what becomes of its answer."""

from typing import Any

import pytest
from pydantic import ValidationError

from backlot.operations.remove_background import RemoveBackgroundRequest
from backlot.operations.smart_mask import MAX_GROW_PX, MAX_POINTS, SmartMaskRequest
from backlot.steps import ANSWERED, PUT_OFF, WorkItem
from tests.unit.models import ModelLane
from tests.unit.pictures import opened, plain
from tests.unit.work import CDN, TASK_ID, an_item

OWN = "s3://assets/uploads/person.png"
URL = "https://images.example.com/scene.jpg"
VALUES = {"width": 640, "height": 480, "box": [10, 20, 300, 400], "area": 0.25, "score": 0.9, "embedding": "kept"}


@pytest.fixture
def lane(clock) -> ModelLane:
    return ModelLane(clock, "segment")


def item(step: str, **step_input: Any) -> WorkItem:
    attempt = f"{TASK_ID}/0"
    asked = {"image_url": OWN} | step_input
    return WorkItem(
        task_token="token", task_id=TASK_ID, operation="smart-mask", step=step, attempt=attempt, input=asked
    )


@pytest.mark.parametrize(
    "prompt",
    [
        {},
        {"points": [[1, 2]]},
        {"points": [[1, 2]] * MAX_POINTS, "labels": [0] * (MAX_POINTS - 1) + [1]},
        {"points": [[1, 2]], "labels": [0], "box": [0, 0, 9, 9]},
        {"text": "the hat"},
        {"guide_url": URL, "grow_px": -MAX_GROW_PX, "soften": True},
    ],
)
def test_prompt_is_taken(prompt):
    SmartMaskRequest(image_url=URL, **prompt)


@pytest.mark.parametrize(
    ("prompt", "words"),
    [
        ({"points": []}, "at least 1 item"),
        ({"points": [[1, 2]] * (MAX_POINTS + 1)}, "at most 64 items"),
        ({"points": [[1, 2, 3]]}, "at most 2 items"),
        ({"points": [[-1, 2]]}, "greater than or equal to 0"),
        ({"points": [[1, float("nan")]]}, "less than or equal to 30000"),
        ({"points": [[1, 2]], "labels": [1, 1]}, "one label for each"),
        ({"labels": [1]}, "one label for each"),
        ({"points": [[1, 2]], "labels": [0]}, "need one on it, or a box"),
        ({"points": [[1, 2]], "labels": [2]}, "Input should be 0 or 1"),
        ({"box": [5, 0, 5, 9]}, "have an area"),
        ({"box": [5, 0, 9]}, "at least 4 items"),
        ({"text": "the hat", "points": [[1, 2]]}, "leave points, box and guide_url out"),
        ({"text": "x" * 501}, "at most 500 characters"),
        ({"grow_px": MAX_GROW_PX + 1}, "less than or equal to 256"),
        ({"guide_url": "ftp://a.example/b"}, "refused"),
    ],
)
def test_prompt_that_means_nothing_is_refused_before_anything_is_stored(prompt, words):
    with pytest.raises(ValidationError, match=words):
        SmartMaskRequest(image_url=URL, **prompt)


def test_blank_text_is_none():
    assert SmartMaskRequest(image_url=URL, text="  \n").text is None


@pytest.mark.parametrize("max_side", [255, 4097])
def test_cut_out_of_another_size_is_refused(max_side):
    with pytest.raises(ValidationError, match=r"256|4096"):
        RemoveBackgroundRequest(image_url=URL, max_side=max_side)


def test_model_is_asked_for_exactly_the_prompt(lane):
    lane.bring(item("find-mask", points=[[5, 6]], labels=[1], grow_px=3, guide_url="s3://assets/uploads/g.png"))

    request = lane.request()
    assert request["inputs"] == {"image": OWN, "guide": "s3://assets/uploads/g.png"}
    assert request["parameters"] == {
        "task": "mask",
        "points": [[5, 6]],
        "labels": [1],
        "grow_px": 3,
        "soften": False,
    }
    assert request["outputs"]["mask"].startswith("s3://assets/images/smart_masks/")


def test_model_without_a_prompt_is_given_none(lane):
    lane.bring(item("find-mask", points=None, box=None, guide_url=None))
    assert lane.request()["parameters"] == {"task": "mask", "grow_px": 0, "soften": False}
    assert lane.request()["inputs"] == {"image": OWN}


def test_mask_is_kept_and_described(lane):
    lane.bring(item("find-mask", points=[[5, 6]]))
    output = lane.tell(lane.answer(VALUES, {"engine": "stand-in"})).output

    (image,) = output.images
    assert image.result_url.startswith(f"{CDN}/images/smart_masks/")
    assert (image.width, image.height) == (640, 480)
    assert output.model == "segment (stand-in)"
    said = {name: output.detail[name] for name in ("box", "area", "score", "embedding")}
    assert said == {name: VALUES[name] for name in said}


def test_click_on_nothing_ends_the_step_with_the_words_that_old_clients_look_for(lane):
    lane.bring(item("find-mask", points=[[5, 6]]))
    outcome = lane.tell({"error": {"code": "MaskEmpty", "message": "No masks found: nothing is there"}})

    assert (outcome.kind, outcome.error_name) == (ANSWERED, "MaskEmpty")
    assert lane.tokens.answers["token"][1] == "No masks found: nothing is there"


def test_answer_without_its_numbers_is_the_models_failure(lane):
    lane.bring(item("find-mask"))
    assert lane.tell(lane.answer({"width": 3})).error_name == "ModelFailed"


@pytest.mark.parametrize(("output", "kept"), [("image", ["image"]), ("mask", ["mask"]), ("both", ["image", "mask"])])
def test_cut_out_shows_what_was_asked_for_and_has_the_model_write_both(lane, output, kept):
    assert lane.bring(item("cut-out", quality="best", max_side=512, output=output)).kind == PUT_OFF
    request = lane.request()
    made = lane.tell(lane.answer(VALUES)).output

    assert request["parameters"] == {"task": "background", "quality": "best", "max_side": 512}
    assert list(request["outputs"]) == ["image", "mask"]
    urls = [request["outputs"][name].replace("s3://assets", CDN) for name in kept]
    assert [image.result_url for image in made.images] == urls
    assert [made.detail[name] for name in kept] == urls


def says(text: str) -> dict[str, Any]:
    usage = {"prompt_tokens": 1000, "completion_tokens": 50}
    return {"choices": [{"message": {"content": text}}], "model": "qwen3-vl-plus", "usage": usage}


@pytest.fixture
def located(worker, wire):
    worker.hosts.pictures[URL] = plain(200, 100, "white")

    def locate(text: str):
        wire.gives(says(text))
        return worker.deliver(an_item("locate-object", {"image_url": URL, "text": "the hat"}))

    return locate


def test_box_of_what_a_text_names_is_found_kept_and_paid_for(located, worker):
    output = located('{"objects": [{"bbox_2d": [100, 200, 300, 600]}, {"bbox_2d": [0, 0, 9, 9]}]}').output

    assert (output.detail["box"], output.detail["matches"]) == ([20, 20, 60, 60], 2)
    drawn = opened(worker.objects.kept[output.result_url.removeprefix(f"{CDN}/")])
    assert drawn.getbbox() == (20, 20, 60, 60)
    assert output.cost_usd == pytest.approx(1000 * 0.20e-6 + 50 * 1.60e-6)


def test_box_smaller_than_a_pixel_still_has_one(located):
    assert located('{"objects": [{"bbox_2d": [500, 500, 501, 501]}]}').output.detail["box"] == [100, 50, 101, 51]


def test_text_that_names_nothing_there_finds_no_mask(located):
    assert located('{"objects": []}').error_name == "MaskEmpty"


def test_words_without_a_box_are_the_providers_fault(located):
    assert located('{"objects": [{"bbox_2d": [1, 2').error_name == "ProviderAnswerInvalid"
