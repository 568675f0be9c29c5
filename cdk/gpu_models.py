"""The manifest of the GPU lane's models, `containers/comfyui/models.yaml`, which `make publish-gpu-model` completes."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from cdk.checkpoints import weights_prefix
from cdk.config import Stage
from cdk.packaging import ROOT

MANIFEST = ROOT / "containers" / "comfyui" / "models.yaml"

#: Below which models of the GPU lane lie, behind `models/`.
COMFYUI = "comfyui"

#: ComfyUI's folders that loaders look into.
Folder = Literal[
    "checkpoints",
    "clip_vision",
    "controlnet",
    "diffusion_models",
    "loras",
    "text_encoders",
    "upscale_models",
    "vae",
]

_HEADER = """\
# The GPU lane's models. `make publish-gpu-model FILE=… STAGE=…` uploads a file whose name stands here, and notes it.
# A published file lies in the stage's bucket at models/comfyui/<sha256>/<name>, and on the hosts in ComfyUI's folder.
# A stage has its lane once all of them are published in it; delete those that your workflows do not use.
"""


class PublishedFile(BaseModel):
    """A file that lies in a stage's bucket.

    Args:
        size_bytes: of its content.
        sha256: of its content, in hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size_bytes: int = Field(gt=0)
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class ModelFile(BaseModel):
    """A file that the workflows need.

    Args:
        name: of the file, as graphs call it.
        folder: of ComfyUI's models folder.
        about: what it is, and who needs it.
        published: by stage.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[^/.][^/]*\.safetensors$")]
    folder: Folder
    about: str
    published: dict[str, PublishedFile] = {}

    def of(self, stage: str) -> dict[str, Any]:
        """Return the file as the hosts of a stage are told of it.

        Raises:
            KeyError: it is not published there.
        """
        published = self.published[stage]
        key = weights_prefix(COMFYUI, published.sha256) + self.name
        return {"name": self.name, "folder": self.folder, "key": key, **published.model_dump()}


class Manifest(RootModel[tuple[ModelFile, ...]]):
    """The files that the workflows need."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [model.name for model in self.root]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"the manifest names files twice: {', '.join(twice)}")
        return self

    @classmethod
    def read(cls, path: Path = MANIFEST) -> Self:
        """Read the file.

        Raises:
            pydantic.ValidationError: it holds something else.
        """
        return cls.model_validate(yaml.safe_load(path.read_text("utf-8")))

    def write(self, path: Path = MANIFEST) -> None:
        """Write the file, whole or not at all."""
        partial = path.with_suffix(".partial")
        text = yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=120)
        partial.write_text(_HEADER + text, "utf-8")
        partial.replace(path)

    def missing(self, stage: Stage) -> list[str]:
        """Return the names of the files that are not published in a stage."""
        return [model.name for model in self.root if stage.name not in model.published]

    def of(self, stage: Stage) -> list[dict[str, Any]]:
        """Return the files as the hosts of a stage are told of them.

        Raises:
            ValueError: they do not fit on a host's disk.
            KeyError: one is not published there, see `missing`.
        """
        files = [model.of(stage.name) for model in self.root]
        size_gb = sum(file["size_bytes"] for file in files) / 1e9
        if size_gb > stage.gpu.cache_gb:
            raise ValueError(f"the models have {size_gb:.1f} GB; gpu.cache_gb of stage {stage.name} is below that")
        return files

    def with_file(self, stage: str, name: str, published: PublishedFile) -> Self:
        """Return the manifest once a file is published, too."""
        return type(self)(
            tuple(
                model.model_copy(update={"published": {**model.published, stage: published}})
                if model.name == name
                else model
                for model in self.root
            )
        )
