"""The encoder: a ResNet-34 trunk without pooling and classifier. Knows nothing of training.

Shape letters: B batch, C channels, H, W rows and columns of a feature map.

Layers and parameter names are those that torchvision's ResNet-34 publishes its weights under, so that a file of
ImageNet weights loads as it is; tests/model/test_networks.py compares the two.

Source:
    He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1 (34 layers); docs/method.md 6.1.
"""

from typing import NamedTuple

from torch import Tensor, nn

BLOCKS = (3, 4, 6, 3)  # basic blocks of layer1..layer4
CHANNELS = (64, 128, 256, 512)  # of layer1..layer4 at width 1; the stem has those of layer1


class Features(NamedTuple):
    """The five skip levels at input side n: (B, C, n/2, n/2) down to (B, C, n/32, n/32)."""

    stem: Tensor
    layer1: Tensor
    layer2: Tensor
    layer3: Tensor
    layer4: Tensor


def scaled(channels: int, width: float) -> int:
    """Return a layer's channels at a relative width, at least one."""
    return max(1, round(channels * width))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions round a shortcut; the shortcut is a 1x1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(channels_in, channels_out, 1, stride, bias=False), nn.BatchNorm2d(channels_out))
            if stride != 1 or channels_in != channels_out
            else None
        )

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, C', H / stride, W / stride)."""
        shortcut = x_BCHW if self.downsample is None else self.downsample(x_BCHW)
        y = self.relu(self.bn1(self.conv1(x_BCHW)))
        result: Tensor = self.relu(self.bn2(self.conv2(y)) + shortcut)
        return result


class Encoder(nn.Module):
    """ResNet-34 up to layer4; 21,284,672 parameters at width 1.

    Args:
        width: channels relative to the published network.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        channels = tuple(scaled(c, width) for c in CHANNELS)
        self.channels = (channels[0], *channels)  # of stem, layer1..layer4
        self.conv1 = nn.Conv2d(3, channels[0], 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _layer(channels[0], channels[0], BLOCKS[0], stride=1)
        self.layer2 = _layer(channels[0], channels[1], BLOCKS[1], stride=2)
        self.layer3 = _layer(channels[1], channels[2], BLOCKS[2], stride=2)
        self.layer4 = _layer(channels[2], channels[3], BLOCKS[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):  # He initialisation by fan-out, as the published weights started
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image_B3HW: Tensor) -> Features:
        """Return the five feature maps of normalised images."""
        stem = self.relu(self.bn1(self.conv1(image_B3HW)))
        layer1 = self.layer1(self.maxpool(stem))
        layer2 = self.layer2(layer1)
        layer3 = self.layer3(layer2)
        return Features(stem, layer1, layer2, layer3, self.layer4(layer3))


def _layer(channels_in: int, channels_out: int, blocks: int, stride: int) -> nn.Sequential:
    first = BasicBlock(channels_in, channels_out, stride)
    return nn.Sequential(first, *(BasicBlock(channels_out, channels_out, 1) for _ in range(blocks - 1)))
