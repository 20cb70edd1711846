"""The lift of the compact family: the pose from where its keypoints were found."""

import pytest
import torch

from handdata.model.families.compact import CROP, CompactNet, Lift, spread
from handdata.model.read_out import expectation
from handdata.skeleton import NUM_KEYPOINTS, ROOT


@pytest.fixture
def seen():
    torch.manual_seed(0)
    maps = torch.randn(2, NUM_KEYPOINTS, 8, 8).mul(3).flatten(2).softmax(-1).unflatten(2, (8, 8))
    return torch.randn(2, 16), maps, torch.randn(2, NUM_KEYPOINTS, 3)


def test_a_lift_begins_with_the_2d_and_the_depth_of_the_trunk(seen):
    features, maps, xyz = seen
    lifted = Lift(16, 8)(features, expectation(maps), spread(maps), xyz)
    uv = expectation(maps)

    torch.testing.assert_close(lifted[..., :2], CROP * (uv - uv[:, ROOT : ROOT + 1]))
    torch.testing.assert_close(lifted[..., 2], xyz[..., 2])


def test_where_a_keypoint_was_found_and_how_surely_changes_the_depth(seen):
    features, maps, xyz = seen
    lift = Lift(16, 8)
    torch.nn.init.normal_(lift.last.weight)
    moved, flat = maps.clone(), maps.clone()
    moved[:, 8] = moved[:, 8].roll(3, dims=-1)
    flat[:, 8] = 1 / 64
    before, after, unsure = (
        lift(features, expectation(each), spread(each), xyz)[..., 2] for each in (maps, moved, flat)
    )

    assert (after - before).abs().max() > 1e-3
    assert (unsure - before).abs().max() > 1e-3


def test_the_3d_does_not_pull_at_the_2d():
    torch.manual_seed(0)
    network = CompactNet(64, 0.25, lift_width=8)
    network(torch.randn(2, 3, 64, 64)).xyz_BK3.square().sum().backward()

    assert network.logits.weight.grad is None
    assert all(parameter.grad is not None for parameter in network.lift.parameters())
    assert network.pose.weight.grad is not None


def test_without_a_lift_the_network_is_that_of_weights_that_know_none():
    assert not [name for name in CompactNet(64, 0.25).state_dict() if "lift" in name]
