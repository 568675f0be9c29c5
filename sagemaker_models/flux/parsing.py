"""BiSeNet: which pixels of an aligned face are skin, features and hair.

Attribute names are the keys of facexlib's `parsing_bisenet.pth`.

Source: xinntao/facexlib, `facexlib/parsing/bisenet.py` and `resnet.py` (MIT), and BiSeNet (arXiv 1808.00897); read
2026-11-21; written anew.
"""

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own name
from torch import Tensor, nn

CLASSES = 19

#: Labels that are no face and no hair: background, ears, earring, neck, necklace, cloth and hat in CelebAMask's order;
#: the published procedure names the numbers only.
BACKGROUND = (0, 7, 8, 9, 14, 15, 16, 18)

#: ImageNet's, with which the network was trained.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: Weights of grey by ITU-R BT.601.
_GREY = (0.299, 0.587, 0.114)


class Parser(nn.Module):
    """The network. Its two outputs for training are loaded, because they belong to the checkpoint, and never run.

    Shapes: pixels (B,3,H,W) normalised, H and W multiples of 32 → logits (B,19,H,W)
    """

    def __init__(self) -> None:
        super().__init__()
        self.cp = _Context()
        self.ffm = _Fusion()
        self.conv_out = _Output(256, 256)
        self.conv_out16 = _Output(128, 64)
        self.conv_out32 = _Output(128, 64)

    def forward(self, pixels: Tensor) -> Tensor:
        """Label pixels."""
        fine, context = self.cp(pixels)
        logits = self.conv_out(self.ffm(fine, context))
        return F.interpolate(logits, pixels.shape[2:], mode="bilinear", align_corners=True)


class _Convolution(nn.Module):
    def __init__(self, source: int, target: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(source, target, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(target)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(features)))


class _Output(nn.Module):
    def __init__(self, source: int, middle: int) -> None:
        super().__init__()
        self.conv = _Convolution(source, middle)
        self.conv_out = nn.Conv2d(middle, CLASSES, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv_out(self.conv(features))


class _Refinement(nn.Module):
    def __init__(self, source: int) -> None:
        super().__init__()
        self.conv = _Convolution(source, 128)
        self.conv_atten = nn.Conv2d(128, 128, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(128)

    def forward(self, features: Tensor) -> Tensor:
        made = self.conv(features)
        return made * torch.sigmoid(self.bn_atten(self.conv_atten(_mean(made))))


class _Context(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resnet = _ResNet18()
        self.arm16 = _Refinement(256)
        self.arm32 = _Refinement(512)
        self.conv_head32 = _Convolution(128, 128)
        self.conv_head16 = _Convolution(128, 128)
        self.conv_avg = _Convolution(512, 128, kernel=1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        by8, by16, by32 = self.resnet(pixels)
        coarse = self.arm32(by32) + self.conv_avg(_mean(by32))
        middle = self.arm16(by16) + self.conv_head32(_enlarged(coarse, by16))
        return by8, self.conv_head16(_enlarged(middle, by8))


class _Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convblk = _Convolution(256, 256, kernel=1)
        self.conv1 = nn.Conv2d(256, 64, 1, bias=False)
        self.conv2 = nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, fine: Tensor, context: Tensor) -> Tensor:
        made = self.convblk(torch.cat((fine, context), dim=1))
        return made + made * torch.sigmoid(self.conv2(F.relu(self.conv1(_mean(made)))))


class _ResNet18(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(_Residual(64, 64, 1), _Residual(64, 64, 1))
        self.layer2 = nn.Sequential(_Residual(64, 128, 2), _Residual(128, 128, 1))
        self.layer3 = nn.Sequential(_Residual(128, 256, 2), _Residual(256, 256, 1))
        self.layer4 = nn.Sequential(_Residual(256, 512, 2), _Residual(512, 512, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stem = F.max_pool2d(F.relu(self.bn1(self.conv1(pixels))), 3, stride=2, padding=1)
        by8 = self.layer2(self.layer1(stem))
        by16 = self.layer3(by8)
        return by8, by16, self.layer4(by16)


class _Residual(nn.Module):
    def __init__(self, source: int, target: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(source, target, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(target)
        self.conv2 = nn.Conv2d(target, target, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(target)
        self.downsample = None
        if stride > 1:
            shortcut = nn.Conv2d(source, target, 1, stride=stride, bias=False)
            self.downsample = nn.Sequential(shortcut, nn.BatchNorm2d(target))

    def forward(self, features: Tensor) -> Tensor:
        made = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(features)))))
        return F.relu(made + (features if self.downsample is None else self.downsample(features)))


def features_of(parser: Parser, face: Tensor) -> Tensor:
    """Return a face in grey on white: what is no face and no hair becomes white.

    Shapes: face (1,3,H,W) RGB in [0,1] → the same
    """
    mean, std = (torch.tensor(values).view(1, 3, 1, 1).to(face) for values in (MEAN, STD))
    labels = parser((face - mean) / std).argmax(dim=1, keepdim=True)
    background = torch.isin(labels, torch.tensor(BACKGROUND, device=face.device))
    grey = (face * torch.tensor(_GREY).view(1, 3, 1, 1).to(face)).sum(dim=1, keepdim=True)
    return torch.where(background, 1.0, grey).expand(-1, 3, -1, -1)


def _mean(features: Tensor) -> Tensor:
    return features.mean((2, 3), keepdim=True)


def _enlarged(features: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(features, like.shape[2:], mode="nearest")
