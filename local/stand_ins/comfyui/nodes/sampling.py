"""The sampler: takes its time, tells how far it is, and notes what it was asked for."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image

from local.stand_ins.comfyui.effects import Wish
from local.stand_ins.comfyui.nodes.images import Images, to_pillow
from local.stand_ins.comfyui.nodes.job import Job
from local.stand_ins.comfyui.nodes.models import Conditioning, Latent, decoded

#: Longest side of a preview, pixels.
PREVIEW_PX = 256


async def sample(job: Job, inputs: Mapping[str, Any]) -> tuple[Any, ...]:
    """Take the steps of `KSampler`, each as long as the settings say.

    Args:
        job: is told of each step.
        inputs: the fields of `KSampler`.
    """
    positive: Conditioning = inputs["positive"]
    latent: Latent = inputs["latent_image"]
    pictures = positive.pictures
    if not pictures and latent.pixels is not None:
        pictures = (latent.pixels[0],)
    settings = [inputs[name] for name in ("model", "cfg", "sampler_name", "scheduler")]
    wish = Wish(positive.text, pictures, inputs["seed"], inputs["steps"], inputs["denoise"], str(settings))
    made = replace(latent, wish=wish)
    final = await asyncio.to_thread(_small, made)
    noise = np.random.default_rng(wish.seed).random(final.shape, np.float32)

    def look(step: int) -> Image.Image:
        share = np.float32(step / wish.steps)
        return to_pillow(final * share + noise * (1 - share))

    for step in range(1, wish.steps + 1):
        await asyncio.sleep(job.settings.sampling_s / wish.steps or job.settings.step_s)
        await job.tick(step, wish.steps, lambda step=step: look(step))  # type: ignore[misc]
    return (made,)


def _small(latent: Latent) -> Images:
    scale = min(1.0, PREVIEW_PX / max(latent.width, latent.height))
    width, height = round(latent.width * scale), round(latent.height * scale)
    return np.asarray(decoded(replace(latent, width=width, height=height, count=1))[0], np.float32)
