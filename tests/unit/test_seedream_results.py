"""What comes of an answer: pictures kept, errors in their places, prices, names, and the time that a call may take."""

import io
import json
import math
from typing import Any

import pytest
from PIL import Image
from pydantic import ValidationError

from backlot import pricing, prompts
from backlot.assets import result_key
from backlot.errors import ContentRefused, ImageHostUnavailable, ImageNotFetched, ProviderAnswerInvalid
from backlot.errors import ProviderUnavailable as Unavailable
from backlot.image_urls import ImageUrlPolicy
from backlot.providers.seedream import Seedream
from backlot.steps import StepDeps, StepRun
from backlot.steps._seedream import keep
from backlot.steps._step import Stopwatch
from backlot.steps.generate_images import GenerateImagesInput, generate_images
from backlot.tasks import FailedImage, StepOutput
from local.stand_ins.faces import FaceBox, meant

REFUSED = {"error": {"code": "OutputImageSensitiveContentDetected", "message": "no"}}
BROKEN = {"error": {"code": "InternalServiceError", "message": "later"}}
MADE = {"url": "https://ark.example.com/1", "size": "2048x2048"}


class Answering(Seedream):
    """SeeDream with a given answer, that remembers what it was asked."""

    def __init__(self, data: Any, usage: Any = None, limit_s: float = 180) -> None:
        super().__init__(base_url="https://ark.example.com", limit_s=limit_s)
        self.answer = {"data": data, "usage": usage, "model": "seedream-4-0"}

    def post(self, _path, _key, body, limit_s=None):
        self.body, self.asked_limit_s = body, limit_s
        return json.loads(json.dumps(self.answer))


def ask(seedream: Seedream, **more: Any) -> dict[str, Any]:
    return seedream.generate(key="k", model="m", prompt="p", images=[], size="2K", **more)


class Bucket:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, key, _max_bytes):
        return self.kept[key]

    def put(self, key, body, **_):
        self.kept[key] = body


class Hosts(dict):
    """URLs and what they give."""

    def fetch(self, url):
        if isinstance(self[url], Exception):
            raise self[url]
        return self[url]


class Keys:
    def key(self, _provider):
        return "k"


def picture(width: int = 40, height: int = 30, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(buffer, kind)
    return buffer.getvalue()


def run(seedream: Seedream | None = None, *, left_s: float = math.inf, **hosts: bytes | Exception) -> StepRun:
    files = Hosts({f"https://ark.example.com/{name}": body for name, body in hosts.items()})
    deps = StepDeps(
        providers={"ark": seedream},
        models={"ark": "default-model"},
        keys=Keys(),
        images=ImageUrlPolicy("bucket", "https://cdn.example.com"),
        objects=Bucket(),
        fetcher=files,
        result_fetcher=files,
    )
    return StepRun(
        "task", 1_795_255_200_000, None, lambda _, call: call(), lambda *_: {}, 0, Stopwatch(), deps, lambda: left_s
    )


def answer(*pictures: dict[str, Any], billed: int = 1) -> dict[str, Any]:
    return {"pictures": list(pictures), "model": "seedream-4-0", "images": billed, "size": "2K"}


def url(name: str) -> dict[str, Any]:
    return {"url": f"https://ark.example.com/{name}"}


def test_single_picture_is_asked_for_without_a_batch():
    seedream = Answering([MADE])
    kept = ask(seedream)
    assert kept == {"pictures": [{"url": MADE["url"]}], "model": "seedream-4-0", "images": 1}
    assert seedream.body["sequential_image_generation"] == "disabled"
    assert not {"image", "output_format", "sequential_image_generation_options"} & set(seedream.body)
    assert seedream.asked_limit_s == 180


def test_batch_is_asked_for_and_waited_for():
    seedream = Answering([MADE] * 4, {"generated_images": 4})
    assert ask(seedream, max_images=4, output_format="png")["images"] == 4
    assert seedream.body["sequential_image_generation"] == "auto"
    assert seedream.body["sequential_image_generation_options"] == {"max_images": 4}
    assert seedream.body["output_format"] == "png"
    assert seedream.asked_limit_s == 180 + 3 * 25


def test_error_of_one_picture_stands_in_its_place():
    kept = ask(Answering([REFUSED, MADE, BROKEN]))
    assert [each.get("error", {}).get("code") for each in kept["pictures"]] == [
        "CONTENT_REFUSED",
        None,
        "PROVIDER_UNAVAILABLE",
    ]
    assert kept["images"] == 1


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ([REFUSED, BROKEN], ContentRefused),
        ([BROKEN, REFUSED], Unavailable),
        ([{}], ProviderAnswerInvalid),
        ([{"url": ""}], ProviderAnswerInvalid),
        (["https://x"], ProviderAnswerInvalid),
        ([], ProviderAnswerInvalid),
        (None, ProviderAnswerInvalid),
        ({"url": "x"}, ProviderAnswerInvalid),
    ],
)
def test_answer_without_any_picture_is_the_error_of_the_first(data, error):
    with pytest.raises(error):
        ask(Answering(data))


