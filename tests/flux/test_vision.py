"""The vision tower: the published layout, and the same mathematics written in another way."""

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name

from sagemaker_models.flux.vision import PUBLISHED, Sizes, Tower, angles_of, turn

SMALL = Sizes(image_px=21, patch_px=7, trained_patches=2, width=16, heads=2, inner=10, depth=22, meaning=6)


def test_published_layout_has_304432832_numbers_under_the_published_keys():
    with torch.device("meta"):
        state = Tower(PUBLISHED).state_dict()
    assert sum(value.numel() for value in state.values()) == 304_432_832
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes["pos_embed"] == (1, 577, 1024)
    assert shapes["patch_embed.proj.weight"] == (1024, 3, 14, 14)
    assert shapes["blocks.23.mlp.w1.weight"] == shapes["blocks.23.mlp.w2.weight"] == (2730, 1024)
    assert shapes["blocks.0.mlp.ffn_ln.bias"] == (2730,)
    assert shapes["head.weight"] == (768, 1024)
    assert {key for key in shapes if key.startswith("blocks.5.attn.")} == {
        f"blocks.5.attn.{name}"
        for name in (
            *("q_proj.weight", "k_proj.weight", "v_proj.weight", "q_bias", "v_bias", "proj.weight", "proj.bias"),
            *("inner_attn_ln.weight", "inner_attn_ln.bias"),
        )
    }


def turned(heads, sizes):
    """Turn by multiplying complex numbers, token by token."""
    pairs = torch.view_as_complex(heads[:, 1:].unflatten(-1, (-1, 2)).contiguous())
    half = pairs.shape[-1] // 2
    for place in range(sizes.patches**2):
        row, column = (each * sizes.trained_patches / sizes.patches for each in divmod(place, sizes.patches))
        speeds = torch.tensor([10_000 ** (-j / half) for j in range(half)], dtype=torch.float64)
        pairs[:, place] *= torch.polar(torch.ones(2 * half).double(), torch.cat((row * speeds, column * speeds)))
    return torch.cat((heads[:, :1], torch.view_as_real(pairs).flatten(-2)), dim=1)


def looked(pixels, state, sizes):
    """The tower for one picture, from its tensors."""

    def norm(tokens, name):
        return F.layer_norm(tokens, tokens.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)

    def linear(tokens, name):
        return tokens @ state[f"{name}.weight"].T + state.get(f"{name}.bias", 0)

    def by_head(tokens):
        return tokens.unflatten(1, (sizes.heads, -1)).transpose(0, 1)

    patches = pixels.unfold(1, sizes.patch_px, sizes.patch_px).unfold(2, sizes.patch_px, sizes.patch_px)
    patches = patches.permute(1, 2, 0, 3, 4).flatten(2).flatten(0, 1)
    kernel = state["patch_embed.proj.weight"].flatten(1)
    tokens = torch.cat((state["cls_token"][0], patches @ kernel.T + state["patch_embed.proj.bias"]))
    tokens = tokens + state["pos_embed"][0]
    before = []
    for number in range(sizes.depth):
        before.append(tokens)
        block = f"blocks.{number}."
        seen = norm(tokens, f"{block}norm1")
        query = by_head(linear(seen, f"{block}attn.q_proj") + state[f"{block}attn.q_bias"])
        key = by_head(linear(seen, f"{block}attn.k_proj"))
        value = by_head(linear(seen, f"{block}attn.v_proj") + state[f"{block}attn.v_bias"])
        query, key = turned(query, sizes), turned(key, sizes)
        weights = torch.softmax(query @ key.transpose(1, 2) / query.shape[-1] ** 0.5, dim=-1)
        joined = (weights @ value).transpose(0, 1).flatten(1)
        tokens = tokens + linear(norm(joined, f"{block}attn.inner_attn_ln"), f"{block}attn.proj")
        seen = norm(tokens, f"{block}norm2")
        gate = linear(seen, f"{block}mlp.w1")
        inner = gate / (1 + torch.exp(-gate)) * linear(seen, f"{block}mlp.w2")
        tokens = tokens + linear(norm(inner, f"{block}mlp.ffn_ln"), f"{block}mlp.w3")
    return linear(norm(tokens, "norm")[:1], "head"), [before[place] for place in (4, 8, 12, 16, 20)]


def test_tower_equals_the_published_flow_written_out():
    random = torch.Generator().manual_seed(0)
    tower = Tower(SMALL).double().eval()
    state = {
        key: 0.3 * torch.randn(value.shape, generator=random).double() for key, value in tower.state_dict().items()
    }
    tower.load_state_dict(state)
    pixels = torch.randn(2, 3, 21, 21, generator=random).double()
    meaning, levels = tower(pixels)
    assert meaning.shape == (2, 6)
    assert [level.shape for level in levels] == [(2, 10, 16)] * 5
    for each in range(2):
        expected, expected_levels = looked(pixels[each], state, SMALL)
        torch.testing.assert_close(meaning[each : each + 1], expected, rtol=1e-5, atol=1e-5)
        for made, wanted in zip(levels, expected_levels, strict=True):
            torch.testing.assert_close(made[each], wanted, rtol=1e-5, atol=1e-5)


def test_turning_keeps_lengths_and_what_only_distance_says():
    """Of tokens that are all alike, a product depends on how far apart the places are, and not on where."""
    sizes = Sizes(image_px=8, patch_px=1, trained_patches=8, width=16, heads=1)
    angles = angles_of(sizes)
    one = torch.randn(16, generator=torch.Generator().manual_seed(0))
    heads = turn(one.expand(1, 1, 1 + 64, -1), angles.cos(), angles.sin())[0, 0]
    torch.testing.assert_close(heads[0], one)
    torch.testing.assert_close(heads.norm(dim=1), one.norm().expand(65))
    grid = heads[1:].view(8, 8, 16)
    torch.testing.assert_close((grid[:6, :5] * grid[2:, 3:]).sum(-1), (grid[0, 0] @ grid[2, 3]).expand(6, 5))
    assert abs(float(grid[0, 0] @ grid[2, 3] - grid[0, 0] @ grid[3, 2])) > 0.1
