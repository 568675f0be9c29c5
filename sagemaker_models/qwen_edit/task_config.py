"""What a task's checkpoint was trained on: the small `qwen_edit.yaml` beside it, checked."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from sagemaker_models.configuration import read_yaml
from sagemaker_models.qwen_edit.conditions import CONDITIONS, Need
from sagemaker_models.serving.model import WeightsInvalid

#: Name of the file.
FILE = "qwen_edit.yaml"

Task = Literal["insertion", "removal", "white-balance"]

#: What a request brings beside picture and mask: nothing, a reference picture, or that and a mask of its object.
Situation = Literal["plain", "reference", "two-mask"]

_BROUGHT: dict[Situation, frozenset[Need]] = {
    "plain": frozenset({"mask"}),
    "reference": frozenset({"mask", "reference"}),
    "two-mask": frozenset({"mask", "reference", "reference_mask"}),
}

#: The pipeline was tried with up to five images; its authors name three as what it does best.
MOST_IMAGES = 5


class ConditionalImage(BaseModel):
    """One conditional image.

    Args:
        image: its kind, a key of `sagemaker_models.qwen_edit.conditions.CONDITIONS`.
        label: what answers call it; empty for the kind's own label.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str
    label: Annotated[str, Field(max_length=40, pattern=r"^[A-Za-z0-9_-]*$")] = ""

    @model_validator(mode="after")
    def _is_known(self) -> Self:
        if self.image not in CONDITIONS:
            raise ValueError(f"there is no conditional image {self.image!r}; there are {', '.join(CONDITIONS)}")
        return self

    @property
    def called(self) -> str:
        """Return the label that answers have."""
        return self.label or CONDITIONS[self.image].label


def _spelt_out(value: Any) -> Any:
    return {"image": value} if isinstance(value, str) else value


ConditionalImages = Annotated[
    tuple[Annotated[ConditionalImage, BeforeValidator(_spelt_out)], ...], Field(min_length=1, max_length=MOST_IMAGES)
]


class TaskConfig(BaseModel):
    """How a checkpoint is used.

    Args:
        task: that it was trained for.
        conditions: the conditional images in their order, for each situation that the checkpoint knows; others are
            refused. "Picture 1" in a prompt is the first of them.
        steps: default number of steps; with Lightning, that of its own file counts instead.
        true_cfg: default scale of the guidance; with Lightning, 1 counts instead.
        lightning: whether the Lightning LoRA is laid over the checkpoint, for few steps.
        lora_scale: strength of the checkpoint, if it is a LoRA.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    conditions: Annotated[dict[Situation, ConditionalImages], Field(min_length=1)]
    steps: Annotated[int, Field(ge=1, le=100)] = 40
    true_cfg: Annotated[float, Field(ge=1, le=20)] = 4.0
    lightning: bool = False
    lora_scale: Annotated[float, Field(gt=0, le=2)] = 1.0

    @model_validator(mode="after")
    def _can_be_built(self) -> Self:
        for situation, images in self.conditions.items():
            for each in images:
                if missing := CONDITIONS[each.image].needs - _BROUGHT[situation]:
                    raise ValueError(f"conditions.{situation}: {each.image} needs a {' and a '.join(sorted(missing))}")
            labels = [each.called for each in images]
            if twice := sorted({label for label in labels if labels.count(label) > 1}):
                raise ValueError(f"conditions.{situation}: two images are called {twice[0]}; give one another label")
        return self

    def needs_mask(self, situation: Situation) -> bool:
        """Tell whether one of the conditional images cannot be made without a mask."""
        return any("mask" in CONDITIONS[each.image].needs for each in self.conditions[situation])


def read_task_config(folder: Path) -> TaskConfig:
    """Read and check the configuration of a checkpoint.

    Raises:
        WeightsInvalid: the file is missing, is no YAML, or says something impossible.
    """
    path = folder / FILE
    if not path.exists():
        raise WeightsInvalid(
            f"{folder.name} has no {FILE}, which says what images the checkpoint was trained on, and in which order"
        )
    return read_yaml(path, TaskConfig, f"{folder.name}/{FILE}")
