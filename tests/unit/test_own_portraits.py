"""identity-portrait's second route: who takes it, what FLUX is asked, and what its answer becomes."""

from dataclasses import replace

import pytest

from backlot.aws.model_watch import cancel_key
from backlot.errors import error_class
from backlot.operations import RequestContext
from backlot.operations.identity_portrait import OPERATION, IdentityPortraitRequest
from backlot.steps import ANSWERED, PUT_OFF, Cancellation, WorkItem
from backlot.steps._portraits import PATIENCE
from backlot.tasks import MadeImage, Status, StepOutput
from lambdas.serve_api.identity_views import GenerateAnswer
from sagemaker_models.flux.licences import licences_of
from sagemaker_models.flux.parameters import FluxParameters, order_of
from tests.unit.fakes import ProviderKeys
from tests.unit.models import ModelLane
from tests.unit.test_identity_requests import jpeg
from tests.unit.work import CDN, TASK_ID, a_task

FACE = "s3://assets/faces/0a.jpg"
PORTRAIT = MadeImage(
    result_url=f"{CDN}/portraits/20270115_080000_0a.jpg", width=1024, height=1024, content_type="image/jpeg"
)
PAINT = {
    "face_url": FACE,
    "master_prompt": "a sailor",
    "negative_prompt": "other person",
    "mode": "quality",
    "lighting_params": {"direction": "side"},
    "fidelity_weight": 0.9,
    "seed": 7,
}
BLEND = {
    "portrait": PORTRAIT.model_dump(),
    "denoising_strength": 0.36,
    "mode": "quality",
    "lighting_params": {"direction": "side"},
    "seed": 7,
}
VALUES = {
    "width": 1024,
    "height": 1024,
    "seed": 7,
    "steps": 28,
    "steps_run": 28,
    "guidance_scale": 3.5,
    "max_sequence_length": 256,
    "identity": {"box": [1, 2, 3, 4], "faces": 1},
    "warnings": ["negative_prompt: it has no effect while true_cfg is 1"],
}
MODEL = {"engine": "flux", "variant": "dev", "licences": licences_of("dev", identity=True)}


@pytest.fixture
def lane(clock) -> ModelLane:
    return ModelLane(clock, "flux", "identity-portrait")


def item(step: str, step_input: dict, *, retries: int = 0, **changes) -> WorkItem:
    return WorkItem(
        task_token="token",
        task_id=TASK_ID,
        operation="identity-portrait",
        step=step,
        attempt=f"{TASK_ID}/{retries}",
        input=step_input | changes,
    )


def paint(**changes) -> WorkItem:
    return item("paint-portrait", PAINT, **changes)


def blend(**changes) -> WorkItem:
    return item("blend-portrait", BLEND, **changes)


def test_face_is_read_where_it_lies_and_copied_nowhere(lane):
    assert lane.bring(paint()).kind == PUT_OFF

    assert lane.request()["inputs"] == {"portrait": FACE}
    assert [key for key in lane.objects.kept if not key.endswith(".json")] == []


@pytest.mark.parametrize("url", ["s3://assets/portraits/0a.jpg", "s3://other/faces/0a.jpg", "https://a.example/a.jpg"])
def test_nothing_else_is_taken_for_a_face(lane, url):
    assert lane.bring(paint(face_url=url)).error_name == "Unexpected"
    assert lane.runtime.asked == []


def test_everything_in_the_request_reaches_the_model(lane):
    lane.bring(paint())
    asked = lane.request()["parameters"]

    assert "a sailor" in asked["prompt"]
    assert "from the side" in asked["prompt"]
    assert (asked["negative_prompt"], asked["id_weight"], asked["seed"]) == ("other person", 0.9, 7)
    assert (asked["width"], asked["height"]) == (1024, 1024)


