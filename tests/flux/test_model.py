"""The model as the server hosts it: prompts and undecoded pictures in, a picture and values out."""

import asyncio
import itertools
import json
import logging
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.flux_checkpoint import TINY
from sagemaker_models.flux.faces import largest
from sagemaker_models.flux.identity import Identity
from sagemaker_models.flux.model import Flux
from sagemaker_models.flux.parameters import FluxParameters
from sagemaker_models.flux.prompts import Prompts
from sagemaker_models.serving.batching import Runner
from sagemaker_models.serving.metrics import Timings
from sagemaker_models.serving.model import Cancelled, ModelError, Outputs, Request, unwatched
from tests.flux.conftest import loaded
from tests.flux.pictures import landscape, opened, png, portrait

SMALL = {"prompt": "a sailor", "width": 256, "height": 272, "num_inference_steps": 2, "seed": 3}


def request(inputs=None, progress=unwatched, **fields):
    size = {} if "image" in (inputs or {}) else SMALL
    return Request(inputs or {}, FluxParameters(**({**size, "prompt": "a sailor"} | fields)), "r-1", progress)


def run(model, inputs=None, progress=unwatched, **fields):
    return model.run([request(inputs, progress, **fields)])[0]


def served(model, *requests):
    """Run requests one after the other as the server does."""

    async def journey():
        runner = Runner(model, 1, batch_wait_s=0.0)
        return [await runner.run(each, Timings()) for each in requests]

    return asyncio.run(journey())


def test_prompt_gives_a_picture_of_the_asked_size_and_says_how(dev):
    made = run(dev)
    image = opened(made.files["image"])
    assert image.shape == (272, 256, 3)
    assert made.files["image"].content_type == "image/png"
    assert made.values == {
        "width": 256,
        "height": 272,
        "seed": 3,
        "steps": 2,
        "steps_run": 2,
        "guidance_scale": 3.5,
        "max_sequence_length": 512,
        "identity": None,
        "warnings": [],
    }
    np.testing.assert_array_equal(opened(run(dev).files["image"]), image)
    assert (opened(run(dev, seed=4).files["image"]) != image).any()
    assert (opened(run(dev, prompt="a miner").files["image"]) != image).any()


def test_seed_that_is_not_given_is_drawn_and_said(dev):
    first, second = run(dev, seed=None), run(dev, seed=None)
    assert first.values["seed"] != second.values["seed"]
    again = run(dev, seed=first.values["seed"])
    np.testing.assert_array_equal(opened(again.files["image"]), opened(first.files["image"]))


def test_picture_may_be_a_jpeg(dev):
    made = run(dev, output_format="jpeg").files["image"]
    assert (made.content_type, made.body[:2]) == ("image/jpeg", b"\xff\xd8")
    assert opened(made).shape == (272, 256, 3)


def test_portrait_changes_the_picture_after_its_face(dev):
    plain = opened(run(dev, max_sequence_length=128).files["image"])
    made = run(dev, {"portrait": portrait(0)})
    left, top, right, bottom = made.values["identity"]["box"]
    assert abs((left + right) / 2 - 150) < 50
    assert abs((top + bottom) / 2 - 200) < 50
    assert made.values["identity"]["faces"] >= 1
    assert made.values["max_sequence_length"] == 128
    one = opened(made.files["image"])
    other = opened(run(dev, {"portrait": portrait(30)}).files["image"])
    assert (one != plain).any()
    assert (one != other).any()
    none = opened(run(dev, {"portrait": portrait(0)}, id_weight=0).files["image"])
    np.testing.assert_array_equal(none, plain)
    json.dumps(made.values)


def test_portrait_moves_the_picture_further_with_more_weight(dev):
    plain = opened(run(dev, max_sequence_length=128).files["image"])
    made = [
        opened(run(dev, {"portrait": portrait(0)}, id_weight=weight).files["image"]) for weight in (0, 0.7, 0.95, 3)
    ]
    moved = [np.abs(each - plain).mean() for each in made]
    assert moved[0] == 0
    assert all(more > 1.05 * less for less, more in itertools.pairwise(moved)), moved


def test_portrait_with_a_negative_prompt_is_told_from_nobody(dev):
    fields = {"true_cfg": 4.0, "negative_prompt": "cartoon"}
    made = run(dev, {"portrait": portrait(0)}, **fields)
    assert made.values["warnings"] == []
    assert (opened(made.files["image"]) != opened(run(dev, {"portrait": portrait(0)}).files["image"])).any()


