"""Folders of weights that are not what they should be, each with a sentence for the operator."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench.flux_checkpoint import TINY
from sagemaker_models.flux import checkpoint, identity
from sagemaker_models.flux.config import SHIPPED, Config, read_config
from sagemaker_models.flux.licences import licences_of
from sagemaker_models.flux.model import Flux
from sagemaker_models.flux.tensors import read, visual
from sagemaker_models.serving.model import WeightsInvalid
from tests.flux.conftest import loaded

PULID = identity.PULID
TRANSFORMER = "flux/transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(dev_folder, tmp_path) -> Path:
    """FLUX.1 dev and PuLID, of which the test may replace files; writing into one would change it for all."""
    return Path(shutil.copytree(dev_folder, tmp_path / "weights", copy_function=os.link))


def changed(path: Path, change) -> None:
    """Change a file of tensors."""
    state = load_file(path) if path.suffix == ".safetensors" else torch.load(path)
    change(state)
    path.unlink()
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)


def without(key):
    return lambda state: state.pop(key)


def replaced(key, make):
    return lambda state: state.update({key: make(state[key])})


def cut(path: Path) -> None:
    half = path.read_bytes()[: path.stat().st_size // 2]
    path.unlink()
    path.write_bytes(half)


def refused(folder: Path, reason: str) -> None:
    with pytest.raises(WeightsInvalid, match=reason):
        loaded(folder)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("flux", "model_index.json cannot be read"),
        ("flux/transformer", "transformer holds no|config.json cannot be read"),
        ("flux/text_encoder_2", "text_encoder_2 holds no"),
        ("flux/tokenizer", "tokenizer is missing"),
        ("flux/scheduler", "scheduler is missing"),
        ("antelopev2", "scrfd_10g_bnkps.onnx is missing"),
        (PULID, None),
        ("eva02_clip_l_336.pt", "lacks eva02_clip_l_336.pt"),
        ("parsing_bisenet.pth", "parsing_bisenet.pth cannot be read"),
    ],
)
def test_folder_that_lacks_a_part_is_refused(folder, name, reason):
    path = folder / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
    if reason is None:
        assert loaded(folder).describe()["identity"] is False
    else:
        refused(folder, reason)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (TRANSFORMER, "transformer/diffusion_pytorch_model.safetensors cannot be read"),
        ("flux/vae/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors cannot be read"),
        ("flux/text_encoder_2/model.safetensors", "text_encoder_2/model.safetensors cannot be read"),
        ("flux/transformer/config.json", "config.json cannot be read"),
        (PULID, f"{PULID} cannot be read as a checkpoint"),
        ("eva02_clip_l_336.pt", "eva02_clip_l_336.pt cannot be read as a checkpoint"),
        ("parsing_bisenet.pth", "parsing_bisenet.pth cannot be read as a checkpoint"),
        ("antelopev2/glintr100.onnx", "glintr100.onnx cannot be read as a network"),
    ],
)
def test_file_that_was_cut_off_is_refused(folder, name, reason):
    cut(folder / name)
    refused(folder, reason)


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        (TRANSFORMER, without("x_embedder.bias"), r"flux/transformer lacks 1 of the \d+ keys, such as x_embedder.bias"),
        (TRANSFORMER, replaced("x_embedder.bias", lambda value: value[:5]), r"x_embedder.bias is \(5,\), expected"),
        ("flux/text_encoder/model.safetensors", without("text_model.final_layer_norm.bias"), "lacks 1 of its weights"),
        ("flux/text_encoder_2/model.safetensors", without("encoder.final_layer_norm.weight"), "lacks 1 of its weights"),
        ("flux/vae/diffusion_pytorch_model.safetensors", without("decoder.conv_in.bias"), "lacks 1 of its weights"),
        (PULID, without("pulid_ca.3.norm1.bias"), r"lacks 1 of the \d+ keys, such as pulid_ca.3.norm1.bias"),
        (
            PULID,
            lambda state: state.update({"pulid_ca.4.to_q.weight": torch.zeros(2)}),
            r"has the unknown 1 of the \d+ keys, such as pulid_ca.4.to_q.weight",
        ),
        (
            PULID,
            replaced("pulid_encoder.latents", lambda value: value[:, :2].clone()),
            r"is \(1, 2, 16\), expected \(1, 3, 16\)",
        ),
        (
            PULID,
            replaced("pulid_encoder.proj_out", lambda value: value * torch.nan),
            "proj_out holds values that are not finite",
        ),
        ("eva02_clip_l_336.pt", without("visual.norm.bias"), r"lacks 1 of the \d+ keys, such as norm.bias"),
        ("parsing_bisenet.pth", without("ffm.conv1.weight"), "lacks 1 of the 191 keys, such as ffm.conv1.weight"),
    ],
)
def test_file_whose_tensors_are_not_the_published_ones_is_refused(folder, name, change, reason):
    changed(folder / name, change)
    refused(folder, reason)


def test_folder_of_another_pipeline_is_refused(folder):
    path = folder / "flux" / "model_index.json"
    path.unlink()
    path.write_text(json.dumps({"_class_name": "FluxFillPipeline"}))
    refused(folder, "holds a FluxFillPipeline, expected the FluxPipeline")


def test_pulid_of_another_flux_is_refused(dev_folder):
    with pytest.raises(WeightsInvalid, match="PuLID has 20 modules of width 3072, and this transformer 4 places of 32"):
        Flux().load(dev_folder)


def test_pickled_code_is_not_run(folder, tmp_path):
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    (folder / "eva02_clip_l_336.pt").unlink()
    torch.save({"visual.cls_token": Evil()}, folder / "eva02_clip_l_336.pt")
    refused(folder, "cannot be read as a checkpoint")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("root", ["model", "module", "state_dict", None])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_vision_tower_is_found_in_every_form_of_its_file(tmp_path, root, prefix):
    tensors = {"visual.cls_token": torch.zeros(1), "visual.rope.freqs_cos": torch.zeros(2), "text.head": torch.zeros(3)}
    tensors |= {"visual.blocks.3.attn.rope.freqs_sin": torch.zeros(2), "logit_scale": torch.zeros(())}
    stored = {f"{prefix}{key}": value for key, value in tensors.items()}
    torch.save({root: stored} if root else stored, tmp_path / "tower.pt")
    assert list(visual(read(tmp_path / "tower.pt"))) == ["cls_token"]


def test_vision_tower_may_be_safetensors(folder):
    state = torch.load(folder / "eva02_clip_l_336.pt")
    (folder / "eva02_clip_l_336.pt").unlink()
    save_file(
        {key.removeprefix("visual."): value for key, value in state.items()}, folder / "eva02_clip_l_336.safetensors"
    )
    assert loaded(folder).describe()["identity"] is True


def test_check_says_what_a_folder_is(dev_folder, schnell_folder):
    sizes = {"sizes": TINY.pulid, "tower_sizes": TINY.tower}
    licences = {each: licences_of(each, identity=each == "dev") for each in ("dev", "schnell")}
    dev = {"variant": "dev", "identity": True, "licences": licences["dev"]}
    assert checkpoint.check(dev_folder, **sizes) == dev
    schnell = {"variant": "schnell", "identity": False, "licences": licences["schnell"]}
    assert checkpoint.check(schnell_folder) == schnell
    assert [each["commercial"] for each in licences["schnell"]] == [True]


def test_look_counts_the_numbers(dev_folder, dev):
    found = checkpoint.look(dev_folder, TINY.pulid).weights
    pipeline = dev._loaded.painter._from_noise
    counts = {
        name: sum(each.numel() for each in getattr(pipeline, name).parameters())
        for name in ("transformer", "vae", "text_encoder", "text_encoder_2")
    }
    assert found.transformer == counts["transformer"]
    assert found.others == counts["vae"] + counts["text_encoder"] + counts["text_encoder_2"]
    assert found.largest_other == max(counts["vae"], counts["text_encoder"], counts["text_encoder_2"])


def test_config_that_is_shipped_is_the_default_and_others_are_checked(tmp_path):
    assert read_config(tmp_path) == Config() == Config.model_validate(read_config(SHIPPED.parent).model_dump())
    path = tmp_path / "config.yaml"
    for text, reason in (
        ("placement: moon\n", r"config\.yaml: placement"),
        ("compiler: true\n", r"config\.yaml: compiler"),
        ("placement: [\n", r"config\.yaml cannot be read"),
        ("prompt_cache_entries: -1\n", r"config\.yaml: prompt_cache_entries"),
    ):
        path.write_text(text)
        with pytest.raises(WeightsInvalid, match=reason):
            read_config(tmp_path)
