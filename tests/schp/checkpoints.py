"""Random state dicts in the published layout."""

import torch

from sagemaker_models.schp.network import Network


def random_state(classes=18, seed=0, **sizes):
    """Weights that keep values in bounds; a third of the norms' weights is negative."""
    random = torch.Generator().manual_seed(seed)
    with torch.device("meta"):
        shapes = {key: value.shape for key, value in Network(classes, **sizes).state_dict().items()}
    return {"module." + key: _values(key, shape, random) for key, shape in shapes.items()}


def _values(key, shape, random):
    if len(shape) == 4:
        return torch.randn(shape, generator=random) * (2 / shape[1:].numel()) ** 0.5
    if key.endswith("running_var"):
        return torch.rand(shape, generator=random) * 1.5 + 0.5
    if key.endswith("weight"):
        damped = 0.3 if "bn3" in key and "layer" in key else 1.0
        sign = torch.where(torch.rand(shape, generator=random) < 0.33, -1.0, 1.0)
        return sign * damped * (torch.rand(shape, generator=random) + 0.5)
    return torch.randn(shape, generator=random) * 0.1


def network_of(state, classes=18, **sizes):
    network = Network(classes, **sizes)
    network.load_state_dict({key.removeprefix("module."): value for key, value in state.items()}, strict=True)
    return network.eval().requires_grad_(requires_grad=False)


def save(path, state, *, old_format=False, **more):
    torch.save({"state_dict": state, **more}, path, _use_new_zipfile_serialization=not old_format)
    return path
