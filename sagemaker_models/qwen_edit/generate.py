"""One run of the pipeline: conditional images and a prompt in, pixels out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from backlot.errors import OutputInvalid
from sagemaker_models.qwen_edit.frame import Pixels

#: The share of a run that is done when the last step is; what is left is the decoder's.
STEPS_SHARE = 0.95


@dataclass(frozen=True)
class Job:
    """What is to be made.

    Args:
        images: the conditional images, (height,width,3) each.
        prompt: maybe empty.
        negative_prompt: None for none.
        true_cfg: scale of the guidance; above 1 only with a negative prompt.
        steps: of the denoising.
        seed: of the noise.
    """

    images: Sequence[Pixels]
    prompt: str
    negative_prompt: str | None
    true_cfg: float
    steps: int
    seed: int


def generate(pipe: Any, job: Job, progress: Callable[[float], None]) -> Pixels:
    """Make a picture of the conditional images' size.

    Args:
        pipe: a QwenImageEditPlusPipeline.
        job: what to make.
        progress: told the share that is done, before each step and after the last; what it raises ends the run.

    Shapes:
        → (height,width,3)

    Raises:
        OutputInvalid: values were no numbers.
    """
    height, width = job.images[0].shape[:2]

    def after_step(_: Any, step: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if not bool(torch.isfinite(tensors["latents"]).all()):
            raise OutputInvalid(reason=f"step {step + 1} of {job.steps} made values that are no numbers")
        progress(STEPS_SHARE * (step + 1) / job.steps)
        return tensors

    progress(0.0)
    try:
        made = pipe(
            image=[Image.fromarray(each) for each in job.images],
            prompt=job.prompt,
            negative_prompt=job.negative_prompt,
            true_cfg_scale=job.true_cfg,
            height=height,
            width=width,
            num_inference_steps=job.steps,
            # On the CPU, so that the same seed makes the same noise on every device.
            generator=torch.Generator("cpu").manual_seed(job.seed),
            output_type="np",
            callback_on_step_end=after_step,
        ).images[0]
    except BaseException:
        # The pipeline does so only where it ends well.
        pipe.maybe_free_model_hooks()
        raise
    if not np.isfinite(made).all():
        raise OutputInvalid(reason="the decoder made values that are no numbers")
    return np.asarray(np.floor(made * 255 + 0.5), np.uint8)
