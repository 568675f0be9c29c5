"""The base from the disk: the published layout loads whole, everything else is refused with the part's name."""

import inspect
import json
import shutil
import sys

import numpy as np
import pytest
import torch
from diffusers import QwenImageTransformer2DModel
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as published
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import Qwen2Tokenizer, Qwen2VLProcessor

from backlot.errors import OutputInvalid
from bench.qwen_edit_checkpoint import NUMBERS, TINY, write_base
from sagemaker_models.qwen_edit.generate import Job, generate
from sagemaker_models.qwen_edit.pipeline import load_pipeline, sizes_of, tell_pictures
from sagemaker_models.qwen_edit.processor import load_processor
from sagemaker_models.serving.model import Cancelled, WeightsInvalid, unwatched
from tests.qwen_edit.checkpoints import changed, photo

PICTURE = NUMBERS["<|image_pad|>"]


@pytest.fixture(scope="module")
def pipe(base):
    return load_pipeline(base)


def job(**changes):
    values = {"images": [photo(64, 64)], "prompt": "x", "negative_prompt": None, "true_cfg": 1.0, "steps": 2, "seed": 3}
    return Job(**(values | changes))


def test_load_pipeline_takes_all_weights_in_bf16(base, pipe):
    assert len(list((base / "transformer").glob("*.safetensors"))) > 1
    for name in ("transformer", "vae", "text_encoder"):
        network = getattr(pipe, name)
        assert {each.dtype for each in network.parameters()} == {torch.bfloat16}, name
        assert not any(each.requires_grad or each.is_meta for each in network.parameters()), name
    with safe_open(base / "vae" / "diffusion_pytorch_model.safetensors", framework="pt") as file:
        assert torch.equal(pipe.vae.state_dict()["encoder.conv_in.weight"], file.get_tensor("encoder.conv_in.weight"))


def test_load_pipeline_reads_the_text_encoder_under_its_published_names(base, pipe):
    with safe_open(base / "text_encoder" / "model.safetensors", framework="pt") as file:
        assert {key.split(".")[0] for key in file.keys()} == {"model", "visual", "lm_head"}  # noqa: SIM118
        stored = file.get_tensor("visual.patch_embed.proj.weight")
    assert torch.equal(pipe.text_encoder.model.visual.patch_embed.proj.weight, stored)


def test_load_pipeline_reads_the_flat_configuration_that_was_published(own_base, weights, pipe):
    path = own_base / "text_encoder" / "config.json"
    config = json.loads(path.read_text())
    words = config.pop("text_config")
    rope = words.pop("rope_parameters")
    words |= {"rope_scaling": {"type": "mrope", "mrope_section": rope["mrope_section"]}, "rope_theta": 1000000.0}
    path.write_text(json.dumps(words | config | {"model_type": "qwen2_5_vl", "torch_dtype": "bfloat16"}))
    loaded = load_pipeline(own_base)
    np.testing.assert_array_equal(generate(loaded, job(), unwatched), generate(pipe, job(), unwatched))


