"""From floats to 8 bits: a plan's maps get a step and a zero for each channel, its weights one for each output.

A value is step * (stored - zero). The steps of a map's channels go into the weights that read it, so that each channel
uses all 256 values, at no cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sagemaker_models.schp.plan import Conv
from sagemaker_models.schp.preprocess import MEAN, STD

#: Weights and transformed maps are signed and symmetric.
LARGEST = 127

#: The transformation of kernels for Winograd's F(2x2,3x3) (Lavin and Gray 2016, section 4.1).
TO_KERNEL = torch.tensor(((1.0, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1)))

#: The transformed place that adds four values up: it cannot be negative behind a rectifier, and is stored unsigned.
SUM = 5

#: Factors of transformed maps are kept in units of 1/2048.
TAP_UNIT = 2048


@dataclass(frozen=True)
class Scale:
    """How a map is stored.

    Args:
        step: by channel.
        zero: the stored value that stands for 0, by channel.
        mean: by channel, in real units.
    """

    step: Tensor
    zero: Tensor
    mean: Tensor


#: How a picture is stored: its own pixels, of which the network sees (v/255 - mean)/std.
PICTURE = Scale(torch.tensor(1 / (255 * STD)), torch.tensor(255 * MEAN), torch.zeros(3))


@dataclass(frozen=True)
class Ranges:
    """What a plan's maps held while calibration pictures ran.

    Args:
        scales: by the map's name.
        tap_factors: for convolutions that run as Winograd's, by name: (16) in units of 1/2048.
    """

    scales: dict[str, Scale]
    tap_factors: dict[str, Tensor]


@dataclass(frozen=True)
class Weights:
    """A convolution in 8 bits.

    Args:
        stored: (taps,O,I) int8; 16 taps for Winograd's, else the kernel's, row by row.
        scale: value of one unit of a sum: (O), for Winograd's (16,O).
        bias: (O), in real units.
        start: Winograd: what takes the 128 away that is added to the transformed map; (16,O).
    """

    stored: Tensor
    scale: Tensor
    bias: Tensor
    start: Tensor | None


def quantise(step: Conv, scales: Sequence[Scale], tap_factors: Tensor | None) -> Weights:
    """Round a convolution's weights; the bias takes back what their rounding does to the mean.

    Args:
        scales: of its sources.
        tap_factors: if it runs as Winograd's.
    """
    steps, zeros = torch.cat([each.step for each in scales]), torch.cat([each.zero for each in scales])
    stored_mean = (torch.cat([each.mean for each in scales]) / steps).double()
    weight = (step.weight * steps[None, :, None, None]).double()
    if tap_factors is None:
        taps = weight.flatten(2).permute(2, 0, 1)
        unit = taps.abs().amax((0, 2)).clamp(min=1e-30) / LARGEST
        stored = torch.round(taps / unit[:, None])
        lost = (taps - stored * unit[:, None]).sum(0) @ stored_mean
        bias = step.bias + lost - unit * (stored * zeros).sum((0, 2))
        return Weights(stored.to(torch.int8), unit.float(), bias.float(), None)
    matrix = TO_KERNEL.double()
    taps = torch.einsum("ya,oiab,xb->yxoi", matrix, weight, matrix).flatten(0, 1)
    unit = taps.abs().amax(2).clamp(min=1e-30) / LARGEST
    stored = torch.round(taps / unit[:, :, None])
    # Of an even map, only the sum of all four places is left after the transformation.
    lost = (taps[SUM] - stored[SUM] * unit[SUM][:, None]) @ (4 * stored_mean)
    start = -128 * stored.sum(2)
    start[SUM] = 0
    scale = unit * (TAP_UNIT / tap_factors.double())[:, None]
    return Weights(stored.to(torch.int8), scale.float(), (step.bias + lost).float(), start.to(torch.int32))
