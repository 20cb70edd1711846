"""Heatmap targets and the separable IoU, against golden/golden_give.json and a naive blur kept here."""

import json

import cv2
import numpy as np
import pytest
import torch

from handdata.model.heatmaps import inside, profiles, render, targets
from handdata.model.losses import divide, loss_2d

SIZE = 128


def naive_target(u: float, v: float, size: int = SIZE) -> np.ndarray:
    """The published recipe, literally: an impulse, OpenCV's blur with its default border, divide by the maximum."""
    heatmap = np.zeros((size, size), np.float64)
    x, y = round(size * u), round(size * v)
    if not (0 <= x < size and 0 <= y < size):
        return heatmap
    heatmap[y, x] = 1.0
    taps = 2 * round(30 * size / 128) + 1
    heatmap = cv2.GaussianBlur(heatmap, (taps, taps), 3 * size / 128)
    return heatmap / heatmap.max()


def iou_loss(pred: torch.Tensor, uv: torch.Tensor, present: torch.Tensor, over: str = "present") -> torch.Tensor:
    return divide(loss_2d(pred, uv, present, "iou", over))


def materialised_iou(pred: torch.Tensor, target: torch.Tensor, present: torch.Tensor, over: str) -> torch.Tensor:
    """The loss as docs/method.md 7 writes it, on maps."""
    pred = pred * present[..., None, None]
    target = target * present[..., None, None]
    overlap = (pred * target).sum((2, 3))
    union = (pred**2).sum((2, 3)) + (target**2).sum((2, 3)) - overlap
    iou = (overlap + 1e-6) / (union + 1e-6)
    return 1 - iou.mean() if over == "all" else ((1 - iou) * present).sum() / present.sum()


@pytest.fixture(scope="module")
def golden(shared):
    return json.loads((shared / "golden" / "golden_give.json").read_text())


def test_targets_equal_the_golden_vectors(golden):
    for case in golden["heatmaps_128_k61_s3"]:
        uv = torch.tensor([[[case["u"], case["v"]]]], dtype=torch.float64)
        heatmap = targets(uv, torch.tensor([[bool(case["present"])]]), SIZE)[0, 0]

        assert bool((heatmap == 0).all()) == case["empty"]
        assert heatmap.sum().item() == pytest.approx(case["total"], abs=1e-4)  # float32 sum of 16,384 cells
        assert heatmap.max().item() == pytest.approx(case["maximum"], abs=1e-6)
        if not case["empty"]:
            y, x = divmod(int(heatmap.argmax()), SIZE)
            assert [x, y] == case["peak_xy"]
        if case["row_of_peak"]:
            row = heatmap[case["peak_xy"][1]].numpy()
            np.testing.assert_allclose(row, case["row_of_peak"], atol=1e-6)