def test_load_pipeline_of_a_base_like_2511_runs_its_own_way(tmp_path, pipe):
    other = load_pipeline(write_base(tmp_path, TINY, zero_cond_t=True))
    assert other.transformer.config.zero_cond_t
    made = generate(other, job(), unwatched)
    assert made.shape == (64, 64, 3)
    assert not np.array_equal(made, generate(pipe, job(), unwatched))


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def edit_json(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda b: remove(b / "model_index.json"), "base/model_index.json is missing; base should be Qwen-Image-Edit"),
        (lambda b: (b / "model_index.json").write_text("{"), "base/model_index.json cannot be read"),
        (lambda b: (b / "model_index.json").write_text("[]"), "base is a None; it should be a QwenImageEditPlus"),
        (
            lambda b: edit_json(b / "model_index.json", _class_name="QwenImageEditPipeline"),
            "base is a QwenImageEditPipeline; it should be a QwenImageEditPlusPipeline",
        ),
        (lambda b: remove(b / "processor"), "base has no folder processor"),
        (lambda b: remove(b / "processor" / "preprocessor_config.json"), "base/processor cannot be loaded"),
        (lambda b: (b / "tokenizer" / "vocab.json").write_text("{"), "base/processor cannot be loaded"),
        (lambda b: remove(b / "scheduler" / "scheduler_config.json"), "base/scheduler cannot be loaded"),
        (lambda b: (b / "vae" / "config.json").write_text("{"), "base/vae cannot be loaded: .*JSON"),
        (lambda b: remove(b / "vae" / "diffusion_pytorch_model.safetensors"), "base/vae cannot be loaded"),
        (
            lambda b: edit_json(b / "transformer" / "config.json", num_layers=3),
            "base/transformer lacks 32 keys: transformer_blocks.2.attn.add_k_proj.bias, .* and 29 more",
        ),
        (
            lambda b: edit_json(b / "transformer" / "config.json", num_layers=1),
            "base/transformer has the unknown 32 keys: transformer_blocks.1",
        ),
        (
            lambda b: edit_json(b / "transformer" / "config.json", joint_attention_dim=24),
            "base/transformer cannot be loaded: .*expected shape",
        ),
        (
            lambda b: changed(b / "vae" / "diffusion_pytorch_model.safetensors", lambda s: s.pop("quant_conv.bias")),
            "base/vae lacks 1 keys: quant_conv.bias",
        ),
        (
            lambda b: changed(b / "text_encoder" / "model.safetensors", lambda s: s.pop("model.norm.weight")),
            "base/text_encoder lacks 1 keys: model.language_model.norm.weight",
        ),
        (
            lambda b: changed(
                b / "text_encoder" / "model.safetensors", lambda s: s.update({"model.norm.weight": torch.ones(17)})
            ),
            "base/text_encoder cannot be loaded",
        ),
        (
            lambda b: edit_json(b / "text_encoder" / "config.json", image_token_id=3),
            "do not belong together: number of the picture mark 262 and 3",
        ),
    ],
)
# What the libraries say of it beside, we say too.
@pytest.mark.filterwarnings("ignore")
def test_load_pipeline_of_a_damaged_base_is_refused(own_base, damage, sentence):
    damage(own_base)
    with pytest.raises(WeightsInvalid, match=sentence):
        load_pipeline(own_base)


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
@pytest.mark.parametrize("kept", [0, 0.5, 0.99])
def test_load_pipeline_of_weights_cut_off_is_refused(own_base, part, kept):
    path = sorted((own_base / part).glob("*.safetensors"))[-1]
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(WeightsInvalid, match=f"base/{part} cannot be loaded"):
        load_pipeline(own_base)


@pytest.mark.filterwarnings("ignore")
def test_load_pipeline_never_opens_a_pickle(own_base):
    path = own_base / "vae" / "diffusion_pytorch_model.safetensors"
    torch.save(load_file(path), path.with_suffix(".bin"))
    remove(path)
    with pytest.raises(WeightsInvalid, match="base/vae cannot be loaded"):
        load_pipeline(own_base)


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"joint_attention_dim": 24}, "features of a word 24 and 16"),
        ({"in_channels": 32, "out_channels": 8}, "latent channels 32 and 64"),
    ],
)
def test_load_pipeline_of_parts_of_two_models_is_refused(own_base, tmp_path, other, sentence):
    remove(own_base / "transformer")
    QwenImageTransformer2DModel(**(TINY.transformer | other)).save_pretrained(own_base / "transformer")
    with pytest.raises(WeightsInvalid, match=sentence):
        load_pipeline(own_base)


def test_sizes_of_counts_the_files(base):
    sizes = sizes_of(base)
    files = (base / "transformer").glob("*.safetensors")
    assert sizes.transformer == sum(path.stat().st_size for path in files) > 100_000
    assert sizes.total > sizes.transformer


