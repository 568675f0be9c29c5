"""Compiles FLUX's blocks and leaves hooks outside."""

from typing import Any

import torch


def compile_blocks(transformer: Any, **options: Any) -> None:
    """Compile what each block does, and not the call around it.

    PuLID's hooks come and go with each picture. torch does not promise to notice that of a compiled module (2.13,
    `torch/_dynamo/config.py` at `skip_nnmodule_hook_guards`); around a compiled `forward` they run as always.

    Args:
        transformer: diffusers' `FluxTransformer2DModel`.
        options: of `torch.compile`.
    """
    for block in (*transformer.transformer_blocks, *transformer.single_transformer_blocks):
        block.forward = torch.compile(block.forward, **options)
