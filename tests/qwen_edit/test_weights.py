"""The weights folder and the configurations in it."""

import shutil

import pytest
import yaml

from sagemaker_models.qwen_edit.checkpoint import check
from sagemaker_models.qwen_edit.conditions import CONDITIONS
from sagemaker_models.qwen_edit.config import Config, read_config
from sagemaker_models.qwen_edit.task_config import TaskConfig, read_task_config
from sagemaker_models.qwen_edit.weights import find_weights
from sagemaker_models.serving.model import WeightsInvalid
from tests.qwen_edit.checkpoints import (
    EXAMPLES,
    changed,
    diffusers_keys,
    lora_values,
    save_lora,
    save_task,
    whole_state,
)

PLAIN = {"task": "removal", "conditions": {"plain": ["mask", "background"]}}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_example_is_a_good_configuration(path, tmp_path):
    (tmp_path / "qwen_edit.yaml").write_text(path.read_text())
    assert read_task_config(tmp_path).task in path.stem.replace("split", "insertion")


def labels(name, situation):
    config = TaskConfig.model_validate(yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text()))
    return [(each.image, each.called) for each in config.conditions[situation]]


def test_examples_have_the_old_servers_images_in_their_order():
    assert labels("insertion", "reference") == [
        ("reference_stretched", "ref_img"),
        ("mask", "mask"),
        ("background", "masked_bg"),
    ]
    assert labels("insertion", "plain") == [("mask", "mask"), ("background", "masked_bg")]
    assert labels("insertion-shadow", "reference") == [
        ("reference_stretched", "ref_img"),
        ("shadow_mask", "mask"),
        ("shadow_background", "masked_bg"),
    ]
    assert labels("removal", "plain") == [("original", "original"), ("mask", "mask"), ("inpaint_preview", "mae")]
    assert labels("white-balance", "plain") == [("original", "input"), ("canny", "canny")]
    assert [image for image, _ in labels("split", "plain")] == ["mask", "background", "foreground"]
    scales = {
        name: yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())["true_cfg"]
        for name in ("insertion", "removal", "white-balance")
    }
    assert scales == {"insertion": 4.0, "removal": 4.0, "white-balance": 3.3}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"task": "upscaling"}, "task: Input should be 'insertion'"),
        ({"conditions": {}}, "conditions: Dictionary should have at least 1 item"),
        ({"conditions": {"plain": []}}, "conditions.plain: Tuple should have at least 1 item"),
        (
            {"conditions": {"plain": ["mask", "background", "original", "canny", "foreground", "inpaint_preview"]}},
            "at most 5",
        ),
        ({"conditions": {"alone": ["mask"]}}, "conditions.alone"),
        (
            {"conditions": {"plain": ["maske"]}},
            "there is no conditional image 'maske'; there are original, canny, mask",
        ),
        ({"conditions": {"plain": ["reference_fitted"]}}, "conditions.plain: reference_fitted needs a reference"),
        (
            {"conditions": {"reference": ["positioned_mask"]}},
            "conditions.reference: positioned_mask needs a reference_mask",
        ),
        ({"conditions": {"plain": ["positioned_reference"]}}, "needs a reference and a reference_mask"),
        ({"conditions": {"plain": ["mask", "shadow_mask"]}}, "conditions.plain: two images are called mask"),
        ({"conditions": {"plain": [{"image": "mask", "label": "a b"}]}}, "label: String should match"),
        ({"conditions": {"plain": [{"image": "mask", "size": 3}]}}, "size: Extra inputs are not permitted"),
        ({"steps": 0}, "steps: Input should be greater"),
        ({"steps": 101}, "steps: Input should be less"),
        ({"true_cfg": 0.5}, "true_cfg"),
        ({"lora_scale": 0}, "lora_scale"),
        ({"colour": 1}, "colour: Extra inputs"),
    ],
)
def test_configuration_with_an_impossible_value_is_refused(tmp_path, change, sentence):
    (tmp_path / "qwen_edit.yaml").write_text(yaml.safe_dump(PLAIN))
    read_task_config(tmp_path)
    (tmp_path / "qwen_edit.yaml").write_text(yaml.safe_dump(PLAIN | change))
    with pytest.raises(WeightsInvalid, match=sentence):
        read_task_config(tmp_path)


@pytest.mark.parametrize(("content", "sentence"), [("a: [", "cannot be read"), ("[]", "qwen_edit.yaml: the file: ")])
def test_configuration_that_is_none_is_refused(tmp_path, content, sentence):
    (tmp_path / "qwen_edit.yaml").write_text(content)
    with pytest.raises(WeightsInvalid, match=sentence):
        read_task_config(tmp_path)


def test_every_condition_can_be_configured():
    for name in CONDITIONS:
        assert TaskConfig.model_validate(PLAIN | {"conditions": {"two-mask": [name]}})


def test_find_weights_finds_what_there_is(with_removal, linears):
    values = diffusers_keys(lora_values(linears))
    save_lora(with_removal / "lightning" / "Qwen-Image-Edit-2509-Lightning-8steps-V1.0-bf16.safetensors", values)
    found = find_weights(with_removal)
    assert (found.base, [*found.tasks], found.lightning.steps) == (with_removal / "base", ["removal"], 8)
    assert len(found.tasks["removal"].sha256) == len(found.lightning.sha256) == 64


