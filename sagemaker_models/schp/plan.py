"""The network as a list of steps that give the same fusion logits for less work.

- Batch norms are folded into their convolutions.
- What only the parsing and the edge logits need is left out.
- A 1x1 convolution and a bilinear enlargement may change places. Features that are enlarged and then mixed are mixed
  first, where they are small, and enlarged after that.
- The 3x3 convolution behind the pyramid's concatenation is the sum of its parts. That of a prior, an enlargement of
  1 to 36 cells, mixes channels on the cells, once for each of its nine taps; `Spread` then enlarges and adds up.

At 512x512 this leaves 150 of 175 GFLOP.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sagemaker_models.schp.network import EPSILON, POOLS, SLOPE, AbsNorm, Bottleneck, Network

#: Slopes of what follows a convolution: nothing, or a rectifier.
NOTHING, RECTIFIER = 1.0, 0.0


@dataclass(frozen=True)
class Conv:
    """y = act(weight * x + bias + shortcut + enlarged maps), with act(v) = max(v, slope·v).

    Args:
        name: of the result.
        sources: maps whose channels are put one behind the other.
        weight: (O,I,k,k).
        bias: (O).
        shortcut: a map of the result's size.
        added: maps that are enlarged to the result's size.
    """

    name: str
    sources: tuple[str, ...]
    weight: Tensor
    bias: Tensor
    stride: int = 1
    dilation: int = 1
    slope: float = RECTIFIER
    shortcut: str | None = None
    added: tuple[str, ...] = ()

    @property
    def kernel(self) -> int:
        """Side of the kernel."""
        return int(self.weight.shape[-1])


@dataclass(frozen=True)
class Pool:
    """3x3 maximum, stride 2."""

    name: str
    source: str


@dataclass(frozen=True)
class Cells:
    """Means over a square number of cells (adaptive pooling).

    Args:
        cells: on a side.
    """

    name: str
    source: str
    cells: int


@dataclass(frozen=True)
class Spread:
    """What maps of cells, enlarged, add to a 3x3 convolution over them, zero outside.

    Args:
        sources: maps with the nine taps' results one behind the other, row by row, (9·O).
        like: a map of the result's height and width.
    """

    name: str
    sources: tuple[str, ...]
    like: str


Step = Conv | Pool | Cells | Spread


def plan_of(network: Network) -> list[Step]:
    """Return the steps from `pixels` to `logits`."""
    steps: list[Step] = [
        _conv("stem.1", "pixels", network.conv1.weight, network.bn1, stride=2),
        _conv("stem.2", "stem.1", network.conv2.weight, network.bn2),
        _conv("stem.3", "stem.2", network.conv3.weight, network.bn3),
        Pool("stem.4", "stem.3"),
    ]
    fine = _stage(steps, "layer1", network.layer1, "stem.4")
    middle = _stage(steps, "layer2", network.layer2, fine)
    coarse = _stage(steps, "layer3", network.layer3, middle)
    deep = _stage(steps, "layer4", network.layer4, coarse)
    return [*steps, *_context(network, deep), *_heads(network, fine, middle, coarse)]


def _stage(steps: list[Step], name: str, blocks: torch.nn.Sequential, source: str) -> str:
    for number, block in enumerate(blocks):
        if not isinstance(block, Bottleneck):
            raise TypeError(f"{name} holds something that is no residual block")
        place, convolution = f"{name}.{number}", block.conv2
        shortcut = source
        if block.downsample is not None:
            projection, norm = block.downsample
            shortcut, stride = f"{place}.shortcut", projection.stride[0]
            steps.append(_conv(shortcut, source, projection.weight, norm, stride=stride, slope=NOTHING))
        stride, dilation = convolution.stride[0], convolution.dilation[0]
        steps += [
            _conv(f"{place}.1", source, block.conv1.weight, block.bn1),
            _conv(f"{place}.2", f"{place}.1", convolution.weight, block.bn2, stride=stride, dilation=dilation),
            _conv(place, f"{place}.2", block.conv3.weight, block.bn3, shortcut=shortcut),
        ]
        source = place
    return source


def _context(network: Network, deep: str) -> list[Step]:
    pyramid = network.context_encoding
    weight, bias = folded(pyramid.bottleneck[0].weight, pyramid.bottleneck[1])
    width = weight.shape[0]
    *parts, own = weight.split([width] * len(POOLS) + [weight.shape[1] - width * len(POOLS)], dim=1)
    steps: list[Step] = []
    for cells, stage, part in zip(POOLS, pyramid.stages, parts, strict=True):
        place, mix = f"context.{cells}", part.permute(2, 3, 0, 1).reshape(-1, width, 1, 1)
        steps.append(Cells(f"{place}.mean", deep, cells))
        steps.append(_conv(f"{place}.prior", f"{place}.mean", stage[1].weight, stage[2], slope=SLOPE))
        steps.append(_mixed(f"{place}.taps", f"{place}.prior", mix))
    spread_from = tuple(f"context.{cells}.taps" for cells in POOLS)
    return [
        *steps,
        Spread("context.priors", spread_from, deep),
        Conv("context", (deep,), own.contiguous(), bias, slope=SLOPE, added=("context.priors",)),
    ]


def _heads(network: Network, fine: str, middle: str, coarse: str) -> list[Step]:
    decoder, edge, fusion = network.decoder, network.edge, network.fushion
    join, join_bias = folded(decoder.conv3[0].weight, decoder.conv3[1])
    wide = decoder.conv1[0].weight.shape[0]
    mix, mix_bias = folded(fusion[0].weight, fusion[1])
    own, middle_part, coarse_part = mix.split([2 * wide, wide, wide], dim=1)
    return [
        _conv("decoder.1", "context", decoder.conv1[0].weight, decoder.conv1[1], slope=SLOPE),
        _mixed("decoder.1.mixed", "decoder.1", join[:, :wide]),
        _conv("decoder.2", fine, decoder.conv2[0].weight, decoder.conv2[1], slope=SLOPE),
        Conv("decoder.3", ("decoder.2",), join[:, wide:], join_bias, slope=SLOPE, added=("decoder.1.mixed",)),
        _conv("decoder.4", "decoder.3", decoder.conv3[2].weight, decoder.conv3[3], slope=SLOPE),
        _conv("edge.1", fine, edge.conv1[0].weight, edge.conv1[1], slope=SLOPE),
        _conv("edge.2", middle, edge.conv2[0].weight, edge.conv2[1], slope=SLOPE),
        _mixed("edge.2.mixed", "edge.2", middle_part),
        _conv("edge.3", coarse, edge.conv3[0].weight, edge.conv3[1], slope=SLOPE),
        _mixed("edge.3.mixed", "edge.3", coarse_part),
        Conv("fusion", ("decoder.4", "edge.1"), own, mix_bias, slope=SLOPE, added=("edge.2.mixed", "edge.3.mixed")),
        Conv("logits", ("fusion",), fusion[3].weight, _present(fusion[3].bias), slope=NOTHING),
    ]


def folded(weight: Tensor, norm: AbsNorm) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution that does what a convolution and the norm behind it do."""
    factor = norm.gamma() / torch.sqrt(norm.running_var + EPSILON)
    return weight * factor[:, None, None, None], norm.bias - norm.running_mean * factor


