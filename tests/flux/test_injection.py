"""An identity in FLUX: none at weight 0, more with more weight, on the picture's tokens only, and gone afterwards."""

import itertools

import numpy as np
import pytest
import torch
from diffusers import FluxImg2ImgPipeline
from PIL import Image
from torch import nn

from bench.flux_checkpoint import TINY
from sagemaker_models.flux.compiling import compile_blocks
from sagemaker_models.flux.injection import Injection, Wish, blocks_of
from sagemaker_models.flux.parameters import FluxParameters, order_of
from tests.flux.conftest import loaded

SIZE = {"width": 256, "height": 256}


@pytest.fixture(scope="module")
def painter(dev):
    return dev._loaded.painter


def identity(seed=0):
    return torch.randn(1, 3, TINY.pulid.identity, generator=torch.Generator().manual_seed(seed))


def order(image=None, **fields):
    asked = FluxParameters(**({"prompt": "a sailor", "num_inference_steps": 3, **({} if image else SIZE)} | fields))
    return order_of(asked, "dev", portrait=False, image_size=image.size if image else None)


def painted(painter, wish=None, image=None, **fields):
    asked = order(image, **fields)
    return painter.paint(asked, painter.read(asked), seed=5, wish=wish, image=image).astype(np.int64)


def wish(weight=1.0, start_step=0, nobody=None, seed=0):
    return Wish(identity(seed), nobody, weight, start_step)


def hooks(transformer):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in transformer.modules())


def plain(painter, **arguments):
    """What diffusers makes of the same request without any code of ours."""
    pipeline = painter._from_noise
    if "image" in arguments:
        pipeline = FluxImg2ImgPipeline(**pipeline.components)
    made = pipeline(
        **({"prompt": "a sailor", "num_inference_steps": 3, "guidance_scale": 3.5, **SIZE} | arguments),
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    )
    return (made.images[0] * 255).round().astype(np.int64)


def test_weight_0_is_plain_flux_bit_for_bit(painter):
    without = painted(painter)
    np.testing.assert_array_equal(painted(painter, wish(weight=0.0)), without)
    np.testing.assert_array_equal(without, plain(painter))
    assert len(np.unique(without)) > 50


def test_weight_0_of_a_second_pass_is_plain_flux_bit_for_bit(painter):
    pixels = np.random.default_rng(0).integers(0, 256, (256, 272, 3), np.uint8)
    image = Image.fromarray(pixels)
    without = painted(painter, image=image, strength=0.7)
    np.testing.assert_array_equal(painted(painter, wish(weight=0.0), image=image, strength=0.7), without)
    expected = plain(painter, image=image, strength=0.7, width=272, height=256)
    np.testing.assert_array_equal(without, expected)


def test_true_cfg_without_an_identity_is_plain_flux(painter):
    made = painted(painter, true_cfg=3.0, negative_prompt="cartoon")
    np.testing.assert_array_equal(made, plain(painter, true_cfg_scale=3.0, negative_prompt="cartoon"))
    assert (made != painted(painter)).any()


@pytest.mark.parametrize("seed", [0, 1])
def test_picture_moves_further_with_more_weight(painter, seed):
    without = painted(painter)
    moved = [
        np.abs(painted(painter, wish(weight, seed=seed)) - without).mean() for weight in (0.0, 0.25, 0.5, 1.0, 2.0)
    ]
    assert moved[0] == 0
    assert all(more > 1.1 * less for less, more in itertools.pairwise(moved)), moved


def test_another_identity_moves_it_elsewhere(painter):
    assert np.abs(painted(painter, wish(seed=0)) - painted(painter, wish(seed=1))).mean() > 0.5


def test_identity_begins_with_its_step(painter):
    without = painted(painter)
    made = [painted(painter, wish(start_step=step)) for step in (0, 1, 2, 3)]
    moved = [np.abs(each - without).mean() for each in made]
    assert moved[0] > moved[1] > moved[2] > 0
    np.testing.assert_array_equal(made[3], without)


def test_every_hook_is_gone_afterwards(painter):
    before, transformer = painted(painter), painter._from_noise.transformer
    assert hooks(transformer) == 0
    painted(painter, wish())
    assert hooks(transformer) == 0

    def fail(steps):
        assert hooks(transformer) == 1 + TINY.pulid.modules
        raise KeyboardInterrupt

    asked = order()
    with pytest.raises(KeyboardInterrupt):
        painter.paint(asked, painter.read(asked), seed=5, wish=wish(), done=fail)
    assert hooks(transformer) == 0
    np.testing.assert_array_equal(painted(painter), before)


