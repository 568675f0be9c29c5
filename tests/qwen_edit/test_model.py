"""The model as the server hosts it: the real pipeline, tiny, from undecoded pictures to PNGs."""

import gc
import io
import weakref

import numpy as np
import pytest
import torch
import yaml
from PIL import Image, ImageCms

from sagemaker_models.qwen_edit import model as model_module
from sagemaker_models.qwen_edit.composite import feathered
from sagemaker_models.qwen_edit.conditions.masking import background, mask_rgb
from sagemaker_models.qwen_edit.conditions.previews import inpaint_preview
from sagemaker_models.qwen_edit.conditions.reference import positioned_mask
from sagemaker_models.qwen_edit.frame import frame_of, off_canvas, onto_canvas, resize
from sagemaker_models.qwen_edit.model import QwenEdit
from sagemaker_models.qwen_edit.placement import Machine
from sagemaker_models.qwen_edit.task_config import TaskConfig
from sagemaker_models.qwen_edit.tensors import hash_of
from sagemaker_models.serving.memory import is_out_of_memory
from sagemaker_models.serving.model import Cancelled, LocalFile, ModelError, Outputs, WeightsInvalid
from tests.qwen_edit.checkpoints import (
    EXAMPLES,
    changed,
    diffusers_keys,
    lora_values,
    mask,
    opened,
    photo,
    png,
    request,
    save_lora,
    save_task,
    whole_state,
)

TASKS = ("insertion", "removal", "white-balance")


