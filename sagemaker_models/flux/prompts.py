"""Prompts as FLUX's two text encoders read them, the last ones kept."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Embedded:
    """A prompt that was read.

    Args:
        tokens: of T5, (1,n,4096).
        pooled: of CLIP, (1,768).
        needed: tokens that the whole prompt has; what is over n was not read.
    """

    tokens: Tensor
    pooled: Tensor
    needed: int


class Prompts:
    """Reads prompts, and keeps the last ones on the host, where there is more room than on a GPU.

    Args:
        pipeline: diffusers' `FluxPipeline`.
        entries: how many are kept.
    """

    def __init__(self, pipeline: Any, entries: int) -> None:
        self._pipeline, self._entries = pipeline, entries
        self._kept: OrderedDict[tuple[str, int], Embedded] = OrderedDict()
        self.hits = self.misses = 0

    @torch.no_grad()
    def read(self, prompt: str, length: int) -> Embedded:
        """Return a prompt's embeddings, on the host.

        Args:
            length: tokens that count.
        """
        key = (prompt, length)
        if key in self._kept:
            self.hits += 1
            self._kept.move_to_end(key)
            return self._kept[key]
        self.misses += 1
        tokens, pooled, _ = self._pipeline.encode_prompt(prompt=prompt, prompt_2=None, max_sequence_length=length)
        needed = len(self._pipeline.tokenizer_2(prompt).input_ids)
        read = Embedded(tokens.cpu(), pooled.cpu(), needed)
        if self._entries:
            self._kept[key] = read
            while len(self._kept) > self._entries:
                self._kept.popitem(last=False)
        return read

    def describe(self) -> dict[str, int]:
        """Return how often a prompt was there already, and how many are kept."""
        return {"hits": self.hits, "misses": self.misses, "kept": len(self._kept)}
