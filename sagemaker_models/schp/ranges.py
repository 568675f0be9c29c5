"""Finds how a plan's maps are best stored in 8 bits, by running calibration pictures in floats."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor

from sagemaker_models.schp.plan import Conv, Pool, Step
from sagemaker_models.schp.program import Program
from sagemaker_models.schp.quantise import PICTURE, SUM, TAP_UNIT, Ranges, Scale

#: A channel that was silent on the calibration pictures still gets this share of its map's widest range.
LEAST_SHARE = 0.02

#: Ranges are so much wider than what the calibration pictures showed.
HEADROOM = 1.15

#: The same for the stem's maps, which follow a picture's brightness and contrast the most.
HEADROOM_OF_STEM = 1.3

#: The same for maps of a few cells, of which calibration shows few values.
HEADROOM_OF_FEW, FEW = 2.5, 4096

#: Shares of a transformed place's range that are tried: cutting rare values off can cost less than coarse steps.
SHARES = (1.0, 0.85, 0.7, 0.55, 0.45)

#: Values of a transformed place by which the shares are judged; of each picture.
SAMPLES = 65536

#: Largest factor of a transformed place that 16 bits hold.
LARGEST_FACTOR = 32767


def calibrate(steps: Sequence[Step], pictures: Sequence[Tensor]) -> Ranges:
    """Run pictures in floats and look at every map.

    Args:
        steps: the plan.
        pictures: (1,3,n,n), normalised.
    """
    program = Program(steps).eval()
    extremes: dict[str, list[Tensor]] = {}
    means: dict[str, list[Tensor]] = {}
    sizes: dict[str, int] = {}
    taps: dict[str, list[Tensor]] = {}
    readers = {step.sources[0]: step for step in steps if isinstance(step, Conv) and is_winograd(step)}

    def note(name: str, made: Tensor) -> None:
        flat = made[0].flatten(1)
        sizes[name] = flat.shape[1]
        extremes.setdefault(name, []).append(torch.stack([flat.amin(1), flat.amax(1)]))
        means.setdefault(name, []).append(flat.mean(1))

    with torch.inference_mode():
        program.watch = note
        for picture in pictures:
            program(picture)
        scales = {"pixels": PICTURE}
        for name, found in extremes.items():
            ends = torch.stack(found)
            mean = torch.stack(means[name]).mean(0)
            headroom = _headroom(name, sizes[name] * len(found))
            scales[name] = scale_of(ends[:, 0].amin(0), ends[:, 1].amax(0), mean, headroom)
        for step in steps:
            if isinstance(step, Pool):
                scales[step.name] = Scale(scales[step.source].step, scales[step.source].zero, scales[step.name].mean)

        def note_taps(name: str, made: Tensor) -> None:
            if name in readers:
                stored = torch.round(made / scales[name].step[:, None, None]).clamp(0, 255)
                found = _sample(_transformed(stored, readers[name].dilation), SAMPLES)
                taps.setdefault(readers[name].name, []).append(found)

        program.watch = note_taps
        for picture in pictures:
            program(picture)
    return Ranges(scales, {name: _factors(torch.cat(found, 1)) for name, found in taps.items()})


def _headroom(name: str, values: int) -> float:
    if name.startswith("stem"):
        return HEADROOM_OF_STEM
    return HEADROOM_OF_FEW if values < FEW else HEADROOM


def is_winograd(step: Conv) -> bool:
    """Tell whether a convolution runs as Winograd's: 3x3, stride 1; all of these stand behind a rectifier."""
    return step.kernel == 3 and step.stride == 1


def scale_of(least: Tensor, most: Tensor, mean: Tensor, headroom: float = HEADROOM) -> Scale:
    """Cover the range of each channel, and a little more.

    Nothing is cut off: what is rare on the calibration pictures is common on some other picture.

    Args:
        least: of all values, by channel.
        most: likewise.
        mean: likewise.
        headroom: by which the range is made wider.
    """
    least, most = headroom * least.clamp(max=0), headroom * most.clamp(min=0)
    width = most - least
    width = width.clamp(min=max(LEAST_SHARE * float(width.max()), 1e-6))
    return Scale(width / 255, torch.round(-least / width * 255), mean)


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
    rows = [_along([column[:, :, y * dilation : y * dilation + height : 2] for y in range(4)]) for column in columns]
    return torch.stack([made.flatten() for y in range(4) for made in _along([rows[x][y] for x in range(4)])])


def _along(four: list[Tensor]) -> list[Tensor]:
    return [four[0] - four[2], four[1] + four[2], four[2] - four[1], four[1] - four[3]]


def _sample(values: Tensor, count: int) -> Tensor:
    """Return so many columns, evenly taken."""
    stride = max(1, values.shape[1] // count)
    return values[:, ::stride][:, :count]