@pytest.fixture(scope="module")
def model(base, linears, tmp_path_factory):
    """A model with a LoRA for each task; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "base").symlink_to(base)
    for seed, task in enumerate(TASKS):
        save_task(folder, task, diffusers_keys(lora_values(linears, seed=seed)))
    made = QwenEdit()
    made.load(folder)
    return made


def run(model, *arguments, **parameters):
    made = model.run([request(*arguments, **parameters)])[0]
    assert isinstance(made, Outputs), made
    return made


def refused(model, *arguments, **parameters):
    made = model.run([request(*arguments, **parameters)])[0]
    assert isinstance(made, ModelError), made
    return made.code, made.message


def pictures(width=70, height=50):
    reference_mask = np.zeros((20, 30), np.uint8)
    reference_mask[5:15, 8:20] = 255
    return {
        "image": png(photo(width, height)),
        "mask": png(mask(width, height)),
        "reference": png(photo(30, 20, seed=5)),
        "reference_mask": png(reference_mask),
    }


def chosen(*names):
    return {name: data for name, data in pictures().items() if name in names}


def test_run_makes_a_picture_of_the_photos_size_and_says_how(model):
    made = run(model, "removal", steps=3, true_cfg=4.0, seed=11)
    assert [*made.files] == ["image"]
    assert opened(made.files["image"]).shape == (50, 70, 3)
    timings = made.values.pop("timings")
    assert {*timings} == {"prepare_s", "switch_s", "generate_s", "finish_s"}
    assert all(seconds >= 0 for seconds in timings.values())
    sha256 = model.describe()["tasks"]["removal"]
    adapter = made.values["lora_adapter"]
    assert adapter in made.values.pop("loaded_adapters")
    assert made.values == {
        "task": "removal",
        "situation": "plain",
        "seed": 11,
        "steps": 3,
        "width": 70,
        "height": 50,
        "canvas": {"width": 96, "height": 64},
        "scaled": False,
        "true_cfg": 4.0,
        "guided": True,
        "negative_prompt": " ",
        "negative_prompt_is_blank": True,
        "lightning": False,
        "conditional_labels": ["original", "mask", "mae"],
        "checkpoint_sha256": sha256,
        "lora_adapter": f"lora-{sha256[:16]}",
        "placement": "cpu",
    }


def test_run_of_one_step_makes_a_picture(model):
    made = run(model, steps=1)
    assert (made.values["steps"], opened(made.files["image"]).shape) == (1, (50, 70, 3))


def test_run_without_a_seed_says_the_one_it_drew_which_makes_the_same_again(model):
    first, second = (run(model, seed=None) for _ in range(2))
    assert first.values["seed"] != second.values["seed"]
    again = run(model, seed=first.values["seed"])
    assert again.files["image"].body == first.files["image"].body
    assert second.files["image"].body != first.files["image"].body


def test_run_switches_between_tasks_without_loading_anything(model, monkeypatch):
    for name in ("load_pipeline", "Adapters"):
        monkeypatch.setattr(model_module, name, None)
    inputs = {"image": pictures()["image"]}
    first = {}
    for task in (*TASKS, *TASKS):
        made = run(model, task, inputs=inputs if task == "white-balance" else None).files["image"].body
        assert first.setdefault(task, made) == made
    assert len({*first.values()}) == 3


@pytest.mark.parametrize(("quality", "canvas"), [("original", (96, 64)), ("resized", (512, 512))])
def test_run_with_debug_gives_exactly_the_conditional_images(model, quality, canvas):
    made = run(model, "removal", debug=True, input_quality=quality)
    assert [*made.files] == ["image", "condition_1", "condition_2", "condition_3"]
    frame = frame_of(70, 50, quality)
    assert (frame.canvas_width, frame.canvas_height) == canvas
    picture, marked = onto_canvas(photo(), frame), onto_canvas(mask(), frame, black=True)
    expected = [picture, mask_rgb(marked), inpaint_preview(picture, marked)]
    for number, image in enumerate(expected, 1):
        np.testing.assert_array_equal(opened(made.files[f"condition_{number}"]), image)
    assert opened(made.files["image"]).shape == (50, 70, 3)


def test_run_resized_gives_the_model_black_bars_and_the_caller_none(model):
    inputs = {"image": png(np.full((40, 80, 3), 200, np.uint8)), "mask": png(mask(80, 40))}
    made = run(model, inputs=inputs, input_quality="resized", debug=True)
    square = opened(made.files["condition_1"])
    assert square.shape == (512, 512, 3)
    assert not square[:128].any()
    assert not square[384:].any()
    assert (square[128:384] == 200).all()
    assert opened(made.files["image"]).shape == (40, 80, 3)


@pytest.mark.parametrize("quality", ["original", "resized"])
@pytest.mark.parametrize("size", [(70, 50), (33, 97), (64, 64)])
def test_run_gives_the_result_back_aligned_with_the_photo(model, monkeypatch, quality, size):
    """A pipeline that gives its first image back shows where everything else would come to lie."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    waves = 127 + 60 * np.sin(x / width * 20) + 60 * np.cos(y / height * 17)
    pixels = np.repeat(waves.astype(np.uint8)[:, :, None], 3, axis=2)
    monkeypatch.setattr(model_module, "generate", lambda _, job, __: job.images[0])
    made = run(model, inputs={"image": png(pixels), "mask": png(mask(width, height))}, input_quality=quality)
    back = opened(made.files["image"]).astype(int)
    if quality == "original":
        np.testing.assert_array_equal(back, pixels)
    assert np.abs(back - pixels).mean() < 1.0


def test_run_that_keeps_the_outside_changes_nothing_there(model):
    plain, kept = (run(model, keep_outside=keep, feather_px=3) for keep in (False, True))
    plain, kept = (opened(made.files["image"]) for made in (plain, kept))
    alpha = feathered(mask(), 3)
    np.testing.assert_array_equal(kept[alpha == 0], photo()[alpha == 0])
    np.testing.assert_array_equal(kept[alpha == 255], plain[alpha == 255])
    assert not np.array_equal(plain[alpha == 0], photo()[alpha == 0])
    between = (alpha > 0) & (alpha < 255)
    assert (kept[between] != photo()[between]).any(axis=1).mean() > 0.5


def test_run_that_keeps_the_outside_goes_by_the_mask_that_the_model_saw(model):
    plain, kept = (
        opened(run(model, "insertion", inputs=pictures(), keep_outside=keep, feather_px=0).files["image"])
        for keep in (False, True)
    )
    frame = frame_of(70, 50, "original")
    reference_mask = np.zeros((20, 30), np.uint8)
    reference_mask[5:15, 8:20] = 255
    placed = off_canvas(positioned_mask(onto_canvas(mask(), frame, black=True), reference_mask), frame)
    assert 0 < np.count_nonzero(placed) < np.count_nonzero(mask())
    np.testing.assert_array_equal(kept[placed == 0], photo()[placed == 0])
    np.testing.assert_array_equal(kept[placed == 255], plain[placed == 255])


