"""The ArtMancer server's requests, field by field, and the masked edits that they mean."""

import base64

import pytest

from lambdas.serve_api.artmancer.requests import GenerationRequest
from tests.artmancer_client import in_base64, mask, photo, recorded
from tests.unit.pictures import boasting_png, plain

PICTURE, MASK = in_base64(photo()), in_base64(mask())


def edited(api, **body):
    """Return the request as it is stored for a body."""
    answer = api.post("/api/generate/async", body)
    assert answer.status == 200, answer.text
    return api.tasks.kept[answer.json()["task_id"]].request


def refused(api, body, path="/api/generate/async"):
    answer = api.post(path, body)
    assert api.tasks.kept == {}
    return answer.status, answer.json()["detail"]


def test_request_with_the_least_is_a_removal_with_the_old_defaults(api):
    request = edited(api, prompt="", input_image=PICTURE, conditional_images=[MASK])

    assert {name: request[name] for name in ("task", "prompt", "negative_prompt", "num_inference_steps")} == {
        "task": "removal",
        "prompt": "",
        "negative_prompt": None,
        "num_inference_steps": 10,
    }
    assert (request["true_cfg_scale"], request["input_quality"]) == (4.0, "resized")
    assert (request["keep_outside"], request["debug"], request["reference_url"]) == (False, False, None)


@pytest.mark.parametrize("encode", [str, "data:image/png;base64,{}".format], ids=["bare", "data"])
def test_pictures_come_in_base64_with_or_without_their_prefix(api, encode):
    request = edited(api, prompt="x", input_image=encode(PICTURE), conditional_images=[encode(MASK)])

    kept = {f"s3://assets/{key}": data for key, data in api.uploads.kept.items()}
    assert kept[request["image_url"]] == base64.b64decode(PICTURE)
    assert kept[request["mask_url"]] == base64.b64decode(MASK)


def test_large_pictures_are_named_by_their_address(api):
    request = edited(
        api, prompt="x", input_image="s3://assets/uploads/a.png", mask_image="https://pictures.example.com/mask.png"
    )
    assert request["image_url"] == "s3://assets/uploads/a.png"
    assert request["mask_url"] == "https://pictures.example.com/mask.png"
    assert api.uploads.kept == {}


def test_address_that_must_not_be_fetched_is_refused_under_the_old_name(api):
    status, (problem,) = refused(api, recorded(input_image="s3://somebody-else/a.png"))
    assert (status, problem["loc"], problem["type"]) == (422, ["body", "input_image"], "image_url_refused")


def test_first_conditional_image_is_the_mask_before_mask_image(api):
    other = in_base64(mask(50, 50))
    request = edited(api, prompt="x", input_image=PICTURE, conditional_images=[MASK], mask_image=other)
    assert [request["mask_url"]] == [f"s3://assets/{key}" for key, data in api.uploads.kept.items() if len(data) > 0][
        1:
    ]
    assert base64.b64decode(other) not in api.uploads.kept.values()


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"input_image": ""}, "input_image is required"),
        (
            {"conditional_images": None, "mask_image": ""},
            "conditional_images must include at least one image (mask) for insertion/removal tasks.",
        ),
        (
            {"conditional_images": [], "mask_image": None, "task_type": "insertion"},
            "conditional_images must include at least one image (mask) for insertion/removal tasks.",
        ),
        ({"task_type": "insertion", "reference_mask_R": MASK}, "reference_image is required"),
    ],
)
@pytest.mark.parametrize("path", ["/api/generate", "/api/generate/async", "/api/generate/stream"])
def test_missing_pictures_are_refused_in_the_old_words(api, path, body, detail):
    assert refused(api, recorded(**body), path) == (400, detail)


@pytest.mark.parametrize(
    "broken", ["not base64!", "data:image/png;base64,@@@", base64.b64encode(b"text").decode(), "YWI"]
)
@pytest.mark.parametrize("place", ["input_image", "mask_image"])
def test_picture_that_is_none_is_refused_in_the_old_words(api, broken, place):
    status, detail = refused(api, recorded(conditional_images=None) | {place: broken})
    assert status == 400
    assert detail.startswith("Invalid base64 image data or unsupported format: ")


def test_picture_with_too_many_pixels_is_refused_where_the_page_shows_it(api):
    bomb = base64.b64encode(boasting_png(40_000, 40_000)).decode()
    status, detail = refused(api, recorded(input_image=bomb))
    assert status == 422
    assert "50000000 are allowed" in detail


@pytest.mark.parametrize(
    ("name", "least", "most", "beyond"),
    [
        ("num_inference_steps", 1, 100, (0, 101)),
        ("true_cfg_scale", 0.5, 15, (0.49, 15.1)),
        ("guidance_scale", 0.5, 20, (0.49, 20.1)),
        ("width", 256, 2048, (255, 2049)),
        ("height", 256, 2048, (255, 2049)),
        ("seed", -1, 2**63 - 1, (-2, 2**63)),
        ("feather_px", 0, 256, (-1, 257)),
    ],
)
def test_ranges_are_the_old_ones(api, name, least, most, beyond):
    for value in (least, most):
        assert GenerationRequest.model_validate(recorded(**{name: value}))
    for value in beyond:
        status, (problem,) = refused(api, recorded(**{name: value}))
        assert (status, problem["loc"]) == (422, ["body", name])
        assert set(problem) == {"type", "loc", "msg", "input"}