def test_find_weights_without_tasks_finds_none(weights):
    found = find_weights(weights)
    assert (found.tasks, found.lightning) == ({}, None)


def put(folder, content):
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text(content)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda w: put(w / "tasks" / "painting" / "x", ""),
            "tasks/painting: there is no such task; there are insertion",
        ),
        (lambda w: (w / "tasks" / "removal" / "qwen_edit.yaml").unlink(), "removal has no qwen_edit.yaml, which says"),
        (
            lambda w: put(w / "tasks" / "removal" / "b.safetensors", ""),
            r"it holds b\.safetensors, weights\.safetensors",
        ),
        (lambda w: (w / "tasks" / "removal" / "weights.safetensors").unlink(), "removal should hold one file .* none"),
        (
            lambda w: (w / "tasks" / "removal").rename(w / "tasks" / "insertion"),
            "tasks/insertion holds a checkpoint for removal",
        ),
        (lambda w: put(w / "lightning" / "fast.safetensors", ""), "lightning/fast.safetensors: the name should say"),
        (lambda w: (w / "lightning").mkdir(), r"lightning should hold one file \*\.safetensors; it holds none"),
        (
            lambda w: put(w / "tasks" / "removal" / "qwen_edit.yaml", yaml.safe_dump(PLAIN | {"lightning": True})),
            "tasks/removal uses Lightning, and there is no folder lightning",
        ),
    ],
)
def test_find_weights_in_disorder_is_refused(with_removal, damage, sentence):
    damage(with_removal)
    with pytest.raises(WeightsInvalid, match=sentence):
        find_weights(with_removal)


def test_read_config_is_optional(tmp_path):
    assert read_config(tmp_path) == Config()
    (tmp_path / "config.yaml").write_text("")
    assert read_config(tmp_path) == Config()
    (tmp_path / "config.yaml").write_text("placement: group-offload\nreserve_gb: 2\n")
    assert read_config(tmp_path) == Config(placement="group-offload", reserve_gb=2)


@pytest.mark.parametrize("content", ["placement: tpu", "loras_kept: 1", "speed: 3", "a: [", "[1]"])
def test_read_config_with_an_impossible_value_is_refused(tmp_path, content):
    (tmp_path / "config.yaml").write_text(content)
    with pytest.raises(WeightsInvalid, match=r"config\.yaml"):
        read_config(tmp_path)


# What is checked before publishing.


def test_check_of_a_task_gives_what_requests_need(with_removal, base):
    folder = with_removal / "tasks" / "removal"
    found = check(folder, base)
    assert (found["kind"], found["task"]) == ("lora", "removal")
    assert found["sha256"] == find_weights(with_removal).tasks["removal"].sha256
    assert TaskConfig.model_validate(found["config"]) == read_task_config(folder)
    save_task(with_removal, "removal", whole_state(base))
    assert check(folder, base)["kind"] == "whole"


def test_check_of_a_task_without_a_base_is_against_the_published_one(with_removal):
    with pytest.raises(WeightsInvalid, match=r"has shapes .* should be \(rank, 3072\) and"):
        check(with_removal / "tasks" / "removal")


def test_check_of_a_whole_folder_tells_what_is_in_it(with_removal, removal):
    found = {"kind": "base", "layers": 2, "tasks": {"removal": "lora"}, "lightning_steps": None}
    assert check(with_removal) == found
    save_lora(with_removal / "lightning" / "Lightning-8steps.safetensors", removal)
    assert check(with_removal) == found | {"lightning_steps": 8}


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda w: (w / "base" / "vae" / "config.json").write_text("{"), "base/vae cannot be loaded"),
        (lambda w: (w / "base" / "tokenizer" / "vocab.json").unlink(), "base/processor cannot be loaded"),
        (
            lambda w: changed(w / "base" / "vae" / "diffusion_pytorch_model.safetensors", lambda s: s.popitem()),
            "base/vae lacks 1 of 146 keys",
        ),
        (
            lambda w: (w / "base" / "text_encoder" / "model.safetensors").write_bytes(b"x" * 100),
            "model.safetensors cannot be read as safetensors",
        ),
        (
            lambda w: min((w / "base" / "transformer").glob("*.safetensors")).unlink(),
            "base/transformer lacks .* of 77 keys",
        ),
        (lambda w: shutil.rmtree(w / "base" / "scheduler"), "base has no folder scheduler"),
    ],
)
def test_check_of_a_damaged_folder_is_refused(with_removal, own_base, damage, sentence):
    damage(with_removal)
    with pytest.raises(WeightsInvalid, match=sentence):
        check(with_removal)


@pytest.mark.parametrize("name", ["none", "file.safetensors"])
def test_check_of_no_folder_is_refused(tmp_path, name):
    (tmp_path / "file.safetensors").touch()
    with pytest.raises(WeightsInvalid, match="is no folder"):
        check(tmp_path / name)
