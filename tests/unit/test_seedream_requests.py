"""What may be asked of SeeDream: models, shapes, counts; both sides of each limit."""

import pytest
from pydantic import ValidationError

from backlot.images.sizes import LISTED_SIZES, form_problem, size_problem
from backlot.operations import RequestContext, catalogue
from backlot.operations.seedream_generate import AspectRatio, SeedreamGenerateRequest
from backlot.seedream_models import MODELS, OFFERED, OfferedModels, model_of

GOOD = "https://images.example.com/portrait.jpg"
GENERATE = catalogue()["seedream-generate"].request
FACE_SWAP = catalogue()["face-swap"].request
IMAGES = RequestContext().images


def generate(**body) -> SeedreamGenerateRequest:
    return SeedreamGenerateRequest.model_validate({"prompt": "x"} | body)


def problems(**body) -> list[tuple[str, str]]:
    with pytest.raises(ValidationError) as caught:
        generate(**body)
    return [(str(each["loc"][0]), each["type"]) for each in caught.value.errors()]


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_model_takes_every_listed_size(model):
    assert [size_problem(f"{width}x{height}", model) for width, height in LISTED_SIZES.values()] == [None] * 8


def test_ratios_of_requests_are_those_of_the_list():
    assert list(AspectRatio.__args__) == list(LISTED_SIZES)


@pytest.mark.parametrize(
    ("alias", "smallest", "largest"),
    [
        ("4.0", (1280, 720), (4096, 4096)),
        ("4.5", (2560, 1440), (4096, 4096)),
        ("5.0-lite", (2560, 1440), (3226, 3225)),
        ("5.0-pro", (1280, 720), (2150, 2150)),
    ],
)
def test_pixels_of_a_size_have_both_limits(alias, smallest, largest):
    model = MODELS[alias]
    for (width, height), grown in ((smallest, -1), (largest, 1)):
        assert size_problem(f"{width}x{height}", model) is None
        assert "pixels" in size_problem(f"{width}x{height + grown}", model)


@pytest.mark.parametrize(("size", "is_wrong"), [("3840x240", False), ("3841x240", True), ("240x3841", True)])
def test_ratio_of_a_size_has_its_limits(size, is_wrong):
    assert ("aspect ratio" in (size_problem(size, MODELS["4.0"]) or "")) is is_wrong


@pytest.mark.parametrize(("size", "is_wrong"), [("1.5K", False), ("5K", True), ("1x1", False), ("1 x 1", True)])
def test_form_of_a_size_is_judged_without_a_model(size, is_wrong):
    assert (form_problem(size) is not None) is is_wrong


@pytest.mark.parametrize("alias", MODELS)
def test_model_is_known_by_its_ids_and_by_what_an_answer_makes_of_them(alias):
    model = MODELS[alias]
    for model_id in model.ids:
        undated, _, date = model_id.rpartition("-")
        assert date.isdigit()
        assert model_of(model_id) is model_of(undated) is model_of(f"{model_id} (stand-in)") is model


def test_unknown_id_has_no_model():
    assert model_of("ep-20260101-abcde") is None


@pytest.mark.parametrize("name", [None, "", "seedream"])
def test_request_without_a_model_gets_the_default(name):
    assert OfferedModels(default="ep-1").id_of(name) == "ep-1"


@pytest.mark.parametrize(
    ("name", "model_id"),
    [
        ("4.5", "ep-45"),
        ("ep-45", "ep-45"),
        ("doubao-seedream-4-5-251128", "ep-45"),
        ("seedream-4-5-251128", "ep-45"),
        ("ep-default", "ep-default"),
        ("4.0", None),
        ("doubao-seedream-4-0-250828", None),
        ("ep-46", None),
        ("seedream-4-5", None),
        ("SEEDREAM", None),
    ],
)
def test_name_of_a_model_becomes_the_id_of_the_stage(name, model_id):
    assert OfferedModels(default="ep-default", ids={"4.5": "ep-45"}).id_of(name) == model_id


def test_models_are_read_from_settings():
    assert OfferedModels.of("ep-1", "4.0=ep-1,5.0-lite=x") == OfferedModels("ep-1", {"4.0": "ep-1", "5.0-lite": "x"})


def test_own_endpoint_has_the_limits_of_its_alias():
    offered = OfferedModels(default="ep-unknown", ids={"4.5": "ep-45"})
    assert offered.limits("ep-45") is MODELS["4.5"]
    assert offered.limits("ep-unknown") is MODELS["4.0"]


