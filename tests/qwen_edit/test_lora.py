"""LoRA files: every trainer's form comes to the same values, and what does not fit is refused with its names."""

import json
import re

import pytest
import torch

from sagemaker_models.qwen_edit.lora import is_lora, read_lora
from sagemaker_models.qwen_edit.tensors import read_header
from sagemaker_models.serving.model import WeightsInvalid
from tests.qwen_edit.checkpoints import diffusers_keys, lora_values, save_lora, up_and_down_keys

Q = "transformer_blocks.0.attn.to_q"


@pytest.fixture
def values(linears):
    return lora_values(linears, rank=4)


def settings(**values):
    return {"lora_adapter_metadata": json.dumps({f"transformer.{key}": value for key, value in values.items()})}


FORMS = {
    "diffusers": (diffusers_keys, None, 1),
    "diffusers with settings": (diffusers_keys, settings(r=4, lora_alpha=2, alpha_pattern={}), 0.5),
    "ComfyUI": (lambda v: diffusers_keys(v, "diffusion_model."), None, 1),
    "DiffSynth": (lambda v: diffusers_keys(v, "", ".default"), None, 1),
    "DiffSynth, not cut": (lambda v: diffusers_keys(v, "pipe.dit.", ".default"), None, 1),
    "no prefix": (lambda v: diffusers_keys(v, ""), None, 1),
    "up and down": (up_and_down_keys, None, 1),
    "up and down with alpha": (lambda v: up_and_down_keys(v, alpha=8), None, 2),
    "up and down with alpha, prefixed": (lambda v: up_and_down_keys(v, "diffusion_model.", alpha=1), None, 0.25),
    "Kohya": (lambda v: up_and_down_keys(v, "lora_unet_", alpha=4, flat=True), None, 1),
    "Kohya with alpha": (lambda v: up_and_down_keys(v, "lora_unet_", alpha=2, flat=True), None, 0.5),
}


@pytest.mark.parametrize("form", FORMS)
def test_read_lora_of_any_form_gives_its_values(tmp_path, linears, values, form):
    keys, metadata, scale = FORMS[form]
    lora = read_lora(save_lora(tmp_path / "a.safetensors", keys(values), metadata), linears)
    assert lora.down.keys() == lora.up.keys() == values.keys()
    for name, (a, b) in values.items():
        torch.testing.assert_close(lora.up[name] @ lora.down[name], scale * b @ a)


def without(*words):
    return lambda state: [state.pop(key) for key in [*state] if all(word in key for word in words)]


def renamed(old, new):
    def change(state):
        for key in [*state]:
            state[key.replace(old, new)] = state.pop(key)

    return change


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (without("0.attn.to_q", "lora_B"), f"of {Q} it has transformer.{Q}.lora_A.weight only"),
        (without("0.attn.to_q", "lora_A"), f"of {Q} it has transformer.{Q}.lora_B.weight only"),
        (renamed("transformer.", "unet."), r"24 of its 24 keys are not known, the first are unet\..* and 21 more"),
        (renamed("transformer.", "base_model.model."), "keys are not known"),
        (renamed("attn.to_q", "attn.to_z"), r"4 of its 24 keys are not known, the first are .*to_z"),
        (renamed("transformer_blocks.1", "transformer_blocks.7"), "12 of its 24 keys are not known"),
        (renamed("lora_A", "lokr_w1"), "12 of its 24 keys are not known"),
        (lambda s: s.update({f"transformer.{Q}.dora_scale": torch.ones(48)}), "1 of its 25 .*dora_scale"),
        (lambda s: s.update({"text_encoder.layers.0.lora_A.weight": torch.ones(2, 2)}), "1 of its 25 .*text_encoder"),
        (
            lambda s: s.update({f"{Q}.lora_A.weight": torch.ones(4, 48)}),
            rf"has both \S*{Q}.lora_A.weight and \S*{Q}.lora_A.weight, which are the same",
        ),
        (
            lambda s: s.update({f"transformer.{Q}.lora_A.weight": torch.ones(4, 47)}),
            re.escape(f"{Q} has shapes (4, 47) and (48, 4); for this base they should be (rank, 48) and (48, rank)"),
        ),
        (lambda s: s.update({f"transformer.{Q}.lora_B.weight": torch.ones(48, 3)}), "has shapes"),
        (lambda s: s.update({f"transformer.{Q}.lora_B.weight": torch.ones(48, 4, 1, 1)}), "has shapes"),
        (lambda s: s.update({f"transformer.{Q}.lora_B.weight": torch.ones(48, 4).int()}), "is I32"),
        (lambda s: s.update({f"transformer.{Q}.lora_B.weight": torch.full((48, 4), torch.nan)}), "not finite"),
        (lambda s: s.update({f"transformer.{Q}.lora_A.weight": torch.full((4, 48), torch.inf)}), "not finite"),
    ],
)
def test_read_lora_that_does_not_fit_is_refused(tmp_path, linears, values, change, sentence):
    state = diffusers_keys(values)
    change(state)
    path = save_lora(tmp_path / "a.safetensors", state)
    with pytest.raises(WeightsInvalid, match=sentence):
        read_lora(path, linears)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        (settings(r=4, lora_alpha=4, alpha_pattern={"to_q": 8}), "trained with alpha_pattern"),
        (settings(r=4, lora_alpha=4, use_dora=True, use_rslora=True), "trained with use_rslora, use_dora"),
        ({"lora_adapter_metadata": "{"}, "no JSON"),
    ],
)
def test_read_lora_with_settings_that_are_not_read_is_refused(tmp_path, linears, values, metadata, sentence):
    path = save_lora(tmp_path / "a.safetensors", diffusers_keys(values), metadata)
    with pytest.raises(WeightsInvalid, match=sentence):
        read_lora(path, linears)


@pytest.mark.parametrize("kept", [0, 7, 100, 0.5, 0.99])
def test_read_lora_cut_off_is_refused(tmp_path, linears, values, kept):
    path = save_lora(tmp_path / "a.safetensors", diffusers_keys(values))
    content = path.read_bytes()
    path.write_bytes(content[: kept if isinstance(kept, int) else int(kept * len(content))])
    with pytest.raises(WeightsInvalid, match=r"a\.safetensors cannot be read as safetensors"):
        read_lora(path, linears)


def test_read_lora_of_a_pickle_or_a_missing_file_is_refused(tmp_path, linears):
    torch.save({"a": torch.ones(2)}, tmp_path / "a.safetensors")
    for name in ("a.safetensors", "none.safetensors"):
        with pytest.raises(WeightsInvalid, match="cannot be read as safetensors"):
            read_lora(tmp_path / name, linears)


def test_is_lora_tells_from_whole_weights(tmp_path, values):
    lora = save_lora(tmp_path / "a.safetensors", diffusers_keys(values))
    whole = save_lora(tmp_path / "b.safetensors", {"img_in.weight": torch.ones(2)})
    assert is_lora(read_header(lora))
    assert not is_lora(read_header(whole))
