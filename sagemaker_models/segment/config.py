"""The settings of `config.yaml` in the weights folder, checked."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from sagemaker_models.configuration import read_yaml

FILE = "config.yaml"

Family = Literal["u2net", "isnet", "birefnet"]
_Colour = Annotated[float, Field(allow_inf_nan=False)]
_Spread = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class NetworkConfig(BaseModel):
    """What is known of an ONNX file; what is left out follows from its family.

    Args:
        family: whose the network is. `auto` takes `birefnet` for `best.onnx`; for `fast.onnx`, `u2net` if its input has
            320 px, else `isnet`.
        size_px: side of its input, where the file leaves it open.
        mean: of red, green and blue, taken away from values of 0 to 1.
        std: by which they are divided after that.
        output: whether its first output is a probability or comes before the sigmoid.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: Family | Literal["auto"] = "auto"
    size_px: Annotated[int | None, Field(ge=32, le=4096)] = None
    mean: tuple[_Colour, _Colour, _Colour] | None = None
    std: tuple[_Spread, _Spread, _Spread] | None = None
    output: Literal["probability", "logits"] | None = None


class Config(BaseModel):
    """What the file says; without one, all is as here.

    Args:
        precision: in which SAM looks at a picture: `half` is bfloat16, or float16 on a GPU that has no bfloat16; `auto`
            takes it where the machine has it. Clicks are always worked out in fp32.
        embedding_cache_mb: memory for pictures that were looked at, megabytes; a picture takes 10 (in half) to 17.
        fast: of `backgrounds/fast.onnx`.
        best: of `backgrounds/best.onnx`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    precision: Literal["auto", "fp32", "half"] = "auto"
    embedding_cache_mb: Annotated[int, Field(ge=0, le=100_000)] = 256
    fast: NetworkConfig = NetworkConfig()
    best: NetworkConfig = NetworkConfig()


def read_config(weights: Path) -> Config:
    """Read the configuration of a weights folder.

    Raises:
        WeightsInvalid: the file cannot be read, is no YAML, or says something impossible.
    """
    path = weights / FILE
    return read_yaml(path, Config) if path.exists() else Config()
