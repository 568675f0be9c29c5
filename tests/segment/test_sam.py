"""SAM 2.1 as it is loaded here, held against transformers' own ways."""

import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Sam2Model, Sam2Processor
from transformers.image_processing_backends import PilBackend

from sagemaker_models.segment.checkpoint import load_sam
from sagemaker_models.segment.errors import OutputInvalid
from sagemaker_models.segment.prompts import Prompt
from sagemaker_models.segment.sam import MEAN, STD, Frame
from tests.segment.pictures import noise

SIZE_PX = 128


@pytest.fixture(scope="module")
def sam(folder):
    return load_sam(folder / "prompts", "cpu", None)[0]


@pytest.fixture(scope="module")
def reference(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Sam2Model.from_pretrained(folder / "prompts", local_files_only=True).eval()


class Processor(PilBackend):
    """SAM 2's own, whose resize, scale and normalisation are those of the base; its own base needs torchvision."""

    resample = Image.Resampling.BILINEAR
    image_mean, image_std = MEAN, STD
    size = {"height": SIZE_PX, "width": SIZE_PX}  # noqa: RUF012 - as transformers has it
    do_resize = do_rescale = do_normalize = do_convert_rgb = True


def normalised(places, width, height, **options):
    """Return places as transformers gives them to the network."""
    values = torch.tensor(places, dtype=torch.float32)
    return Sam2Processor._normalize_coordinates(None, SIZE_PX, values, (height, width), **options)


@pytest.mark.parametrize("size", [(120, 90), (700, 331), (128, 128), (40, 300)])
def test_pixels_are_those_of_transformers_processor(size):
    rgb = noise(*size)
    expected = Processor()(Image.fromarray(rgb), return_tensors="pt")["pixel_values"]
    made = Frame(SIZE_PX).pixels_of(rgb)
    assert (made.shape, made.dtype) == ((1, 3, SIZE_PX, SIZE_PX), torch.float32)
    # The two libraries may round bytes to different sides: one step at most, and seldom.
    steps = (made - expected).abs() * 255 * torch.tensor(STD).view(1, 3, 1, 1)
    assert float(steps.max()) <= 1.01
    assert float(steps.mean()) < 0.25


@pytest.mark.parametrize(
    ("points", "labels", "box"),
    [
        (((30.0, 70.0),), (1,), None),
        (((30.0, 70.0), (100.0, 10.0), (4.0, 4.0)), (1, 1, 0), None),
        ((), (), (10.0, 20.0, 90.0, 80.0)),
        (((30.0, 70.0), (60.0, 40.0)), (1, 0), (10.0, 20.0, 90.0, 80.0)),
    ],
)
def test_find_gives_what_transformers_pipeline_gives(sam, reference, points, labels, box):
    rgb = noise(120, 90)
    single = box is None and len(points) == 1
    with torch.inference_mode():
        made = reference(
            pixel_values=Frame(SIZE_PX).pixels_of(rgb),
            input_points=normalised(points, 120, 90)[None, None] if points else None,
            input_labels=torch.tensor([[labels]]) if points else None,
            input_boxes=normalised([box], 120, 90, is_bounding_box=True)[None] if box else None,
            multimask_output=single,
        )
    assert made.pred_masks.shape[2] == (3 if single else 1)
    best = int(made.iou_scores[0, 0].argmax())
    found = sam.find(sam.embed(rgb), Prompt(points, labels, box, "points"))
    torch.testing.assert_close(torch.from_numpy(found.logits), made.pred_masks[0, 0, best], rtol=1e-4, atol=1e-4)
    assert found.score == pytest.approx(float(made.iou_scores[0, 0, best]), abs=1e-4)


def test_find_of_a_single_click_takes_the_surest_of_three(sam, monkeypatch):
    embedding = sam.embed(noise())
    network, seen = sam._network, []

    def answer(**asked):
        made = network(**asked)
        seen.append(made.pred_masks[0, 0])
        made.iou_scores = torch.tensor([[[0.1, 0.9, 0.5]]])
        return made

    monkeypatch.setattr(sam, "_network", answer)
    found = sam.find(embedding, Prompt(((5.0, 5.0),), (1,), None, "points"))
    np.testing.assert_array_equal(found.logits, seen[0][1].numpy())
    assert found.score == pytest.approx(0.9)


def test_find_reads_places_in_the_pictures_own_pixels(sam):
    small, large = noise(60, 40), noise(60, 40).repeat(4, axis=0).repeat(4, axis=1)
    one = sam.find(sam.embed(small), Prompt(((15.0, 10.0),), (1,), None, "points"))
    embedding = sam.embed(large)
    same = sam.find(embedding, Prompt(((60.0, 40.0),), (1,), None, "points"))
    other = sam.find(embedding, Prompt(((15.0, 10.0),), (1,), None, "points"))
    spread = np.abs(one.logits).max()
    assert np.abs(one.logits - same.logits).mean() < np.abs(one.logits - other.logits).mean()
    assert np.abs(one.logits - same.logits).mean() < 0.2 * spread


def test_half_keeps_smaller_maps_and_finds_nearly_the_same(folder, sam):
    half, about = load_sam(folder / "prompts", "cpu", torch.bfloat16)
    rgb, prompt = noise(), Prompt(((30.0, 70.0),), (1,), None, "points")
    exact, rounded = sam.embed(rgb), half.embed(rgb)
    assert rounded.size_bytes < exact.size_bytes
    expected, found = sam.find(exact, prompt).logits, half.find(rounded, prompt).logits
    assert found.dtype == np.float32
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] > 0.99
    assert about["size_px"] == SIZE_PX


def test_find_of_values_that_are_no_numbers_is_an_error(folder):
    broken, _ = load_sam(folder / "prompts", "cpu", None)
    embedding = broken.embed(noise())
    with torch.no_grad():
        broken._network.mask_decoder.iou_token.weight.fill_(3e38)
    with pytest.raises(OutputInvalid, match="no numbers"):
        broken.find(embedding, Prompt(((5.0, 5.0),), (1,), None, "points"))
