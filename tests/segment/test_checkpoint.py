"""The weights folder: each part read strictly, and refused with one sentence."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Sam2VideoConfig, Sam2VideoModel

from bench.segment_checkpoint import SMALLEST, Bright, write_network
from sagemaker_models.segment.checkpoint import check, load_sam, look
from sagemaker_models.segment.config import Config, read_config
from sagemaker_models.segment.prompts import Prompt
from sagemaker_models.serving.model import WeightsInvalid
from tests.segment.pictures import noise

CLICK = Prompt(((30.0, 40.0),), (1,), None, "points")


@pytest.fixture
def own(folder, tmp_path):
    """A copy of the weights, to be changed."""
    shutil.copytree(folder, tmp_path / "own")
    return tmp_path / "own"


def weights(folder):
    return folder / "prompts" / "model.safetensors"


def change(folder, **tensors):
    """Replace tensors, or take them away."""
    state = load_file(weights(folder)) | {key.replace("__", "."): value for key, value in tensors.items()}
    save_file({key: value for key, value in state.items() if value is not None}, weights(folder))


def frame(folder):
    return load_sam(folder / "prompts", "cpu", None)[0]._frame


def found_in(prompts):
    """Return the logits of a click."""
    sam, _ = load_sam(prompts, "cpu", None)
    return sam.find(sam.embed(noise()), CLICK).logits


def refusal(folder):
    with pytest.raises(WeightsInvalid) as caught:
        load_sam(folder / "prompts", "cpu", None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_look_finds_what_is_there(folder, own):
    assert set(look(folder).backgrounds) == {"fast", "best"}
    (own / "backgrounds" / "best.onnx").unlink()
    shutil.rmtree(own / "prompts")
    found = look(own)
    assert (found.prompts, set(found.backgrounds)) == (None, {"fast"})


def test_look_at_nothing_is_refused(tmp_path):
    with pytest.raises(WeightsInvalid, match=r"holds none of prompts/, backgrounds/fast\.onnx"):
        look(tmp_path)


def test_load_of_the_folder_for_videos_leaves_their_part_out(folder, tmp_path):
    config = json.loads((folder / "prompts" / "config.json").read_text())
    parts = {name: config[name] for name in ("vision_config", "prompt_encoder_config", "mask_decoder_config")}
    for part in ("prompt_encoder_config", "mask_decoder_config"):
        parts[part].pop("model_type")
    narrow = {
        "memory_attention_hidden_size": 32,
        "memory_attention_feed_forward_hidden_size": 32,
        "memory_attention_rope_feat_sizes": [8, 8],
        "memory_encoder_hidden_size": 32,
        "memory_encoder_output_channels": 8,
        "mask_downsampler_embed_dim": 32,
        "memory_fuser_embed_dim": 32,
    }
    videos = Sam2VideoModel(Sam2VideoConfig(**parts, **narrow, image_size=SMALLEST.picture_px))
    pictures = load_file(weights(folder))
    videos.load_state_dict(videos.state_dict() | pictures)
    videos.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == "sam2_video"
    assert len(stored) > len(pictures)
    np.testing.assert_allclose(found_in(tmp_path), found_in(folder / "prompts"), atol=1e-6)


def test_load_of_a_file_with_one_name_of_the_shared_table_finds_the_other(folder, own):
    expected = found_in(folder / "prompts")
    for name in ("prompt_encoder.shared_embedding", "shared_image_embedding"):
        shutil.copy(weights(folder), weights(own))
        change(own, **{f"{name}.positional_embedding": None})
        np.testing.assert_allclose(found_in(own / "prompts"), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ({"no_memory_embedding": None}, "lacks 1 of the 261 keys, such as no_memory_embedding"),
        ({"other": torch.zeros(1)}, "has the unknown 1 of the 261 keys, such as other"),
        ({"mask_decoder__iou_token__weight": torch.zeros(2, 32)}, "is (2, 32), expected (1, 32)"),
        ({"mask_decoder__iou_token__weight": torch.full((1, 32), torch.nan)}, "values that are not finite"),
    ],
)
def test_load_of_other_weights_is_refused(own, tensors, said):
    change(own, **tensors)
    assert said in refusal(own)
    assert "prompts/model.safetensors" in refusal(own)


def test_load_of_a_cut_off_file_is_refused(own):
    weights(own).write_bytes(weights(own).read_bytes()[:-100])
    assert "fetch it again" in refusal(own)


def test_load_without_weights_says_which_layout_is_meant(own):
    weights(own).rename(own / "prompts" / "sam2.1_hiera_tiny.pt")
    assert "transformers' layout" in refusal(own)


@pytest.mark.parametrize("kind", ["edgetam", "edgetam_video"])
def test_load_of_edgetam_says_that_it_cannot_be_run_here(own, kind):
    (own / "prompts" / "config.json").write_text(json.dumps({"model_type": kind}))
    assert refusal(own).startswith("prompts holds EdgeTAM")
    assert refusal(own).endswith("put SAM 2.1 tiny there")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{", "cannot be read"),
        ("[]", "no JSON object"),
        ('{"model_type": "sam"}', "is of sam, expected"),
        ('{"model_type": "sam2", "mask_decoder_config": {"hidden_size": "wide"}}', "describes no SAM 2.1"),
        ('{"model_type": "sam2", "vision_config": {"backbone_feature_sizes": [[8, 8]]}}', "do not belong to"),
        ('{"model_type": "sam2"}', "prompts/model.safetensors"),
    ],
)
def test_load_with_another_configuration_is_refused(own, config, said):
    (own / "prompts" / "config.json").write_text(config)
    assert said in refusal(own)


def test_load_without_configuration_is_refused(own):
    (own / "prompts" / "config.json").unlink()
    assert "prompts/config.json is missing; copy the published folder as a whole" in refusal(own)


@pytest.mark.parametrize(
    ("said", "fits"),
    [
        ({"size": {"height": 128, "width": 128}}, True),
        ({"image_processor": {"size": {"height": 128, "width": 128}, "image_mean": [0.5] * 3}}, True),
        ({"size": {"height": 1024, "width": 1024}}, False),
        ({"size": {"height": 128, "width": 128}, "image_std": [0.2, 0.2]}, False),
        ({"size": {"height": 128, "width": 128}, "image_std": [0.2, 0.2, 0]}, False),
        ({"size": {"longest_edge": 128}}, False),
    ],
)
def test_load_holds_the_processors_file_against_the_network(own, said, fits):
    (own / "prompts" / "preprocessor_config.json").unlink()
    (own / "prompts" / "processor_config.json").write_text(json.dumps(said))
    if fits:
        mean = said.get("image_processor", {}).get("image_mean", [0.485, 0.456, 0.406])
        assert list(frame(own).mean) == mean
    else:
        assert "prompts/processor_config.json" in refusal(own)


def test_load_without_the_processors_file_takes_what_is_published(own, folder):
    (own / "prompts" / "preprocessor_config.json").unlink()
    assert frame(own) == frame(folder)


def test_check_says_what_each_part_is(folder):
    found = check(folder)
    assert json.loads(json.dumps(found)) == found
    assert (found["prompts"], found["fast"], found["best"]) == (
        "SAM 2.1 of 0.2 million weights",
        "u2net at 320 px",
        "birefnet at 96 px",
    )
    assert [(each["part"], each["commercial"]) for each in found["licences"]] == [
        ("SAM 2.1", True),
        ("U2-Net", None),
        ("what best.onnx holds", None),
    ]


def test_check_lets_each_network_look_at_a_picture(own):
    write_network(own / "backgrounds" / "best.onnx", Bright(96, gain=float("nan")))
    with pytest.raises(WeightsInvalid, match=r"backgrounds/best\.onnx does not run: .*no numbers"):
        check(own)
    (own / "backgrounds" / "best.onnx").unlink()
    change(own, mask_decoder__iou_token__weight=torch.full((1, 32), 3e38))
    with pytest.raises(WeightsInvalid, match=r"prompts does not run: .*no numbers"):
        check(own)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("precision: fp8\n", "precision"),
        ("embedding_cache_mb: -1\n", "embedding_cache_mb"),
        ("fast: {family: rmbg}\n", "fast.family"),
        ("fast: {std: [1, 0, 1]}\n", "fast.std.1"),
        ("best: {size_px: 31}\n", "best.size_px"),
        ("colour: 1\n", "colour"),
        ("a: b: c\n", "cannot be read"),
    ],
)
def test_config_with_something_impossible_is_refused(tmp_path, text, said):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(WeightsInvalid, match=said):
        read_config(tmp_path)


@pytest.mark.parametrize("text", [None, "", "# nothing\n"])
def test_config_that_says_nothing_is_the_default(tmp_path, text):
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)
    assert read_config(tmp_path) == Config()
