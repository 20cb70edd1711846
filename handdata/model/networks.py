"""The three networks: one encoder-decoder, three ways to say where the hand is. Knows nothing of training.

Shape letters: B batch, C channels, K the 21 keypoints, H, W rows and columns; 3 is x, y, z.

    direct (Model 1)  sigmoid heatmaps; 21 x 3 coordinates
    latent (Model 2)  softmax heatmaps, trained through their expectation only; 21 x 3 coordinates
    tree   (Model 3)  sigmoid heatmaps; 20 bones, summed along the fingers to 21 x 3 coordinates

Source: docs/method.md 6. The decoder has neither biases nor batch norm; at input side 128 and width 1 the three have
31,223,903, 31,223,903 and 31,223,300 parameters.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, interpolate, max_pool2d, pad, relu

from handdata.model.encoder import Encoder, scaled
from handdata.model.kinds import KINDS, Init, Kind
from handdata.skeleton import BONES, NUM_KEYPOINTS, ROOT

STRIDE = 32  # of layer4; the input side must be a multiple of it
HIDDEN = 200  # units of the 3D head's hidden layer at width 1
NUM_BONES = len(BONES)
MORE = -NUM_KEYPOINTS % 8  # maps: 8 channels are 16 bytes of bfloat16, the least that tensor cores take at full speed


class Ways(NamedTuple):
    """Other ways to compute the same function of the same parameters; what pays is the machine's.

    Attributes:
        split: convolve the two parts of every joined map one by one and add, instead of joining them first.
        indices: double maps in a compiled network by reading neighbours at computed places: one pass over the map
            forward and one backward, where slices take two each.
        pad: convolve to and from 24 heatmaps instead of 21, the three more with weights of zero.
    """

    split: bool = False
    indices: bool = False
    pad: bool = False


PLAIN = Ways()


class Prediction(NamedTuple):
    """What a network says of a batch.

    Attributes:
        maps_BKHW: float32 heatmaps at the input's size: cells in (0, 1) each (direct, tree), or one probability
            distribution a keypoint (latent).
        xyz_BK3: float32 coordinates in units of wrist to middle MCP, the middle MCP at the origin.
    """

    maps_BKHW: Tensor
    xyz_BK3: Tensor


class HandNet(nn.Module):
    """One of the three models.

    Args:
        kind: which of the three.
        size: side of the square input, px; a multiple of 32. 128 is the published one.
        width: channels relative to the published network.
        decoder_init: `default` is PyTorch's (published); `he` keeps the size of the signal through the decoder.
        logit_offset: constant added to the heatmap logits of `direct` and `tree`; 0 is published. A negative one
            starts with nearly empty maps, which shortens the plateau of docs/method.md L18.
        ways: how it is computed.

    Raises:
        ValueError: an unknown kind, or a size that is no positive multiple of 32.
    """

    def __init__(
        self,
        kind: Kind = "direct",
        *,
        size: int = 128,
        width: float = 1.0,
        decoder_init: Init = "default",
        logit_offset: float = 0.0,
        ways: Ways = PLAIN,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
        if size <= 0 or size % STRIDE:
            raise ValueError(f"size must be a positive multiple of {STRIDE}, got {size}")
        self.kind, self.size, self.logit_offset = kind, size, logit_offset
        self.encoder = Encoder(width)
        self.decoder = Decoder(self.encoder.channels, kind=kind, size=size, width=width, offset=logit_offset, ways=ways)
        if decoder_init == "he":
            self.decoder.apply(_he_init)

    def forward(self, image_B3HW: Tensor) -> Prediction:
        """Return heatmaps and coordinates of (B, 3, size, size) normalised images."""
        prediction: Prediction = self.decoder(self.encoder(image_B3HW))
        return prediction


class Decoder(nn.Module):
    """Four upsampling blocks, a 2D regressor and a 3D regressor fed by the heatmaps and up3."""

    def __init__(
        self, channels: tuple[int, ...], *, kind: Kind, size: int, width: float, offset: float, ways: Ways
    ) -> None:
        super().__init__()
        stem, layer1, layer2, layer3, layer4 = channels
        self.kind, self.offset, self.ways = kind, offset, ways
        self.up1 = UpBlock(layer4, layer3, layer3, ways=ways)
        self.up2 = UpBlock(layer3, layer2, layer2, ways=ways)
        self.up3 = UpBlock(layer2, layer1, layer1, ways=ways)
        self.up4 = UpBlock(layer1, stem, stem, ways=ways)
        self.map1 = _conv(stem, stem)
        self.map2 = _conv(stem, NUM_KEYPOINTS)
        narrow, wide = scaled(32, width), scaled(64, width)
        self.heat1 = _conv(NUM_KEYPOINTS, narrow)
        self.heat2 = _conv(narrow, wide)
        self.pose1 = _conv(wide + layer1, wide)
        self.pose2 = _conv(wide, narrow)
        outputs = 3 * (NUM_BONES if kind == "tree" else NUM_KEYPOINTS)
        self.linear1 = nn.Linear(narrow * (size // 4) ** 2, scaled(HIDDEN, width))
        self.linear2 = nn.Linear(scaled(HIDDEN, width), outputs)
        self.path: Tensor
        self.register_buffer("path", bone_path_matrix(), persistent=False)

    def forward(self, features: tuple[Tensor, ...]) -> Prediction:
        """Return the prediction from the encoder's five feature maps."""
        stem, layer1, layer2, layer3, layer4 = features
        up3 = self.up3(self.up2(self.up1(layer4, layer3), layer2), layer1)
        logits = self._logits(relu(self.map1(double(self.up4(up3, stem), indices=self.ways.indices))))
        maps = self._maps(logits.float())
        heat = max_pool2d(relu(self._heat(maps)), 2)
        heat = max_pool2d(relu(self.heat2(heat)), 2)
        pose = relu(self.pose2(relu(joined(self.pose1, heat, up3, split=self.ways.split))))
        vector = self.linear2(relu(self.linear1(pose.flatten(1)))).float().unflatten(1, (-1, 3))
        xyz = bones_to_keypoints(vector, self.path) if self.kind == "tree" else vector
        return Prediction(maps[:, :NUM_KEYPOINTS] if self.ways.pad else maps, xyz)

    def _logits(self, x_BCHW: Tensor) -> Tensor:
        """Return those of 21 maps, or of 24: then the last three are 0 and nothing reads their maps."""
        if not self.ways.pad:
            logits: Tensor = self.map2(x_BCHW)
            return logits
        return conv2d(x_BCHW, pad(self.map2.weight, (0, 0, 0, 0, 0, 0, 0, MORE)), padding=1)

    def _heat(self, maps_BKHW: Tensor) -> Tensor:
        if not self.ways.pad:
            heat: Tensor = self.heat1(maps_BKHW)
            return heat
        return conv2d(maps_BKHW, pad(self.heat1.weight, (0, 0, 0, 0, 0, MORE)), padding=1)

    def _maps(self, logits_BKHW: Tensor) -> Tensor:
        if self.kind == "latent":
            return logits_BKHW.flatten(2).softmax(-1).view_as(logits_BKHW)
        return torch.sigmoid(logits_BKHW + self.offset)


