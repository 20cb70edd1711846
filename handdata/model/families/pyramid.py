"""The part that several families share: Model 1's encoder and the upsampling blocks of its decoder.

Shape letters: B batch, C channels, n side of the input.
"""

from typing import NamedTuple

from torch import Tensor, nn

from handdata.model.encoder import Encoder
from handdata.model.networks import UpBlock, Ways


class Levels(NamedTuple):
    """Feature maps: the encoder's at n/8 and n/32, the decoder's at n/4, and at n/2 where it goes that far."""

    layer2: Tensor
    layer4: Tensor
    up3: Tensor
    up4: Tensor | None


class Pyramid(nn.Module):
    """Encoder and three or four upsampling blocks.

    Args:
        width: channels relative to the published network.
        ways: how joined maps are computed.
        fine: go on to n/2.
    """

    def __init__(self, width: float, ways: Ways, *, fine: bool = False) -> None:
        super().__init__()
        self.encoder = Encoder(width)
        stem, layer1, layer2, layer3, layer4 = self.encoder.channels
        self.up1 = UpBlock(layer4, layer3, layer3, ways=ways)
        self.up2 = UpBlock(layer3, layer2, layer2, ways=ways)
        self.up3 = UpBlock(layer2, layer1, layer1, ways=ways)
        self.up4 = UpBlock(layer1, stem, stem, ways=ways) if fine else None
        for block in (self.up1, self.up2, self.up3, *([self.up4] if self.up4 else [])):
            for module in block.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")

    def forward(self, image_B3HW: Tensor) -> Levels:
        """Return the feature maps of normalised images."""
        features = self.encoder(image_B3HW)
        up3 = self.up3(self.up2(self.up1(features.layer4, features.layer3), features.layer2), features.layer1)
        up4 = None if self.up4 is None else self.up4(up3, features.stem)
        return Levels(features.layer2, features.layer4, up3, up4)
