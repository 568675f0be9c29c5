"""What a request may ask for."""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from sagemaker_models.qwen_edit.frame import Quality
from sagemaker_models.qwen_edit.task_config import Task, TaskConfig

#: Words that the tokenizer takes for marks of its own; one more picture mark than pictures breaks the encoding.
TOKENIZER_MARK = re.compile(r"<\|[^|<>]*\|>")

_Prompt = Annotated[str, Field(max_length=5000)]


class QwenEditParameters(BaseModel):
    """The parameters of one edit; what is not given comes from the task's checkpoint.

    Args:
        task: chooses the checkpoint.
        prompt: may be empty; "Picture 1" is the first conditional image.
        negative_prompt: what to stay away from; None for none.
        steps: of the denoising.
        true_cfg: scale of the guidance; 1 for none, which takes half the time. Above 1 without a negative prompt, a
            blank stands for it, for the pipeline would not guide at all.
        seed: of the noise; None for any. The same seed makes the same noise on every device.
        input_quality: `resized` works in the square that the checkpoints were given, `original` at the picture's own
            size, up to 2048 px. The result always has the original's size.
        keep_outside: lay the result over the original, so that nothing outside the mask changes.
        feather_px: with `keep_outside`, how far the edit runs out softly around the mask, pixels of the original.
        debug: give the conditional images back, too.
        checkpoint: what the request's file `checkpoint` was trained on; together with that file only.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Task
    prompt: _Prompt = ""
    negative_prompt: _Prompt | None = None
    steps: Annotated[int | None, Field(ge=1, le=100)] = None
    true_cfg: Annotated[float | None, Field(ge=0.5, le=20)] = None
    seed: Annotated[int | None, Field(ge=0, lt=2**63)] = None
    input_quality: Quality = "resized"
    keep_outside: bool = False
    feather_px: Annotated[int, Field(ge=0, le=256)] = 8
    debug: bool = False
    checkpoint: TaskConfig | None = None

    @field_validator("prompt", "negative_prompt")
    @classmethod
    def _has_no_marks(cls, prompt: str | None) -> str | None:
        if found := TOKENIZER_MARK.search(prompt or ""):
            raise ValueError(f"{found.group()} is a mark of the tokenizer's own; leave it out")
        return prompt

    @model_validator(mode="after")
    def _is_for_the_task(self) -> Self:
        if self.checkpoint is not None and self.checkpoint.task != self.task:
            raise ValueError(f"checkpoint is one for {self.checkpoint.task}, and task is {self.task}")
        return self