@pytest.mark.parametrize("size", [64, 128])
def test_targets_equal_an_opencv_blur_everywhere_also_at_the_border(size):
    places = [*range(14), size // 2, *range(size - 14, size)]
    uv = torch.tensor([[[x / size, y / size] for x in places for y in (0, 2, 5, size // 2, size - 3)]])
    ours = targets(uv, torch.ones(uv.shape[:2], dtype=torch.bool), size)[0].numpy()
    naive = np.stack([naive_target(u, v, size) for u, v in uv[0].tolist()])

    np.testing.assert_allclose(ours, naive, atol=1e-6)


@pytest.mark.parametrize(
    ("u", "expected"),
    [(-0.5 / SIZE, True), (-0.51 / SIZE, False), (127.49 / SIZE, True), (127.5 / SIZE, False), (float("nan"), False)],
)
def test_one_half_open_rule_for_the_flag_and_the_map_d11(u, expected):
    uv = torch.tensor([[[u, 0.5]]], dtype=torch.float64)

    assert bool(inside(uv, SIZE)) is expected
    assert bool(targets(uv, torch.tensor([[True]]), SIZE).any()) is expected


def test_absent_keypoints_have_empty_maps():
    uv = torch.full((2, 3, 2), 0.5)
    present = torch.tensor([[True, False, True], [False, False, True]])

    assert torch.equal(targets(uv, present, 32).amax((2, 3)) == 1, present)


def test_iou_of_ideal_blobs_follows_the_closed_form():
    distances = torch.tensor([1, 2, 3, 4, 6, 8])
    at = torch.full((6, 1, 2), 0.5)
    moved = at.clone()
    moved[:, 0, 0] += distances / SIZE
    present = torch.ones(6, 1, dtype=torch.bool)
    ious = [1 - iou_loss(targets(moved, present, SIZE)[i, None], at[i, None], present[i, None]) for i in range(6)]

    # docs/method.md 7: IoU = 1 / (2 exp(d^2 / 36) - 1)
    assert [round(float(iou), 3) for iou in ious] == [0.947, 0.810, 0.638, 0.472, 0.225, 0.092]


@pytest.mark.parametrize("over", ["present", "all"])
def test_separable_iou_has_the_value_and_gradient_of_the_materialised_one(over):
    generator = torch.Generator().manual_seed(3)
    uv = torch.rand(4, 21, 2, generator=generator) * 1.2 - 0.1
    present = (torch.rand(4, 21, generator=generator) > 0.3) & inside(uv, SIZE)
    pred = torch.rand(4, 21, SIZE, SIZE, generator=generator)
    first, second = pred.clone().requires_grad_(), pred.clone().requires_grad_()
    px, py = profiles(uv, SIZE)

    separable = iou_loss(first, uv, present, over)
    materialised = materialised_iou(second, render(px, py), present, over)
    separable.backward()
    materialised.backward()

    assert separable.item() == pytest.approx(materialised.item(), abs=1e-5)
    torch.testing.assert_close(first.grad, second.grad, atol=1e-5 * float(second.grad.abs().max()), rtol=1e-4)


def test_masked_means_are_the_golden_ones(golden):
    case = golden["iou_loss"]
    pred, target = (torch.tensor(case[name], dtype=torch.float64) for name in ("pred", "target"))
    mask = torch.tensor(case["mask"])

    # the golden targets are no outer products; the naive loss pins both kinds of mean, the test above ties ours to it
    assert materialised_iou(pred, target, torch.ones_like(mask), "all").item() == pytest.approx(
        case["loss_all_present"], abs=1e-6
    )
    assert materialised_iou(pred, target, mask, "all").item() == pytest.approx(
        case["loss_masked_mean_over_all"], abs=1e-6
    )
    assert materialised_iou(pred, target, mask, "present").item() == pytest.approx(
        case["loss_masked_mean_over_present"], abs=1e-6
    )


@pytest.mark.parametrize("over", ["present", "all"])
def test_predictions_of_absent_keypoints_change_neither_loss_nor_gradient_l4(over):
    generator = torch.Generator().manual_seed(5)
    uv = torch.rand(2, 21, 2, generator=generator) * 0.9
    present = torch.rand(2, 21, generator=generator) > 0.5
    pred = torch.rand(2, 21, 32, 32, generator=generator)
    changed = torch.where(present[..., None, None], pred, torch.rand(2, 21, 32, 32, generator=generator))
    grads, losses = [], []
    for maps in (pred.clone().requires_grad_(), changed.clone().requires_grad_()):
        losses.append(iou_loss(maps, uv, present, over))
        losses[-1].backward()
        grads.append(maps.grad)

    assert losses[0].item() == losses[1].item()
    assert torch.equal(grads[0], grads[1])
    assert not grads[0][~present].any()


def test_a_batch_without_any_present_keypoint_costs_nothing():
    pred = torch.rand(1, 21, 32, 32, requires_grad=True)
    loss = iou_loss(pred, torch.full((1, 21, 2), 2.0), torch.zeros(1, 21, dtype=torch.bool))
    loss.backward()

    assert loss.item() == 0
    assert not pred.grad.any()
