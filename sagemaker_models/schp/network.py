"""The CE2P parsing network on ResNet-101, laid out so that the published SCHP checkpoints load key by key.

Source: AugmentCE2P as published with Self-Correction-Human-Parsing (snapshot of 2021-04-28); sizes and key names read
2026-11-21. In the shapes below w is the width, 64 in the published checkpoints, and C the number of classes.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn

#: Residual blocks of the four stages of ResNet-101.
RESNET_101 = (3, 4, 23, 3)

#: Width of the published networks.
WIDTH = 64

#: Output channels of a residual block by those of its 3x3 convolution.
EXPANSION = 4

#: Cells on a side of the pyramid's pools.
POOLS = (1, 2, 3, 6)

#: Added to the variance, and to the absolute weight, of every batch norm.
EPSILON = 1e-5

#: Slope of the leaky rectifier for negative values.
SLOPE = 0.01


class AbsNorm(nn.Module):
    """Batch norm at inference as the checkpoints were trained with: γ = |weight| + 1e-5.

    With x the input, μ and σ² the running statistics and β the bias: y = γ·(x - μ)/√(σ² + 1e-5) + β. Some trained
    weights are negative, so that an ordinary batch norm turns their channels upside down.

    Args:
        leaky: whether a leaky rectifier follows.

    Source: InPlaceABN 0.1, whose forward takes the absolute value in all its kernels; read 2026-11-21.
    """

    def __init__(self, channels: int, *, leaky: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.leaky = leaky

    def gamma(self) -> Tensor:
        """Return the factor that the normalised value is multiplied by."""
        return self.weight.abs() + EPSILON

    def forward(self, features: Tensor) -> Tensor:
        """Normalise with the running statistics."""
        made = F.batch_norm(
            features, self.running_mean, self.running_var, self.gamma(), self.bias, training=False, eps=EPSILON
        )
        return F.leaky_relu(made, SLOPE) if self.leaky else made


class Bottleneck(nn.Module):
    """A residual block: 1x1, 3x3, 1x1 convolutions beside a shortcut; stride and dilation are those of the 3x3."""

    def __init__(self, channels: int, width: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.conv1 = _conv(channels, width)
        self.bn1 = AbsNorm(width)
        self.conv2 = _conv(width, width, 3, stride=stride, dilation=dilation)
        self.bn2 = AbsNorm(width)
        self.conv3 = _conv(width, EXPANSION * width)
        self.bn3 = AbsNorm(EXPANSION * width)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels != EXPANSION * width:
            self.downsample = nn.Sequential(
                _conv(channels, EXPANSION * width, stride=stride), AbsNorm(EXPANSION * width)
            )

    def forward(self, features: Tensor) -> Tensor:
        """Return relu(shortcut + residual)."""
        made = F.relu(self.bn1(self.conv1(features)))
        made = F.relu(self.bn2(self.conv2(made)))
        made = self.bn3(self.conv3(made))
        return F.relu(made + (features if self.downsample is None else self.downsample(features)))


class Pyramid(nn.Module):
    """Context by pooling to 1, 2, 3 and 6 cells a side (PSP)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(cells), _conv(channels, width), AbsNorm(width, leaky=True))
            for cells in POOLS
        )
        self.bottleneck = _conv_norm(channels + len(POOLS) * width, width, 3)

    def forward(self, features: Tensor) -> Tensor:
        """Shapes: features (B,32w,h,w) → (B,8w,h,w)."""
        priors = [resize(stage(features), features) for stage in self.stages]
        return _tensor(self.bottleneck(torch.cat([*priors, features], dim=1)))


class Edge(nn.Module):
    """Features and logits of the borders between parts, from three stages."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = _conv_norm(4 * width, 4 * width)
        self.conv2 = _conv_norm(8 * width, 4 * width)
        self.conv3 = _conv_norm(16 * width, 4 * width)
        self.conv4 = nn.Conv2d(4 * width, 2, 3, padding=1)
        self.conv5 = nn.Conv2d(6, 2, 1)

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B,2,h,w) and the features (B,12w,h,w), both at the size of `fine`."""
        maps = [self.conv1(fine), self.conv2(middle), self.conv3(coarse)]
        logits = [resize(self.conv4(each), fine) for each in maps]
        return _tensor(self.conv5(torch.cat(logits, dim=1))), torch.cat([resize(each, fine) for each in maps], dim=1)