class Block(nn.Module):
    """Returns its text and its picture, each with a number added."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, text, picture):
        return text + self.number, picture + self.number


class Transformer(nn.Module):
    """As many blocks as FLUX has."""

    def __init__(self):
        super().__init__()
        self.transformer_blocks = nn.ModuleList(Block(number) for number in range(19))
        self.single_transformer_blocks = nn.ModuleList(Block(100 + number) for number in range(38))

    def forward(self, text, picture):
        for block in (*self.transformer_blocks, *self.single_transformer_blocks):
            text, picture = block(text, picture)
        return (torch.cat((text, picture), 1),)


class Module(nn.Module):
    """Notes what it is asked, and answers with its number."""

    def __init__(self, number, asked):
        super().__init__()
        self.number, self.asked = number, asked

    def forward(self, tokens, picture):
        self.asked.append((self.number, float(tokens.flatten()[0]), float(picture.flatten()[0])))
        return torch.full_like(picture, 1000.0 * self.number)


def test_flux_is_asked_behind_the_documented_blocks_and_for_the_picture_only():
    transformer, asked = Transformer(), []
    modules = nn.ModuleList(Module(number, asked) for number in range(20))
    zeros = torch.zeros(1, 2, 4)
    with Injection(transformer, modules, Wish(torch.full((1, 1, 1), 7.0), None, 0.5, 0)):
        made = transformer(zeros, zeros)[0]
    (alone,) = transformer(zeros, zeros)
    expected, picture = [], 0.0
    for count, every, first in ((19, 2, 0), (38, 4, 100)):
        for number in range(count):
            picture += first + number
            if number % every == 0:
                expected.append((len(expected), 7.0, picture))
                picture += 0.5 * 1000 * (len(expected) - 1)
    assert asked == expected
    assert len(asked) == 20
    assert (made[:, :2] == alone[:, :2]).all()
    assert (made[:, 2:] == picture).all()


def test_guided_passes_see_nobody_and_guidance_begins_with_the_second_step():
    transformer, asked = Transformer(), []
    modules = nn.ModuleList(Module(number, asked) for number in range(20))
    text, other = torch.zeros(1, 2, 4), torch.ones(1, 2, 4)
    whose = Wish(torch.full((1, 1, 1), 7.0), torch.full((1, 1, 1), -7.0), 1.0, 1)
    with Injection(transformer, modules, whose) as injection:
        first = transformer(text, text)[0], transformer(other, text)[0]
        assert asked == []
        injection.next_step()
        second = transformer(text, text)[0], transformer(other, text)[0]
    assert torch.equal(*first)
    assert not torch.equal(*second)
    assert {seen for _, seen, _ in asked[:20]} == {7.0}
    assert {seen for _, seen, _ in asked[20:]} == {-7.0}


def test_true_cfg_with_an_identity_starts_from_the_unguided_first_step(painter):
    """One step of two is guided: by hand, from the passes of a run of each prompt."""
    nobody = identity(9)
    made = painted(painter, wish(nobody=nobody), true_cfg=3.0, negative_prompt="cartoon", num_inference_steps=1)
    np.testing.assert_array_equal(made, painted(painter, wish(), num_inference_steps=1))
    two = painted(painter, wish(nobody=nobody), true_cfg=3.0, negative_prompt="cartoon", num_inference_steps=2)
    assert (two != painted(painter, wish(), num_inference_steps=2)).any()
    other = painted(painter, wish(nobody=identity(8)), true_cfg=3.0, negative_prompt="cartoon", num_inference_steps=2)
    assert (two != other).any()


def test_modules_that_are_too_few_are_refused(painter):
    with pytest.raises(ValueError, match="zip"):
        Injection(painter._from_noise.transformer, painter._modules[:3], wish())
    assert len(blocks_of(painter._from_noise.transformer)) == 4


def test_identity_works_in_compiled_blocks_too(dev_folder):
    painter = loaded(dev_folder)._loaded.painter
    plain, changed = painted(painter, num_inference_steps=1), painted(painter, wish(), num_inference_steps=1)
    graphs = []
    compile_blocks(painter._from_noise.transformer, backend=lambda graph, _: graphs.append(graph) or graph)
    np.testing.assert_allclose(painted(painter, num_inference_steps=1), plain, atol=1)
    compiled = len(graphs)
    for _ in range(2):
        np.testing.assert_allclose(painted(painter, num_inference_steps=1), plain, atol=1)
        np.testing.assert_allclose(painted(painter, wish(), num_inference_steps=1), changed, atol=1)
    assert np.abs(plain - changed).mean() > 2
    assert len(graphs) == compiled > 0
