"""Runs a plan with torch, in any of its number types, on any of its devices."""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn

from sagemaker_models.schp.plan import NOTHING, RECTIFIER, Cells, Conv, Pool, Spread, Step, spread

#: Called with every map's name and values.
Watcher = Callable[[str, Tensor], None]


class Program(nn.Module):
    """A plan as a module.

    Shapes: pixels (B,3,H,W) normalised → logits (B,C,⌈H/4⌉,⌈W/4⌉)
    """

    def __init__(self, steps: Sequence[Step]) -> None:
        super().__init__()
        self._steps = list(steps)
        self.watch: Watcher | None = None
        self.parts = nn.ModuleList(_part(step) for step in steps)

    def forward(self, pixels: Tensor) -> Tensor:
        """Run all steps; a map is let go after the last step that reads it."""
        maps = {"pixels": pixels}
        for step, part in zip(self._steps, self.parts, strict=True):
            if isinstance(step, Conv):
                shortcut = maps[step.shortcut] if step.shortcut else None
                made = part([maps[name] for name in step.sources], shortcut, [maps[name] for name in step.added])
            elif isinstance(step, Spread):
                made = part([maps[name] for name in step.sources], maps[step.like])
            else:
                made = part(maps[step.source])
            maps[step.name] = made
            if self.watch is not None:
                self.watch(step.name, made)
        return maps[self._steps[-1].name]


class _Convolution(nn.Module):
    def __init__(self, step: Conv) -> None:
        super().__init__()
        self.weight = nn.Parameter(step.weight.detach().clone(), requires_grad=False)
        self.bias = nn.Parameter(step.bias.detach().clone(), requires_grad=False)
        self._step = step

    def forward(self, sources: list[Tensor], shortcut: Tensor | None, added: list[Tensor]) -> Tensor:
        step = self._step
        joined = sources[0] if len(sources) == 1 else torch.cat(sources, dim=1)
        padding = step.dilation * (step.kernel // 2)
        made = F.conv2d(joined, self.weight, self.bias, step.stride, padding, step.dilation)
        if shortcut is not None:
            made = made + shortcut
        for small in added:
            same = small.shape[2:] == made.shape[2:]
            made = made + (
                small if same else F.interpolate(small, size=made.shape[2:], mode="bilinear", align_corners=True)
            )
        if step.slope == NOTHING:
            return made
        return F.relu(made) if step.slope == RECTIFIER else F.leaky_relu(made, step.slope)


class _Maximum(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return F.max_pool2d(features, 3, stride=2, padding=1)


class _Means(nn.Module):
    def __init__(self, step: Cells) -> None:
        super().__init__()
        self._cells = step.cells

    def forward(self, features: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(features, self._cells)


class _Spread(nn.Module):
    def forward(self, sources: list[Tensor], like: Tensor) -> Tensor:
        parts = []
        for taps in sources:
            batch, _, cells, _ = taps.shape
            down, right = (matrix.to(taps) for matrix in spread(like.shape[2], like.shape[3], cells))
            along = torch.einsum("buvoij,vxj->biuxo", taps.view(batch, 3, 3, -1, cells, cells), right)
            parts.append(torch.einsum("biuxo,uyi->boyx", along, down))
        return torch.stack(parts).sum(0)


def _part(step: Step) -> nn.Module:
    if isinstance(step, Conv):
        return _Convolution(step)
    if isinstance(step, Cells):
        return _Means(step)
    return _Maximum() if isinstance(step, Pool) else _Spread()
