"""The settings of `config.yaml` in the weights folder, checked."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sagemaker_models.configuration import read_yaml

FILE = "config.yaml"


class Config(BaseModel):
    """What the file says; without one, all is as here.

    Args:
        placement: where the parts lie, see `placement.py`; `auto` for the fastest that fits the memory.
        reserve_gb: of the GPU's memory, what is kept for computing. An estimate for 2048 px, which was not measured.
        loras_kept: how many LoRAs stay loaded, those of the folder and of requests together; one of rank 32 takes about
            half a gigabyte.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    placement: Literal["auto", "bf16", "fp8", "model-offload", "fp8-model-offload", "group-offload", "cpu"] = "auto"
    reserve_gb: Annotated[float, Field(ge=0, le=100)] = 8.0
    loras_kept: Annotated[int, Field(ge=2, le=64)] = 6


def read_config(weights: Path) -> Config:
    """Read the configuration of a weights folder.

    Raises:
        WeightsInvalid: the file cannot be read, is no YAML, or says something impossible.
    """
    path = weights / FILE
    return read_yaml(path, Config) if path.exists() else Config()