@pytest.mark.parametrize("alias", OFFERED)
def test_references_have_the_models_limit(alias):
    most = MODELS[alias].max_references
    assert len(generate(model=alias, image_urls=[GOOD] * most).image_urls) == most
    assert problems(model=alias, image_urls=[GOOD] * (most + 1))[0] == ("image_urls", "too_many_references")


@pytest.mark.parametrize("alias", OFFERED)
def test_batches_have_the_models_limit(alias):
    most = MODELS[alias].max_images
    assert generate(model=alias, max_images=most).max_images == most
    assert [place for place, _ in problems(model=alias, max_images=most + 1)] == ["max_images"]


@pytest.mark.parametrize(("references", "most"), [(0, 15), (1, 14), (14, 1)])
def test_references_and_pictures_are_fifteen_together(references, most):
    urls = [GOOD] * references
    assert generate(image_urls=urls, max_images=most).max_images == most
    assert [place for place, _ in problems(image_urls=urls, max_images=most + 1)] == ["max_images"]


def test_refused_urls_are_named_beside_their_number():
    found = problems(model="5.0-pro", image_urls=["http://10.0.0.1/", *[GOOD] * 9, "ftp://x/"])
    assert found == [
        ("image_urls", "too_many_references"),
        ("image_urls", "image_url_refused"),
        ("image_urls", "image_url_refused"),
    ]


def test_endless_list_is_one_problem():
    assert problems(image_urls=["nonsense"] * 100_000) == [("image_urls", "too_many_references")]


def test_wrong_model_does_not_hide_what_is_wrong_for_every_model():
    found = problems(model="6.0", image_urls=[GOOD] * 15, size="huge", aspect_ratio="1:1", max_images=16)
    assert [place for place, _ in found] == ["model", "image_urls", "size", "aspect_ratio", "max_images"]


@pytest.mark.parametrize(
    ("alias", "asked", "sent"),
    [("4.0", "jpeg", None), ("4.5", None, None), ("5.0-lite", "jpeg", "jpeg"), ("5.0-pro", "png", "png")],
)
def test_format_is_sent_to_models_that_know_the_field(alias, asked, sent):
    assert generate(model=alias, output_format=asked).output_format == sent


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({}, "2048x2048"),
        ({"size": "auto"}, "2048x2048"),
        ({"aspect_ratio": "21:9"}, "3024x1296"),
        ({"aspect_ratio": "21:9", "image_urls": [GOOD], "size": ""}, "3024x1296"),
        ({"image_urls": [GOOD]}, None),
        ({"size": "1K"}, "1K"),
        ({"size": "1280x720", "image_urls": [GOOD]}, "1280x720"),
    ],
)
def test_size_is_decided_unless_a_picture_decides_it(body, size):
    assert generate(**body).resolved(IMAGES).size == size


@pytest.mark.parametrize("model", [None, "seedream", "4.0", "doubao-seedream-4-0-250828"])
def test_checked_request_names_the_id(model):
    urls = {"masked_image_url": GOOD, "target_face_url": GOOD}
    assert FACE_SWAP.model_validate(urls | {"model": model}).model == "doubao-seedream-4-0-250828"
    assert FACE_SWAP.model_validate(urls).model == "doubao-seedream-4-0-250828"


def test_size_of_a_swap_is_that_of_its_model():
    urls = {"masked_image_url": GOOD, "target_face_url": GOOD, "size": "1024x1024"}
    assert FACE_SWAP.model_validate(urls).size == "1024x1024"
    with pytest.raises(ValidationError, match="must have 3686400 to"):
        FACE_SWAP.model_validate(urls | {"model": "4.5"})


@pytest.mark.parametrize("said", [None, "", " \n"])
def test_blank_descriptions_are_none(said):
    body = {"source_image_url": GOOD, "target_face_url": GOOD, "face_position_prompt": said, "expression_prompt": said}
    request = catalogue()["full-face-swap"].request.model_validate(body)
    assert (request.face_position_prompt, request.expression_prompt) == (None, None)


def test_descriptions_have_a_length():
    body = {"image_url": GOOD, "face_position_prompt": "x" * 500}
    assert catalogue()["face-mask"].request.model_validate(body).face_position_prompt == "x" * 500
    with pytest.raises(ValidationError, match="at most 500 characters"):
        catalogue()["face-mask"].request.model_validate(body | {"face_position_prompt": "x" * 501})