def test_sizes_of_a_base_without_weights_is_refused(own_base):
    remove(own_base / "vae" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(WeightsInvalid, match=r"base/vae holds no \*\.safetensors"):
        sizes_of(own_base)


# The processor.


def test_processor_runs_without_torchvision_which_the_librarys_own_wants(base, pipe):
    # When the library's own loads here, ours can go.
    with pytest.raises(ImportError, match="Torchvision"):
        Qwen2VLProcessor.from_pretrained(base / "processor", local_files_only=True)
    generate(pipe, job(), unwatched)
    assert not [name for name in sys.modules if name.partition(".")[0] == "torchvision"]


@pytest.mark.parametrize("kind", ["Qwen2VLImageProcessor", "Qwen2VLImageProcessorFast"])
@pytest.mark.parametrize("whole", [True, False])
def test_load_processor_of_published_folders_gives_the_encoders_input(own_base, kind, whole):
    edit_json(own_base / "processor" / "preprocessor_config.json", image_processor_type=kind)
    if whole:
        # As published, the tokenizer lies there twice: in its parts, and as one file.
        Qwen2Tokenizer.from_pretrained(own_base / "tokenizer").save_pretrained(own_base / "tokenizer")
        assert (own_base / "tokenizer" / "tokenizer.json").exists()
    processor = load_processor(own_base)
    pixels = photo(84, 56)
    text = "Hi <|vision_start|><|image_pad|><|vision_end|>"
    made = processor(text=[text], images=[Image.fromarray(pixels)], padding=True, return_tensors="pt")
    # 84 x 56 px are 6 x 4 patches of 14 px, four of which become a token.
    begin, end = NUMBERS["<|vision_start|>"], NUMBERS["<|vision_end|>"]
    assert made["input_ids"].tolist() == [[*b"Hi ", begin, *[PICTURE] * 6, end]]
    assert made["image_grid_thw"].tolist() == [[1, 4, 6]]
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    first = (pixels[:14, :14].transpose(2, 0, 1) / 255 - np.reshape(mean, (3, 1, 1))) / np.reshape(deviation, (3, 1, 1))
    expected = np.repeat(first[:, None], 2, axis=1).reshape(-1)
    np.testing.assert_allclose(made["pixel_values"][0].numpy(), expected, atol=1e-5)


# The places of pictures' tokens.


def places_by_hand(ids, grids):
    """Words one after the other; a picture's tokens by time, row and column, from where the words were."""
    places, at, grids = [], 0, iter(grids)
    tokens = iter(enumerate(ids))
    for _, token in tokens:
        if token != PICTURE:
            places.append((at, at, at))
            at += 1
            continue
        _, rows, columns = next(grids)
        rows, columns = rows // 2, columns // 2
        places += [(at, at + row, at + column) for row in range(rows) for column in range(columns)]
        at += max(rows, columns)
        for _ in range(rows * columns - 1):
            next(tokens)
    return places


def test_text_encoder_places_pictures_in_rows_and_columns(pipe, monkeypatch):
    seen = {}
    language = pipe.text_encoder.model.language_model

    def spy(_, __, named):
        seen["places"] = named["position_ids"]

    handle = language.register_forward_pre_hook(spy, with_kwargs=True)
    try:
        images = [Image.fromarray(photo(width, height)) for width, height in ((112, 56), (56, 84))]
        pipe.encode_prompt("a cat", image=images)
    finally:
        handle.remove()
    text = pipe.prompt_template_encode.format(
        "".join(f"Picture {n}: <|vision_start|><|image_pad|><|vision_end|>" for n in (1, 2)) + "a cat"
    )
    inputs = pipe.processor(text=[text], images=images, return_tensors="pt")
    expected = places_by_hand(inputs["input_ids"][0].tolist(), inputs["image_grid_thw"].tolist())
    assert seen["places"][:, 0].T.tolist() == [list(each) for each in expected]


def test_text_encoder_without_being_told_places_them_in_one_line(base):
    # When this fails, the library tells by itself, and the hook can go.
    pipe = load_pipeline(base)
    images = [Image.fromarray(photo(112, 56))]
    told = pipe.encode_prompt("a cat", image=images)[0]
    pipe.text_encoder._forward_pre_hooks.clear()
    assert not torch.equal(pipe.encode_prompt("a cat", image=images)[0], told)


def test_tell_pictures_leaves_alone_what_is_told_already(pipe):
    given = {"input_ids": torch.tensor([[1, PICTURE]]), "mm_token_type_ids": torch.tensor([[0, 2]])}
    assert tell_pictures(pipe.text_encoder, (), dict(given))[1]["mm_token_type_ids"].tolist() == [[0, 2]]
    told = tell_pictures(pipe.text_encoder, (), {"input_ids": given["input_ids"]})[1]
    assert told["mm_token_type_ids"].tolist() == [[0, 1]]
    assert tell_pictures(pipe.text_encoder, (), {"inputs_embeds": 1})[1] == {"inputs_embeds": 1}


# A run.


def test_generate_makes_the_same_picture_of_the_same_seed(pipe):
    first, same, other = (generate(pipe, job(seed=seed), unwatched) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(32, 64), (96, 32), (64, 64)])
