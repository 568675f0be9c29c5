"""The settings of `config.yaml`, checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from sagemaker_models.configuration import read_yaml
from sagemaker_models.schp.labels import BY_NAME, DataSet

SHIPPED = Path(__file__).with_name("config.yaml")

Region = Literal["upper", "lower"]
LabelSet = Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
Regions = Annotated[dict[Region, LabelSet], Field(min_length=1)]
Backend = Literal["auto", "cuda", "native-int8", "openvino-bf16", "openvino-fp32", "torch-bf16", "torch-fp32"]


class Config(BaseModel):
    """What `config.yaml` says; its comments are the documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    regions: dict[str, Regions]
    backend: Backend = "auto"
    threads: int = Field(default=0, ge=0, le=256)
    least_agreement: float = Field(default=0.99, ge=0, le=1)
    calibration_folder: str = Field(default="calibration", pattern=r"^[A-Za-z0-9_-]+$")
    calibration_pictures: int = Field(default=12, ge=2, le=64)

    @model_validator(mode="after")
    def _fits_the_data_sets(self) -> Self:
        for name in BY_NAME:
            if set(self.regions.get(name, {})) != {"upper", "lower"}:
                raise ValueError(f"regions.{name} should have the label sets upper and lower")
        for name, regions in self.regions.items():
            if name not in BY_NAME:
                raise ValueError(f"regions.{name}: there is no such data set; known are {', '.join(BY_NAME)}")
            if problem := foreign_labels(regions, BY_NAME[name]):
                raise ValueError(f"regions.{name}: {problem}")
        return self


def foreign_labels(regions: Mapping[Region, tuple[int, ...]], data_set: DataSet) -> str | None:
    """Say which labels do not belong to a data set or stand for nobody; None if all is well."""
    for region, labels in regions.items():
        for label in labels:
            if label >= data_set.classes:
                return f"{region} has label {label}; {data_set.name} has 0 to {data_set.classes - 1}"
            if label == 0:
                return f"{region} has label 0, which is {data_set.labels[0]}"
        if len(set(labels)) != len(labels):
            return f"{region} names a label twice"
    return None


def read_config(path: Path = SHIPPED) -> Config:
    """Read and check a configuration.

    Raises:
        WeightsInvalid: it cannot be read, is no YAML, or has an impossible value.
    """
    return read_yaml(path, Config)
