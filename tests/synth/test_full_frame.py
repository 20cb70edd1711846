"""Full pictures: what is said of them is in them."""

import numpy as np
import pytest

from handdata.skeleton import RIGHT
from handdata.synth.frame import Camera, SequenceSpec
from handdata.synth.full_frame import render_full_frame
from handdata.synth.people import Peopled
from handdata.synth.sequence import build_scene

CAMERA = np.array([[150.0, 0, 79.5], [0, 150.0, 59.5], [0, 0, 1]])


@pytest.fixture(scope="module")
def frames():
    return [render_full_frame(9, index, ("clean", "gritty")[index % 2]) for index in range(24)]


def test_pictures_show_none_one_and_two_hands(frames):
    assert {len(frame.sides) for frame in frames} == {0, 1, 2}
    assert all(sorted(frame.sides) == [0, 1] for frame in frames if len(frame.sides) == 2)


def test_some_hands_fill_the_picture_and_some_are_cut_by_its_border(frames):
    sides = np.concatenate([frame.boxes_xyxy[:, 2] - frame.boxes_xyxy[:, 0] for frame in frames]) / 120
    assert sides.max() > 0.9
    assert sides.min() < 0.3
    edges = np.concatenate([frame.boxes_xyxy for frame in frames])
    assert ((edges < 0).any(1) | (edges > [160, 120, 160, 120]).any(1)).any()


def test_heads_arms_and_clothes_stand_behind_the_hands_lit_by_the_same_lamp():
    """With them the picture differs where no hand is, and nowhere else."""
    spec = SequenceSpec(
        seed=3, name="a", cameras=(Camera(name="camera", K=CAMERA, width=160, height=120),), motion="still", small=True
    )
    scene = build_scene(spec, 0)
    plain, setting = scene.setting.backdrop, scene.setting
    people = Peopled(behind=plain, seed=(5,), melanin=setting.person.melanin, light=setting.light)
    without, with_people = plain.picture(160, 120), people.picture(160, 120)

    assert (np.abs(with_people - without).max(-1) > 0.02).mean() > 0.05
    assert np.isfinite(with_people).all()
    assert with_people.min() >= 0
    np.testing.assert_array_equal(people.picture(160, 120), with_people)
    np.testing.assert_array_equal(plain.picture(160, 120), without)


def test_hands_lie_in_their_boxes_and_nowhere_else(frames):
    shares = []
    for frame in frames:
        rows, columns = np.nonzero(frame.hand)
        inside = np.zeros(len(rows), bool)
        for left, top, right, bottom in frame.boxes_xyxy:
            within = (columns >= left) & (columns < right) & (rows >= top) & (rows < bottom)
            inside |= within
            assert (right - left) == pytest.approx(bottom - top)
        if len(frame.sides):
            shares.append(inside.mean())
        if frame.hand.sum() > 2000:
            assert len(frame.sides)
    assert np.mean(shares) > 0.9  # the rest is of hands that mostly lie outside the picture


def test_a_picture_is_a_function_of_its_seed_and_number(frames):
    again = render_full_frame(9, 5, "gritty")
    np.testing.assert_array_equal(again.image, frames[5].image)
    np.testing.assert_array_equal(again.boxes_xyxy, frames[5].boxes_xyxy)


def test_plain_pictures_show_the_same_hands_without_people_and_windows():
    """As many hands in each; boxes are those of the whole picture, none near enough to fill it, none far away."""
    plain = [render_full_frame(9, index, plain=True) for index in range(12)]
    sides = np.concatenate([frame.boxes_xyxy[:, 2] - frame.boxes_xyxy[:, 0] for frame in plain])

    assert {len(frame.sides) for frame in plain} == {0, 1, 2}
    assert sides.min() > 8
    assert sides.max() < 120
    assert any(not np.array_equal(frame.image, render_full_frame(9, index).image) for index, frame in enumerate(plain))


def elbows_at_their_side(viewpoint, *, own_sides, count=60):
    """Return for hands of both sides whether the elbow lies, of the wrist, where the person's half of the body is."""
    found = []
    for index in range(count):
        side = index % 2
        camera = Camera(name="camera", K=CAMERA, width=160, height=120)
        spec = SequenceSpec(
            seed=8, name=f"arms/{index}", cameras=(camera,), sides=(side,), motion="still", small=True,
            viewpoint=viewpoint, own_sides=own_sides,
        )  # fmt: skip
        (hand,) = build_scene(spec, 0).hands
        end = hand.base[np.linalg.norm(hand.base - hand.centres[12], axis=1).argmax()]
        found.append((end[0] > hand.centres[0, 0]) == ((side == RIGHT) == (viewpoint == "ego")))
    return float(np.mean(found))


@pytest.mark.parametrize("viewpoint", ["ego", "front"])
def test_arms_come_mostly_from_their_own_side(viewpoint):
    """Somebody sees their own right arm from the right, and that of a person before them from the left."""
    assert elbows_at_their_side(viewpoint, own_sides=True) > 0.65
    assert 0.35 < elbows_at_their_side(viewpoint, own_sides=False) < 0.65


def test_each_of_two_hands_stands_at_its_own_side(frames):
    """Seen from in front, as three of four pictures are, the right one stands left; windows move both alike."""
    frames = [*frames, *(render_full_frame(10, index, plain=True) for index in range(40))]
    right_of = [
        float(np.diff(frame.boxes_xyxy[np.argsort(frame.sides), 0])[0]) for frame in frames if len(frame.sides) == 2
    ]
    assert len(right_of) >= 15
    assert np.mean(np.array(right_of) < 0) > 0.6
