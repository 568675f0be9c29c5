"""PuLID for FLUX: from a face to tokens of identity, and the attention by which a picture's tokens see them.

Attribute names are the published checkpoint's keys.

Source: ToTheBeginning/PuLID, `pulid/encoders_transformer.py` at 1aa2fc7 and its paper (arXiv 2404.16022), read
2026-11-21; written anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: Levels of the vision tower that the encoder reads.
LEVELS = 5


@dataclass(frozen=True)
class Sizes:
    """Sizes of the published checkpoint.

    Args:
        face: numbers that describe a face: 512 of the face embedder and 768 of the vision tower.
        vision: width of the vision tower.
        hidden: width inside the mappings.
        width: of the encoder.
        heads: of the encoder.
        depth: layers of the encoder, a multiple of `LEVELS`.
        expansion: of its feed-forward layers.
        face_tokens: that a face becomes.
        queries: tokens that come out.
        identity: width of what comes out.
        image: width of FLUX.
        image_heads: of the attention in FLUX.
        image_head: width of each of those heads.
        modules: places in FLUX that see the identity.
    """

    face: int = 1280
    vision: int = 1024
    hidden: int = 1024
    width: int = 1024
    heads: int = 16
    depth: int = 10
    expansion: int = 4
    face_tokens: int = 5
    queries: int = 32
    identity: int = 2048
    image: int = 3072
    image_heads: int = 16
    image_head: int = 128
    modules: int = 20


PUBLISHED = Sizes()


class Attention(nn.Module):
    """Attention of one sequence to another, both normalised first.

    Args:
        width: of the tokens that ask.
        context: width of the tokens that are asked.
        heads: number of heads.
        head: width of each.
        joins: whether the asking tokens are also asked.
    """

    def __init__(self, width: int, context: int, heads: int, head: int, *, joins: bool) -> None:
        super().__init__()
        self._heads, self._scale, self._joins = heads, head**-0.25, joins
        self.norm1 = nn.LayerNorm(context)
        self.norm2 = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, heads * head, bias=False)
        self.to_kv = nn.Linear(context, 2 * heads * head, bias=False)
        self.to_out = nn.Linear(heads * head, width, bias=False)

    def forward(self, context: Tensor, tokens: Tensor) -> Tensor:
        """softmax(q·k/√d)·v, with d^-1/4 on q and on k so that half precision holds the products.

        Shapes: context (B,m,context), tokens (B,n,width) → (B,n,width)
        """
        context, tokens = self.norm1(context), self.norm2(tokens)
        asked = torch.cat((context, tokens), dim=1) if self._joins else context
        query = self._by_head(self.to_q(tokens))
        key, value = (self._by_head(part) for part in self.to_kv(asked).chunk(2, dim=-1))
        weights = (query * self._scale) @ (key * self._scale).transpose(-2, -1)
        seen = torch.softmax(weights.float(), dim=-1).to(weights.dtype) @ value
        return self.to_out(seen.transpose(1, 2).flatten(2))

    def _by_head(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self._heads, -1)).transpose(1, 2)


class Encoder(nn.Module):
    """IDFormer: queries look at a face's tokens and, level by level, at what the vision tower saw of it."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.latents = nn.Parameter(torch.zeros(1, sizes.queries, sizes.width))
        self.proj_out = nn.Parameter(torch.zeros(sizes.width, sizes.identity))
        head = sizes.width // sizes.heads
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [Attention(sizes.width, sizes.width, sizes.heads, head, joins=True), _feed_forward(sizes)],
            )
            for _ in range(sizes.depth)
        )
        for level in range(LEVELS):
            setattr(self, f"mapping_{level}", _mapping(sizes.vision, sizes.hidden, sizes.width))
        self.id_embedding_mapping = _mapping(sizes.face, sizes.hidden, sizes.width * sizes.face_tokens)

    def forward(self, face: Tensor, levels: Sequence[Tensor]) -> Tensor:
        """Encode faces.

        Shapes: face (B,face), levels 5 times (B,patches,vision) → (B,queries,identity)
        """
        sizes, each = self.sizes, self.sizes.depth // LEVELS
        face_tokens = self.id_embedding_mapping(face).view(-1, sizes.face_tokens, sizes.width)
        tokens = torch.cat((self.latents.expand(len(face), -1, -1), face_tokens), dim=1)
        for number, level in enumerate(levels):
            seen = torch.cat((face_tokens, getattr(self, f"mapping_{number}")(level)), dim=1)
            for attention, feed_forward in self.layers[number * each : (number + 1) * each]:
                tokens = attention(seen, tokens) + tokens
                tokens = feed_forward(tokens) + tokens
        return tokens[:, : sizes.queries] @ self.proj_out


class Pulid(nn.Module):
    """The published checkpoint: the encoder, and the modules that FLUX is given; 312 keys with the published sizes."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.pulid_encoder = Encoder(sizes)
        self.pulid_ca = nn.ModuleList(
            Attention(sizes.image, sizes.identity, sizes.image_heads, sizes.image_head, joins=False)
            for _ in range(sizes.modules)
        )


def points(double_blocks: int, single_blocks: int) -> tuple[list[int], list[int]]:
    """Return behind which blocks FLUX sees the identity: every second double one, every fourth single one."""
    return list(range(0, double_blocks, 2)), list(range(0, single_blocks, 4))


def _mapping(source: int, hidden: int, target: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(source, hidden),
        nn.LayerNorm(hidden),
        nn.LeakyReLU(),
        nn.Linear(hidden, hidden),
        nn.LayerNorm(hidden),
        nn.LeakyReLU(),
        nn.Linear(hidden, target),
    )


def _feed_forward(sizes: Sizes) -> nn.Sequential:
    inner = sizes.width * sizes.expansion
    return nn.Sequential(
        nn.LayerNorm(sizes.width),
        nn.Linear(sizes.width, inner, bias=False),
        nn.GELU(),
        nn.Linear(inner, sizes.width, bias=False),
    )
