"""What an answer says of an edit beside its picture."""

from typing import Any

from sagemaker_models.qwen_edit.parameters import QwenEditParameters
from sagemaker_models.qwen_edit.pictures import Brought
from sagemaker_models.qwen_edit.plan import Plan


def values_of(asked: QwenEditParameters, plan: Plan, brought: Brought) -> dict[str, Any]:
    """Return how an edit is done, with nothing left open."""
    frame = brought.frame
    return {
        "task": asked.task,
        "situation": plan.situation,
        "seed": plan.seed,
        "steps": plan.steps,
        "width": frame.width,
        "height": frame.height,
        "canvas": {"width": frame.canvas_width, "height": frame.canvas_height},
        "scaled": frame.scaled,
        "true_cfg": plan.true_cfg,
        "guided": plan.negative_prompt is not None,
        "negative_prompt": plan.negative_prompt,
        "negative_prompt_is_blank": plan.blank,
        "lightning": plan.lightning is not None,
        "conditional_labels": [each.called for each in plan.images],
    }