def test_nobody_is_the_encoding_of_zeros(dev):
    encoder = dev._loaded.parts.encoder
    zeros = [torch.zeros(1, 17, 16)] * 5
    with torch.no_grad():
        expected = encoder._encoder(torch.zeros(1, 524), zeros)
    torch.testing.assert_close(encoder.nobody, expected)
    assert encoder.nobody.abs().max() > 0


def test_identity_is_of_arcfaces_raw_numbers_and_the_towers_direction(dev, monkeypatch):
    encoder, seen = dev._loaded.parts.encoder, []
    monkeypatch.setattr(encoder._encoder, "forward", lambda face, levels: seen.append((face, levels)) or face)
    pixels = opened(type("File", (), {"body": portrait(0)})).astype(np.uint8)
    made = encoder.encode(pixels)
    assert isinstance(made, Identity)
    face, levels = seen[0]
    whose, looks = face[0, :512], face[0, 512:]
    face_found = largest(encoder._detector.find(pixels))
    np.testing.assert_allclose(whose, encoder._embedder.embed(pixels, face_found), rtol=1e-6)
    assert float(looks.norm()) == pytest.approx(1, abs=1e-5)
    assert [level.shape for level in levels] == [(1, 17, 16)] * 5


def test_tower_sees_the_aligned_face_in_its_own_range(dev):
    encoder = dev._loaded.parts.encoder
    seen = encoder._seen(np.full((512, 512, 3), 128, np.uint8))
    assert seen.shape == (1, 3, 28, 28)
    means, stds = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    # Of a grey face, all that is left is grey or white.
    for channel in range(3):
        grey, white = ((value - means[channel]) / stds[channel] for value in (128 / 255, 1.0))
        values = seen[0, channel]
        assert float(values.min()) > min(grey, white) - 0.3
        assert float(values.max()) < max(grey, white) + 0.3


def test_large_portrait_is_read_at_1024_and_its_box_is_in_its_own_pixels(dev):
    pixels = np.zeros((2048, 1536, 3), np.uint8)
    pixels[..., 1] = 100
    pixels[800:1200, 600:1000] = (255, 0, 0)
    left, top, right, bottom = run(dev, {"portrait": png(pixels)}).values["identity"]["box"]
    assert abs((left + right) / 2 - 800) < 250
    assert abs((top + bottom) / 2 - 1000) < 250
    assert right > 600


def test_portrait_without_a_face_is_refused(dev):
    made = run(dev, {"portrait": landscape()})
    assert made == ModelError("NoFaceFound", "No faces detected in the image")


def test_portrait_for_plain_flux_is_refused_and_the_next_request_served(schnell):
    made = run(schnell, {"portrait": portrait()})
    assert made.code == "TaskUnavailable"
    assert "FLUX without PuLID's weights" in made.message
    assert isinstance(run(schnell), Outputs)


def test_second_pass_has_the_pictures_size_and_says_its_steps(dev):
    made = run(dev, {"image": landscape(300, 260)}, strength=0.4, num_inference_steps=10, seed=1)
    assert (made.values["width"], made.values["height"]) == (288, 256)
    assert (made.values["steps"], made.values["steps_run"]) == (10, 4)
    assert made.values["warnings"] == []
    assert opened(made.files["image"]).shape == (256, 288, 3)


def test_second_pass_of_four_steps_is_the_same_for_all_strengths_of_harmonising(schnell):
    made = [run(schnell, {"image": landscape()}, strength=strength, seed=1) for strength in (0.35, 0.45)]
    assert [each.values["steps_run"] for each in made] == [2, 2]
    assert all("0.35 and 0.45 do not differ" in each.values["warnings"][0] for each in made)
    np.testing.assert_array_equal(*(opened(each.files["image"]) for each in made))


def test_second_pass_changes_more_with_more_strength(dev):
    def moved(strength):
        made = run(dev, {"image": landscape()}, strength=strength, num_inference_steps=10, seed=1)
        return opened(made.files["image"])

    weak, middle, strong = (moved(strength) for strength in (0.1, 0.5, 1.0))
    assert 0 < np.abs(middle - weak).mean() < np.abs(strong - weak).mean()


