"""The losses: known values, blobs apart, and masks that nothing absent gets past."""

import numpy as np
import pytest
import torch

from handdata.model.heatmaps import targets
from handdata.model.losses import divide, loss_2d, loss_3d

LOSSES_2D = ("iou", "iou_and_expectation", "l2", "coordinates")
LOSSES_3D = ("mse", "bone_pairs")


def everything(batch=2):
    return torch.ones(batch, 21, dtype=torch.bool)


def random_case(seed=0, size=32):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 21, size, size, generator=generator)
    uv = torch.rand(2, 21, 2, generator=generator) * 0.9
    xyz = torch.randn(2, 21, 3, generator=generator)
    true = torch.randn(2, 21, 3, generator=generator)
    present = torch.rand(2, 21, generator=generator) < 0.6
    return maps, uv, xyz, true, present


@pytest.mark.parametrize(("distance", "iou"), [(1, 0.947), (2, 0.810), (3, 0.638), (4, 0.472), (6, 0.225), (8, 0.092)])
def test_iou_of_two_blobs_apart(distance, iou):
    """Values of docs/method.md 7 for ideal blobs `distance` px apart."""
    maps = targets(torch.tensor([[[0.5, 0.5]]]), torch.ones(1, 1, dtype=torch.bool), 128)
    uv = torch.tensor([[[0.5 + distance / 128, 0.5]]])

    loss = divide(loss_2d(maps, uv, torch.ones(1, 1, dtype=torch.bool), "iou"))
    assert 1 - float(loss) == pytest.approx(iou, abs=5e-4)


def test_iou_equals_the_formula_with_written_targets():
    maps, uv, _, _, present = random_case()
    t = targets(uv, present, 32)
    overlap = (maps * t).sum((-2, -1))
    iou = (overlap + 1e-6) / ((maps**2).sum((-2, -1)) + (t**2).sum((-2, -1)) - overlap + 1e-6)

    expected = ((1 - iou) * present).sum() / present.sum()
    torch.testing.assert_close(divide(loss_2d(maps, uv, present, "iou")), expected, atol=1e-5, rtol=0)


def test_coordinates_is_the_mean_square_over_u_and_v():
    maps = torch.zeros(1, 21, 32, 32)
    maps[:, :, 16, 8] = 1.0  # u = 0.25, v = 0.5
    uv = torch.tensor([0.5, 0.5]).expand(1, 21, 2)

    assert float(divide(loss_2d(maps, uv, everything(1), "coordinates"))) == pytest.approx(0.25**2 / 2)


def test_mse_is_the_mean_over_63_entries():
    xyz, true = torch.zeros(1, 21, 3), torch.ones(1, 21, 3)
    true[0, 0] = 4.0

    assert float(divide(loss_3d(xyz, true, everything(1), "mse"))) == pytest.approx((16 + 20) / 21)


def test_bone_pairs_ignore_a_common_shift():
    _, _, xyz, _, _ = random_case()

    assert float(divide(loss_3d(xyz, xyz + 3.0, everything(), "bone_pairs"))) == pytest.approx(0, abs=1e-5)


def test_a_perfect_map_has_no_loss():
    uv = torch.tensor([[[0.5, 0.5]] * 21])
    maps = targets(uv, everything(1), 64)

    for kind in ("iou", "l2", "coordinates"):
        assert float(divide(loss_2d(maps, uv, everything(1), kind))) == pytest.approx(0, abs=1e-5)


def spoil(values, present, by):
    spoiled = values.clone()
    spoiled[~present] = by
    return spoiled


@pytest.mark.parametrize("kind", LOSSES_2D)
def test_absent_keypoints_change_neither_2d_loss_nor_gradient(kind):
    maps, uv, _, _, present = random_case()
    results = []
    for prediction, truth in ((maps, uv), (spoil(maps, present, 0.9), uv), (maps, spoil(uv, present, float("nan")))):
        leaf = prediction.clone().requires_grad_()
        loss = divide(loss_2d(leaf, truth, present, kind))
        loss.backward()
        results.append((loss.item(), leaf.grad))

    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        assert torch.equal(gradient, results[0][1])
    assert results[0][1][~present].abs().max() == 0
    assert results[0][1][present].abs().max() > 0


@pytest.mark.parametrize("kind", LOSSES_3D)
def test_absent_keypoints_change_neither_3d_loss_nor_gradient(kind):
    _, _, xyz, true, present = random_case()
    results = []
    for prediction, truth in ((xyz, true), (spoil(xyz, present, 9.0), true), (xyz, spoil(true, present, float("nan")))):
        leaf = prediction.clone().requires_grad_()
        loss = divide(loss_3d(leaf, truth, present, kind))
        loss.backward()
        results.append((loss.item(), leaf.grad))

    for loss, gradient in results[1:]:
        assert loss == results[0][0]
        assert torch.equal(gradient, results[0][1])
    assert results[0][1][~present].abs().max() == 0
    assert results[0][1][present].abs().max() > 0


@pytest.mark.parametrize("kind", LOSSES_3D)
def test_without_any_3d_label_there_is_no_3d_loss_and_no_gradient(kind):
    _, _, xyz, true, _ = random_case()
    leaf = xyz.requires_grad_()
    loss = divide(loss_3d(leaf, true, torch.zeros(2, 21, dtype=torch.bool), kind))
    loss.backward()

    assert loss.item() == 0
    assert not leaf.grad.any()


@pytest.mark.parametrize("kind", LOSSES_2D)
def test_two_halves_of_a_batch_add_up_to_the_whole(kind):
    """Sums and counts of processes add up, whatever share of the labels each of them has."""
    maps, uv, _, _, present = random_case()
    whole = divide(loss_2d(maps, uv, present, kind))
    halves = [loss_2d(maps[i : i + 1], uv[i : i + 1], present[i : i + 1], kind) for i in range(2)]

    total, numbers = sum(h.total for h in halves), sum(h.number for h in halves)
    np.testing.assert_allclose(total / numbers, whole, rtol=1e-6)


def test_the_pull_on_the_expectation_adds_ten_times_its_square():
    maps, uv, _, _, present = random_case()
    iou, off, both = (divide(loss_2d(maps, uv, present, k)) for k in ("iou", "coordinates", "iou_and_expectation"))

    torch.testing.assert_close(both, iou + 10 * off)