def spread(height: int, width: int, cells: int) -> tuple[Tensor, Tensor]:
    """Return how the nine taps see a map of cells that is enlarged, bilinear with corners aligned, and zero outside.

    Returns:
        matrices for columns (3,height,cells) and for rows (3,width,cells); a tap's enlarged map is their product.
    """
    return _spread(height, cells), _spread(width, cells)


def _spread(size: int, cells: int) -> Tensor:
    at = torch.arange(size) * ((cells - 1) / max(size - 1, 1))
    enlarging = (1 - (at[:, None] - torch.arange(cells)).abs()).clamp(min=0)
    shifted = torch.zeros(3, size, cells)
    for tap, move in enumerate((-1, 0, 1)):
        low, high = max(0, -move), min(size, size - move)
        shifted[tap, low:high] = enlarging[low + move : high + move]
    return shifted


def _conv(
    name: str,
    source: str,
    weight: Tensor,
    norm: AbsNorm,
    *,
    stride: int = 1,
    dilation: int = 1,
    slope: float = RECTIFIER,
    shortcut: str | None = None,
) -> Conv:
    return Conv(name, (source,), *folded(weight, norm), stride, dilation, slope, shortcut)


def _mixed(name: str, source: str, weight: Tensor) -> Conv:
    return Conv(name, (source,), weight.contiguous(), torch.zeros(weight.shape[0]), slope=NOTHING)


def _present(bias: Tensor | None) -> Tensor:
    if bias is None:
        raise TypeError("the last convolution has no bias")
    return bias


def sources_of(steps: Sequence[Step]) -> set[str]:
    """Return the names of all maps that a step reads."""
    read: set[str] = set()
    for step in steps:
        if isinstance(step, Conv):
            read |= {*step.sources, *step.added, *([step.shortcut] if step.shortcut else [])}
        elif isinstance(step, Spread):
            read |= {*step.sources, step.like}
        else:
            read.add(step.source)
    return read
