"""Gives FLUX an identity while a pipeline runs, by forward hooks that are gone afterwards.

Behind chosen blocks, the picture's tokens get weight · attention(identity, tokens) added; the text's get nothing.

Source: ToTheBeginning/PuLID, `flux/model.py` and `flux/sampling.py` at 1aa2fc7, read 2026-11-21; written anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn

from sagemaker_models.flux.pulid import points

#: Guidance away from the negative prompt begins with this step of those that run.
GUIDED_FROM = 1


@dataclass(frozen=True)
class Wish:
    """What is given to FLUX.

    Args:
        tokens: of the identity, (1,queries,identity).
        nobody: tokens for the negative prompt's pass; None if there is no such pass.
        weight: by which what the identity says is multiplied.
        start_step: step of those that run, counted from 0, from which on the identity is there.
    """

    tokens: Tensor
    nobody: Tensor | None
    weight: float
    start_step: int


class Injection:
    """Hooks on a transformer, as a context; between its steps, `next_step` is to be called.

    Args:
        transformer: diffusers' `FluxTransformer2DModel`; its blocks return the text's tokens and the picture's.
        modules: PuLID's, one for each place.
        wish: what is given.

    Raises:
        ValueError: the transformer has another number of places.
    """

    def __init__(self, transformer: Any, modules: nn.ModuleList, wish: Wish) -> None:
        self._transformer, self._wish = transformer, wish
        self._places = list(zip(blocks_of(transformer), modules, strict=True))
        self._handles: list[Any] = []
        self._step = self._passes = 0
        self._positive: Tensor | None = None

    def __enter__(self) -> Self:
        """Put the hooks on."""
        self._handles.append(self._transformer.register_forward_hook(self._after_pass))
        for block, module in self._places:
            self._handles.append(block.register_forward_hook(partial(self._after_block, module)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take all hooks off."""
        while self._handles:
            self._handles.pop().remove()
        self._positive = None

    def next_step(self) -> None:
        """Note that a step has ended."""
        self._step, self._passes = self._step + 1, 0

    def _after_block(self, attention: Callable[..., Tensor], _: nn.Module, __: Any, made: Any) -> tuple[Tensor, Tensor]:
        text, picture = made
        # The second pass of a step is the negative prompt's.
        tokens = self._wish.nobody if self._passes else self._wish.tokens
        if tokens is None or self._step < self._wish.start_step:
            return text, picture
        return text, picture + self._wish.weight * attention(tokens, picture)

    def _after_pass(self, _: nn.Module, __: Any, made: Any) -> Any:
        """Let the first steps be unguided: n + s·(p - n) is p if the negative pass gives p."""
        self._passes += 1
        if self._wish.nobody is None or self._step >= GUIDED_FROM:
            return made
        if self._passes == 1:
            self._positive = made
            return made
        return self._positive


def blocks_of(transformer: Any) -> list[nn.Module]:
    """Return the blocks behind which an identity is given, in the order of PuLID's modules."""
    double, single = transformer.transformer_blocks, transformer.single_transformer_blocks
    after_double, after_single = points(len(double), len(single))
    return [double[place] for place in after_double] + [single[place] for place in after_single]
