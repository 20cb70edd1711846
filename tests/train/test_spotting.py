"""What a detector learns from: targets where the hands are, augmentation that moves labels with pixels, losses."""

import numpy as np
import pytest
import torch

from handdata.model.spotter import SIZE, STRIDE, SpotterNet, SpotterPrediction
from handdata.skeleton import LEFT, RIGHT
from handdata.synth.full_frame import render_full_frame
from handdata.train.spotting import SpotTargets, as_seen, mosaic, spotting_losses


@pytest.fixture(scope="module")
def frames():
    return [render_full_frame(6, index) for index in range(6)]


def seen_of(frame, rng=None):
    return as_seen(frame.image, frame.boxes_xyxy, frame.sides, frame.hand, rng)


def test_every_hand_has_one_certain_cell_in_the_map_of_its_side(frames):
    for frame in frames:
        seen = seen_of(frame)
        centres = SpotTargets([seen]).centres_B2HW[0]
        for side in (LEFT, RIGHT):
            assert (centres[side] == 1).sum() == (seen.sides == side).sum()
        for box, side in zip(seen.boxes_xyxy, seen.sides, strict=True):
            x, y = ((box[:2] + box[2:]) / 2 // STRIDE).astype(int)
            assert centres[side, y, x] == 1


def test_pixels_boxes_and_mask_move_together(frames):
    """A bright square on a dark picture stays in the middle of its box, and its mask on it, however it is augmented."""
    image, mask = np.full((120, 160, 3), 20, np.uint8), np.zeros((120, 160), bool)
    image[50:70, 90:110] = 250
    mask[50:70, 90:110] = True
    box, rng = np.array([[90.0, 50.0, 110.0, 70.0]]), np.random.default_rng(0)
    for _ in range(30):
        seen = as_seen(image, box, np.array([RIGHT]), mask, rng)
        if not len(seen.sides):
            continue
        level = seen.image.astype(float).mean(-1)
        bright = level > (level.min() + level.max()) / 2
        rows, columns = np.nonzero(bright)
        middle = (seen.boxes_xyxy[0, :2] + seen.boxes_xyxy[0, 2:]) / 2
        assert np.isin(seen.sides, (LEFT, RIGHT)).all()
        half = (seen.boxes_xyxy[0, 2] - seen.boxes_xyxy[0, 0]) / 2
        if not (half < middle[0] < SIZE[0] - half and half < middle[1] < SIZE[1] - half):
            continue  # cut by the picture's edge, or mirrored back in at its border
        near = (np.abs(columns + 0.5 - middle[0]) < 2 * half) & (np.abs(rows + 0.5 - middle[1]) < 2 * half)
        assert abs(columns[near].mean() + 0.5 - middle[0]) < 1
        assert abs(rows[near].mean() + 0.5 - middle[1]) < 1
        assert bright[near.nonzero()[0].size and rows[near], columns[near]].sum() == pytest.approx(
            (2 * half) ** 2, rel=0.35
        )
        assert seen.mask.sum() * 16 == pytest.approx((2 * half) ** 2, rel=0.25)


def test_a_draw_is_a_function_of_its_generator(frames):
    one, two = (seen_of(frames[0], np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(one.image, two.image)


def test_a_mosaic_keeps_each_hand_of_four_pictures_in_its_quarter():
    """A picture with one bright square, in its own grey each: squares and boxes come out in the same four places."""
    rng, box = np.random.default_rng(2), np.array([[68.0, 48.0, 92.0, 72.0]])
    four = []
    for grey in (20, 60, 100, 140):
        image, mask = np.full((120, 160, 3), grey, np.uint8), np.zeros((120, 160), bool)
        image[48:72, 68:92], mask[48:72, 68:92] = 250, True
        four.append(as_seen(image, box, np.array([RIGHT]), mask))

    made = mosaic(four, rng)
    assert made.sides.tolist() == [RIGHT] * 4
    assert {20, 60, 100, 140} <= set(np.unique(made.image))
    for left, top, right, bottom in made.boxes_xyxy:
        rows, columns = np.nonzero(made.image[int(top) - 2 : int(bottom) + 3, int(left) - 2 : int(right) + 3, 0] > 195)
        assert columns.mean() + 0.5 + int(left) - 2 == pytest.approx((left + right) / 2, abs=0.6)
        assert rows.mean() + 0.5 + int(top) - 2 == pytest.approx((top + bottom) / 2, abs=0.6)
        assert len(rows) == pytest.approx((right - left) ** 2, rel=0.15)
    whole = float(((made.boxes_xyxy[:, 2] - made.boxes_xyxy[:, 0]) ** 2).sum())
    assert made.mask.sum() * 16 == pytest.approx(whole, rel=0.15)


def test_right_maps_cost_nothing_and_wrong_ones_do(frames):
    wanted = SpotTargets([seen_of(frame) for frame in frames])
    logits = torch.where(wanted.centres_B2HW == 1, 20.0, -20.0)
    right = SpotterPrediction(
        logits, wanted.sizes_BHW[:, None], wanted.offsets_B2HW,
        torch.where(wanted.mask_BHW[:, None] > 0.5, 20.0, -20.0),
    )  # fmt: skip
    found = spotting_losses(right, wanted)
    assert float(found["centres"]) < 1e-6
    assert (float(found["size"]), float(found["offset"])) == (0.0, 0.0)
    worse = spotting_losses(right._replace(centres_B2HW=-logits, sizes_B1HW=right.sizes_B1HW + 1), wanted)
    assert float(worse["centres"]) > 10
    assert float(worse["size"]) == pytest.approx(1)


def test_a_batch_of_empty_pictures_has_finite_losses():
    empty = as_seen(
        np.zeros((120, 160, 3), np.uint8), np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros((120, 160), bool)
    )
    found = spotting_losses(SpotterNet().eval()(torch.zeros(2, 3, 128, 160)), SpotTargets([empty, empty]))
    assert all(torch.isfinite(value) for value in found.values())


@pytest.mark.usefixtures("one_thread")
def test_one_batch_is_learnt(frames):
    torch.manual_seed(0)
    net, wanted = SpotterNet(), SpotTargets([seen_of(frame) for frame in frames])
    levels = torch.from_numpy(np.stack([seen_of(frame).image for frame in frames])).permute(0, 3, 1, 2).float() / 255
    optimizer = torch.optim.AdamW(net.parameters(), 0.003)
    totals = []
    for _ in range(40):
        loss = sum(spotting_losses(net(levels - 0.5), wanted).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        totals.append(loss.item())
    assert totals[-1] < 0.4 * totals[0]
