"""Settings of the models' coming."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, Json

from backlot.settings import EnvironmentSettings

#: One name of a file or a folder: it cannot lead elsewhere, and is not hidden.
_Name = Annotated[str, Field(pattern=r"^[^/.][^/]*$")]


class ModelFile(BaseModel):
    """A file of the manifest, as it is published in the stage.

    Args:
        name: of the file, as graphs call it.
        folder: of ComfyUI's models folder: `loras`.
        key: of the object in the bucket.
        size_bytes: of its content.
        sha256: of its content, in hex.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: _Name
    folder: _Name
    key: str
    size_bytes: int = Field(gt=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Settings(EnvironmentSettings):
    """What bringing the models needs to know, each from the variable of the same name in capitals.

    Args:
        bucket: name of the bucket with the models.
        models: JSON list of the files.
        models_folder: on the host's disk; ComfyUI's models folder.
        cache_gb: how much of the disk models may fill.
    """

    bucket: str
    models: Json[tuple[ModelFile, ...]]
    models_folder: Path
    cache_gb: int = Field(ge=1)
