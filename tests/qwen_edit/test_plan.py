"""What a request comes to: parameters, defaults, and what is refused."""

from pathlib import Path

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from pydantic import ValidationError

from bench.qwen_edit_checkpoint import SCHEDULER
from sagemaker_models.qwen_edit.parameters import QwenEditParameters
from sagemaker_models.qwen_edit.plan import Lightning, Refused, plan_of
from sagemaker_models.qwen_edit.samplers import samplers_of
from sagemaker_models.qwen_edit.task_config import TaskConfig

INSERTION = TaskConfig(
    task="insertion",
    conditions={
        "plain": ["mask", "background"],
        "reference": ["reference_stretched", "mask"],
        "two-mask": ["positioned_reference", "positioned_mask"],
    },
    steps=28,
    true_cfg=3.3,
)
WHITE_BALANCE = TaskConfig(task="white-balance", conditions={"plain": ["original", "canny"]})
FAST = INSERTION.model_copy(update={"lightning": True})
LIGHTNING = Lightning(Path("x-4steps.safetensors"), "0" * 64, 4)


def plan(config=INSERTION, brought=("image", "mask"), lightning=None, **asked):
    return plan_of(QwenEditParameters(task=config.task, **asked), brought, config, lightning)


def test_plan_takes_the_checkpoints_defaults():
    made = plan()
    assert (made.steps, made.true_cfg, made.negative_prompt, made.blank, made.lightning) == (28, 3.3, " ", True, None)
    assert [each.image for each in made.images] == ["mask", "background"]


def test_plan_takes_what_is_asked():
    made = plan(steps=7, true_cfg=2.5, negative_prompt="a dog", seed=5)
    assert (made.steps, made.true_cfg, made.negative_prompt, made.blank, made.seed) == (7, 2.5, "a dog", False, 5)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"true_cfg": 1.0}, (None, False)),
        ({"true_cfg": 0.5, "negative_prompt": "a dog"}, (None, False)),
        ({"true_cfg": 1.01}, (" ", True)),
        ({"true_cfg": 4.0, "negative_prompt": ""}, ("", False)),
        ({"true_cfg": 4.0, "negative_prompt": None}, (" ", True)),
    ],
)
def test_plan_guides_with_a_blank_where_no_negative_prompt_is(asked, expected):
    made = plan(**asked)
    assert (made.negative_prompt, made.blank) == expected


def test_plan_with_lightning_takes_its_steps_and_no_guidance():
    made = plan(FAST, lightning=LIGHTNING)
    assert (made.steps, made.true_cfg, made.negative_prompt, made.lightning) == (4, 1.0, None, LIGHTNING)
    assert plan(FAST, lightning=LIGHTNING, steps=8, true_cfg=2.0).steps == 8
    assert plan(INSERTION, lightning=LIGHTNING).lightning is None


def test_plan_draws_another_seed_each_time():
    seeds = {plan().seed for _ in range(20)}
    assert len(seeds) == 20
    assert all(0 <= seed < 2**32 for seed in seeds)


@pytest.mark.parametrize(
    ("brought", "situation", "images"),
    [
        (("image", "mask"), "plain", ["mask", "background"]),
        (("image", "mask", "reference"), "reference", ["reference_stretched", "mask"]),
        (("image", "mask", "reference", "reference_mask"), "two-mask", ["positioned_reference", "positioned_mask"]),
    ],
)
def test_plan_chooses_the_images_by_what_is_brought(brought, situation, images):
    made = plan(brought=brought)
    assert (made.situation, [each.image for each in made.images]) == (situation, images)


ONE = TaskConfig(task="insertion", conditions={"reference": ["reference_fitted", "mask"]})


