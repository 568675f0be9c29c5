"""What requests may ask for, and what it comes to with each variant."""

import pytest
from pydantic import ValidationError

from sagemaker_models.flux.parameters import FluxParameters, Refused, fitted, order_of, steps_run


def order(variant="dev", *, portrait=False, image_size=None, **fields):
    asked = FluxParameters(**({"prompt": "a sailor"} | fields))
    return order_of(asked, variant, portrait=portrait, image_size=image_size)


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": ""},
        {"width": 1024},
        {"width": 1024, "height": 1000},
        {"width": 240, "height": 1024},
        {"width": 2064, "height": 256},
        {"width": 2048, "height": 1040},
        {"num_inference_steps": 0},
        {"num_inference_steps": 51},
        {"guidance_scale": -0.1},
        {"guidance_scale": 20.1},
        {"seed": -1},
        {"id_weight": 3.1},
        {"start_step": -1},
        {"true_cfg": 0.9},
        {"strength": 0},
        {"strength": 1.01},
        {"max_sequence_length": 200},
        {"output_format": "gif"},
        {"colour": "red"},
        {"guidance_scale": float("nan")},
    ],
)
def test_parameters_outside_their_bounds_are_refused(fields):
    with pytest.raises(ValidationError):
        FluxParameters(**({"prompt": "a sailor"} | fields))


def test_parameters_at_their_bounds_are_taken():
    for fields in (
        {"width": 256, "height": 2048, "num_inference_steps": 1, "guidance_scale": 0, "seed": 0, "id_weight": 0},
        {"width": 2048, "height": 1024, "num_inference_steps": 50, "guidance_scale": 20, "seed": 2**63 - 1},
        {"id_weight": 3, "true_cfg": 10, "strength": 0.01, "max_sequence_length": 512, "output_format": "jpeg"},
    ):
        FluxParameters(prompt="a sailor", **fields)


@pytest.mark.parametrize(
    ("variant", "portrait", "expected"),
    [("dev", False, (28, 3.5, 512)), ("dev", True, (28, 3.5, 128)), ("schnell", False, (4, 0.0, 256))],
)
def test_order_without_wishes_is_the_variants_own(variant, portrait, expected):
    made = order(variant, portrait=portrait)
    assert (made.steps, made.guidance, made.tokens) == expected
    assert (made.width, made.height, made.steps_run) == (1024, 1024, made.steps)
    assert (made.warnings, made.is_guided) == ((), False)


def test_order_for_the_portrait_step_of_the_operation():
    """What `make-portrait` asks fal for, in the names that both share."""
    made = order(
        portrait=True,
        negative_prompt="other person",
        id_weight=0.85,
        num_inference_steps=30,
        guidance_scale=4.0,
        width=1024,
        height=1024,
        seed=7,
    )
    assert (made.steps, made.guidance) == (30, 4.0)
    assert made.warnings == ("negative_prompt: it has no effect while true_cfg is 1",)


def test_order_for_the_second_pass_of_the_operation():
    """What `harmonize-portrait` asks fal for: 10 or 30 steps, of which the share `strength` is done."""
    for steps, strength, run in ((10, 0.40, 4), (30, 0.40, 12), (30, 0.35, 11), (30, 0.45, 14), (10, 0.45, 5)):
        made = order(strength=strength, num_inference_steps=steps, image_size=(1024, 1024))
        assert (made.steps, made.steps_run, made.warnings) == (steps, run, ())


@pytest.mark.parametrize(
    ("steps", "strength", "run"),
    # Measured with callbacks, reference/models/flux-pulid.md.
    [
        (4, 0.35, 2),
        (4, 0.45, 2),
        (4, 0.20, 1),
        (28, 0.35, 10),
        (28, 0.45, 13),
        (28, 1.0, 28),
        (4, 0.01, 1),
        (1, 0.01, 1),
    ],
)
def test_steps_run_are_those_of_the_published_rule(steps, strength, run):
    assert steps_run(steps, strength) == run


def test_every_strength_that_is_taken_runs_a_step():
    assert min(steps_run(steps, strength / 100) for steps in range(1, 51) for strength in range(1, 101)) == 1


@pytest.mark.parametrize(("steps", "coarse"), [(4, True), (5, False), (6, True), (10, False), (28, False)])
def test_strengths_that_are_all_the_same_are_warned_of(steps, coarse):
    made = order("schnell", strength=0.4, num_inference_steps=steps, image_size=(512, 512))
    assert bool(made.warnings) is coarse
    if steps == 4:
        assert made.warnings == (
            "strength: with 4 steps, all over 0.25 up to 0.5 are the same: 2 steps run; 0.35 and 0.45 do not differ",
        )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"variant": "schnell", "guidance_scale": 3.5}, "guidance_scale: FLUX.1 schnell knows no guidance"),
        ({"variant": "schnell", "max_sequence_length": 512}, "schnell reads at most 256 tokens"),
        ({"portrait": True, "num_inference_steps": 4, "start_step": 4}, "start_step: 4 is not below the 4 steps"),
        (
            {"portrait": True, "strength": 0.4, "num_inference_steps": 10, "start_step": 4, "image_size": (512, 512)},
            "start_step: 4 is not below the 4 steps",
        ),
        ({"strength": 0.4}, "a second pass needs both the input image and strength"),
        ({"image_size": (512, 512)}, "a second pass needs both the input image and strength"),
    ],
)
def test_order_that_cannot_be_done_is_refused_with_a_sentence(fields, said):
    with pytest.raises(Refused, match=said) as refused:
        order(**fields)
    assert refused.value.code == "RequestInvalid"


def test_order_at_the_limits_is_done():
    assert order("schnell", guidance_scale=0, max_sequence_length=256).guidance == 0
    assert order("dev", max_sequence_length=512, portrait=True).tokens == 512
    assert order(portrait=True, num_inference_steps=4, start_step=3).steps_run == 4


def test_wishes_about_an_identity_without_a_portrait_are_warned_of():
    assert order(id_weight=0.5).warnings == ("id_weight and start_step: they have no effect without a portrait",)
    assert order(negative_prompt="cartoon", true_cfg=2).warnings == ()


@pytest.mark.parametrize(
    ("size", "fit"),
    [
        ((1024, 1024), (1024, 1024)),
        ((1023, 700), (1008, 688)),
        ((256, 271), (256, 256)),
        ((3000, 2000), (1760, 1168)),
        ((4096, 700), (2048, 336)),
    ],
)
def test_picture_is_gone_over_at_a_size_that_fits(size, fit):
    made = fitted(*size)
    assert made == fit
    assert made[0] * made[1] <= 2 * 1024 * 1024
    asked = order(strength=0.4, image_size=size)
    assert (asked.width, asked.height) == fit


@pytest.mark.parametrize("size", [(255, 1000), (5000, 400)])
def test_picture_that_is_too_narrow_is_refused(size):
    with pytest.raises(Refused, match="each side needs 256") as refused:
        fitted(*size)
    assert refused.value.code == "ImageShapeRefused"