def test_run_of_white_balance_changes_all_or_what_a_mask_says(model):
    image = {"image": pictures()["image"]}
    plain = opened(run(model, "white-balance", inputs=image).files["image"])
    assert (plain != photo()).any(axis=2).mean() > 0.9
    kept = run(model, "white-balance", inputs=chosen("image", "mask"), keep_outside=True, feather_px=0)
    kept = opened(kept.files["image"])
    np.testing.assert_array_equal(kept[mask() == 0], photo()[mask() == 0])
    np.testing.assert_array_equal(kept[mask() == 255], plain[mask() == 255])


@pytest.mark.parametrize(
    ("names", "situation", "labels"),
    [
        (("image", "mask"), "plain", ["mask", "masked_bg"]),
        (("image", "mask", "reference"), "reference", ["ref_img", "mask", "masked_bg"]),
        (("image", "mask", "reference", "reference_mask"), "two-mask", ["ref_img", "positioned_R", "masked_bg"]),
    ],
)
def test_run_of_insertion_uses_what_is_brought(model, names, situation, labels):
    made = run(model, "insertion", inputs=chosen(*names), debug=True)
    assert (made.values["situation"], made.values["conditional_labels"]) == (situation, labels)
    frame = frame_of(70, 50, "original")
    picture, marked = onto_canvas(photo(), frame), onto_canvas(mask(), frame, black=True)
    shown = opened(made.files[f"condition_{len(labels)}"])
    if situation != "two-mask":
        np.testing.assert_array_equal(shown, background(picture, marked))
    else:
        assert not np.array_equal(shown, background(picture, marked))


# Pictures of all kinds.


def test_run_lays_transparent_photos_on_white_and_transparent_masks_on_black(model):
    image = Image.new("RGBA", (64, 64), (10, 20, 30, 255))
    image.paste((0, 0, 0, 0), (0, 0, 64, 32))
    marked = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    marked.paste((255, 255, 255, 255), (16, 16, 32, 32))
    made = run(model, inputs={"image": png(image), "mask": png(marked)}, debug=True)
    picture, white = opened(made.files["condition_1"]), opened(made.files["condition_2"])
    assert (picture[:32] == 255).all()
    assert (picture[32:] == (10, 20, 30)).all()
    assert (white[16:32, 16:32] == 255).all()
    assert white.sum() == 16 * 16 * 3 * 255


def test_run_of_a_turned_photo_works_upright(model):
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = png(Image.fromarray(photo(80, 40)), exif=exif)
    made = run(model, inputs={"image": turned, "mask": png(mask(40, 80))}, debug=True)
    assert opened(made.files["image"]).shape == (80, 40, 3)
    upright = np.rot90(photo(80, 40), -1)
    frame = frame_of(40, 80, "original")
    np.testing.assert_array_equal(opened(made.files["condition_1"]), onto_canvas(upright, frame))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "I;16"])
def test_run_of_any_mode_works_in_colours(model, mode):
    image = (
        Image.fromarray(np.full((50, 70), 40_000, np.uint16))
        if mode == "I;16"
        else Image.fromarray(photo()).convert(mode)
    )
    made = run(model, inputs={"image": png(image), "mask": png(mask())})
    assert opened(made.files["image"]).shape == (50, 70, 3)


def test_run_takes_a_mask_of_another_size(model):
    small = np.zeros((20, 28), np.uint8)
    small[4:12, 6:18] = 255
    made = run(model, inputs={"image": png(photo()), "mask": png(small)}, debug=True, keep_outside=True, feather_px=0)
    frame = frame_of(70, 50, "original")
    np.testing.assert_array_equal(opened(made.files["condition_2"]), mask_rgb(onto_canvas(small, frame, black=True)))
    large = resize(small, 70, 50)
    result = opened(made.files["image"])
    np.testing.assert_array_equal(result[large == 0], photo()[large == 0])


