"""What a request comes to, once the checkpoint's own settings fill what it leaves open."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from sagemaker_models.qwen_edit.parameters import QwenEditParameters
from sagemaker_models.qwen_edit.task_config import ConditionalImage, Situation, TaskConfig

#: The guidance that the Lightning LoRAs were trained without.
LIGHTNING_TRUE_CFG = 1.0

#: What stands for a negative prompt that was not given: its authors' own, one blank.
BLANK = " "

#: Seeds that are drawn are below this, so that every client's numbers hold them exactly.
_SEEDS = 2**32


@dataclass(frozen=True)
class Lightning:
    """A LoRA that needs few steps.

    Args:
        path: of its file.
        sha256: of its file.
        steps: that it was trained for.
    """

    path: Path
    sha256: str
    steps: int


class Refused(Exception):
    """The request cannot be done as it is.

    Args:
        code: a word for programs.
        message: one sentence for the caller.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True)
class Plan:
    """How an edit is done.

    Args:
        situation: what the request brought.
        images: the conditional images, in their order.
        steps: of the denoising.
        true_cfg: scale of the guidance.
        negative_prompt: None if there is no guidance.
        blank: whether the negative prompt is the one that stands for none.
        seed: of the noise.
        lightning: None without.
    """

    situation: Situation
    images: tuple[ConditionalImage, ...]
    steps: int
    true_cfg: float
    negative_prompt: str | None
    blank: bool
    seed: int
    lightning: Lightning | None


def plan_of(
    asked: QwenEditParameters, brought: Collection[str], config: TaskConfig, lightning: Lightning | None
) -> Plan:
    """Settle what a request leaves open.

    Args:
        asked: the request's parameters.
        brought: names of its inputs.
        config: of the checkpoint.
        lightning: what the weights folder has.

    Raises:
        Refused: the checkpoint cannot do it, or it is not said what is to be changed.
    """
    situation = _situation(asked, brought, config)
    if config.lightning and lightning is None:
        raise Refused("CheckpointRefused", "The checkpoint uses Lightning, and this model has no Lightning LoRA.")
    used = lightning if config.lightning else None
    true_cfg = asked.true_cfg
    if true_cfg is None:
        true_cfg = LIGHTNING_TRUE_CFG if used else config.true_cfg
    guided = true_cfg > 1
    blank = guided and asked.negative_prompt is None
    return Plan(
        situation=situation,
        images=config.conditions[situation],
        steps=asked.steps or (used.steps if used else config.steps),
        true_cfg=true_cfg,
        negative_prompt=(BLANK if blank else asked.negative_prompt) if guided else None,
        blank=blank,
        seed=secrets.randbelow(_SEEDS) if asked.seed is None else asked.seed,
        lightning=used,
    )


def _situation(asked: QwenEditParameters, brought: Collection[str], config: TaskConfig) -> Situation:
    situation: Situation = "plain"
    if "reference_mask" in brought:
        if "reference" not in brought:
            raise Refused("InputMissing", "There is a reference_mask, and no reference that it belongs to.")
        situation = "two-mask"
    elif "reference" in brought:
        situation = "reference"
    if situation not in config.conditions:
        takes = ", ".join(_WORDS[each] for each in config.conditions)
        raise Refused("InputRefused", f"The checkpoint for {asked.task} takes {takes}, not {_WORDS[situation]}.")
    if "mask" not in brought:
        if config.needs_mask(situation):
            raise Refused("InputMissing", f"The task {asked.task} needs a mask, white where the picture is to change.")
        if asked.keep_outside:
            raise Refused("InputMissing", "keep_outside needs a mask, which says what the outside is.")
    elif not config.needs_mask(situation) and not asked.keep_outside:
        raise Refused("InputRefused", f"The task {asked.task} looks at no mask; a mask is for keep_outside only.")
    return situation


_WORDS: dict[Situation, str] = {
    "plain": "no reference",
    "reference": "a reference",
    "two-mask": "a reference with a mask",
}
