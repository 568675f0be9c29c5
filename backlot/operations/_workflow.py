"""What requests of the GPU lane have in common."""

import secrets
from typing import Annotated

from pydantic import Field

from backlot.comfyui import MAX_WHOLE_NUMBER
from backlot.tasks import CostItem

Seed = Annotated[
    Annotated[int, Field(ge=0, le=MAX_WHOLE_NUMBER)] | None,
    Field(description="Null for a random one; the result's `steps[].detail.seed` tells which."),
]

Preview = Annotated[
    bool,
    Field(description="Show the picture while it is made: `progress.preview_url` of the task, until it has ended."),
]


def chosen_seed(seed: int | None) -> int:
    """Return a request's seed, or a random one of 32 bits."""
    return secrets.randbits(32) if seed is None else seed


def estimate() -> list[CostItem]:
    """Price a task: nothing is paid for it but the host's time."""
    return []