def test_generate_makes_the_size_of_the_images(pipe, size):
    width, height = size
    images = [photo(width, height, seed=seed) for seed in range(3)]
    assert generate(pipe, job(images=images), unwatched).shape == (height, width, 3)


def test_generate_looks_at_the_images_and_their_order(pipe):
    images = [photo(64, 64, seed=seed) for seed in range(2)]
    made = generate(pipe, job(images=images), unwatched)
    assert not np.array_equal(made, generate(pipe, job(images=images[::-1]), unwatched))
    assert not np.array_equal(made, generate(pipe, job(images=[images[0]]), unwatched))


def test_generate_guides_only_with_a_negative_prompt(pipe):
    plain, silent, guided, away = (
        generate(pipe, job(true_cfg=scale, negative_prompt=negative), unwatched)
        for scale, negative in ((1.0, None), (4.0, None), (4.0, " "), (4.0, "a dog"))
    )
    np.testing.assert_array_equal(plain, silent)
    assert not np.array_equal(plain, guided)
    assert not np.array_equal(guided, away)


def test_generate_tells_its_progress_before_each_step_and_after_the_last(pipe):
    told = []
    generate(pipe, job(steps=4), told.append)
    assert told == [0.0, *(pytest.approx(0.95 * step / 4) for step in (1, 2, 3, 4))]


def test_generate_ends_at_the_step_that_is_cancelled(pipe):
    told = []

    def progress(share):
        told.append(share)
        if len(told) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        generate(pipe, job(steps=40), progress)
    assert len(told) == 3
    assert generate(pipe, job(), unwatched).any()


def test_generate_that_ends_early_leaves_the_gpu_as_one_that_ends_well(pipe, monkeypatch):
    freed = []
    monkeypatch.setattr(pipe, "maybe_free_model_hooks", lambda: freed.append(True))
    generate(pipe, job(), unwatched)
    assert freed == [True]

    def cancel(_):
        raise Cancelled

    with pytest.raises(Cancelled):
        generate(pipe, job(), cancel)
    assert freed == [True]
    with pytest.raises(Cancelled):
        generate(pipe, job(), lambda share: cancel(share) if share else None)
    assert freed == [True, True]


@pytest.mark.parametrize(("part", "name"), [("transformer", "proj_out.bias"), ("vae", "decoder.conv_out.bias")])
def test_generate_of_no_numbers_says_so_and_the_next_is_made(pipe, part, name):
    parameter = getattr(pipe, part).get_parameter(name)
    before = parameter.clone()
    parameter[0] = torch.nan
    try:
        with pytest.raises(OutputInvalid, match="no numbers"):
            generate(pipe, job(steps=9), unwatched)
    finally:
        parameter.copy_(before)
    generate(pipe, job(), unwatched)


def test_small_areas_are_the_tests_only(base):
    assert (published.VAE_IMAGE_SIZE, published.CONDITION_IMAGE_SIZE) == (64**2, 56**2)
    source = inspect.getsource(published)
    assert "CONDITION_IMAGE_SIZE = 384 * 384" in source
    assert "VAE_IMAGE_SIZE = 1024 * 1024" in source