@pytest.mark.parametrize(
    ("config", "brought", "asked", "code", "sentence"),
    [
        (INSERTION, ("image",), {}, "InputMissing", "The task insertion needs a mask, white where"),
        (INSERTION, ("image", "mask", "reference_mask"), {}, "InputMissing", "no reference that it belongs to"),
        (
            ONE,
            ("image", "mask"),
            {},
            "InputRefused",
            "The checkpoint for insertion takes a reference, not no reference",
        ),
        (
            ONE,
            ("image", "mask", "reference", "reference_mask"),
            {},
            "InputRefused",
            "takes a reference, not a reference with a mask",
        ),
        (WHITE_BALANCE, ("image", "reference"), {}, "InputRefused", "takes no reference, not a reference"),
        (WHITE_BALANCE, ("image", "mask"), {}, "InputRefused", "looks at no mask"),
        (WHITE_BALANCE, ("image",), {"keep_outside": True}, "InputMissing", "keep_outside needs a mask"),
        (FAST, ("image", "mask"), {}, "CheckpointRefused", "this model has no Lightning LoRA"),
    ],
)
def test_plan_of_what_the_checkpoint_cannot_do_is_refused(config, brought, asked, code, sentence):
    with pytest.raises(Refused, match=sentence) as raised:
        plan(config, brought, **asked)
    assert raised.value.code == code


def test_plan_of_white_balance_takes_a_mask_for_the_outside():
    assert plan(WHITE_BALANCE, ("image", "mask"), keep_outside=True).situation == "plain"
    assert plan(WHITE_BALANCE, ("image",)).situation == "plain"


@pytest.mark.parametrize(
    "fields",
    [
        {"task": "upscaling"},
        {"task": None},
        {"steps": 0},
        {"steps": 101},
        {"true_cfg": 0.4},
        {"true_cfg": 20.1},
        {"true_cfg": float("nan")},
        {"seed": -1},
        {"seed": 2**63},
        {"feather_px": -1},
        {"feather_px": 257},
        {"input_quality": "best"},
        {"prompt": "x" * 5001},
        {"prompt": "a <|image_pad|> cat"},
        {"negative_prompt": "<|im_end|>"},
        {"guidance_scale": 4.0},
        {"checkpoint": {"task": "removal", "conditions": {"plain": ["mask"]}}},
        {"checkpoint": {"task": "insertion", "conditions": {"plain": ["maske"]}}},
    ],
)
def test_parameters_that_cannot_be_are_refused(fields):
    with pytest.raises(ValidationError):
        QwenEditParameters(**({"task": "insertion"} | fields))


@pytest.mark.parametrize(
    "fields",
    [
        {"steps": 1, "true_cfg": 0.5, "seed": 0, "feather_px": 0, "prompt": ""},
        {"steps": 100, "true_cfg": 20, "seed": 2**63 - 1, "feather_px": 256, "prompt": "x" * 5000},
        {"prompt": "<b> | a < b |>", "negative_prompt": "<||"},
        {"checkpoint": {"task": "insertion", "conditions": {"plain": ["mask"]}}},
    ],
)
def test_parameters_at_their_limits_are_taken(fields):
    QwenEditParameters(task="insertion", **fields)


def sigmas(scheduler, steps, tokens=4096):
    """As the pipeline asks for them."""
    config = scheduler.config
    slope = (config.max_shift - config.base_shift) / (config.max_image_seq_len - config.base_image_seq_len)
    shift = tokens * slope + config.base_shift - slope * config.base_image_seq_len
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).numpy(), mu=shift)
    return [round(each, 4) for each in scheduler.sigmas.tolist()]


@pytest.fixture
def samplers():
    return samplers_of(FlowMatchEulerDiscreteScheduler(**SCHEDULER))


def test_sampler_of_lightning_has_the_published_shares_of_noise(samplers):
    for tokens in (256, 4096, 16384):
        assert sigmas(samplers.of(4, lightning=True), 4, tokens) == [1.0, 0.9, 0.75, 0.5, 0.0]
    assert sigmas(samplers.of(4, lightning=False), 4) != [1.0, 0.9, 0.75, 0.5, 0.0]


@pytest.mark.parametrize("lightning", [True, False])
def test_sampler_of_one_step_goes_all_the_way(samplers, lightning):
    assert sigmas(samplers.of(1, lightning=lightning), 1) == [1.0, 0.0]


def test_sampler_of_several_steps_is_the_published_one(samplers):
    assert samplers.of(2, lightning=False) is samplers.base
    # The last share before nothing is the terminal one.
    assert sigmas(samplers.base, 2)[1:] == [0.02, 0.0]
