"""The face parser: the published layout, the same network written as functions, and what it leaves of a face."""

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name

from sagemaker_models.flux.parsing import BACKGROUND, CLASSES, Parser, features_of


def random_state():
    random = torch.Generator().manual_seed(0)
    with torch.device("meta"):
        shapes = Parser().state_dict()
    state = {}
    for key, like in shapes.items():
        drawn = torch.randn(like.shape, generator=random)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros((), dtype=torch.int64)
        elif key.endswith("running_var"):
            state[key] = drawn.abs() + 0.5
        elif like.ndim == 4:
            state[key] = drawn * (2 / like[0].numel()) ** 0.5
        else:
            state[key] = 0.1 * drawn + (1 if key.endswith("weight") else 0)
    return state


def parser_of(state):
    made = Parser()
    made.load_state_dict(state)
    return made.eval().requires_grad_(requires_grad=False)


def labelled(pixels, state):
    """The network as functions of its tensors."""

    def norm(features, name):
        values = [state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(features, *values)

    def conv(features, name, **options):
        return F.conv2d(features, state[f"{name}.weight"], **options)

    def unit(features, name, padding):
        return norm(conv(features, f"{name}.conv", padding=padding), f"{name}.bn").relu()

    def mean(features):
        return F.adaptive_avg_pool2d(features, 1)

    def residual(features, name, stride):
        made = norm(conv(features, f"{name}.conv1", stride=stride, padding=1), f"{name}.bn1").relu()
        made = norm(conv(made, f"{name}.conv2", padding=1), f"{name}.bn2")
        if stride == 2:
            features = norm(conv(features, f"{name}.downsample.0", stride=2), f"{name}.downsample.1")
        return (made + features).relu()

    def refined(features, name):
        made = unit(features, f"{name}.conv", 1)
        return made * norm(conv(mean(made), f"{name}.conv_atten"), f"{name}.bn_atten").sigmoid()

    def twice(features):
        return features.repeat_interleave(2, 2).repeat_interleave(2, 3)

    net = "cp.resnet"
    made = norm(conv(pixels, f"{net}.conv1", stride=2, padding=3), f"{net}.bn1").relu()
    made = F.max_pool2d(made, 3, 2, 1)
    maps = []
    for layer, stride in ((1, 1), (2, 2), (3, 2), (4, 2)):
        made = residual(residual(made, f"{net}.layer{layer}.0", stride), f"{net}.layer{layer}.1", 1)
        maps.append(made)
    _, by8, by16, by32 = maps
    coarse = refined(by32, "cp.arm32") + unit(mean(by32), "cp.conv_avg", 0)
    middle = refined(by16, "cp.arm16") + unit(twice(coarse), "cp.conv_head32", 1)
    context = unit(twice(middle), "cp.conv_head16", 1)
    fused = unit(torch.cat((by8, context), 1), "ffm.convblk", 0)
    fused = fused + fused * conv(conv(mean(fused), "ffm.conv1").relu(), "ffm.conv2").sigmoid()
    logits = conv(unit(fused, "conv_out.conv", 1), "conv_out.conv_out")
    return F.interpolate(logits, pixels.shape[2:], mode="bilinear", align_corners=True)


def test_published_layout_has_13300416_numbers():
    with torch.device("meta"):
        made = Parser()
    assert sum(each.numel() for each in made.parameters()) == 13_300_416
    assert len(made.state_dict()) == 191
    assert tuple(made.state_dict()["conv_out32.conv_out.weight"].shape) == (19, 64, 1, 1)


def test_parser_equals_the_network_written_as_functions():
    state = random_state()
    pixels = torch.randn(1, 3, 96, 128, generator=torch.Generator().manual_seed(1))
    made = parser_of(state)(pixels)
    assert made.shape == (1, CLASSES, 96, 128)
    torch.testing.assert_close(made, labelled(pixels, state), rtol=1e-4, atol=1e-4)


def test_features_are_grey_where_the_label_is_of_a_face_and_white_elsewhere():
    parser = parser_of(random_state())
    face = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    labels = torch.arange(19).repeat(64 * 64)[: 64 * 64].view(1, 64, 64)
    parser.forward = lambda _: F.one_hot(labels, 19).permute(0, 3, 1, 2).float()
    made = features_of(parser, face)
    assert made.shape == face.shape
    white = sum(labels == label for label in BACKGROUND).bool()[0]
    assert (made[0, :, white] == 1).all()
    red, green, blue = face[0]
    grey = 0.299 * red + 0.587 * green + 0.114 * blue
    torch.testing.assert_close(made[0, :, ~white], grey[~white].expand(3, -1))
    assert int(white.sum()) == sum(int((labels == label).sum()) for label in (0, 7, 8, 9, 14, 15, 16, 18))


def test_features_are_asked_of_normalised_pixels():
    parser = parser_of(random_state())
    seen = []
    parser.forward = lambda pixels: seen.append(pixels) or torch.zeros(1, 19, 32, 32)
    features_of(parser, torch.full((1, 3, 32, 32), 0.5))
    expected = [(0.5 - mean) / std for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor(expected))
