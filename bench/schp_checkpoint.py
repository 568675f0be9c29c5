"""The checkpoint that SCHP is measured with: random, in the published layout, and seeing something all the same.

Weights are drawn; the norms' statistics are those of drawn figures, as training would have left them; the residual
branches are damped as in trained networks, where most of a map is the shortcut's; the last layer is fitted to the
figures' labels by least squares. Without all this the logits are noise, and so is any agreement of masks.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from sagemaker_models.schp.checkpoint import PREFIX
from sagemaker_models.schp.figures import draw_figure
from sagemaker_models.schp.network import AbsNorm, Network
from sagemaker_models.schp.preprocess import normalise

#: To be counted up when another checkpoint comes out of this.
VERSION = 2

SIZE_PX, CLASSES = 512, 18

#: Factor of the last norm of each residual branch.
DAMPING = 0.1

#: Seeds of the figures for the statistics and for the last layer; calibration and measurement have others.
FOR_STATISTICS, FOR_FIT = range(1000, 1006), range(2000, 2010)

#: Of the fit, by the number of points.
RIDGE = 1e-3


def checkpoint_in(folder: Path) -> Path:
    """Return the checkpoint, which is made if it is not there."""
    path = folder / f"random-{VERSION}.pth"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with torch.no_grad():
            state = {PREFIX + key: value for key, value in _network().state_dict().items()}
        torch.save({"state_dict": state}, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)
    return path


def _network() -> Network:
    torch.manual_seed(0)
    network = Network(CLASSES)
    network.eval().requires_grad_(requires_grad=False)
    for name, part in network.named_modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
        if isinstance(part, AbsNorm):
            sign = torch.where(torch.rand_like(part.weight) < 0.3, -1.0, 1.0)
            damping = DAMPING if name.startswith("layer") and name.endswith("bn3") else 1.0
            part.weight.copy_(sign * damping * part.weight.uniform_(0.5, 1.5))
            part.bias.normal_(0, 0.2)
    _take_statistics(network)
    _fit(network)
    return network


def _take_statistics(network: Network) -> None:
    def take(norm: Any, inputs: tuple[Tensor]) -> None:
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3)) + 1e-4)

    hooks = [part.register_forward_pre_hook(take) for part in network.modules() if isinstance(part, AbsNorm)]
    network(torch.cat([_pixels(draw_figure(SIZE_PX, seed)[0]) for seed in FOR_STATISTICS]))
    for hook in hooks:
        hook.remove()
    # A few figures have nearly equal means, which would be blown up to a variance of 1.
    priors = [stage[2].running_var for stage in network.context_encoding.stages]
    for variance in priors:
        variance.clamp_(min=float(priors[-1].mean()))


def _fit(network: Network) -> None:
    last = network.fushion[3]
    features: list[Tensor] = []
    hook = last.register_forward_pre_hook(lambda _, inputs: features.append(inputs[0][0].flatten(1).T))
    targets = []
    for seed in FOR_FIT:
        picture, labels = draw_figure(SIZE_PX, seed)
        network(_pixels(picture))
        side = SIZE_PX // 4
        small = cv2.resize(labels, (side, side), interpolation=cv2.INTER_NEAREST)
        targets.append(torch.from_numpy(small.astype(np.int64)).flatten())
    hook.remove()
    points = torch.cat(features).double()
    points = torch.cat([points, torch.ones(len(points), 1)], 1)
    wanted = nn.functional.one_hot(torch.cat(targets), CLASSES).double()
    ridge = RIDGE * len(points) * torch.eye(points.shape[1])
    found = torch.linalg.solve(points.T @ points + ridge, points.T @ wanted)
    last.weight.copy_(found[:-1].T[:, :, None, None])
    last.bias.copy_(found[-1])


def _pixels(picture: Any) -> Tensor:
    return torch.from_numpy(normalise(picture))
