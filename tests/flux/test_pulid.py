"""PuLID's networks: the published layout, and the same mathematics written in another way."""

import json
import math

import pytest
import torch

from bench.flux_checkpoint import TINY
from sagemaker_models.flux.pulid import PUBLISHED, Attention, Encoder, Pulid, Sizes, points
from sagemaker_models.flux.tensors import fill, read


@pytest.fixture(scope="module")
def published():
    with torch.device("meta"):
        return Pulid(PUBLISHED).state_dict()


def random_state(module):
    random = torch.Generator().manual_seed(0)
    return {
        key: torch.randn(value.shape, generator=random, dtype=torch.float64) * (0.3 if value.ndim > 1 else 1)
        for key, value in module.state_dict().items()
    }


def filled(module):
    state = random_state(module)
    module.double().load_state_dict(state)
    return module.eval(), state


def normalised(tokens, state, name):
    centred = tokens - tokens.mean(-1, keepdim=True)
    spread = centred.square().mean(-1, keepdim=True)
    return centred / (spread + 1e-5).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def attended(context, tokens, state, name, heads, *, joins):
    """Attention of one head after the other, for a single sequence."""
    context = normalised(context, state, f"{name}norm1")
    tokens = normalised(tokens, state, f"{name}norm2")
    asked = torch.cat((context, tokens)) if joins else context
    query, both = tokens @ state[f"{name}to_q.weight"].T, asked @ state[f"{name}to_kv.weight"].T
    width = query.shape[1] // heads
    made = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        key, value = both[:, : heads * width][:, part], both[:, heads * width :][:, part]
        scores = torch.exp(query[:, part] @ key.T / width**0.5)
        made.append(scores / scores.sum(1, keepdim=True) @ value)
    return torch.cat(made, 1) @ state[f"{name}to_out.weight"].T


def mapped(values, state, name):
    for place in (0, 3, 6):
        values = values @ state[f"{name}.{place}.weight"].T + state[f"{name}.{place}.bias"]
        if place < 6:
            values = normalised(values, state, f"{name}.{place + 1}")
            values = torch.where(values > 0, values, 0.01 * values)
    return values


def test_published_layout_has_312_keys_and_571033600_numbers(published):
    assert len(published) == 312
    assert sum(value.numel() for value in published.values()) == 571_033_600
    encoder = {key: value.numel() for key, value in published.items() if key.startswith("pulid_encoder.")}
    assert (len(encoder), sum(encoder.values())) == (172, 151_398_400)
    for place in range(20):
        module = [value.numel() for key, value in published.items() if key.startswith(f"pulid_ca.{place}.")]
        assert (len(module), sum(module)) == (7, 20_981_760)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        ("pulid_encoder.latents", (1, 32, 1024)),
        ("pulid_encoder.proj_out", (1024, 2048)),
        ("pulid_encoder.id_embedding_mapping.0.weight", (1024, 1280)),
        ("pulid_encoder.id_embedding_mapping.6.weight", (5120, 1024)),
        ("pulid_encoder.mapping_4.1.bias", (1024,)),
        ("pulid_encoder.mapping_0.6.weight", (1024, 1024)),
        ("pulid_encoder.layers.9.0.to_kv.weight", (2048, 1024)),
        ("pulid_encoder.layers.0.0.norm2.weight", (1024,)),
        ("pulid_encoder.layers.3.1.0.weight", (1024,)),
        ("pulid_encoder.layers.3.1.1.weight", (4096, 1024)),
        ("pulid_encoder.layers.3.1.3.weight", (1024, 4096)),
        ("pulid_ca.19.norm1.weight", (2048,)),
        ("pulid_ca.0.norm2.bias", (3072,)),
        ("pulid_ca.7.to_q.weight", (2048, 3072)),
        ("pulid_ca.7.to_kv.weight", (4096, 2048)),
        ("pulid_ca.7.to_out.weight", (3072, 2048)),
    ],
)
def test_published_layout_has_the_documented_shapes(published, key, shape):
    assert tuple(published[key].shape) == shape


