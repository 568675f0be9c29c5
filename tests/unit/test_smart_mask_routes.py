"""`POST /api/smart-mask` and what belongs to it: the fields and sentences of both generations of clients."""

import pytest
from PIL import Image

from backlot.tasks import Status
from lambdas.serve_api import handler
from lambdas.serve_api.artmancer import old_pictures
from tests.unit.api import Api
from tests.unit.fakes import NOW_MS
from tests.unit.old_clients import from_base64, in_base64, working
from tests.unit.pictures import plain, saved
from tests.unit.work import TASK_ID, a_task

# The function's own logger, whose children add the task to each line.
assert handler.logger
PICTURE = in_base64(Image.new("RGB", (40, 30), "teal"))
MASK = saved(Image.new("L", (40, 30), 255), "PNG")
CLICK = {"image": PICTURE, "points": [[3, 4]]}


def post(api: Api, body: dict, path: str = "", **parts):
    return api.post(f"/api/smart-mask{path}", body, **parts)


def test_click_is_answered_with_its_mask_and_the_id_of_the_picture(api):
    worker = working(api, MASK)
    answer = post(api, CLICK)

    assert answer.status == 200, answer.text
    body = answer.json()
    assert set(body) == {"success", "mask_base64", "image_id", "request_id", "error"}
    assert (body["success"], body["error"]) == (True, None)
    assert from_base64(body["mask_base64"]).size == (40, 30)
    assert body["request_id"] in api.tasks.kept
    ((operation, request),) = worker.requests
    assert (operation, request["points"], request["box"]) == ("smart-mask", [[3, 4]], None)


def test_later_click_names_the_picture_and_does_not_send_it(api):
    worker = working(api, MASK)
    image_id = post(api, CLICK).json()["image_id"]
    api.uploads.kept.clear()
    answer = post(api, {"image_id": image_id, "points": [[9, 9]]})

    assert (answer.status, answer.json()["image_id"]) == (200, image_id)
    assert worker.requests[0][1]["image_url"] == worker.requests[1][1]["image_url"]
    assert api.uploads.kept == {}


def test_picture_in_the_request_always_gets_a_new_id(api):
    working(api, MASK)
    first = post(api, CLICK).json()["image_id"]
    assert post(api, CLICK | {"image_id": first}).json()["image_id"] != first


def test_id_of_another_key_is_not_found_in_the_words_that_the_browser_looks_for(api):
    working(api, MASK)
    image_id = post(api, CLICK).json()["image_id"]
    answer = post(api, {"image_id": image_id, "points": [[1, 1]]}, key_id="key-2")

    assert answer.status == 404
    assert answer.json() == {"detail": f"Image ID not found or expired: {image_id}"}


def test_same_click_sent_again_joins_the_task_and_makes_no_other(api):
    worker = working(api, MASK)
    answers = [post(api, CLICK).json() for _ in range(2)]

    assert len(worker.requests) == 1
    assert answers[0]["request_id"] == answers[1]["request_id"]


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"points": [[1, 2]]}, "Either 'image' or 'image_id' must be provided"),
        ({"image": PICTURE}, "Either 'points' or 'bbox' must be provided"),
        ({"image": PICTURE, "points": [], "bbox": None}, "Either 'points' or 'bbox' must be provided"),
        ({"image": PICTURE, "points": [[1]]}, "Points must be a list of [x, y] coordinates"),
        ({"image": PICTURE, "points": [[1, "x"]]}, "Points must be a list of [x, y] coordinates"),
        ({"image": PICTURE, "points": {"x": 1}}, "Points must be a list of [x, y] coordinates"),
        ({"image": PICTURE, "bbox": [1, 2, 3]}, "Bounding box must be [x1, y1, x2, y2]"),
        ({"image": PICTURE, "bbox": [5, 2, 5, 9]}, "Bounding box must be [x1, y1, x2, y2] and have an area"),
        ({"image": PICTURE, "text": "  "}, "Either 'points' or 'bbox' must be provided"),
        ({"image": PICTURE, "text": 7}, "'text' must be a text"),
        ({"image": "####", "points": [[1, 2]]}, "Failed to cache image: it is not valid base64"),
        (
            {"image": PICTURE, "points": [[1, 2]], "dilate_amount": "x"},
            "'border_adjustment' must be a number of pixels",
        ),
    ],
)
def test_request_that_cannot_be_done_is_refused_in_the_old_words(api, body, detail):
    worker = working(api, MASK)
    answer = post(api, body)

    assert (answer.status, answer.json()["detail"]) == (400, detail)
    assert worker.requests == []


