"""The published network and procedure once more, written from their description and sharing nothing with ours."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name

BLOCKS = (3, 4, 23, 3)


class PublishedNetwork:
    """Drives torch's functions by the keys of a published state dict; notes which keys it has read."""

    def __init__(self, state, blocks=BLOCKS):
        self.state, self.blocks, self.read = state, blocks, set()

    def get(self, key):
        self.read.add("module." + key)
        return self.state["module." + key]

    def norm(self, x, key):
        mean, var = self.get(key + ".running_mean"), self.get(key + ".running_var")
        gamma, beta = self.get(key + ".weight").abs() + 1e-5, self.get(key + ".bias")
        shape = (1, -1, 1, 1)
        x = (x - mean.view(shape)) / torch.sqrt(var.view(shape) + 1e-5)
        return x * gamma.view(shape) + beta.view(shape)

    def conv(self, x, key, stride=1, padding=0, dilation=1, *, bias=False):
        return F.conv2d(
            x, self.get(key + ".weight"), self.get(key + ".bias") if bias else None, stride, padding, dilation
        )

    def conv_lr(self, x, conv, norm, padding=0):
        y = self.norm(self.conv(x, conv, padding=padding), norm)
        return torch.where(y > 0, y, 0.01 * y)

    def block(self, x, key, stride, dilation):
        y = self.norm(self.conv(x, key + ".conv1"), key + ".bn1").clamp(min=0)
        y = self.norm(self.conv(y, key + ".conv2", stride, dilation, dilation), key + ".bn2").clamp(min=0)
        y = self.norm(self.conv(y, key + ".conv3"), key + ".bn3")
        if f"module.{key}.downsample.0.weight" in self.state:
            x = self.norm(self.conv(x, key + ".downsample.0", stride), key + ".downsample.1")
        return (x + y).clamp(min=0)

    def stage(self, x, number, stride, dilation):
        for block in range(self.blocks[number - 1]):
            x = self.block(x, f"layer{number}.{block}", stride if block == 0 else 1, dilation)
        return x

    def pyramid(self, x):
        size = x.shape[2:]
        priors = []
        for stage, cells in enumerate((1, 2, 3, 6)):
            y = F.adaptive_avg_pool2d(x, (cells, cells))
            y = self.conv_lr(y, f"context_encoding.stages.{stage}.1", f"context_encoding.stages.{stage}.2")
            priors.append(up(y, size))
        joined = torch.cat([*priors, x], 1)
        return self.conv_lr(joined, "context_encoding.bottleneck.0", "context_encoding.bottleneck.1", padding=1)

    def __call__(self, x):
        for number, stride in ((1, 2), (2, 1), (3, 1)):
            x = self.norm(self.conv(x, f"conv{number}", stride, 1), f"bn{number}").clamp(min=0)
        x2 = self.stage(F.max_pool2d(x, 3, 2, 1), 1, 1, 1)
        x3 = self.stage(x2, 2, 2, 1)
        x4 = self.stage(x3, 3, 2, 1)
        x5 = self.stage(x4, 4, 1, 2)
        size = x2.shape[2:]
        context = up(self.conv_lr(self.pyramid(x5), "decoder.conv1.0", "decoder.conv1.1"), size)
        feature = torch.cat([context, self.conv_lr(x2, "decoder.conv2.0", "decoder.conv2.1")], 1)
        feature = self.conv_lr(feature, "decoder.conv3.0", "decoder.conv3.1")
        feature = self.conv_lr(feature, "decoder.conv3.2", "decoder.conv3.3")
        parsing = self.conv(feature, "decoder.conv4", bias=True)
        maps = [self.conv_lr(y, f"edge.conv{n}.0", f"edge.conv{n}.1") for n, y in ((1, x2), (2, x3), (3, x4))]
        edges = [up(self.conv(y, "edge.conv4", padding=1, bias=True), size) for y in maps]
        edge = self.conv(torch.cat(edges, 1), "edge.conv5", bias=True)
        joined = torch.cat([feature, *(up(y, size) for y in maps)], 1)
        fusion = self.conv(self.conv_lr(joined, "fushion.0", "fushion.1"), "fushion.3", bias=True)
        return parsing, fusion, edge


def up(x, size):
    return F.interpolate(x, size=size, mode="bilinear", align_corners=True)


def preprocess(bgr, size):
    """The published affine by three points, one channel after the other."""
    matrix = affine(bgr.shape[1], bgr.shape[0], size)
    planes = [cv2.warpAffine(np.ascontiguousarray(bgr[:, :, c]), matrix, (size, size)) for c in range(3)]
    mean, std = (0.406, 0.456, 0.485), (0.225, 0.224, 0.229)
    return np.stack([(plane / 255 - m) / s for plane, m, s in zip(planes, mean, std, strict=True)])[None]


def affine(width, height, size):
    """From three points: the centre, one above it, and one beside it."""
    side = max(width - 1, height - 1)
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    source = np.array([centre, centre - (0, side / 2), centre - (side / 2, side / 2)], np.float32)
    middle = (size - 1) / 2
    target = np.array([[middle, middle], [middle, 0], [0, 0]], np.float32)
    return cv2.getAffineTransform(source, target)


def postprocess(logits, width, height, size):
    """All logits at the picture's size, then the highest."""
    large = up(torch.from_numpy(logits)[None], (size, size))[0].numpy()
    matrix = affine(width, height, size)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.stack([cv2.warpAffine(plane, matrix, (width, height), flags=flags) for plane in large]).argmax(0)
