"""Pictures from texts and references: batches, refusals, models, and what a wrong request is told."""

import json

import pytest
from PIL import Image

from backlot.images.sizes import automatic_size
from local.demo import PORTRAITS
from tests.stack.awkward_pictures import portrait, saved

PROMPT = "Two friends under one umbrella, night, neon"
REFUSED = {"code": "OutputImageSensitiveContentDetected", "message": "not this"}
GOOD = "https://images.example.com/portrait.jpg"


def described(picture) -> str:
    """Return the prompt that the stand-in wrote into a picture."""
    return picture.getexif()[0x010E]


def images(task) -> list[dict]:
    return task["result"]["images"]


def test_text_alone_becomes_a_square_picture(studio):
    task = studio.do("seedream-generate", {"prompt": PROMPT})

    assert task["status"] == "completed", task["error_message"]
    (image,) = images(task)
    assert image == {
        "result_url": task["result_url"],
        "width": 2048,
        "height": 2048,
        "content_type": "image/jpeg",
    }
    assert image["result_url"].startswith(f"{studio.place.front_door}/seedream/")
    picture = studio.picture(task["result_url"])
    assert picture.size == (2048, 2048)
    assert described(picture) == PROMPT
    assert task["cost_usd"] == 0.03
    assert studio.calls() == {"ark": 1, "ark-results": 1}


def test_aspect_ratio_chooses_the_listed_size(studio):
    task = studio.do("seedream-generate", {"prompt": PROMPT, "aspect_ratio": "9:16"})

    assert studio.picture(task["result_url"]).size == (1440, 2560)


def test_references_are_shown_in_the_shape_of_the_first(studio, astronaut, hopper):
    task = studio.do("seedream-generate", {"prompt": PROMPT, "image_urls": [hopper, astronaut]})

    picture = studio.picture(task["result_url"])
    with_one = studio.picture(studio.do("seedream-generate", {"prompt": PROMPT, "image_urls": [hopper]})["result_url"])
    with Image.open(PORTRAITS / "grace_hopper.jpg") as first:
        assert automatic_size(*first.size) == "1728x2304"
    assert picture.size == with_one.size == (1728, 2304)
    assert picture.tobytes() != with_one.tobytes()


def test_as_many_references_as_the_model_takes_are_sent(studio, astronaut):
    body = {"prompt": PROMPT, "image_urls": [astronaut] * 14, "size": "1024x1024"}

    assert studio.do("seedream-generate", body)["status"] == "completed"


def test_reference_that_cannot_be_read_costs_nothing(studio, astronaut):
    broken = studio.upload("broken.png", b"not a picture")

    task = studio.do("seedream-generate", {"prompt": PROMPT, "image_urls": [astronaut, broken]})

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "IMAGE_UNREADABLE")
    assert studio.calls() == {}


def test_batch_with_a_refused_picture_completes_with_the_others(studio):
    studio.fault("ark", {"kind": "images", "images": [0], **REFUSED})

    task = studio.do("seedream-generate", {"prompt": PROMPT, "max_images": 4, "size": "1024x1024"})

    assert task["status"] == "completed"
    refused, *made = images(task)
    assert refused["error"]["code"] == "CONTENT_REFUSED"
    assert "not this" in refused["error"]["message"]
    assert task["result_url"] == task["result"]["result_url"] == made[0]["result_url"]
    pictures = [studio.picture(image["result_url"]) for image in made]
    assert [picture.size for picture in pictures] == [(1024, 1024)] * 3
    assert len({picture.tobytes() for picture in pictures}) == 3
    assert task["cost_usd"] == pytest.approx(3 * 0.03)
    assert studio.calls() == {"ark": 1, "ark-results": 3}


def test_batch_that_an_internal_error_ends_keeps_what_was_made(studio):
    studio.fault("ark", {"kind": "images", "images": [1], "code": "InternalServiceError", "message": "stopped"})

    task = studio.do("seedream-generate", {"prompt": PROMPT, "max_images": 4, "size": "1024x1024"})

    assert task["status"] == "completed"
    made, broken = images(task)
    assert made["width"] == 1024
    assert broken["error"]["code"] == "PROVIDER_UNAVAILABLE"


