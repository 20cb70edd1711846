"""What a detector learns from: targets where the hands are, augmentation that moves labels with pixels, losses."""

import numpy as np
import pytest
import torch

from handdata.model.spotter import SIZE, STRIDE, SpotterNet, SpotterPrediction
from handdata.skeleton import LEFT, RIGHT
from handdata.synth.full_frame import render_full_frame
from handdata.train.spotting import NOBODY, SpotTargets, as_seen, spotting_losses
from handdata.train.spotting_views import Frames, SeenBatch, draw_batch, mosaic, seen_pictures


@pytest.fixture(scope="module")
def frames():
    return [render_full_frame(6, index) for index in range(6)]


def seen_of(frame):
    return as_seen(frame.image, frame.boxes_xyxy, frame.sides, frame.hand)


def test_every_hand_has_one_certain_cell_in_the_map_of_its_side(frames):
    for frame in frames:
        seen = seen_of(frame)
        centres = SpotTargets.of([seen]).centres_B2HW[0]
        for side in (LEFT, RIGHT):
            assert (centres[side] == 1).sum() == (seen.sides == side).sum()
        for box, side in zip(seen.boxes_xyxy, seen.sides, strict=True):
            x, y = ((box[:2] + box[2:]) / 2 // STRIDE).astype(int)
            assert centres[side, y, x] == 1


def a_square(*, grey=20, left=90, top=50, side=20):
    """Return a dark picture with a bright square, its mask, box and side."""
    image, mask = np.full((120, 160, 3), grey, np.uint8), np.zeros((120, 160), bool)
    image[top : top + side, left : left + side], mask[top : top + side, left : left + side] = 250, True
    return image, mask, np.array([[left, top, left + side, top + side]], float), np.array([RIGHT])


def frames_of(*given):
    images, masks, boxes, sides = zip(*given, strict=True)
    return Frames.of(np.stack(images), boxes, sides, np.stack(masks), "cpu")


def test_pixels_boxes_and_mask_move_together():
    """A bright square on a dark picture stays in the middle of its box, and its mask on it, however it is augmented."""
    seen = seen_pictures(frames_of(a_square()), np.zeros(60, int), np.random.default_rng(0))
    checked = 0
    for levels, hand, boxes, sides in zip(*seen, strict=True):
        half, middle = (boxes[0, 2] - boxes[0, 0]).item() / 2, ((boxes[0, :2] + boxes[0, 2:]) / 2).numpy()
        if not (half < middle[0] < SIZE[0] - half and half < middle[1] < SIZE[1] - half):
            continue  # cut by the picture's edge
        assert sides[0] in (LEFT, RIGHT)
        level = levels.mean(0).numpy()
        corner = np.maximum((middle - 2 * half).astype(int), 0)
        near = level[corner[1] : int(middle[1] + 2 * half) + 1, corner[0] : int(middle[0] + 2 * half) + 1]
        rows, columns = np.nonzero(near > (near.min() + near.max()) / 2)
        assert columns.mean() + 0.5 + corner[0] == pytest.approx(middle[0], abs=1)
        assert rows.mean() + 0.5 + corner[1] == pytest.approx(middle[1], abs=1)
        assert len(rows) == pytest.approx((2 * half) ** 2, rel=0.35)
        assert hand.sum() == pytest.approx((2 * half) ** 2, rel=0.05)
        checked += 1
    assert checked > 20


def test_a_hand_that_leaves_the_picture_is_none():
    seen = seen_pictures(frames_of(a_square(left=0, top=0)), np.zeros(60, int), np.random.default_rng(1))
    middles = (seen.boxes_TM4[:, 0, :2] + seen.boxes_TM4[:, 0, 2:]) / 2
    inside = ((middles >= 0) & (middles < torch.tensor(SIZE))).all(-1)
    assert torch.equal(inside, seen.sides_TM[:, 0] != NOBODY)
    assert 0 < inside.sum() < len(inside)


def test_a_batch_is_a_function_of_its_generator(frames):
    given = frames_of(*((frame.image, frame.hand, frame.boxes_xyxy, frame.sides) for frame in frames))
    (one, wanted), (two, _) = (draw_batch(given, 16, np.random.default_rng(7), mosaics=0.5) for _ in range(2))
    assert torch.equal(one, two)
    assert one.shape == (16, 3, SIZE[1], SIZE[0])
    assert (wanted.centres_B2HW == 1).sum() > 0


def test_joined_frames_are_those_of_their_parts(frames):
    parts = [frames_of((frame.image, frame.hand, frame.boxes_xyxy, frame.sides)) for frame in frames]
    whole = Frames.joined(parts)
    for number, frame in enumerate(frames):
        assert whole.sides_NM[number][: len(frame.sides)].tolist() == frame.sides.tolist()
        assert (whole.sides_NM[number][len(frame.sides) :] == NOBODY).all()
        np.testing.assert_array_equal(whole.image_N3HW[number].permute(1, 2, 0), frame.image)


def test_a_mosaic_keeps_each_hand_of_four_pictures_in_its_quarter():
    """A picture with one bright square, in its own grey each: squares and boxes come out in the same four places."""
    greys = (20, 60, 100, 140)
    seen = [as_seen(*(a_square(grey=grey, left=68, top=48, side=24)[part] for part in (0, 2, 3, 1))) for grey in greys]
    hand = torch.from_numpy(np.stack([np.kron(one.mask, np.ones((4, 4), np.float32)) for one in seen]))
    four = SeenBatch(
        torch.from_numpy(np.stack([one.image for one in seen])).permute(0, 3, 1, 2)[None].float(),
        hand[None, :, None],
        torch.from_numpy(np.stack([one.boxes_xyxy for one in seen]))[None].float(),
        torch.from_numpy(np.stack([one.sides for one in seen]))[None],
    )
    made = mosaic(four, np.random.default_rng(2))

    assert made.sides_TM.tolist() == [[RIGHT] * 4]
    level = made.levels_T3HW[0, 0].round().numpy()
    assert set(greys) <= set(np.unique(level))
    for left, top, right, bottom in made.boxes_TM4[0].tolist():
        rows, columns = np.nonzero(level[int(top) - 2 : int(bottom) + 3, int(left) - 2 : int(right) + 3] > 195)
        assert columns.mean() + 0.5 + int(left) - 2 == pytest.approx((left + right) / 2, abs=0.6)
        assert rows.mean() + 0.5 + int(top) - 2 == pytest.approx((top + bottom) / 2, abs=0.6)
        assert len(rows) == pytest.approx((right - left) ** 2, rel=0.15)
    whole = ((made.boxes_TM4[0, :, 2] - made.boxes_TM4[0, :, 0]) ** 2).sum().item()
    assert made.hand_T1HW.sum().item() == pytest.approx(whole, rel=0.15)


def test_right_maps_cost_nothing_and_wrong_ones_do(frames):
    wanted = SpotTargets.of([seen_of(frame) for frame in frames])
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
    found = spotting_losses(SpotterNet().eval()(torch.zeros(2, 3, 128, 160)), SpotTargets.of([empty, empty]))
    assert all(torch.isfinite(value) for value in found.values())


@pytest.mark.usefixtures("one_thread")
def test_one_batch_is_learnt(frames):
    torch.manual_seed(0)
    net, wanted = SpotterNet(), SpotTargets.of([seen_of(frame) for frame in frames])
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
