"""Runs diffusers' FLUX pipelines for one order: a picture from noise, or a second pass over one."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from diffusers import FluxImg2ImgPipeline
from numpy.typing import NDArray
from PIL import Image

from backlot.errors import OutputInvalid
from sagemaker_models.flux.injection import Injection, Wish
from sagemaker_models.flux.parameters import Order
from sagemaker_models.flux.prompts import Embedded, Prompts


class Painter:
    """A loaded FLUX.

    Args:
        from_noise: diffusers' `FluxPipeline`; its parts also go over pictures.
        modules: PuLID's, None without them.
        prompts: reads prompts.
        device: where the work is done.
    """

    def __init__(self, from_noise: Any, modules: torch.nn.ModuleList | None, prompts: Prompts, device: str) -> None:
        self._from_noise, self._modules, self.prompts, self._device = from_noise, modules, prompts, device
        self._from_picture = FluxImg2ImgPipeline(**from_noise.components)
        for pipeline in (from_noise, self._from_picture):
            pipeline.set_progress_bar_config(disable=True)

    def read(self, order: Order) -> tuple[Embedded, Embedded | None]:
        """Read an order's prompt and, if it is guided, its negative one."""
        prompt = self.prompts.read(order.prompt, order.tokens)
        return prompt, self.prompts.read(order.negative_prompt, order.tokens) if order.is_guided else None

    def paint(
        self,
        order: Order,
        texts: tuple[Embedded, Embedded | None],
        seed: int,
        *,
        image: Image.Image | None = None,
        wish: Wish | None = None,
        done: Callable[[int], None] = lambda _: None,
    ) -> NDArray[np.uint8]:
        """Make the picture.

        Args:
            order: what is asked.
            texts: its prompts, read.
            seed: of the noise, which is drawn on the host and so the same on every device.
            image: that is gone over, RGB; None to begin with noise.
            wish: the identity, if there is one.
            done: called with the number of steps that are done, after each.

        Shapes: → (height,width,3)

        Raises:
            OutputInvalid: FLUX made values that are no numbers; its weights are damaged, or its numbers too narrow.
            RuntimeError: it did another number of steps than its rule says.
        """
        injection = Injection(self._from_noise.transformer, self._modules, wish) if wish and self._modules else None
        steps = 0

        def after_step(_: Any, __: int, ___: Any, kept: dict[str, Any]) -> dict[str, Any]:
            nonlocal steps
            steps += 1
            if injection is not None:
                injection.next_step()
            done(steps)
            return kept

        pipeline, arguments = self._arguments(order, texts, image)
        try:
            with injection or nullcontext():
                made = pipeline(
                    **arguments, generator=torch.Generator().manual_seed(seed), callback_on_step_end=after_step
                )
        finally:
            # What was broken off leaves its part on the device where parts take turns.
            self._from_noise.maybe_free_model_hooks()
        if steps != order.steps_run:
            raise RuntimeError(f"FLUX did {steps} steps, expected {order.steps_run}")
        return _pixels(made.images)

    def _arguments(
        self, order: Order, texts: tuple[Embedded, Embedded | None], image: Image.Image | None
    ) -> tuple[Any, dict[str, Any]]:
        prompt, negative = texts
        arguments: dict[str, Any] = {
            "prompt_embeds": prompt.tokens.to(self._device),
            "pooled_prompt_embeds": prompt.pooled.to(self._device),
            "width": order.width,
            "height": order.height,
            "num_inference_steps": order.steps,
            "guidance_scale": order.guidance,
            "output_type": "pt",
        }
        if negative is not None:
            arguments |= {
                "negative_prompt_embeds": negative.tokens.to(self._device),
                "negative_pooled_prompt_embeds": negative.pooled.to(self._device),
                "true_cfg_scale": order.true_cfg,
            }
        if image is None:
            return self._from_noise, arguments
        return self._from_picture, arguments | {"image": image, "strength": order.strength}


def _pixels(images: torch.Tensor) -> NDArray[np.uint8]:
    """Shapes: images (1,3,H,W) in [0,1] → (H,W,3)."""
    values = images[0].float()
    if not bool(torch.isfinite(values).all()):
        raise OutputInvalid(reason="the decoder made values that are no numbers")
    return np.asarray((values * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy())