def test_run_keeps_the_colour_profile_of_a_photo(model):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    made = run(model, inputs={"image": png(photo(), icc_profile=profile), "mask": png(mask())})
    with Image.open(io.BytesIO(made.files["image"].body)) as image:
        assert image.info["icc_profile"] == profile


# What the request is to blame for.


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"image": b"text"}, "ImageUnreadable"),
        ({"image": png(photo(14, 60))}, "ImageShapeRefused"),
        ({"mask": b""}, "ImageUnreadable"),
        ({"mask": png(np.zeros((50, 70), np.uint8))}, "MaskEmpty"),
        ({"mask": png(np.full((50, 70), 127, np.uint8))}, "MaskEmpty"),
        ({"reference": b"x"}, "ImageUnreadable"),
        ({"reference_mask": png(np.zeros((20, 30), np.uint8))}, "MaskEmpty"),
    ],
)
def test_run_of_bad_pictures_blames_the_request_and_the_next_is_served(model, inputs, code):
    assert refused(model, "insertion", inputs=pictures() | inputs)[0] == code
    run(model)


@pytest.mark.parametrize(
    ("task", "names", "parameters", "code"),
    [
        ("insertion", ("image",), {}, "InputMissing"),
        ("removal", ("image", "mask", "reference"), {}, "InputRefused"),
        ("white-balance", ("image", "mask"), {}, "InputRefused"),
        ("white-balance", ("image",), {"keep_outside": True}, "InputMissing"),
    ],
)
def test_run_of_what_the_checkpoint_cannot_do_blames_the_request(model, task, names, parameters, code):
    assert refused(model, task, inputs=chosen(*names), **parameters)[0] == code


def test_run_of_a_task_without_a_checkpoint_is_refused(with_removal):
    model = QwenEdit()
    model.load(with_removal)
    inputs = chosen("image", "mask")
    assert refused(model, "insertion", inputs=inputs) == (
        "TaskUnavailable",
        "There is no checkpoint for insertion; this model has removal.",
    )
    run(model)


def test_run_of_several_answers_in_their_order(model):
    bad = request(inputs=chosen("image"))
    first, second, third = model.run([request(seed=1), bad, request(seed=2)])
    assert (first.values["seed"], second.code, third.values["seed"]) == (1, "InputMissing", 2)


# Checkpoints that requests bring.


def brought(path, task="removal", **config):
    values = yaml.safe_load((EXAMPLES / f"{task}.yaml").read_text()) | config
    return {"files": {"checkpoint": LocalFile(path, hash_of(path))}, "checkpoint": TaskConfig.model_validate(values)}


def test_run_with_a_checkpoint_of_its_own_uses_that_and_the_folders_is_there_again(model, linears, tmp_path):
    before = run(model).files["image"].body
    path = save_lora(tmp_path / "new", diffusers_keys(lora_values(linears, seed=50)))
    own = brought(path, conditions={"plain": ["mask", "background"]})
    made = run(model, debug=True, **own)
    assert made.values["checkpoint_sha256"] == hash_of(path)
    assert made.values["conditional_labels"] == ["mask", "masked_bg"]
    assert made.files["image"].body != before
    assert run(model).files["image"].body == before
    assert run(model, **own).files["image"].body == made.files["image"].body


def test_run_with_whole_weights_of_its_own_uses_them_and_the_base_is_there_again(model, base, tmp_path):
    before = run(model).files["image"].body
    own = brought(save_lora(tmp_path / "whole", whole_state(base, scale=1.5)))
    made = run(model, **own)
    assert made.values["lora_adapter"] is None
    assert made.files["image"].body != before
    assert run(model).files["image"].body == before


def bad_lora(linears, path, change):
    state = diffusers_keys(lora_values(linears, seed=60))
    change(state)
    return save_lora(path, state)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda s: s.update({"unet.x.lora_A.weight": torch.ones(2, 2)}), "are not known, the first are unet.x.lora_A"),
        (
            lambda s: [s.update({key: value[:, :-1].contiguous()}) for key, value in [*s.items()] if "lora_A" in key],
            "has shapes",
        ),
        (lambda s: [s.update({key: value * torch.nan}) for key, value in [*s.items()]], "not finite"),
        (lambda s: [s.pop(key) for key in [*s] if "lora_B" in key], "only"),
    ],
)
def test_run_with_a_wrong_checkpoint_is_refused_and_the_next_is_served(model, linears, tmp_path, change, sentence):
    before = run(model).files["image"].body
    code, message = refused(model, **brought(bad_lora(linears, tmp_path / "bad", change)))
    assert code == "CheckpointRefused"
    assert sentence in message
    assert run(model).files["image"].body == before