@pytest.mark.parametrize("how", ["as a whole", "one by one"])
def test_batch_that_is_refused_entirely_fails_with_the_reason_of_the_first(studio, how):
    errors = [{"error": REFUSED}, {"error": {"code": "InternalServiceError", "message": "later"}}]
    fault = {
        "as a whole": {"kind": "images", "images": [0, 1], **REFUSED},
        "one by one": {"kind": "body", "text": json.dumps({"data": errors, "usage": {"generated_images": 0}})},
    }[how]
    studio.fault("ark", fault)

    task = studio.do("seedream-generate", {"prompt": PROMPT, "max_images": 2, "size": "1024x1024"})

    assert (task["status"], task["error_detail"]["code"]) == ("failed", "CONTENT_REFUSED")
    assert "not this" in task["error_message"]
    assert task["result"] is None
    assert studio.calls() == {"ark": 1}


def test_batch_whose_download_fails_for_a_moment_is_not_bought_again(studio):
    studio.fault("ark-results", {"kind": "status", "status": 503})

    task = studio.do("seedream-generate", {"prompt": PROMPT, "max_images": 3, "size": "1024x1024"})

    assert task["status"] == "completed"
    assert [image["width"] for image in images(task)] == [1024] * 3
    assert studio.calls()["ark"] == 1


def test_picture_that_was_made_and_cannot_be_had_is_told_and_paid(studio):
    studio.fault("ark-results", {"kind": "status", "status": 404})

    task = studio.do("seedream-generate", {"prompt": PROMPT, "max_images": 2, "size": "1024x1024"})

    assert task["status"] == "completed"
    codes = sorted(image["error"]["code"] if "error" in image else "" for image in images(task))
    assert codes == ["", "PROVIDER_ANSWER_INVALID"]
    assert task["cost_usd"] == pytest.approx(2 * 0.03)


@pytest.mark.parametrize(
    ("body", "model", "content_type", "cost_usd"),
    [
        ({"model": "4.5", "size": "2048x2048"}, "doubao-seedream-4-5-251128", "image/jpeg", 0.04),
        ({"model": "5.0-lite", "output_format": "png"}, "doubao-seedream-5-0-260128", "image/png", 0.035),
        ({"model": "5.0-pro", "size": "1K"}, "doubao-seedream-5-0-pro-260628", "image/jpeg", 0.045),
        ({"model": "seedream-5-0-pro-260628", "size": "2K"}, "doubao-seedream-5-0-pro-260628", "image/jpeg", 0.09),
        ({"model": "seedream", "output_format": "jpeg"}, "doubao-seedream-4-0-250828", "image/jpeg", 0.03),
    ],
)
def test_model_that_is_asked_for_draws(studio, body, model, content_type, cost_usd):
    task = studio.do("seedream-generate", {"prompt": PROMPT} | body)

    assert task["status"] == "completed", task["error_message"]
    assert task["result"]["model"] == f"{model} (stand-in)"
    assert task["result"]["content_type"] == content_type
    assert task["cost_usd"] == cost_usd