def test_bytes_that_are_no_picture_are_not_cached(api):
    answer = post(api, {"image": "aGVsbG8=", "points": [[1, 2]]})
    assert answer.status == 400
    assert answer.json()["detail"].startswith("Failed to cache image: The image cannot be read")


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({}, {"grow_px": 10, "soften": False}),
        ({"dilate_amount": 0, "use_blur": True}, {"grow_px": 0, "soften": True}),
        ({"auto_detect": False}, {"grow_px": 0}),
        ({"model_type": "fastsam"}, {"grow_px": 0}),
        ({"border_adjustment": -7}, {"grow_px": -7}),
        ({"border_adjustment": 1000}, {"grow_px": 256}),
        ({"bbox": [1, 2, 3, 4]}, {"points": [[3, 4]], "box": None}),
        ({"points": None, "bbox": [9, 8, 1, 2]}, {"points": None, "box": [1, 2, 9, 8]}),
        ({"points": [[-5, 3]]}, {"points": [[0, 3]]}),
        ({"text": "the hat"}, {"points": [[3, 4]], "text": None}),
        ({"points": None, "text": "the  hat"}, {"points": None, "text": "the hat"}),
        ({"points": None, "auto_detect": True}, {"points": None, "box": None, "guide_url": None}),
    ],
)
def test_fields_of_both_generations_mean_what_they_meant(api, fields, asked):
    worker = working(api, MASK)
    answer = post(api, CLICK | fields)

    assert answer.status == 200, answer.text
    request = worker.requests[0][1]
    assert {name: request[name] for name in asked} == asked


def test_picture_too_large_for_a_request_is_named_by_its_upload(api):
    worker = working(api, MASK)
    answer = post(api, CLICK | {"image": "s3://assets/uploads/large.png"})
    assert (answer.status, api.uploads.kept) == (200, {})
    assert post(api, {"image_id": answer.json()["image_id"], "points": [[9, 9]]}).status == 200
    assert {request["image_url"] for _, request in worker.requests} == {"s3://assets/uploads/large.png"}


@pytest.mark.parametrize("url", ["s3://other/uploads/a.png", "s3://assets/faces/a.png", "https://127.0.0.1/a.png"])
def test_place_that_must_not_be_read_is_refused(api, url):
    worker = working(api, MASK)
    answer = post(api, CLICK | {"image": url})
    assert (answer.status, worker.requests) == (400, [])
    assert answer.json()["detail"].startswith("Failed to cache image: The image URL is refused")


def test_rough_mask_is_kept_beside_the_picture(api):
    worker = working(api, MASK)
    post(api, {"image": PICTURE, "mask": in_base64(Image.new("L", (40, 30), 9))})

    request = worker.requests[0][1]
    assert {request["image_url"], request["guide_url"]} == {f"s3://assets/{key}" for key in api.uploads.kept}
    assert request["image_url"] != request["guide_url"]


def test_birefnet_is_the_mask_of_the_foreground_within_the_box(api):
    worker = working(api, MASK)
    body = {"image": PICTURE, "model_type": "birefnet", "bbox": [10, 10, 20, 20], "border_adjustment": 2}
    answer = post(api, body)

    ((operation, request),) = worker.requests
    assert (operation, request["quality"], request["output"]) == ("remove-background", "best", "mask")
    assert from_base64(answer.json()["mask_base64"]).getbbox() == (8, 8, 22, 22)