def test_run_with_a_checkpoint_that_is_cut_off_is_refused(model, linears, tmp_path):
    path = bad_lora(linears, tmp_path / "bad", lambda _: None)
    path.write_bytes(path.read_bytes()[:-10])
    code, message = refused(model, **brought(path))
    assert (code, "cannot be read as safetensors" in message) == ("CheckpointRefused", True)


def test_run_with_half_a_checkpoint_is_refused(model, linears, tmp_path):
    own = brought(bad_lora(linears, tmp_path / "good", lambda _: None))
    for half in own:
        code, message = refused(model, **{half: own[half]})
        assert (code, "belong together" in message) == ("CheckpointRefused", True)


# Lightning and placement.


@pytest.fixture
def fast(weights, removal, linears):
    config = yaml.safe_load((EXAMPLES / "removal.yaml").read_text()) | {"lightning": True}
    save_task(weights, "removal", removal, config=yaml.safe_dump(config))
    path = weights / "lightning" / "Qwen-Image-Edit-2511-Lightning-4steps-V1.0-bf16.safetensors"
    save_lora(path, diffusers_keys(lora_values(linears, seed=90)))
    return weights


def test_run_with_lightning_takes_its_steps_its_sampler_and_no_guidance(fast):
    model = QwenEdit()
    model.load(fast)
    seen = []
    made = run(model, steps=None, true_cfg=None, progress=seen.append)
    assert {name: made.values[name] for name in ("steps", "true_cfg", "guided", "lightning")} == {
        "steps": 4,
        "true_cfg": 1.0,
        "guided": False,
        "lightning": True,
    }
    assert len(seen) == 5
    pipe = model._loaded.pipe
    assert [round(each, 4) for each in pipe.scheduler.sigmas.tolist()] == [1.0, 0.9, 0.75, 0.5, 0.0]
    assert len(pipe.get_active_adapters()) == 2
    own = brought(fast / "tasks" / "removal" / "weights.safetensors")
    slow = run(model, steps=4, **own)
    assert slow.values["lightning"] is False
    assert pipe.scheduler.config.shift_terminal == 0.02
    assert len(pipe.get_active_adapters()) == 1
    assert slow.files["image"].body != made.files["image"].body


@pytest.mark.parametrize("placement", ["fp8", "fp8-model-offload"])
def test_load_of_lightning_on_narrowed_weights_is_refused(fast, placement):
    (fast / "config.yaml").write_text(f"placement: {placement}\n")
    with pytest.raises(WeightsInvalid, match=f"tasks/removal uses Lightning, and placement is {placement}: .*grid"):
        QwenEdit().load(fast)


def on_cpu(monkeypatch):
    """Let ways that want a GPU compute here."""
    place, cpu = model_module.place, torch.device("cpu")

    def place_here(pipe, way, _):
        offload = pipe.enable_model_cpu_offload
        # The library calls it again, without a device, after a LoRA was loaded, and then looks for a GPU.
        pipe.enable_model_cpu_offload = lambda device=cpu: offload(device=device)
        place(pipe, way, cpu)

    monkeypatch.setattr(model_module, "place", place_here)


@pytest.mark.parametrize("placement", ["bf16", "fp8", "model-offload", "fp8-model-offload", "group-offload"])
def test_run_works_in_every_placement_here_played_by_the_cpu(with_removal, monkeypatch, placement):
    on_cpu(monkeypatch)
    (with_removal / "config.yaml").write_text(f"placement: {placement}\n")
    model = QwenEdit()
    model.load(with_removal)
    assert (model.describe()["placement"], model.describe()["device"]) == (placement, "cuda")
    first, second = (run(model).files["image"].body for _ in range(2))
    assert first == second