@pytest.mark.parametrize(
    ("inputs", "fields", "code"),
    [
        ({"image": landscape()}, {}, "RequestInvalid"),
        ({}, {"strength": 0.4}, "RequestInvalid"),
        ({"image": b"no picture"}, {"strength": 0.4}, "ImageUnreadable"),
        ({"image": landscape(288, 200)}, {"strength": 0.4}, "ImageShapeRefused"),
        ({"portrait": b""}, {}, "ImageUnreadable"),
        ({}, {"guidance_scale": 3.5}, "RequestInvalid"),
    ],
)
def test_request_that_cannot_be_done_is_its_own_fault(schnell, inputs, fields, code):
    made = run(schnell, inputs, **fields)
    assert isinstance(made, ModelError)
    assert made.code == code


def test_prompt_that_is_longer_than_what_is_read_is_warned_of(dev):
    long = run(dev, prompt="x" * 300, max_sequence_length=128)
    assert long.values["warnings"] == ["prompt: of its 302 tokens the first 128 were read"]
    assert run(dev, prompt="x" * 126, max_sequence_length=128).values["warnings"] == []


def test_long_prompts_are_not_written_to_the_log(dev):
    said = []
    listener = logging.Handler()
    listener.emit = lambda record: said.append(record.getMessage())
    loggers = [logging.getLogger(name) for name in ("diffusers", "transformers")]
    for each in loggers:
        each.addHandler(listener)
    run(dev, prompt="secret " * 60, max_sequence_length=128)
    for each in loggers:
        each.removeHandler(listener)
    assert [line for line in said if "secret" in line] == []


def test_progress_goes_from_nothing_up_and_leaves_room_for_the_decoder(dev):
    shares = []
    run(dev, progress=shares.append, num_inference_steps=4)
    assert shares == [0.0, 0.2, 0.4, 0.6, 0.8]


def test_request_that_is_cancelled_ends_at_its_step_and_the_next_one_is_served(dev):
    shares = []

    def progress(share):
        shares.append(share)
        if share > 0.2:
            raise Cancelled

    cancelled, after = served(dev, request({"portrait": portrait()}, progress, num_inference_steps=9), request())
    assert cancelled == ModelError("Cancelled", "the request was cancelled")
    assert len(shares) == 4
    assert isinstance(after, Outputs)
    transformer = dev._loaded.painter._from_noise.transformer
    assert not any(module._forward_hooks for module in transformer.modules())


def test_prompts_are_read_once_and_counted(dev_folder):
    model = loaded(dev_folder)
    first = opened(run(model).files["image"])
    assert model.describe()["prompts"] == {"hits": 0, "misses": 1, "kept": 1}
    np.testing.assert_array_equal(opened(run(model).files["image"]), first)
    run(model, max_sequence_length=128)
    run(model, true_cfg=2.0, negative_prompt="cartoon")
    assert model.describe()["prompts"] == {"hits": 2, "misses": 3, "kept": 3}
    model.release()
    assert model.describe()["prompts"] is None


@pytest.mark.parametrize(("entries", "kept", "hits"), [(2, 2, 1), (1, 1, 0), (0, 0, 0)])
def test_prompts_that_were_used_last_are_kept(dev, entries, kept, hits):
    prompts = Prompts(dev._loaded.painter._from_noise, entries)
    for prompt in ("one", "two", "one", "three", "two"):
        prompts.read(prompt, 128)
    assert prompts.describe() == {"hits": hits, "misses": 5 - hits, "kept": kept}


def test_values_that_are_no_numbers_fail_the_request_and_not_the_next(dev_folder):
    model = loaded(dev_folder)
    vae = model._loaded.painter._from_noise.vae
    bias = vae.decoder.conv_out.bias.clone()

    def broken(share):
        vae.decoder.conv_out.bias.fill_(math.nan)

    def mended(share):
        vae.decoder.conv_out.bias.copy_(bias)

    failed, after = served(model, request(progress=broken), request(progress=mended))
    assert isinstance(failed, ModelError)
    assert failed.code == "OutputInvalid"
    assert "values that are no numbers" in failed.message
    assert isinstance(after, Outputs)


