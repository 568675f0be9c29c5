"""Switching checkpoints on the real pipeline: the right weights are at work, and nothing is loaded twice."""

import numpy as np
import pytest
import torch

from sagemaker_models.qwen_edit.adapters import Adapters
from sagemaker_models.qwen_edit.generate import Job, generate
from sagemaker_models.qwen_edit.pipeline import load_pipeline, weight_files
from sagemaker_models.qwen_edit.placement import place
from sagemaker_models.qwen_edit.plan import Lightning
from sagemaker_models.qwen_edit.task_config import TaskConfig
from sagemaker_models.qwen_edit.tensors import hash_of
from sagemaker_models.qwen_edit.weights import TaskCheckpoint
from sagemaker_models.qwen_edit.whole import parameters_of
from sagemaker_models.serving.model import WeightsInvalid, unwatched
from tests.qwen_edit.checkpoints import (
    diffusers_keys,
    lora_values,
    photo,
    save_lora,
    up_and_down_keys,
    whole_state,
)

LAYER = "transformer_blocks.1.img_mlp.net.2"


def checkpoint(path, scale=1.0):
    config = TaskConfig(task="removal", conditions={"plain": ["mask"]}, lora_scale=scale)
    return TaskCheckpoint(config, path, hash_of(path))


class Stand:
    """A pipeline with adapters, and some checkpoints."""

    def __init__(self, base, folder, linears, *, way="cpu", kept=6):
        self.pipe = load_pipeline(base)
        place(self.pipe, way, torch.device("cpu"))
        self.adapters = Adapters(self.pipe, weight_files(base, "transformer"), kept)
        self.values = {name: lora_values(linears, seed=seed) for seed, name in enumerate("abc")}
        self.checkpoints = {
            name: checkpoint(save_lora(folder / f"{name}.safetensors", diffusers_keys(values)))
            for name, values in self.values.items()
        }

    def use(self, name, lightning=None):
        return self.adapters.use(self.checkpoints[name], lightning)

    def made(self):
        return generate(self.pipe, Job([photo(64, 64)], "x", None, 1.0, 2, 3), unwatched)

    def layer(self, inputs):
        return self.pipe.transformer.get_submodule(LAYER)(inputs.bfloat16()).float()


@pytest.fixture
def stand(base, tmp_path, linears):
    return Stand(base, tmp_path, linears)


def by_hand(stand, inputs, scales):
    """The layer's output with ΔW = s·B·A of some LoRAs added to its weight, in fp32."""
    own = parameters_of(stand.pipe.transformer)
    weight, bias = own[f"{LAYER}.weight"].float(), own[f"{LAYER}.bias"].float()
    for name, scale in scales.items():
        down, up = stand.values[name][LAYER]
        weight = weight + scale * up @ down
    return inputs.bfloat16().float() @ weight.T + bias


def close(one, other):
    """As close as bf16 is, and much closer than what a LoRA changes."""
    return (one - other).abs().max() < 0.03 * other.abs().max()


def test_use_puts_exactly_the_checkpoints_lora_to_work(stand):
    inputs = torch.randn(5, stand.pipe.transformer.get_submodule(LAYER).in_features)
    assert close(stand.layer(inputs), by_hand(stand, inputs, {}))
    for name in "abca":
        stand.use(name)
        assert close(stand.layer(inputs), by_hand(stand, inputs, {name: 1}))
        assert not close(stand.layer(inputs), by_hand(stand, inputs, {}))


def test_use_takes_the_checkpoints_scale(stand):
    inputs = torch.randn(5, stand.pipe.transformer.get_submodule(LAYER).in_features)
    path = stand.checkpoints["a"].path
    for scale in (0.5, 1.5):
        stand.adapters.use(checkpoint(path, scale), None)
        assert close(stand.layer(inputs), by_hand(stand, inputs, {"a": scale}))


def test_use_lays_lightning_over_the_checkpoint_and_takes_it_off_again(stand, tmp_path):
    inputs = torch.randn(5, stand.pipe.transformer.get_submodule(LAYER).in_features)
    state = up_and_down_keys(stand.values["b"], alpha=2)
    path = save_lora(tmp_path / "Lightning-4steps.safetensors", state)
    lightning = Lightning(path, hash_of(path), 4)
    assert len(stand.use("a", lightning)) == 2
    assert close(stand.layer(inputs), by_hand(stand, inputs, {"a": 1, "b": 1}))
    assert len(stand.use("a")) == 1
    assert close(stand.layer(inputs), by_hand(stand, inputs, {"a": 1}))


