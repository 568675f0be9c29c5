"""The published checkpoints of each stage: `cdk/checkpoints.json`, which `make publish-model` writes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, RootModel

from cdk.config import Stage

CHECKPOINTS = Path(__file__).with_name("checkpoints.json")

#: Where published models lie in the bucket; nothing deletes them but a person.
MODEL_PREFIX = "models/"


def weights_prefix(model: str, sha256: str) -> str:
    """Return below which key a checkpoint lies; all that lies there is the model's."""
    return f"{MODEL_PREFIX}{model}/{sha256}/"


class Checkpoint(BaseModel):
    """A published checkpoint.

    Args:
        sha256: of the file, or of the folder's listing; it lies below `models/<model>/<sha256>/`.
        published_at: when it was.
        found: what the model's own check said of it; `licences` among it, if the model names its parts' licences.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    published_at: AwareDatetime
    found: dict[str, Any] = {}

    @property
    def restrictions(self) -> list[str]:
        """Say which parts are not known to be for commercial use, a sentence each."""
        return restrictions(self.found)


def restrictions(found: Mapping[str, Any]) -> list[str]:
    """Say which parts of a checkpoint are not known to be for commercial use, a sentence each.

    Args:
        found: what the model's own check said of it.
    """
    bound = [licence for licence in found.get("licences", []) if licence["commercial"] is not True]
    return [
        f"{licence['part']} is not {'known to be ' if licence['commercial'] is None else ''}for commercial use "
        f"({licence['licence']}); instead: {licence['instead']}"
        for licence in bound
    ]


class Checkpoints(RootModel[dict[str, dict[str, Checkpoint]]]):
    """The published checkpoints, by stage and model."""

    model_config = ConfigDict(frozen=True)

    @classmethod
    def read(cls, path: Path = CHECKPOINTS) -> Self:
        """Read the file.

        Raises:
            pydantic.ValidationError: it holds something else.
        """
        return cls.model_validate_json(path.read_text())

    def write(self, path: Path = CHECKPOINTS) -> None:
        """Write the file, whole or not at all."""
        partial = path.with_suffix(".partial")
        partial.write_text(self.model_dump_json(indent=2) + "\n")
        partial.replace(path)

    def of(self, stage: Stage) -> dict[str, Checkpoint]:
        """Return the published checkpoints of a stage, by model.

        Raises:
            ValueError: a checkpoint is of a model that the stage does not have.
        """
        published = self.root.get(stage.name, {})
        unknown = sorted(set(published) - set(stage.models))
        if unknown:
            raise ValueError(f"checkpoints of models that stage {stage.name} does not have: {', '.join(unknown)}")
        return published

    def with_checkpoint(self, stage: str, model: str, checkpoint: Checkpoint) -> Self:
        """Return what is published once a checkpoint is published, too."""
        return type(self)({**self.root, stage: {**self.root.get(stage, {}), model: checkpoint}})
