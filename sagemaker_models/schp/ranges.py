"""Finds how a plan's maps are best stored in 8 bits, by running calibration pictures in floats."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor

from sagemaker_models.schp.plan import RECTIFIER, Conv, Pool, Step
from sagemaker_models.schp.program import Program
from sagemaker_models.schp.quantise import PICTURE, SUM, TAP_UNIT, Ranges, Scale

#: A channel that was silent on the calibration pictures still gets this share of its map's widest range.
LEAST_SHARE = 0.02

#: Shares of the widest range that are tried; cutting rare values off can cost less than coarse steps for all others.
SHARES = (1.0, 0.85, 0.7, 0.55, 0.45, 0.35, 0.27, 0.2)

#: Values of a channel, and of a transformed place, by which the shares are judged; of each picture.
CHANNEL_SAMPLES, TAP_SAMPLES = 1024, 65536

#: Largest factor of a transformed place that 16 bits hold.
LARGEST_FACTOR = 32767


def calibrate(steps: Sequence[Step], pictures: Sequence[Tensor]) -> Ranges:
    """Run pictures in floats and look at every map.

    Args:
        steps: the plan.
        pictures: (1,3,n,n), normalised.
    """
    program = Program(steps).eval()
    samples: dict[str, list[Tensor]] = {}
    extremes: dict[str, list[Tensor]] = {}
    means: dict[str, list[Tensor]] = {}
    taps: dict[str, list[Tensor]] = {}
    readers = {step.sources[0]: step for step in steps if isinstance(step, Conv) and is_winograd(step)}

    def note(name: str, made: Tensor) -> None:
        flat = made[0].flatten(1)
        samples.setdefault(name, []).append(_sample(flat, CHANNEL_SAMPLES))
        extremes.setdefault(name, []).append(torch.stack([flat.amin(1), flat.amax(1)]))
        means.setdefault(name, []).append(flat.mean(1))

    with torch.inference_mode():
        program.watch = note
        for picture in pictures:
            program(picture)
        scales = {"pixels": PICTURE}
        for name, found in samples.items():
            ends = torch.stack(extremes[name])
            mean = torch.stack(means[name]).mean(0)
            scales[name] = scale_of(torch.cat(found, 1), ends[:, 0].amin(0), ends[:, 1].amax(0), mean)
        for step in steps:
            if isinstance(step, Pool):
                scales[step.name] = Scale(scales[step.source].step, scales[step.source].zero, scales[step.name].mean)

        def note_taps(name: str, made: Tensor) -> None:
            if name in readers:
                stored = torch.round(made / scales[name].step[:, None, None]).clamp(0, 255)
                found = _sample(_transformed(stored, readers[name].dilation), TAP_SAMPLES)
                taps.setdefault(readers[name].name, []).append(found)

        program.watch = note_taps
        for picture in pictures:
            program(picture)
    return Ranges(scales, {name: _factors(torch.cat(found, 1)) for name, found in taps.items()})


def is_winograd(step: Conv) -> bool:
    """Tell whether a convolution runs as Winograd's: 3x3, stride 1; all of these stand behind a rectifier."""
    return step.kernel == 3 and step.stride == 1


def scale_of(samples: Tensor, least: Tensor, most: Tensor, mean: Tensor) -> Scale:
    """Choose the range of each channel with the least squared error.

    Args:
        samples: (C,n).
        least: of all values, by channel.
        most: likewise.
        mean: likewise.
    """
    least, most = least.clamp(max=0), most.clamp(min=0)
    floor = max(LEAST_SHARE * float((most - least).max()), 1e-6)
    best, chosen = torch.full_like(least, torch.inf), (least, most)
    for share in SHARES:
        width = (share * (most - least)).clamp(min=floor)
        zero = torch.round(-least * share / width * 255)
        step = width / 255
        stored = (torch.round(samples / step[:, None]) + zero[:, None]).clamp(0, 255)
        error = ((stored - zero[:, None]) * step[:, None] - samples).square().mean(1)
        better = error < best
        best = torch.where(better, error, best)
        chosen = (torch.where(better, step, chosen[0]), torch.where(better, zero, chosen[1]))
    return Scale(*chosen, mean)


def _factors(taps: Tensor) -> Tensor:
    """Choose by which factor each transformed place is multiplied.

    Shapes: taps (16,n) → (16)
    """
    most = taps.abs().amax(1).clamp(min=1)
    lowest = torch.full((16, 1), -128.0)
    lowest[SUM] = 0
    highest = lowest + 255
    best, chosen = torch.full((16,), torch.inf), torch.ones(16)
    for share in SHARES:
        factor = torch.floor(highest[:, 0] * TAP_UNIT / (share * most)).clamp(1, LARGEST_FACTOR)
        stored = torch.round(taps * factor[:, None] / TAP_UNIT).clamp(lowest, highest)
        error = (stored * TAP_UNIT / factor[:, None] - taps).square().mean(1)
        better = error < best
        best, chosen = torch.where(better, error, best), torch.where(better, factor, chosen)
    return chosen


def _transformed(stored: Tensor, dilation: int) -> Tensor:
    """Return the values of the 16 transformed places over a map.

    Shapes: stored (1,C,h,w) → (16,n)
    """
    padded = F.pad(stored, [dilation, 2 * dilation, dilation, 2 * dilation])
    height, width = stored.shape[2:]
    columns = [padded[:, :, :, x * dilation : x * dilation + width] for x in range(4)]
    rows = [
        _along([column[:, :, y * dilation : y * dilation + height : 2] for y in range(4)]) for column in columns
    ]
    return torch.stack([made.flatten() for y in range(4) for made in _along([rows[x][y] for x in range(4)])])


def _along(four: list[Tensor]) -> list[Tensor]:
    return [four[0] - four[2], four[1] + four[2], four[2] - four[1], four[1] - four[3]]


def _sample(values: Tensor, count: int) -> Tensor:
    """Return so many columns, evenly taken."""
    stride = max(1, values.shape[1] // count)
    return values[:, ::stride][:, :count]


#: What nothing is cut off from.
__all__ = ["RECTIFIER", "calibrate", "is_winograd", "scale_of"]