@pytest.mark.parametrize(
    "change", [{"task_type": "upscale"}, {"input_quality": "best"}, {"mask_tool_type": "lasso"}, {"prompt": None}]
)
def test_words_that_nobody_knows_are_refused(api, change):
    body = recorded() | change
    status, (problem,) = refused(api, body)
    assert (status, problem["loc"]) == (422, ["body", *change])


def test_every_problem_is_named_at_once(api):
    status, problems = refused(api, {"input_image": PICTURE, "num_inference_steps": 0, "seed": "x"})
    assert status == 422
    assert {problem["loc"][1] for problem in problems} == {"prompt", "num_inference_steps", "seed"}


@pytest.mark.parametrize(
    ("change", "in_21", "in_3"),
    [
        ({}, 1.0, 4.0),
        ({"negative_prompt": "blur"}, 4.0, 4.0),
        ({"negative_prompt": "blur", "true_cfg_scale": 6.0}, 6.0, 6.0),
        ({"negative_prompt": "blur", "true_cfg_scale": None, "guidance_scale": 7.5}, 7.5, 7.5),
        ({"negative_prompt": "blur", "true_cfg_scale": None}, 1.0, 4.0),
        ({"negative_prompt": "blur", "true_cfg_scale": None, "guidance_scale": None}, 4.0, 4.0),
        (
            {"negative_prompt": "", "true_cfg_scale": None, "guidance_scale": None, "task_type": "white-balance"},
            3.3,
            3.3,
        ),
    ],
)
def test_guidance_follows_the_rule_of_each_generation(change, in_21, in_3):
    asked = GenerationRequest.model_validate({"prompt": "x", "input_image": PICTURE} | change)
    assert asked.dialect(is_async=False) == "2.1"
    assert (asked.true_cfg("2.1"), asked.true_cfg(asked.dialect(is_async=True))) == (in_21, in_3)


@pytest.mark.parametrize("name", ["enable_debug", "mask_tool_type", "enable_mae_refinement", "reference_mask_R"])
def test_field_of_the_second_generation_tells_it(name):
    asked = GenerationRequest.model_validate(recorded(**{name: None}) | {name: None})
    assert asked.dialect(is_async=False) == "3"


def test_reference_and_its_mask_make_an_insertion_of_two_masks(api):
    request = edited(api, **recorded("insertion", generation="3", reference_mask_R=MASK))
    assert (request["task"], bool(request["reference_url"]), bool(request["reference_mask_url"])) == (
        "insertion",
        True,
        True,
    )


def test_white_balance_needs_no_mask_and_is_given_none(api):
    request = edited(api, **recorded("white-balance", mask_image=MASK, reference_image=PICTURE))
    assert (request["mask_url"], request["reference_url"]) == (None, None)


def test_white_balance_that_keeps_the_outside_is_given_its_mask(api):
    request = edited(api, **recorded("white-balance", mask_image=MASK), keep_outside=True)
    assert (bool(request["mask_url"]), request["keep_outside"]) == (True, True)


def test_labels_and_debug_are_handed_on(api):
    request = edited(api, **recorded(angle="top-down", background_preset="", enable_debug=True, seed=-1))
    assert (request["angle"], request["background_preset"], request["debug"]) == ("top-down", None, True)
    assert request["seed"] >= 0


def test_answer_names_what_has_no_effect_and_why(api):
    body = recorded(
        width=512,
        enable_4bit_text_encoder=True,
        enable_cpu_offload=False,
        mask_tool_type="brush",
        reference_image=PICTURE,
        conditional_images=[MASK, PICTURE],
    )
    warnings = api.post("/api/generate/async", body).json()["warnings"]
    assert [warning.partition(" ")[0] for warning in warnings] == [
        "width",
        "enable_4bit_text_encoder",
        "mask_tool_type",
        "conditional_images[1:]",
        "reference_image",
    ]
    assert api.post("/api/generate/async", recorded()).json()["warnings"] == []


def test_body_of_neither_server_is_told_of_both(api):
    status, (problem,) = refused(api, {"prompt": "x"}, "/api/generate")
    assert (status, problem["loc"]) == (422, ["body"])
    assert "identity_packet" in problem["msg"]
    assert "input_image" in problem["msg"]


def test_body_that_is_too_long_says_how_to_upload(api):
    long = base64.b64encode(plain() + bytes(3_400_000)).decode()
    answer = api.post("/api/generate", recorded(input_image=long))
    assert answer.status == 413
    assert "/api/v1/uploads" in answer.json()["error"]["remedy"]