#: Requests that are refused at once: what is wrong, in the order of the fields.
WRONG: dict[str, tuple[dict, list[str]]] = {
    "no prompt": ({}, ["prompt"]),
    "empty prompt": ({"prompt": ""}, ["prompt"]),
    "blank prompt": ({"prompt": " \n"}, ["prompt"]),
    "unknown model": ({"prompt": "x", "model": "6.0"}, ["model"]),
    "model that is not offered": ({"prompt": "x", "model": "5.0-flash"}, ["model"]),
    "15 references": ({"prompt": "x", "image_urls": [GOOD] * 15}, ["image_urls"]),
    "11 references of pro": ({"prompt": "x", "model": "5.0-pro", "image_urls": [GOOD] * 11}, ["image_urls"]),
    "tier of another model": ({"prompt": "x", "model": "4.5", "size": "1K"}, ["size"]),
    "too small for 4.5": ({"prompt": "x", "model": "4.5", "size": "1920x1080"}, ["size"]),
    "too large for pro": ({"prompt": "x", "model": "5.0-pro", "size": "2160x2160"}, ["size"]),
    "ratio of no list": ({"prompt": "x", "aspect_ratio": "5:4"}, ["aspect_ratio"]),
    "ratio and size": ({"prompt": "x", "aspect_ratio": "1:1", "size": "2048x2048"}, ["aspect_ratio"]),
    "ratio and tier": ({"prompt": "x", "aspect_ratio": "1:1", "size": "2K"}, ["aspect_ratio"]),
    "no pictures": ({"prompt": "x", "max_images": 0}, ["max_images"]),
    "16 pictures": ({"prompt": "x", "max_images": 16}, ["max_images"]),
    "batch of pro": ({"prompt": "x", "model": "5.0-pro", "max_images": 2}, ["max_images"]),
    "16 together": ({"prompt": "x", "image_urls": [GOOD] * 8, "max_images": 8}, ["max_images"]),
    "png of 4.0": ({"prompt": "x", "output_format": "png"}, ["output_format"]),
    "webp": ({"prompt": "x", "model": "5.0-lite", "output_format": "webp"}, ["output_format"]),
    "everything": (
        {
            "prompt": "",
            "model": "5.0-pro",
            "image_urls": ["http://10.0.0.1/", *[GOOD] * 10],
            "size": "4K",
            "aspect_ratio": "16:9",
            "max_images": 2,
            "output_format": "gif",
        },
        ["prompt", "image_urls", "image_urls", "size", "aspect_ratio", "max_images", "output_format"],
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_request_that_the_model_would_refuse_is_refused_at_once(studio, name):
    body, places = WRONG[name]

    answer = studio.http.post("/api/v1/seedream-generate/tasks", json=body)

    assert answer.status_code == 422
    problems = answer.json()["detail"]
    assert [problem["loc"][1] for problem in problems] == places
    assert all(set(problem) == {"type", "loc", "msg", "input"} and problem["msg"] for problem in problems)


def test_refused_model_says_which_there_are(studio):
    for operation, body in (
        ("seedream-generate", {"prompt": "x"}),
        ("face-swap", {"masked_image_url": GOOD, "target_face_url": GOOD}),
        ("full-face-swap", {"source_image_url": GOOD, "target_face_url": GOOD}),
    ):
        answer = studio.http.post(f"/api/v1/{operation}/tasks", json=body | {"model": "midjourney"})

        (problem,) = answer.json()["detail"]
        assert (answer.status_code, problem["loc"]) == (422, ["body", "model"])
        assert "'seedream', '4.0', '4.5', '5.0-lite', '5.0-pro'" in problem["msg"]


@pytest.fixture(scope="module")
def couple(studio) -> str:
    """Upload a picture of two faces, the larger on the right."""
    picture = Image.new("RGB", (1024, 512), "grey")
    picture.paste(portrait().resize((400, 400)), (0, 60))
    picture.paste(portrait(), (512, 0))
    return studio.upload("couple.png", saved(picture, "PNG"))


def face_centre(task) -> float:
    left, _, right, _ = task["result"]["steps"][0]["detail"]["face_box"]
    return (left + right) / 2


@pytest.mark.parametrize(
    ("words", "centre"), [("the woman on the left", 175), ("the one on the RIGHT", 736), ("the largest face", 736)]
)
def test_face_that_is_described_is_masked(studio, couple, words, centre):
    task = studio.do("face-mask", {"image_url": couple, "face_position_prompt": words})

    assert task["status"] == "completed", task["error_message"]
    assert face_centre(task) == pytest.approx(centre, abs=25)


def test_face_index_counts_among_the_faces_that_are_described(studio, couple):
    body = {"image_url": couple, "face_position_prompt": "left", "face_index": 1}

    task = studio.do("face-mask", body)

    assert task["error_message"] == "Face index 1 out of range (detected 1 faces)"


def test_nobody_who_is_described_is_told_apart_from_no_face(studio, couple):
    task = studio.do("face-mask", {"image_url": couple, "face_position_prompt": "the person in the middle"})

    assert task["error_detail"]["code"] == "NO_FACE_MATCHED"


@pytest.mark.parametrize("prompt", [None, "She sings."])
def test_swap_honours_what_the_old_page_sent(studio, couple, hopper, prompt):
    body = {
        "source_image_url": couple,
        "target_face_url": hopper,
        "model": "seedream",
        "face_position_prompt": "the woman on the left",
        "expression_prompt": "laughing, eyes closed",
        "face_index": 0,
        "prompt": prompt,
        "size": None,
    }

    task = studio.do("full-face-swap", body)

    assert task["status"] == "completed", task["error_message"]
    assert face_centre(task) == pytest.approx(175, abs=25)
    words = described(studio.picture(task["result_url"]))
    assert words.endswith("The new face's expression: laughing, eyes closed.")
    assert words.startswith(prompt or "In image 1 a black ellipse")


def test_swap_is_done_by_the_model_that_is_asked_for(studio, astronaut, hopper):
    mask = studio.do("face-mask", {"image_url": astronaut})["result_url"]

    task = studio.do("face-swap", {"masked_image_url": mask, "target_face_url": hopper, "model": "4.5"})

    assert task["result"]["model"] == "doubao-seedream-4-5-251128 (stand-in)"


def test_blank_fields_of_the_old_page_mean_nothing(studio, astronaut):
    task = studio.do("face-mask", {"image_url": astronaut, "face_position_prompt": "  ", "face_index": None})

    assert task["status"] == "completed"
