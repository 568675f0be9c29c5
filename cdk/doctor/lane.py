"""What the GPU lane of a stage needs of an account."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from cdk.config import Stage
from cdk.gpu_config import Gpu
from cdk.gpu_models import Manifest


@dataclass(frozen=True)
class GpuLane:
    """The lane as it would be deployed now.

    Args:
        gpu: its numbers.
        sizes: of the published models, bytes, by key in the stage's bucket.
        unpublished: names of models that are not; as long as there are some, the lane has no hosts.
    """

    gpu: Gpu
    sizes: Mapping[str, int]
    unpublished: tuple[str, ...]

    @classmethod
    def of(cls, stage: Stage, manifest: Manifest) -> Self:
        """Return the lane of a stage."""
        files = [model.of(stage.name) for model in manifest.root if stage.name in model.published]
        sizes = {file["key"]: file["size_bytes"] for file in files}
        return cls(stage.gpu, sizes, tuple(manifest.missing(stage)))