def test_use_switches_back_and_forth_to_the_same_pictures(stand):
    weights = {name: each.data_ptr() for name, each in parameters_of(stand.pipe.transformer).items()}
    made = {}
    for name in "ab":
        stand.use(name)
        made[name] = stand.made()
    assert not np.array_equal(made["a"], made["b"])
    for name in "ba":
        stand.use(name)
        np.testing.assert_array_equal(stand.made(), made[name])
    assert {name: each.data_ptr() for name, each in parameters_of(stand.pipe.transformer).items()} == weights


def test_use_of_more_than_are_kept_lets_the_one_go_that_was_used_longest_ago(base, tmp_path, linears):
    stand = Stand(base, tmp_path, linears, kept=2)
    names = {name: stand.use(name)[0] for name in "aba"}
    names |= {"c": stand.use("c")[0]}
    assert stand.adapters.loaded == (names["a"], names["c"])
    assert stand.pipe.get_list_adapters()["transformer"] == [names["a"], names["c"]]
    inputs = torch.randn(5, stand.pipe.transformer.get_submodule(LAYER).in_features)
    stand.use("b")
    assert close(stand.layer(inputs), by_hand(stand, inputs, {"b": 1}))
    assert names["a"] not in stand.adapters.loaded


def test_use_with_lightning_never_lets_the_checkpoint_under_it_go(base, tmp_path, linears):
    stand = Stand(base, tmp_path, linears, kept=2)
    path = stand.checkpoints["c"].path
    stand.use("a")
    stand.use("b")
    assert len(stand.use("a", Lightning(path, hash_of(path), 4))) == 2
    inputs = torch.randn(5, stand.pipe.transformer.get_submodule(LAYER).in_features)
    assert close(stand.layer(inputs), by_hand(stand, inputs, {"a": 1, "c": 1}))


def test_use_of_whole_weights_is_as_if_they_were_the_base_and_gives_the_base_back(stand, base, tmp_path):
    stand.use("a")
    with_lora = stand.made()
    state = whole_state(base, scale=1.5)
    stand.checkpoints["whole"] = checkpoint(save_lora(tmp_path / "whole.safetensors", state))
    assert stand.use("whole") == []
    own = parameters_of(stand.pipe.transformer)
    assert own.keys() == state.keys()
    assert all(torch.equal(own[name], value.bfloat16()) for name, value in state.items())
    inputs = torch.randn(5, stand.pipe.transformer.get_submodule(LAYER).in_features)
    assert close(stand.layer(inputs), by_hand(stand, inputs, {}))
    without_lora = stand.made()
    stand.use("a")
    np.testing.assert_array_equal(stand.made(), with_lora)
    assert all(torch.equal(own[name], value.bfloat16()) for name, value in whole_state(base).items())
    assert not np.array_equal(without_lora, with_lora)


@pytest.mark.parametrize("way", ["fp8", "group-offload"])
def test_use_works_however_the_pipeline_is_placed(base, tmp_path, linears, way):
    stand = Stand(base, tmp_path, linears, way=way)
    made = {}
    for name in "aba":
        stand.use(name)
        made.setdefault(name, []).append(stand.made())
    np.testing.assert_array_equal(*made["a"])
    assert not np.array_equal(made["a"][0], made["b"][0])
    kinds = {each.dtype for name, each in stand.pipe.transformer.named_parameters() if ".lora_" in name}
    assert kinds == {torch.bfloat16}
    layer = stand.pipe.transformer.get_submodule(LAYER)
    name = stand.use("b")[0]
    assert torch.equal(layer.lora_A[name].weight, stand.values["b"][LAYER][0].bfloat16())
    assert torch.equal(layer.lora_B[name].weight, stand.values["b"][LAYER][1].bfloat16())
    assert layer.weight.dtype is (torch.float8_e4m3fn if way == "fp8" else torch.bfloat16)