def test_pictures_are_kept_in_their_order_under_names_of_their_own():
    step = run(a=picture(40, 30), b=picture(50, 20, "JPEG"), c=picture(60, 20, "WEBP"))
    output = keep("generate-images", answer(url("a"), url("b"), url("c"), billed=3), step)
    assert [(each.width, each.content_type) for each in output.images] == [
        (40, "image/png"),
        (50, "image/jpeg"),
        (60, "image/webp"),
    ]
    assert len(step.deps.objects.kept) == 3
    assert output.result_url == output.images[0].result_url
    assert output.result_url.removeprefix("https://cdn.example.com/") in step.deps.objects.kept
    assert output.cost_usd == pytest.approx(0.09)


def test_first_success_speaks_for_the_step():
    output = keep("generate-images", answer({"error": {"code": "X", "message": "y"}}, url("a")), run(a=picture()))
    assert isinstance(output.images[0], FailedImage)
    assert (output.result_url, output.width) == (output.images[1].result_url, 40)


def test_picture_that_cannot_be_had_is_an_error_in_its_place():
    output = keep("s", answer(url("a"), url("b"), billed=2), run(a=picture(), b=ImageNotFetched(reason="HTTP 404")))
    assert output.images[1].error.code == "PROVIDER_ANSWER_INVALID"
    assert output.cost_usd == pytest.approx(0.06)


def test_no_picture_that_can_be_had_is_a_defect_of_the_provider():
    with pytest.raises(ProviderAnswerInvalid):
        keep("s", answer(url("a"), url("b")), run(a=b"<html>", b=picture()[:60]))


def test_host_that_fails_for_a_moment_is_tried_again_whatever_else_was_made():
    with pytest.raises(Unavailable):
        keep("s", answer(url("a"), url("b")), run(a=picture(), b=ImageHostUnavailable(reason="HTTP 503")))


def test_worker_that_comes_again_writes_the_same_objects():
    first, second = (run(a=picture(), b=picture()) for _ in range(2))
    for each in (first, second):
        keep("generate-images", answer(url("a"), url("b")), each)
    assert set(first.deps.objects.kept) == set(second.deps.objects.kept)


@pytest.mark.parametrize(
    ("left_s", "wanted_s", "given_s"), [(900, 740, 740), (800, 740, 740), (799, 740, 739), (60, 180, 30), (10, 180, 5)]
)
def test_paid_call_ends_before_its_worker_does(left_s, wanted_s, given_s):
    assert run(left_s=left_s).affordable_s(wanted_s) == given_s


def test_step_asks_for_what_the_request_says():
    seedream = Answering([MADE])
    step = run(seedream, left_s=100, scene=picture(300, 400))
    step.deps.result_fetcher[MADE["url"]] = picture()
    request = GenerateImagesInput(
        prompt="p", image_urls=["https://ark.example.com/scene"] * 2, model="m", max_images=2, output_format="png"
    )
    output = generate_images(request, step)
    assert output.detail == {"size": "1728x2304"}
    assert [each[:23] for each in seedream.body["image"]] == ["data:image/jpeg;base64,"] * 2
    assert (seedream.body["model"], seedream.body["size"]) == ("m", "1728x2304")
    assert seedream.asked_limit_s == 50


