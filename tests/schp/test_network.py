"""Our network and its plan against an independent formulation of the published one."""

import pytest
import torch

from sagemaker_models.schp.network import AbsNorm, Network
from sagemaker_models.schp.plan import plan_of
from sagemaker_models.schp.program import Program
from tests.schp.checkpoints import network_of, random_state
from tests.schp.published import PublishedNetwork

SMALL = {"blocks": (2, 1, 2, 2), "width": 8}


@pytest.fixture(scope="module")
def full_state():
    return random_state()


@torch.inference_mode()
def test_network_at_full_size_gives_the_published_logits(full_state):
    pixels = torch.randn(1, 3, 65, 65, generator=torch.Generator().manual_seed(1))
    published = PublishedNetwork(full_state)
    expected = published(pixels)
    network = network_of(full_state)
    for found, wanted in zip(network(pixels), expected, strict=True):
        assert wanted.std() > 0.01
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(Program(plan_of(network))(pixels), expected[1], rtol=0, atol=1e-4)
    assert published.read == set(full_state)
    assert len(full_state) == 603


@pytest.mark.parametrize("size", [33, 64, 97, (48, 80)])
@torch.inference_mode()
def test_plan_at_any_size_gives_the_networks_fusion_logits(size):
    height, width = size if isinstance(size, tuple) else (size, size)
    network = network_of(random_state(7, **SMALL), 7, **SMALL)
    pixels = torch.randn(2, 3, height, width)
    torch.testing.assert_close(Program(plan_of(network))(pixels), network(pixels)[1], rtol=0, atol=1e-4)


def test_network_has_the_published_numbers_of_keys_and_parameters():
    with torch.device("meta"):
        counts = {classes: sum(p.numel() for p in Network(classes).parameters()) for classes in (20, 18, 7)}
        small = Network(18, blocks=(1, 1, 1, 1))
    assert counts == {20: 66_723_928, 18: 66_722_900, 7: 66_717_246}
    assert len(small.state_dict()) == 168
    assert sum(p.numel() for p in small.parameters()) == 32_238_676


def test_norm_with_a_negative_weight_takes_its_absolute_value():
    norm = AbsNorm(1).requires_grad_(requires_grad=False)
    norm.weight.fill_(-2.0)
    assert norm(torch.ones(1, 1, 1, 1)).item() == pytest.approx(2.0, abs=1e-3)


def test_norm_with_zero_weight_keeps_the_epsilon():
    norm = AbsNorm(1).requires_grad_(requires_grad=False)
    norm.weight.fill_(0.0)
    assert norm(torch.full((1, 1, 1, 1), 1e5)).item() == pytest.approx(1.0, rel=1e-3)


def test_leaky_norm_below_zero_has_the_slope_of_a_hundredth():
    norm = AbsNorm(1, leaky=True).requires_grad_(requires_grad=False)
    assert norm(torch.full((1, 1, 1, 1), -1.0)).item() == pytest.approx(-0.01, rel=1e-3)
