"""The configuration that lies in a weights folder: YAML, checked by a pydantic model."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from sagemaker_models.serving.model import WeightsInvalid

Config = TypeVar("Config", bound=BaseModel)


def read_yaml(path: Path, kind: type[Config], name: str = "") -> Config:
    """Read and check a file; an empty one says nothing.

    Args:
        name: what errors call the file; its own name without.

    Raises:
        WeightsInvalid: it cannot be read, is no YAML, or has an impossible value; names the place.
    """
    name = name or path.name
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        return kind.model_validate({} if said is None else said)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WeightsInvalid(f"{name} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise WeightsInvalid(f"{name}: {place}: {first['msg']}") from error
