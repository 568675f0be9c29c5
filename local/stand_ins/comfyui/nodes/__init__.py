"""What the node classes do.

Shapes:
    images (B, H, W, 3) and masks (B, H, W), both float32 of 0 to 1, as in ComfyUI.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from local.stand_ins.comfyui.cache import Made
from local.stand_ins.comfyui.nodes import images, masks, models, sampling, sounds, stores
from local.stand_ins.comfyui.nodes.job import Job

#: Classes that work in steps.
SAMPLERS = {"KSampler"}

_PURE: Mapping[str, Callable[..., tuple[Any, ...]]] = {**images.NODES, **masks.NODES, **models.NODES, **sounds.NODES}

#: All classes.
CLASSES = {*SAMPLERS, *stores.NODES, *_PURE}

__all__ = ["CLASSES", "SAMPLERS", "Job", "run_node"]


async def run_node(class_type: str, job: Job, inputs: dict[str, Any]) -> Made:
    """Run a node.

    Args:
        class_type: its class.
        job: the prompt that it belongs to.
        inputs: its fields, links replaced by results.
    """
    if class_type in SAMPLERS:
        return Made(await sampling.sample(job, inputs))
    if class_type in stores.NODES:
        return await asyncio.to_thread(stores.NODES[class_type], job, **inputs)
    return Made(await asyncio.to_thread(_PURE[class_type], **inputs))