def test_use_of_whole_weights_goes_into_8_bits_too(base, tmp_path, linears):
    stand = Stand(base, tmp_path, linears, way="fp8")
    before = stand.made()
    state = whole_state(base, scale=1.5)
    stand.adapters.use(checkpoint(save_lora(tmp_path / "whole.safetensors", state)), None)
    own = parameters_of(stand.pipe.transformer)
    assert torch.equal(own[f"{LAYER}.weight"].float(), state[f"{LAYER}.weight"].to(torch.float8_e4m3fn).float())
    assert not np.array_equal(stand.made(), before)


def test_use_of_a_lora_that_loads_nothing_is_refused(stand, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(stand.pipe, "load_lora_weights", lambda *_, **__: None)
        with pytest.raises(WeightsInvalid, match=r"a\.safetensors was loaded, but left nothing behind"):
            stand.use("a")
    stand.use("a")


def test_use_of_a_lora_that_loads_in_part_is_refused_and_leaves_nothing(stand, monkeypatch):
    whole = stand.pipe.load_lora_weights

    def half(state, **options):
        whole({key: value for key, value in state.items() if LAYER not in key}, **options)

    with monkeypatch.context() as patch:
        patch.setattr(stand.pipe, "load_lora_weights", half)
        with pytest.raises(WeightsInvalid, match=f"{LAYER} has nothing of it"):
            stand.use("a")
    assert stand.adapters.loaded == ()
    assert stand.pipe.get_list_adapters() == {}
    stand.use("a")


def test_use_of_a_lora_that_the_library_refuses_says_so(stand, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("Target modules\n  not found")

    monkeypatch.setattr(stand.pipe, "load_lora_weights", refuse)
    with pytest.raises(WeightsInvalid, match=r"a\.safetensors cannot be loaded as a LoRA: Target modules not found"):
        stand.use("a")


def test_use_without_memory_says_that_memory_is_short(stand, monkeypatch):
    def refuse(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(stand.pipe, "load_lora_weights", refuse)
        with pytest.raises(torch.OutOfMemoryError):
            stand.use("a")
    stand.use("a")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.pop("img_in.bias"), "lacks 1 of 77 keys: img_in.bias"),
        (lambda s: s.update({"x.scale_weight": torch.ones(1)}), "has the unknown 1 of 77 keys: x.scale_weight"),
        (lambda s: s.update({"img_in.bias": torch.ones(49)}), r"img_in.bias is \(49,\), this base has \(48,\)"),
        (lambda s: s.update({"img_in.bias": torch.ones(48).to(torch.float8_e4m3fn)}), "img_in.bias is F8_E4M3"),
        (lambda s: s.update({"proj_out.bias": torch.full((64,), torch.nan)}), "proj_out.bias holds values"),
    ],
)
def test_use_of_whole_weights_that_do_not_fit_is_refused_and_the_next_is_served(
    stand, base, tmp_path, change, sentence
):
    stand.use("a")
    before = stand.made()
    state = whole_state(base, scale=2.0)
    change(state)
    with pytest.raises(WeightsInvalid, match=sentence):
        stand.adapters.use(checkpoint(save_lora(tmp_path / "whole.safetensors", state)), None)
    stand.use("a")
    np.testing.assert_array_equal(stand.made(), before)


@pytest.mark.parametrize("prefix", ["transformer.", "model.diffusion_model.", "pipe.dit."])
def test_use_of_whole_weights_takes_trainers_prefixes(stand, base, tmp_path, prefix):
    state = {prefix + key: value for key, value in whole_state(base, scale=1.5).items()}
    stand.adapters.use(checkpoint(save_lora(tmp_path / "whole.safetensors", state)), None)
    own = parameters_of(stand.pipe.transformer)
    assert torch.equal(own["img_in.bias"], state[f"{prefix}img_in.bias"].bfloat16())


def test_prepare_loads_loras_and_checks_whole_weights(stand, base, tmp_path):
    path = stand.checkpoints["a"].path
    stand.adapters.prepare(path, hash_of(path))
    assert len(stand.adapters.loaded) == 1
    stand.adapters.prepare(save_lora(tmp_path / "good.safetensors", whole_state(base)), "0" * 64)
    with pytest.raises(WeightsInvalid, match="lacks 76 of 77 keys"):
        stand.adapters.prepare(save_lora(tmp_path / "x.safetensors", {"img_in.bias": torch.ones(48)}), "0" * 64)
    assert len(stand.adapters.loaded) == 1