class Decoder(nn.Module):
    """Joins the context with fine features."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        skip = 3 * width // 4
        self.conv1 = _conv_norm(8 * width, 4 * width)
        self.conv2 = _conv_norm(4 * width, skip)
        self.conv3 = nn.Sequential(*_conv_norm(4 * width + skip, 4 * width), *_conv_norm(4 * width, 4 * width))
        self.conv4 = nn.Conv2d(4 * width, classes, 1)

    def forward(self, context: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (B,C,h,w) and the features (B,4w,h,w), both at the size of `fine`."""
        made = self.conv3(torch.cat([resize(self.conv1(context), fine), self.conv2(fine)], dim=1))
        return self.conv4(made), made


class Network(nn.Module):
    """CE2P. Its state dict has the published keys, without their prefix.

    Args:
        classes: C; 20 for LIP, 18 for ATR, 7 for Pascal-Person-Part.
        blocks: residual blocks of the four stages.
        width: w, a multiple of 4; smaller ones are for tests.
    """

    def __init__(self, classes: int, *, blocks: Sequence[int] = RESNET_101, width: int = WIDTH) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(3, width, 3, stride=2), AbsNorm(width)
        self.conv2, self.bn2 = _conv(width, width, 3), AbsNorm(width)
        self.conv3, self.bn3 = _conv(width, 2 * width, 3), AbsNorm(2 * width)
        self.layer1 = _stage(2 * width, width, blocks[0])
        self.layer2 = _stage(4 * width, 2 * width, blocks[1], stride=2)
        self.layer3 = _stage(8 * width, 4 * width, blocks[2], stride=2)
        self.layer4 = _stage(16 * width, 8 * width, blocks[3], dilation=2)
        self.context_encoding = Pyramid(32 * width, 8 * width)
        self.edge = Edge(width)
        self.decoder = Decoder(width, classes)
        # Dropout does nothing at inference; it keeps the place of the published layer's number.
        fused = _conv_norm(16 * width, 4 * width)
        self.fushion = nn.Sequential(*fused, nn.Identity(), nn.Conv2d(4 * width, classes, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return parsing, fusion and edge logits.

        Shapes:
            pixels (B,3,H,W) float32, BGR, normalised → (B,C,⌈H/4⌉,⌈W/4⌉) twice and (B,2,⌈H/4⌉,⌈W/4⌉)
        """
        made = F.relu(self.bn1(self.conv1(pixels)))
        made = F.relu(self.bn2(self.conv2(made)))
        made = F.relu(self.bn3(self.conv3(made)))
        fine = self.layer1(F.max_pool2d(made, 3, stride=2, padding=1))
        middle = self.layer2(fine)
        coarse = self.layer3(middle)
        context = self.context_encoding(self.layer4(coarse))
        parsing, features = self.decoder(context, fine)
        edges, edge_features = self.edge(fine, middle, coarse)
        return parsing, _tensor(self.fushion(torch.cat([features, edge_features], dim=1))), edges


def resize(features: Tensor, like: Tensor) -> Tensor:
    """Bring features to another map's size, bilinear, corners aligned."""
    return F.interpolate(features, size=like.shape[2:], mode="bilinear", align_corners=True)


def _conv(channels: int, made: int, kernel: int = 1, *, stride: int = 1, dilation: int = 1) -> nn.Conv2d:
    padding = dilation * (kernel // 2)
    return nn.Conv2d(channels, made, kernel, stride=stride, padding=padding, dilation=dilation, bias=False)


def _conv_norm(channels: int, made: int, kernel: int = 1) -> nn.Sequential:
    return nn.Sequential(_conv(channels, made, kernel), AbsNorm(made, leaky=True))


def _stage(channels: int, width: int, blocks: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    first = Bottleneck(channels, width, stride=stride, dilation=dilation)
    others = (Bottleneck(EXPANSION * width, width, dilation=dilation) for _ in range(blocks - 1))
    return nn.Sequential(first, *others)


def _tensor(made: Tensor) -> Tensor:
    return made