def documented_layout():
    """The keys and shapes as PuLID's `encoders_transformer.py` makes them, written down apart from our modules."""
    shapes = {"latents": (1, 32, 1024), "proj_out": (1024, 2048)}
    widths = {"id_embedding_mapping": (1280, 5120)} | {f"mapping_{number}": (1024, 1024) for number in range(5)}
    for name, (taken, given) in widths.items():
        for place, shape in ((0, (1024, taken)), (3, (1024, 1024)), (6, (given, 1024))):
            shapes |= {f"{name}.{place}.weight": shape, f"{name}.{place}.bias": shape[:1]}
        shapes |= {f"{name}.{place}.{part}": (1024,) for place in (1, 4) for part in ("weight", "bias")}
    for layer in range(10):
        attention, inner = f"layers.{layer}.0", f"layers.{layer}.1"
        shapes |= {f"{attention}.{norm}.{part}": (1024,) for norm in ("norm1", "norm2") for part in ("weight", "bias")}
        shapes |= {f"{attention}.to_q.weight": (1024, 1024), f"{attention}.to_kv.weight": (2048, 1024)}
        shapes |= {f"{attention}.to_out.weight": (1024, 1024), f"{inner}.0.weight": (1024,), f"{inner}.0.bias": (1024,)}
        shapes |= {f"{inner}.1.weight": (4096, 1024), f"{inner}.3.weight": (1024, 4096)}
    layout = {f"pulid_encoder.{key}": shape for key, shape in shapes.items()}
    for place in range(20):
        module = f"pulid_ca.{place}"
        layout |= {f"{module}.norm1.{part}": (2048,) for part in ("weight", "bias")}
        layout |= {f"{module}.norm2.{part}": (3072,) for part in ("weight", "bias")}
        layout |= {f"{module}.to_q.weight": (2048, 3072), f"{module}.to_kv.weight": (4096, 2048)}
        layout |= {f"{module}.to_out.weight": (3072, 2048)}
    return layout


def test_file_of_the_documented_layout_loads(tmp_path):
    """Its numbers are a hole in the file, so that it takes no room on the disk."""
    header, end = {}, 0
    for key, shape in documented_layout().items():
        began, end = end, end + 2 * math.prod(shape)
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [began, end]}
    words = json.dumps(header).encode()
    path = tmp_path / "pulid_flux_v0.9.1.safetensors"
    with path.open("wb") as file:
        file.write(len(words).to_bytes(8, "little") + words)
        file.truncate(file.tell() + end)
    with torch.device("meta"):
        module = Pulid(PUBLISHED)
    state = read(path)
    assert (len(state), end) == (312, 1_142_067_200)
    fill(module, state, path.name, torch.bfloat16)
    assert {(each.device.type, each.dtype) for each in module.parameters()} == {("cpu", torch.bfloat16)}


@pytest.mark.parametrize("joins", [True, False])
def test_attention_equals_one_head_after_the_other(joins):
    width, context = (12, 12) if joins else (12, 20)
    module, state = filled(Attention(width, context, 3, 4, joins=joins))
    random = torch.Generator().manual_seed(1)
    asked, tokens = (
        torch.randn(2, length, size, generator=random).double() for length, size in ((5, context), (7, 12))
    )
    made = module(asked, tokens)
    for each in range(2):
        expected = attended(asked[each], tokens[each], state, "", 3, joins=joins)
        # The weights of the attention are rounded to single precision on the way, as published.
        torch.testing.assert_close(made[each], expected, rtol=1e-5, atol=1e-5)


def test_encoder_equals_the_published_flow_written_out():
    sizes = Sizes(
        face=9, vision=8, hidden=10, width=12, heads=3, depth=10, expansion=2, face_tokens=2, queries=4, identity=6
    )
    module, state = filled(Encoder(sizes))
    random = torch.Generator().manual_seed(2)
    face = torch.randn(1, 9, generator=random).double()
    levels = [torch.randn(1, 5, 8, generator=random).double() for _ in range(5)]
    of_face = mapped(face[0], state, "id_embedding_mapping").view(2, 12)
    tokens = torch.cat((state["latents"][0], of_face))
    for layer in range(10):
        level = layer // 2
        seen = torch.cat((of_face, mapped(levels[level][0], state, f"mapping_{level}")))
        tokens = tokens + attended(seen, tokens, state, f"layers.{layer}.0.", 3, joins=True)
        inner = normalised(tokens, state, f"layers.{layer}.1.0") @ state[f"layers.{layer}.1.1.weight"].T
        inner = inner * (1 + torch.erf(inner / 2**0.5)) / 2
        tokens = tokens + inner @ state[f"layers.{layer}.1.3.weight"].T
    torch.testing.assert_close(module(face, levels)[0], tokens[:4] @ state["proj_out"], rtol=1e-5, atol=1e-5)


def test_points_are_the_documented_ones():
    double, single = points(19, 38)
    assert double == [0, 2, 4, 6, 8, 10, 12, 14, 16, 18]
    assert single == [0, 4, 8, 12, 16, 20, 24, 28, 32, 36]
    assert sum(map(len, points(3, 5))) == TINY.pulid.modules
