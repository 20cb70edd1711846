"""The three networks: counts and map sizes of docs/method.md 6, the bone tree, the trunk beside torchvision's."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch

from handdata.model import networks as models
from handdata.model.kinds import KINDS
from handdata.model.networks import HandNet, bones_to_keypoints
from handdata.model.read_out import expectation
from handdata.skeleton import BONES, INDEX, ROOT

PARAMETERS = {"direct": 31_223_903, "latent": 31_223_903, "tree": 31_223_300}  # docs/method.md 6.2
BLOCKS = {  # docs/method.md 6.1 and 6.2
    "encoder.conv1": 9_536 - 128,
    "encoder.layer1": 221_952,
    "encoder.layer2": 1_116_416,
    "encoder.layer3": 6_822_400,
    "encoder.layer4": 13_114_368,
    "decoder.up1": 2_359_296,
    "decoder.up2": 589_824,
    "decoder.up3": 147_456,
    "decoder.up4": 110_592,
    "decoder.map": 48_960,
    "decoder.heat": 24_480,
    "decoder.pose": 92_160,
    "decoder.linear": 6_566_463,
}


def count(network, prefix=""):
    return sum(p.numel() for name, p in network.named_parameters() if name.startswith(prefix))


@pytest.fixture(scope="module")
def published():
    return HandNet("direct")


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "golden_give.json").read_text())


@pytest.mark.parametrize("kind", KINDS)
def test_parameter_count_is_the_published_one(kind):
    network = HandNet(kind)

    assert count(network) == PARAMETERS[kind]
    assert count(network, "encoder") == 21_284_672


@pytest.mark.parametrize(("prefix", "expected"), BLOCKS.items())
def test_each_block_has_its_published_parameters(published, prefix, expected):
    assert count(published, prefix) == expected


def test_tree_head_is_smaller_by_one_keypoint():
    assert count(HandNet("tree"), "decoder.linear") == 6_565_860


def test_stored_buffers_are_those_of_the_encoders_batch_norm(published):
    assert sum(v.numel() for v in published.state_dict().values()) - count(published) == 17_060


def test_no_bias_and_no_batch_norm_in_the_decoders_convolutions(published):
    names = [name for name, _ in published.decoder.named_parameters()]

    assert [name for name in names if "bias" in name] == ["linear1.bias", "linear2.bias"]


def test_feature_maps_have_the_published_sizes(published):
    with torch.no_grad():
        features = published.encoder(torch.zeros(1, 3, 128, 128))

    sizes = [tuple(f.shape[1:]) for f in features]
    assert sizes == [(64, 64, 64), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ("up1", (256, 8, 8)),
        ("up2", (128, 16, 16)),
        ("up3", (64, 32, 32)),
        ("up4", (64, 64, 64)),
        ("map2", (21, 128, 128)),
        ("heat2", (64, 64, 64)),
        ("pose2", (32, 32, 32)),
        ("linear1", (200,)),
    ],
)
def test_decoder_maps_have_the_published_sizes(published, block, expected):
    seen = []
    handle = getattr(published.decoder, block).register_forward_hook(lambda _m, _i, out: seen.append(out.shape[1:]))
    with torch.no_grad():
        published(torch.zeros(1, 3, 128, 128))
    handle.remove()

    assert [tuple(shape) for shape in seen] == [expected]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "width"), [(64, 0.25), (96, 0.5)])
def test_small_variant_answers_at_its_own_size(kind, size, width):
    with torch.no_grad():
        prediction = HandNet(kind, size=size, width=width).eval()(torch.randn(2, 3, size, size))

    assert prediction.maps_BKHW.shape == (2, 21, size, size)
    assert prediction.xyz_BK3.shape == (2, 21, 3)
    assert prediction.maps_BKHW.dtype == prediction.xyz_BK3.dtype == torch.float32


def test_latent_maps_are_probabilities():
    with torch.no_grad():
        maps = HandNet("latent", size=64, width=0.25).eval()(torch.randn(2, 3, 64, 64)).maps_BKHW

    np.testing.assert_allclose(maps.sum((2, 3)), 1.0, atol=1e-5)


def test_a_2d_loss_of_latent_maps_reaches_the_encoder():
    network = HandNet("latent", size=64, width=0.25)
    expectation(network(torch.randn(2, 3, 64, 64)).maps_BKHW).sum().backward()

    assert network.encoder.conv1.weight.grad.abs().max() > 0


def test_3d_loss_flows_back_through_the_heatmaps():
    network = HandNet("direct", size=64, width=0.25)
    network(torch.randn(2, 3, 64, 64)).xyz_BK3.square().sum().backward()

    assert network.decoder.map2.weight.grad.abs().max() > 0


def test_root_of_the_tree_is_exactly_zero():
    with torch.no_grad():
        xyz = HandNet("tree", size=64, width=0.25).eval()(torch.randn(3, 3, 64, 64)).xyz_BK3

    assert torch.equal(xyz[:, ROOT], torch.zeros(3, 3))


def test_bones_to_keypoints_is_golden(golden):
    vector = golden["bones_to_keypoints"]
    xyz = bones_to_keypoints(torch.tensor(vector["bones"]))

    np.testing.assert_allclose(xyz, vector["keypoints"], atol=1e-6)


def test_a_keypoint_is_the_sum_of_the_bones_on_its_way():
    bones = torch.randn(1, 20, 3)
    xyz = bones_to_keypoints(bones)

    expected = -bones[0, 8] + bones[0, 0] + bones[0, 1] + bones[0, 2]  # P3 = -B8 + B0 + B1 + B2, docs/method.md 6.4
    torch.testing.assert_close(xyz[0, INDEX["thumb_dip"]], expected)
    torch.testing.assert_close(xyz[0, INDEX["wrist"]], -bones[0, 8])


def test_the_bones_of_keypoints_sum_to_them_again_at_the_root():
    xyz = torch.randn(4, 21, 3)
    xyz = xyz - xyz[:, ROOT, None]
    bones = torch.stack([xyz[:, end] - xyz[:, start] for start, end in BONES], 1)

    torch.testing.assert_close(bones_to_keypoints(bones), xyz)


def test_doubling_by_slices_is_the_librarys_bilinear():
    x = torch.randn(2, 3, 5, 7)

    torch.testing.assert_close(models._by_slices(x, 2), models.double(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("size", [0, 100, -32])
def test_size_must_be_a_multiple_of_32(size):
    with pytest.raises(ValueError, match="multiple of 32"):
        HandNet(size=size)


BESIDE_TORCHVISION = """
import torch
try:
    from torchvision.models import resnet34