class UpBlock(nn.Module):
    """Double the map, put the skip's channels behind its own, two 3x3 convolutions."""

    def __init__(self, channels: int, skip: int, out: int, *, ways: Ways) -> None:
        super().__init__()
        self.ways = ways
        self.conv1 = _conv(channels + skip, out)
        self.conv2 = _conv(out, out)

    def forward(self, x_BCHW: Tensor, skip_BCHW: Tensor) -> Tensor:
        """Return (B, out, 2 H, 2 W)."""
        doubled = double(x_BCHW, indices=self.ways.indices)
        return relu(self.conv2(relu(joined(self.conv1, doubled, skip_BCHW, split=self.ways.split))))


def joined(conv: nn.Conv2d, first_BCHW: Tensor, second_BCHW: Tensor, *, split: bool) -> Tensor:
    """Convolve two maps laid one behind the other (3x3, padding 1).

    A convolution is linear, so with `split` each map meets its own part of the weight and the results are added: the
    joined map is never written. The parameter is one tensor either way.
    """
    if not split:
        both: Tensor = conv(torch.cat((first_BCHW, second_BCHW), 1))
        return both
    channels = first_BCHW.shape[1]
    first = conv2d(first_BCHW, conv.weight[:, :channels], padding=1)
    return first + conv2d(second_BCHW, conv.weight[:, channels:], padding=1)


