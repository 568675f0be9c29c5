"""How the noise goes, step by step: as the base was published, and as the Lightning LoRAs want it."""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from diffusers import FlowMatchEulerDiscreteScheduler

#: ln 3, in the publisher's digits.
_SHIFT = 1.0986122886681098

#: Lightning's settings; with 4 steps the noise's shares are 1, 0.9, 0.75, 0.5, 0.
#: Source: github.com/ModelTC/Qwen-Image-Lightning, generate_with_diffusers.py, by reference/models/qwen-image-edit.md.
LIGHTNING = MappingProxyType(
    {
        "num_train_timesteps": 1000,
        "base_image_seq_len": 256,
        "max_image_seq_len": 8192,
        "base_shift": _SHIFT,
        "max_shift": _SHIFT,
        "shift": 1.0,
        "shift_terminal": None,
        "use_dynamic_shifting": True,
        "time_shift_type": "exponential",
    }
)


@dataclass(frozen=True)
class Samplers:
    """The samplers of a pipeline.

    Args:
        base: as published.
        single: the same for a single step: stretching its one share to a terminal one would divide nothing by nothing.
        lightning: for the Lightning LoRAs.
    """

    base: Any
    single: Any
    lightning: Any

    def of(self, steps: int, *, lightning: bool) -> Any:
        """Return the one for a run."""
        if lightning:
            return self.lightning
        return self.single if steps == 1 else self.base


def samplers_of(base: Any) -> Samplers:
    """Make the samplers that belong to a base's own."""
    single = FlowMatchEulerDiscreteScheduler.from_config(base.config, shift_terminal=None)
    return Samplers(base, single, FlowMatchEulerDiscreteScheduler.from_config(dict(LIGHTNING)))
