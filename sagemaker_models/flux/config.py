"""The settings of `config.yaml`, checked."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from sagemaker_models.configuration import read_yaml
from sagemaker_models.flux.plan import Name

SHIPPED = Path(__file__).with_name("config.yaml")


class Config(BaseModel):
    """What `config.yaml` says; its comments are the documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    placement: Name | Literal["auto"] = "auto"
    compile: bool = False
    prompt_cache_entries: int = Field(default=64, ge=0, le=10_000)


def read_config(folder: Path) -> Config:
    """Read and check a folder's configuration, or the shipped one if it has none.

    Raises:
        WeightsInvalid: it cannot be read, is no YAML, or has an impossible value; names the place.
    """
    path = folder / SHIPPED.name
    return read_yaml(path if path.exists() else SHIPPED, Config)
