"""What the GPU lane of a stage needs of an account."""

import importlib
from dataclasses import dataclass

from cdk.config import Stage


@dataclass(frozen=True)
class ModelFile:
    """A file of the manifest that is published in the stage.

    Args:
        key: in the stage's bucket.
        size_bytes: of its content.
    """

    key: str
    size_bytes: int


@dataclass(frozen=True)
class GpuLane:
    """What it needs.

    Args:
        instance_types: that a worker may have.
        spot: workers on spot instances at most.
        on_demand: workers on on-demand instances at most.
        zones: availability zones.
        files: published models.
        unpublished: names of models that are not; as long as there are some, the lane has no hosts.
    """

    instance_types: tuple[str, ...]
    spot: int
    on_demand: int
    zones: int
    files: tuple[ModelFile, ...]
    unpublished: tuple[str, ...]


def gpu_lane(stage: Stage) -> GpuLane | None:
    """Return what the lane of a stage needs; None if the stage has none."""
    gpu = getattr(stage, "gpu", None)
    if gpu is None:
        return None
    manifest = importlib.import_module("cdk.gpu_models").Manifest.read()
    published = [model.of(stage.name) for model in manifest.root if stage.name in model.published]
    return GpuLane(
        instance_types=gpu.instance_types,
        spot=gpu.max_spot,
        on_demand=gpu.max_on_demand,
        zones=gpu.zones,
        files=tuple(ModelFile(each["key"], each["size_bytes"]) for each in published),
        unpublished=tuple(manifest.missing(stage)),
    )