def test_run_on_narrowed_weights_refuses_a_request_with_lightning(fast, monkeypatch, linears, tmp_path):
    on_cpu(monkeypatch)
    for config in (fast / "tasks").glob("*/qwen_edit.yaml"):
        config.write_text(config.read_text().replace("lightning: true", "lightning: false"))
    (fast / "config.yaml").write_text("placement: fp8\n")
    model = QwenEdit()
    model.load(fast)
    own = brought(fast / "tasks" / "removal" / "weights.safetensors", lightning=True)
    code, message = refused(model, **own)
    assert (code, "grid" in message) == ("CheckpointRefused", True)
    run(model)


def test_load_chooses_the_placement_by_memory_and_lightning(fast, monkeypatch):
    sizes = model_module.sizes_of(fast / "base")
    loras = sum(path.stat().st_size for path in fast.glob("[tl]*/**/*.safetensors"))
    fits = sizes.transformer // 2 + sizes.text_encoder + sizes.vae + loras + 8_000_000_000
    ways = []
    monkeypatch.setattr(model_module, "place", lambda _, way, __: ways.append(way))

    def load(vram_bytes):
        monkeypatch.setattr(model_module, "this_machine", lambda: Machine(vram_bytes, 10**12))
        QwenEdit().load(fast)

    load(fits)
    config = fast / "tasks" / "removal" / "qwen_edit.yaml"
    config.write_text(config.read_text().replace("lightning: true", "lightning: false"))
    load(fits)
    load(fits - 1)
    assert ways == ["model-offload", "fp8", "model-offload"]


def test_load_on_a_machine_that_is_too_small_is_refused(with_removal, monkeypatch):
    monkeypatch.setattr(model_module, "this_machine", lambda: Machine(0, 1000))
    with pytest.raises(WeightsInvalid, match="of memory while they are loaded"):
        QwenEdit().load(with_removal)


# The life of the model.


def test_load_of_folders_in_disorder_is_refused(with_removal, tmp_path):
    with pytest.raises(WeightsInvalid, match=r"base/model_index\.json is missing"):
        QwenEdit().load(tmp_path / "none")
    changed(with_removal / "tasks" / "removal" / "weights.safetensors", lambda s: s.popitem())
    with pytest.raises(WeightsInvalid, match=r"weights\.safetensors: of transformer_blocks"):
        QwenEdit().load(with_removal)


def test_run_before_load_is_an_error():
    with pytest.raises(RuntimeError, match="load comes before run"):
        QwenEdit().run([request()])


def test_release_frees_the_weights_and_the_next_run_loads_them_again(with_removal):
    model = QwenEdit()
    model.load(with_removal)
    before = run(model).files["image"].body
    kept = [weakref.ref(each) for each in model._loaded.pipe.transformer.parameters()]
    kept.append(weakref.ref(model._loaded.pipe.text_encoder))
    gc.disable()
    try:
        model.release()
    finally:
        gc.enable()
    assert [each for each in kept if each() is not None] == []
    model.release()
    assert run(model).files["image"].body == before


def test_run_that_is_cancelled_lets_that_pass_and_the_next_is_served(model):
    before = run(model).files["image"].body
    told = []

    def progress(share):
        told.append(share)
        if len(told) > 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        model.run([request(steps=50, progress=progress)])
    assert len(told) == 3
    assert run(model).files["image"].body == before


def test_run_that_makes_no_numbers_is_an_error_and_the_next_is_served(model):
    before = run(model).files["image"].body
    weight = model._loaded.pipe.transformer.get_parameter("norm_out.linear.weight")
    kept = weight.clone()
    weight.fill_(torch.nan)
    (refused,) = model.run([request()])
    assert refused.code == "OutputInvalid"
    assert "step 1 of 2" in refused.message
    weight.copy_(kept)
    assert run(model).files["image"].body == before


def test_run_without_memory_says_so_and_the_next_is_served_after_a_release(with_removal, monkeypatch):
    model = QwenEdit()
    model.load(with_removal)
    before = run(model).files["image"].body

    def refuse(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model._loaded.pipe.transformer, "forward", refuse)
    with pytest.raises(torch.OutOfMemoryError) as raised:
        model.run([request()])
    assert is_out_of_memory(raised.value)
    model.release()
    assert run(model).files["image"].body == before
