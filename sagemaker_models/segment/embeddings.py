"""Keeps what SAM has seen of pictures, so that a further click costs the decoder only."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Embedding:
    """What SAM has seen of one picture.

    Args:
        maps: of the encoder, the finest first.
        width: of the upright picture, pixels.
        height: of the upright picture, pixels.
    """

    maps: tuple[Tensor, ...]
    width: int
    height: int

    @property
    def size_bytes(self) -> int:
        """Memory of the maps."""
        return sum(each.numel() * each.element_size() for each in self.maps)


class EmbeddingCache:
    """The embeddings that were used last, as many as fit.

    Args:
        limit_bytes: memory of all together; 0 keeps none.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[str, Embedding] = OrderedDict()
        self._bytes = 0
        self._lock, self._making = threading.Lock(), threading.Lock()

    def get(self, key: str, make: Callable[[], Embedding]) -> tuple[Embedding, bool]:
        """Return a picture's embedding, and whether it was there.

        One is made at a time: the encoder has use for all of the machine, and who waits for the same picture finds it.

        Args:
            key: the picture's hash.
            make: makes it; what it raises is raised, and the next one tries anew.
        """
        found = self._find(key)
        if found is not None:
            return found, True
        with self._making:
            found = self._find(key)
            if found is not None:
                return found, True
            made = make()
            self._keep(key, made)
        return made, False

    def describe(self) -> dict[str, Any]:
        """Return how many are kept, and their memory."""
        with self._lock:
            return {"pictures": len(self._kept), "bytes": self._bytes, "limit_bytes": self._limit_bytes}

    def _find(self, key: str) -> Embedding | None:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
            return found

    def _keep(self, key: str, made: Embedding) -> None:
        with self._lock:
            self._kept[key] = made
            self._bytes += made.size_bytes
            while self._bytes > self._limit_bytes:
                _, oldest = self._kept.popitem(last=False)
                self._bytes -= oldest.size_bytes