except RuntimeError:  # its extension is not built for this torch; its models need none of that
    library = torch.library.Library("torchvision", "DEF")
    for operator in ("nms(Tensor d, Tensor s, float t) -> Tensor", "qnms(Tensor d, Tensor s, float t) -> Tensor"):
        library.define(operator)
    from torchvision.models import resnet34
from handdata.model.encoder import Encoder
from handdata.model.weights import fill
torch.manual_seed(0)
theirs, ours = resnet34(weights=None).eval(), Encoder().eval()
for module in theirs.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        module.running_mean.normal_(std=0.1)
        module.running_var.uniform_(0.5, 1.5)
fill(ours, {n: v for n, v in theirs.state_dict().items() if not n.startswith("fc.")}, where="torchvision")
with torch.no_grad():
    x = torch.randn(2, 3, 128, 128)
    y = theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
    y = theirs.layer4(theirs.layer3(theirs.layer2(theirs.layer1(y))))
    print("largest difference", float((ours(x).layer4 - y).abs().max()), "of", float(y.abs().max()))
"""


def test_trunk_is_torchvisions_resnet34():
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", BESIDE_TORCHVISION], check=False, capture_output=True, text=True
    )
    if run.returncode and "torchvision" in run.stderr.splitlines()[-1]:
        pytest.skip(f"torchvision does not import here: {run.stderr.splitlines()[-1]}")

    assert run.returncode == 0, run.stderr
    _, _, difference, _, largest = run.stdout.split()
    assert float(difference) <= 1e-5 * float(largest)