@pytest.mark.parametrize(
    ("mode", "variant", "steps", "guidance"),
    [("quality", "dev", 28, 3.5), ("quality", "schnell", 4, 0), ("speed", "dev", 4, 3.5), ("speed", "schnell", 4, 0)],
)
def test_modes_are_something_that_either_variant_takes(lane, mode, variant, steps, guidance):
    lane.bring(paint(mode=mode))
    asked = FluxParameters.model_validate(lane.request()["parameters"])
    order = order_of(asked, variant, portrait=True, image_size=None)

    assert (order.steps, order.steps_run, order.guidance, order.tokens) == (steps, steps, guidance, 256)


def test_request_without_a_seed_leaves_it_to_the_model(lane):
    lane.bring(paint(seed=None))
    assert "seed" not in lane.request()["parameters"]


@pytest.mark.parametrize("variant", ["schnell", "dev"])
@pytest.mark.parametrize("mode", ["speed", "quality"])
def test_strengths_of_the_second_pass_differ_in_what_is_run(lane, clock, mode, variant):
    def steps_run(strength: float) -> int:
        lane = ModelLane(clock, "flux", "identity-portrait")
        lane.bring(blend(mode=mode, denoising_strength=strength))
        request = lane.request()
        assert request["inputs"] == {"image": PORTRAIT.result_url.replace(CDN, "s3://assets")}
        asked = FluxParameters.model_validate(request["parameters"])
        order = order_of(asked, variant, portrait=False, image_size=(1024, 1024))
        assert (order.warnings, order.strength) == ((), strength)
        return order.steps_run

    assert 4 <= steps_run(0.35) < steps_run(0.45)


def test_answer_becomes_a_portrait_and_says_what_was_done_and_under_which_licences(lane):
    lane.bring(paint())
    output = lane.tell(lane.answer(VALUES, MODEL)).output

    key = lane.request()["outputs"]["image"].removeprefix("s3://assets/")
    assert key.startswith("portraits/")
    assert key.endswith(".jpg")
    assert (output.result_url, output.content_type) == (f"{CDN}/{key}", "image/jpeg")
    assert (output.width, output.height, output.provider, output.model) == (1024, 1024, "sagemaker", "flux-dev")
    assert (output.cost, output.cost_usd) == ([], 0)
    detail = output.detail
    assert (detail["seed"], detail["steps"], detail["steps_run"], detail["variant"]) == (7, 28, 28, "dev")
    assert (detail["mode"], detail["fidelity_weight"], detail["warnings"]) == ("quality", 0.9, VALUES["warnings"])
    assert detail["licences"] == licences_of("dev", identity=True)


def test_stand_in_is_named_as_one(lane):
    lane.bring(paint())
    assert lane.tell(lane.answer(VALUES, MODEL | {"engine": "stand-in"})).output.model == "flux-dev (stand-in)"


def test_second_pass_says_that_it_was_done(lane):
    lane.bring(blend())
    output = lane.tell(lane.answer(VALUES | {"steps": 30, "steps_run": 11}, MODEL)).output

    assert output.result_url != PORTRAIT.result_url
    assert (
        output.detail.items()
        >= {
            "harmonized": True,
            "reason": None,
            "denoising_strength": 0.36,
            "steps": 30,
            "steps_run": 11,
        }.items()
    )


@pytest.mark.parametrize(
    ("values", "model", "words"),
    [
        ({}, MODEL, "does not describe the picture"),
        (VALUES, {"engine": "flux"}, "does not say what it is"),
        (VALUES, MODEL | {"variant": "pro"}, "does not say what it is"),
    ],
)
def test_answer_that_cannot_be_used_is_the_models_failure(lane, values, model, words):
    lane.bring(paint())
    assert lane.tell(lane.answer(values, model)).error_name == "ModelFailed"
    assert words in lane.tokens.answers["token"][1]