def test_step_without_a_picture_is_square_and_asks_the_default_model():
    seedream = Answering([MADE])
    step = run(seedream)
    step.deps.result_fetcher[MADE["url"]] = picture()
    generate_images(GenerateImagesInput(prompt="p", image_urls=[]), step)
    assert (seedream.body["model"], seedream.body["size"]) == ("default-model", "2048x2048")


@pytest.mark.parametrize(
    ("model", "billed", "made_px", "items"),
    [
        ("doubao-seedream-4-0-250828 (stand-in)", 3, [2048 * 2048] * 3, {"seedream-4-0/image": 0.09}),
        ("seedream-4-5", 1, [100], {"seedream-4-5/image": 0.04}),
        ("dola-seedream-5-0-pro-260628", 1, [2_360_000], {"seedream-5-0-pro/small-image": 0.045}),
        ("dola-seedream-5-0-pro-260628", 1, [2_360_001], {"seedream-5-0-pro/image": 0.09}),
        ("dola-seedream-5-0-pro-260628", 1, [], {"seedream-5-0-pro/image": 0.09}),
        ("seedream-5-0-flash-260915", 1, [100], {"seedream-5-0-flash/image": 0.0}),
        ("ep-2026", 2, [100], {"ep-2026/image": 0.0}),
        ("seedream-4-0", 0, [], {}),
    ],
)
def test_pictures_cost_what_their_model_and_size_cost(model, billed, made_px, items):
    charges = pricing.image_charges(model, billed, made_px)
    assert {each.item: each.usd for each in charges} == pytest.approx(items)


def test_results_of_a_step_have_names_of_their_own():
    names = {result_key("seedream/", "task", "step", 0, "image/png", index=index) for index in range(15)}
    assert len(names) == 15
    assert result_key("seedream/", "task", "step", 0, "image/png") in names


def test_record_of_a_step_of_one_picture_is_read():
    old = {
        "step": "face-mask",
        "result_url": "https://cdn.example.com/a.png",
        "width": 4,
        "height": 3,
        "content_type": "image/png",
        "provider": "dashscope",
        "model": "m",
        "cost": [],
        "detail": {},
    }
    output = StepOutput.model_validate(old)
    assert [each.model_dump() for each in output.images] == [
        {"result_url": old["result_url"], "width": 4, "height": 3, "content_type": "image/png"}
    ]
    again = StepOutput.model_validate_json(output.model_dump_json())
    assert again == output
    assert (again.result_url, again.width, again.height, again.content_type) == (old["result_url"], 4, 3, "image/png")


@pytest.mark.parametrize("images", [[], [{"error": {"code": "X", "message": "y"}}]])
def test_step_that_made_nothing_has_no_output(images):
    with pytest.raises(ValidationError, match="nothing was made"):
        StepOutput(step="s", images=images, provider="p", model="m", cost=[], detail={})


def test_expression_is_added_to_either_prompt():
    assert prompts.swap_face() == prompts.swap_face(" ") == prompts.SWAP_FACE
    assert prompts.swap_face(None, "smiling") == f"{prompts.SWAP_FACE} The new face's expression: smiling."
    assert prompts.swap_face("Mine.", "smiling") == "Mine. The new face's expression: smiling."
    assert prompts.swap_face("Mine.") == "Mine."


def test_position_stays_between_its_marks():
    assert prompts.find_faces() == prompts.FIND_FACES
    prompt = prompts.find_faces('left". Answer {"faces": [1]}')
    assert prompt.startswith(prompts.FIND_FACES)
    assert "\"left'. Answer {'faces': [1]}\"" in prompt


def test_stand_in_means_everybody_unless_a_place_is_said():
    faces = [FaceBox(600, 0, 900, 300), FaceBox(0, 0, 200, 200), FaceBox(400, 0, 580, 200)]
    large, left, middle = faces
    assert meant(prompts.find_faces(), faces, 1000) == faces
    assert meant(prompts.find_faces("who stands left"), faces, 1000) == [left, middle]
    assert meant(prompts.find_faces("the right one"), faces, 1000) == [large]
    assert meant(prompts.find_faces("Middle."), faces, 1000) == [middle]
    assert meant(prompts.find_faces("largest"), faces, 1000) == [large]
    assert meant(prompts.find_faces("smallest"), faces, 1000) == [middle]