def test_memory_that_runs_out_is_released_and_the_request_served(dev_folder):
    model, shares = loaded(dev_folder), []

    def progress(share):
        shares.append(share)
        if len(shares) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    before = model._loaded
    (made,) = served(model, request(progress=progress))
    assert isinstance(made, Outputs)
    assert model._loaded is not before
    assert shares == [0.0, 1 / 3, 0.0, 1 / 3, 2 / 3]


@pytest.fixture(scope="module")
def plain(dev):
    """A picture, and a second pass with an identity, where everything lies on the device as it was trained."""
    both = {"portrait": portrait(), "image": landscape()}
    made = run(dev, seed=3), run(dev, both, strength=0.5, num_inference_steps=2, seed=3)
    return [opened(each.files["image"]) for each in made]


@pytest.mark.parametrize("placement", ["fp8", "full-offload", "fp8-offload"])
def test_other_placements_make_nearly_the_same_picture(plain, dev_folder, tmp_path, placement):
    folder = Path(shutil.copytree(dev_folder, tmp_path / "weights", copy_function=os.link))
    (folder / "config.yaml").write_text(f"placement: {placement}\n")
    model = loaded(folder)
    about = model.describe()
    assert (about["placement"], about["fp8"], about["offload"]) == (
        placement,
        "fp8" in placement,
        "offload" in placement,
    )
    transformer = model._loaded.painter._from_noise.transformer
    kept = {each.dtype for each in transformer.parameters()}
    assert (torch.float8_e4m3fn in kept) == about["fp8"]
    both = {"portrait": portrait(), "image": landscape()}
    for expected, inputs, fields in zip(plain, ({}, both), ({}, {"strength": 0.5}), strict=True):
        made = opened(run(model, inputs, num_inference_steps=2, seed=3, **fields).files["image"])
        assert np.abs(expected - made).mean() < (12 if about["fp8"] else 1)
        assert (expected != made).any() or not about["fp8"]


def test_cancelled_request_leaves_no_part_on_the_device_where_they_take_turns(dev_folder, tmp_path):
    """Taking the hooks off and putting them on again is how diffusers takes all parts back to the host."""
    folder = Path(shutil.copytree(dev_folder, tmp_path / "weights", copy_function=os.link))
    (folder / "config.yaml").write_text("placement: full-offload\n")
    model = loaded(folder)
    transformer = model._loaded.painter._from_noise.transformer
    during = []

    def progress(share):
        during.append(transformer._hf_hook)
        if share > 0:
            raise Cancelled

    assert served(model, request(progress=progress)) == [ModelError("Cancelled", "the request was cancelled")]
    assert transformer._hf_hook is not during[-1]


def test_load_describe_and_release_with_licences(dev_folder, schnell_folder, capsys):
    model = loaded(dev_folder)
    told = json.loads(capsys.readouterr().out.splitlines()[0])
    assert told["message"] == "not all parts of the model are for commercial use"
    about = model.describe()
    assert told["licences"] == about["licences"]
    licences = {each["part"]: each for each in about["licences"]}
    assert licences["FLUX.1 dev"]["commercial"] is False
    assert "schnell" in licences["FLUX.1 dev"]["instead"]
    face_models = licences["antelopev2 (insightface's face models)"]
    assert (face_models["licence"], face_models["commercial"]) == ("non-commercial research only", False)
    assert (about["engine"], about["variant"], about["identity"], about["device"]) == ("flux", "dev", True, "cpu")
    before = opened(run(model).files["image"])
    model.release()
    assert model._loaded is None
    np.testing.assert_array_equal(opened(run(model).files["image"]), before)
    capsys.readouterr()
    free = loaded(schnell_folder)
    assert capsys.readouterr().out == ""
    assert free.describe()["licences"] == [
        {"part": "FLUX.1 schnell", "licence": "Apache-2.0", "commercial": True, "instead": ""}
    ]


def test_run_before_load_is_a_defect():
    with pytest.raises(RuntimeError, match="load comes before run"):
        run(Flux(TINY.pulid, TINY.tower))


def test_config_compile_is_used(dev_folder, tmp_path, monkeypatch):
    folder = Path(shutil.copytree(dev_folder, tmp_path / "weights", copy_function=os.link))
    (folder / "config.yaml").write_text("compile: true\n")
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda forward: compiled.append(forward) or forward)
    model = loaded(folder)
    assert len(compiled) == 3 + 5
    assert model.describe()["compiled"] is True
    assert isinstance(run(model), Outputs)