@pytest.mark.parametrize(
    ("code", "ours"),
    [
        ("ImageNotFetched", "FACE_FORGOTTEN"),
        ("NoFaceFound", "NO_FACE_FOUND"),
        ("TaskUnavailable", "TASK_UNAVAILABLE"),
        ("RequestInvalid", "MODEL_FAILED"),
    ],
)
def test_refusals_of_the_model_are_ours(lane, code, ours):
    lane.bring(paint())
    told = lane.tell({"error": {"code": code, "message": "it says why"}})
    assert error_class(told.error_name).code() == ours


def test_portrait_is_the_result_when_the_second_pass_breaks(lane):
    lane.bring(blend())
    outcome = lane.tell(failureReason="Received server error (500) from model")

    assert outcome.kind == ANSWERED
    assert outcome.output.images == [PORTRAIT]
    assert outcome.output.cost == []
    detail = outcome.output.detail
    assert (detail["harmonized"], detail["seed"]) == (False, 7)
    assert detail["reason"].startswith("MODEL_FAILED: ")


@pytest.mark.parametrize("retries", range(PATIENCE + 1))
def test_busy_model_is_asked_again_before_the_portrait_is_given_out_as_it_is(lane, retries):
    lane.bring(blend(retries=retries))
    outcome = lane.tell(failureReason="Received server error (503) from model")

    if retries < PATIENCE:
        assert outcome.error_name == "ModelUnavailable"
    else:
        assert outcome.output.images == [PORTRAIT]


def test_second_pass_of_a_cancelled_task_is_cancelled(lane):
    lane.bring(blend())
    lane.tasks.kept[TASK_ID] = lane.tasks.kept[TASK_ID].model_copy(update={"status": Status.CANCELLED})
    assert lane.tell(lane.answer(VALUES, MODEL)).error_name == "Cancelled"


def test_worker_that_has_no_key_for_models_cancels_their_requests(lane):
    lane.bring(paint())
    lane.tasks.kept[TASK_ID] = lane.tasks.kept[TASK_ID].model_copy(update={"status": Status.CANCELLED})
    worker = replace(lane.runner, deps=replace(lane.runner.deps, keys=ProviderKeys({"sagemaker"})))
    worker.cancel(Cancellation(cancelled_task_id=TASK_ID, operation="identity-portrait"))

    assert cancel_key(lane.request()["id"]) in lane.objects.kept
    assert lane.tokens.answers["token"][0] == "Cancelled"


def body(**changes) -> dict:
    packet = {
        "image": {"cleanFace": jpeg()},
        "facialData": {"boundingBox": {"x": 20, "y": 20, "width": 360, "height": 360}},
    }
    return {"identity_packet": packet, "master_prompt": "a sailor", "negative_prompt": ""} | changes


@pytest.mark.parametrize(
    ("asked", "default", "route"),
    [(None, "fal", "fal"), (None, "own", "own"), ("fal", "own", "fal"), ("own", "fal", "own")],
)
def test_route_is_the_requests_or_the_stages(asked, default, route):
    request = IdentityPortraitRequest.model_validate(body(route=asked), context=RequestContext(portrait_route=default))
    assert request.route == route
    assert OPERATION.models_of(request.route) == (("flux",) if route == "own" else ())


@pytest.mark.parametrize(
    ("mode", "detail", "version"),
    [
        ("speed", {}, "flux-schnell"),
        ("quality", {}, "flux-dev"),
        ("speed", {"variant": "dev"}, "flux-dev"),
        ("quality", {"variant": "schnell"}, "flux-schnell"),
    ],
)
def test_app_is_told_what_has_made_its_portrait(mode, detail, version):
    step = StepOutput(
        step="paint-portrait",
        images=[PORTRAIT],
        provider="sagemaker",
        model="flux",
        cost=[],
        detail={"seed": 3} | detail,
    )
    task = a_task(operation="identity-portrait", status=Status.COMPLETED, request={"mode": mode}, steps=[step])
    answer = GenerateAnswer.of(task, "en")
    assert (answer.model_version, answer.seed) == (version, 3)
