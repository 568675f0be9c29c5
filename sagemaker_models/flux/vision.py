"""EVA02-CLIP-L-14-336's tower for pictures: the meaning of a face, and what its layers saw on the way.

Attribute names are the keys of the published `EVA02_CLIP_L_336_psz14_s6B.pt` behind `visual.`.

Source: baaivision/EVA's EVA-CLIP as it lies in ToTheBeginning/PuLID, `eva_clip/eva_vit_model.py` and `rope.py` at
1aa2fc7; EVA-02 (arXiv 2303.11331), sections 2 and A; read 2026-11-21; written anew.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn

#: What is given out on the way: the tokens before every fourth block, up to the twentieth.
EVERY, LAST = 4, 20

_EPSILON = 1e-6


@dataclass(frozen=True)
class Sizes:
    """Sizes of EVA02-CLIP-L-14-336.

    Args:
        image_px: side of the picture.
        patch_px: side of a patch.
        trained_patches: patches along a side for which the positions' waves were trained.
        width: of a token.
        heads: number of heads.
        inner: width of the feed-forward layers.
        depth: number of blocks.
        meaning: length of what comes out.
    """

    image_px: int = 336
    patch_px: int = 14
    trained_patches: int = 16
    width: int = 1024
    heads: int = 16
    inner: int = 2730
    depth: int = 24
    meaning: int = 768

    @property
    def patches(self) -> int:
        """Patches along a side."""
        return self.image_px // self.patch_px


PUBLISHED = Sizes()


class Tower(nn.Module):
    """The tower.

    Shapes: pixels (B,3,image_px,image_px) normalised → (B,meaning) and 5 times (B,1+patches²,width)
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.patch_embed = _Patches(sizes)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, sizes.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + sizes.patches**2, sizes.width))
        self.blocks = nn.ModuleList(_Block(sizes) for _ in range(sizes.depth))
        self.norm = nn.LayerNorm(sizes.width, eps=_EPSILON)
        self.head = nn.Linear(sizes.width, sizes.meaning)
        self._sizes, self.image_px = sizes, sizes.image_px

    def forward(self, pixels: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Look at pictures."""
        patches = self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        tokens = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), dim=1) + self.pos_embed
        angles = angles_of(self._sizes).to(tokens.device)
        cosines, sines = angles.cos().to(tokens.dtype), angles.sin().to(tokens.dtype)
        levels = []
        for number, block in enumerate(self.blocks):
            if 0 < number <= LAST and number % EVERY == 0:
                levels.append(tokens)
            tokens = block(tokens, cosines, sines)
        return self.head(self.norm(tokens)[:, 0]), levels


class _Patches(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, sizes.width, sizes.patch_px, stride=sizes.patch_px)


class _Block(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(sizes.width, eps=_EPSILON)
        self.attn = _Attention(sizes)
        self.norm2 = nn.LayerNorm(sizes.width, eps=_EPSILON)
        self.mlp = _FeedForward(sizes)

    def forward(self, tokens: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        tokens = tokens + self.attn(self.norm1(tokens), cosines, sines)
        return tokens + self.mlp(self.norm2(tokens))


class _Attention(nn.Module):
    """Self-attention whose queries and keys are turned by their patch's place; the class token is not turned."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self._heads = sizes.heads
        self.q_proj = nn.Linear(sizes.width, sizes.width, bias=False)
        self.k_proj = nn.Linear(sizes.width, sizes.width, bias=False)
        self.v_proj = nn.Linear(sizes.width, sizes.width, bias=False)
        self.q_bias = nn.Parameter(torch.zeros(sizes.width))
        self.v_bias = nn.Parameter(torch.zeros(sizes.width))
        self.inner_attn_ln = nn.LayerNorm(sizes.width, eps=_EPSILON)
        self.proj = nn.Linear(sizes.width, sizes.width)

    def forward(self, tokens: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(2, (self._heads, -1)).transpose(1, 2)
            for part in (
                self.q_proj(tokens) + self.q_bias,
                self.k_proj(tokens),
                self.v_proj(tokens) + self.v_bias,
            )
        )
        query, key = turn(query, cosines, sines), turn(key, cosines, sines)
        seen = F.scaled_dot_product_attention(query, key, value)
        return self.proj(self.inner_attn_ln(seen.transpose(1, 2).flatten(2)))


class _FeedForward(nn.Module):
    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.w1 = nn.Linear(sizes.width, sizes.inner)
        self.w2 = nn.Linear(sizes.width, sizes.inner)
        self.ffn_ln = nn.LayerNorm(sizes.inner, eps=_EPSILON)
        self.w3 = nn.Linear(sizes.inner, sizes.width)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.w3(self.ffn_ln(F.silu(self.w1(tokens)) * self.w2(tokens)))


def angles_of(sizes: Sizes) -> Tensor:
    """Return by how much each pair of a head's numbers is turned for each patch.

    θ_j = place · 10000^(-2j/(d/2)), d the head's width: the first half of a head follows the row, the second the
    column. Places are scaled to the grid of the training.

    Shapes: → (patches², head)
    """
    half = sizes.width // sizes.heads // 2
    speeds = 10_000.0 ** (-torch.arange(0, half, 2).float() / half)
    places = torch.arange(sizes.patches) / sizes.patches * sizes.trained_patches
    along = torch.outer(places, speeds).repeat_interleave(2, dim=1)
    rows = along[:, None].expand(-1, sizes.patches, -1)
    columns = along[None].expand(sizes.patches, -1, -1)
    return torch.cat((rows, columns), dim=2).flatten(0, 1)


def turn(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn neighbouring pairs (a, b) → (a·cos - b·sin, b·cos + a·sin) of all tokens but the first.

    Shapes: heads (B,h,1+n,d), cosines and sines (n,d) → (B,h,1+n,d)
    """
    first, patches = heads[:, :, :1], heads[:, :, 1:]
    across = torch.stack((-patches[..., 1::2], patches[..., 0::2]), dim=-1).flatten(-2)
    return torch.cat((first, patches * cosines + across * sines), dim=2)