@pytest.mark.parametrize(
    ("ended", "status", "words"),
    [
        (("MaskEmpty", "No masks found: nothing is there"), 400, "No masks found: nothing is there"),
        (("InputRefused", "The input is refused: x"), 400, "The input is refused: x"),
        (("ModelFailed", "The model broke"), 500, "Mask generation failed: The model broke"),
        (("Nonsense", "words"), 500, "Mask generation failed: An unexpected error ended the task"),
    ],
)
def test_failed_task_is_told_in_the_words_that_the_browser_looks_for(api, ended, status, words):
    working(api, status=Status.FAILED, error_name=ended[0], error_message=ended[1])
    answer = post(api, CLICK)

    assert (answer.status, answer.json()["detail"]) == (status, words)
    # The next click can name the picture all the same.
    assert post(api, {"image_id": answer.json()["image_id"], "points": [[7, 7]]}).status == status


def test_model_that_still_starts_is_said_to_and_the_task_goes_on(api, monkeypatch):
    monkeypatch.setattr(old_pictures, "MAX_WAIT_S", 0.01)
    answer = post(api, CLICK)

    assert answer.status == 503
    assert api.tasks.kept[answer.json()["request_id"]].status is Status.PENDING


def test_mask_too_large_for_an_answer_is_named_by_its_place(api, monkeypatch):
    monkeypatch.setattr(old_pictures, "MAX_PICTURE_BYTES", 10)
    working(api, MASK)
    answer = post(api, CLICK)

    assert answer.status == 413
    assert answer.json()["result_url"].startswith("https://cdn.example.com/images/")


def test_cancel_ends_the_owners_task_only(api):
    api.tasks.add(a_task(operation="smart-mask"))
    path = f"/cancel/{TASK_ID}"
    assert post(api, {}, path, key_id="key-2").json() == {"detail": f"Request {TASK_ID} not found"}

    assert post(api, {}, path).json()["success"] is True
    assert api.tasks.get(TASK_ID).status is Status.CANCELLED
    assert post(api, {}, path).json() == {
        "success": False,
        "message": "The task is cancelled already",
        "request_id": TASK_ID,
    }


def test_cancel_of_something_else_is_not_found(api):
    assert post(api, {}, "/cancel/nothing").status == 404


@pytest.mark.parametrize(("fields", "guided"), [({}, False), ({"auto_detect": False, "mask": PICTURE}, True)])
def test_detect_masks_the_middle_or_what_a_rough_mask_covers(api, fields, guided):
    worker = working(api, MASK)
    body = post(api, {"image": PICTURE, **fields}, "/detect").json()

    assert (body["success"], body["error"]) == (True, None)
    assert from_base64(body["mask"]).size == (40, 30)
    request = worker.requests[0][1]
    assert (request["grow_px"], request["guide_url"] is not None) == (5, guided)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "'image' must be provided"),
        ({"image": "####"}, "Failed to read image"),
        ({"image": PICTURE, "auto_detect": False}, "'mask' must be provided"),
    ],
)
def test_detect_answers_every_fault_with_200_as_it_did(api, body, words):
    answer = post(api, body, "/detect")
    assert (answer.status, answer.json()["success"], answer.json()["mask"]) == (200, False, None)
    assert answer.json()["error"].startswith(words)


def test_stage_without_the_model_refuses_before_anything_is_begun():
    api = Api(lambda: NOW_MS, closed_models="segment")
    answer = post(api, {"image": PICTURE, "points": [[1, 2]]})
    assert (answer.status, answer.json()["error"]["code"]) == (503, "NOT_DEPLOYED")
    assert api.tasks.kept == {}


def test_data_url_is_taken_as_well_as_bare_base64(api):
    worker = working(api, MASK)
    post(api, CLICK)
    post(api, CLICK | {"image": f"data:image/png;base64,{PICTURE}", "points": [[5, 5]]})
    assert worker.requests[0][1]["image_url"] == worker.requests[1][1]["image_url"]
    assert len(api.uploads.kept) == 1
    assert plain(40, 30, "teal") in api.uploads.kept.values()