def double(x_BCHW: Tensor, *, indices: bool = False) -> Tensor:
    """Upsample by two, bilinearly, corners not aligned.

    A compiled network takes the weights 1/4 and 3/4 of slices, or of places (`Ways`), which fuse with what follows;
    eagerly the library's own kernel is quicker, and an exported one keeps it as one operation. All give the same map
    to 1e-6. Where channels lie last in memory they are put last before: what the compiler writes for the next
    convolution, it writes in the order of the dimensions.
    """
    if not torch.compiler.is_compiling() or torch.compiler.is_exporting():
        return interpolate(x_BCHW, scale_factor=2, mode="bilinear", align_corners=False)
    grow = _Doubled.apply if indices else _by_slices
    if x_BCHW.is_contiguous(memory_format=torch.channels_last):
        last: Tensor = grow(x_BCHW.permute(0, 2, 3, 1), 1)
        return last.permute(0, 3, 1, 2)
    doubled: Tensor = grow(x_BCHW, 2)
    return doubled


def _by_slices(x: Tensor, dim: int) -> Tensor:
    """Double along `dim` and the next one."""
    return _slices_along(_slices_along(x, dim), dim + 1)


def _slices_along(x: Tensor, dim: int) -> Tensor:
    n = x.shape[dim]
    before = torch.cat((x.narrow(dim, 0, 1), x.narrow(dim, 0, n - 1)), dim)
    after = torch.cat((x.narrow(dim, 1, n - 1), x.narrow(dim, n - 1, 1)), dim)
    pair = torch.stack((0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after), dim + 1)
    return pair.flatten(dim, dim + 1)


class _Doubled(torch.autograd.Function):
    """Double along a dimension and the next one, by places; the gradient gathers too, where autograd would scatter."""

    @staticmethod
    def forward(context: Any, x: Tensor, dim: int) -> Tensor:
        context.dim = dim
        return _places_along(_places_along(x, dim), dim + 1)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return _gather_along(_gather_along(gradient, context.dim + 1), context.dim), None


def _places_along(x: Tensor, dim: int) -> Tensor:
    n = x.shape[dim]
    at = torch.arange(2 * n, device=x.device)
    near = at // 2
    far = (near + 2 * (at % 2) - 1).clamp(0, n - 1)
    return 0.75 * x.index_select(dim, near) + 0.25 * x.index_select(dim, far)


def _gather_along(g: Tensor, dim: int) -> Tensor:
    last = g.shape[dim] - 1
    at = 2 * torch.arange(g.shape[dim] // 2, device=g.device)
    own = g.index_select(dim, at) + g.index_select(dim, at + 1)
    beside = g.index_select(dim, (at - 1).clamp(min=0)) + g.index_select(dim, (at + 2).clamp(max=last))
    return 0.75 * own + 0.25 * beside


def bone_path_matrix() -> Tensor:
    """Return the (21, 20) matrix that sums bones along the fingers to keypoints, the middle MCP at the origin.

    Bone b ends at keypoint b + 1 and starts at that keypoint's parent; the middle MCP's row is exactly zero.
    """
    path = torch.zeros(NUM_KEYPOINTS, NUM_BONES)
    for start, end in BONES:  # parents come before their children
        path[end] = path[start]
        path[end, end - 1] = 1.0
    return path - path[ROOT]


def bones_to_keypoints(bones_BN3: Tensor, path_KN: Tensor | None = None) -> Tensor:
    """Sum (B, 20, 3) bones to (B, 21, 3) keypoints whose middle MCP is exactly zero.

    A matrix product only where it stays in float32: autocast would round the coordinates to bfloat16, TF32 to ten bits.
    """
    path = bone_path_matrix().to(bones_BN3) if path_KN is None else path_KN
    if bones_BN3.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
        return torch.einsum("kn,bnd->bkd", path, bones_BN3)
    return (path[:, :, None] * bones_BN3[:, None]).sum(2)


def _conv(channels_in: int, channels_out: int) -> nn.Conv2d:
    return nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)


def _he_init(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
