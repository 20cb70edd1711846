"""2D labels alone are judged: planted faults are found, real and rendered hands raise no alarm."""

import numpy as np
import pytest

from handdata import manifest
from handdata.check.sense2d import FEWEST, exchanged_fingers, reversed_fingers
from handdata.check.verify import verify
from handdata.shards.dataset import open_dataset
from handdata.skeleton import FINGERS, finger_indices, to_canonical
from tests.check.made_dataset import make_dataset, rewrite
from tests.converters import real

SET = 20  # hands


def reverse(uv, fingers=FINGERS):
    changed = uv.copy()
    for finger in fingers:
        slots = list(finger_indices(finger))
        changed[:, slots] = uv[:, slots[::-1]]
    return changed


def exchange(uv, a, b):
    changed, one, other = uv.copy(), list(finger_indices(a)), list(finger_indices(b))
    changed[:, one], changed[:, other] = uv[:, other], uv[:, one]
    return changed


# ------------------------------------------------------------------------------------------------ real hands


@pytest.fixture(scope="module")
def real_sets():
    """Sets of 20 whole hands of RHD's evaluation labels, as they follow each other."""
    names = manifest.load("rhd").keypoints
    halves = [label["uv_vis"][side : side + 21, :2] for label in real.rhd_labels().values() for side in (0, 21)]
    hands = [to_canonical(half.astype(float), names) for half in halves if ((half >= 0) & (half < 320)).all()]
    return [np.array(hands[start : start + SET]) for start in range(0, len(hands) - SET + 1, SET)]


def test_real_hands_raise_no_alarm(real_sets):
    assert len(real_sets) > 100
    assert {reversed_fingers(uv) for uv in real_sets} == {exchanged_fingers(uv) for uv in real_sets} == {""}


def test_reversed_fingers_are_found_in_every_set(real_sets):
    said = [reversed_fingers(reverse(uv)) for uv in real_sets]

    assert all("stored from tip to MCP" in text for text in said)
    assert np.mean([text.startswith("every finger") for text in said]) > 0.9


@pytest.mark.parametrize("pair", [("thumb", "little"), ("index", "middle")])
def test_exchanged_fingers_are_found_in_every_set(real_sets, pair):
    said = [exchanged_fingers(exchange(uv, *pair)) for uv in real_sets]

    assert all(said)
    if pair == ("thumb", "little"):
        assert all("thumb and little exchanged" in text for text in said)


# ------------------------------------------------------------------------------------------------ through verify


@pytest.fixture
def flat(tmp_path):
    """Make shards of 2D labels alone, changed by a function of a row's keypoints."""

    def make(change=None, **fields):
        folder = make_dataset(tmp_path / "flat", count=30)

        def without_3d(rows, split):
            for row in rows:
                row["keypoints_3d"] = np.full((21, 3), np.nan, np.float32)
                row["keypoints_3d_normalized"] = np.full((21, 3), np.nan, np.float32)
                row["scale_mm"], row["annotated_3d"] = np.float32(np.nan), np.zeros(21, bool)
                row.update(fields)
                if change is not None:
                    row["keypoints_2d"] = change(row["keypoints_2d"][None])[0].astype(np.float32)

        rewrite(folder, without_3d)
        return folder

    return make


def named(report, check):
    return [finding.what for finding in report.findings if finding.check == check]


def test_hands_in_2d_alone_are_judged_and_what_cannot_be_is_said(flat):
    report = verify(flat())

    assert report.checks["order 2D"] == report.checks["fingers 2D"] == report.checks["points 2D"] == "ok"
    assert report.checks["sides 2D"].startswith("not checked")
    assert report.checks["boxes 2D"].startswith("not checked: no box of its own")
    assert report.checks["shift 2D"].startswith("not checked: fewer than 2 splits with 10 whole hands")


def test_reversed_fingers_in_2d_alone_are_found(flat):
    assert named(verify(flat(reverse)), "order 2D") == ["every finger: stored from tip to MCP, reversed"]


def test_hands_without_3d_are_judged_beside_hands_that_have_it(tmp_path):
    folder = make_dataset(tmp_path / "mixed", count=30)

    def half_flat(rows, split):
        for row in rows[::2]:
            row["keypoints_3d"] = np.full((21, 3), np.nan, np.float32)
            row["keypoints_3d_normalized"] = np.full((21, 3), np.nan, np.float32)
            row["scale_mm"], row["annotated_3d"] = np.float32(np.nan), np.zeros(21, bool)
            row["keypoints_2d"] = reverse(row["keypoints_2d"][None])[0].astype(np.float32)

    rewrite(folder, half_flat)

    report = verify(folder)

    (found,) = [finding for finding in report.findings if finding.check == "order 2D"]
    assert (found.what, found.count) == ("every finger: stored from tip to MCP, reversed", 15)
    assert report.checks["order"] == "ok"


def test_exchanged_fingers_in_2d_alone_are_found(flat):
    (what,) = named(verify(flat(lambda uv: exchange(uv, "thumb", "little"))), "fingers 2D")

    assert what.startswith("thumb and little exchanged")


def test_zeros_that_stand_for_missing_points_are_found(flat):
    report = verify(flat(lambda uv: np.where(np.isin(np.arange(21), (4, 8))[None, :, None], 0, uv)))

    assert named(report, "points 2D") == ["keypoints at the corner (0, 0): missing ones taken for labels"]


@pytest.mark.parametrize("corner", [0, -0.5])
def test_one_point_at_the_corner_far_from_its_hand_is_found(flat, corner):
    """Counted from the centre of the first pixel, or from its corner."""
    report = verify(flat(lambda uv: np.where((np.arange(21) == 8)[None, :, None], corner, uv + 300)))

    assert named(report, "points 2D") == ["keypoints at the corner (0, 0): missing ones taken for labels"]


def test_a_hand_that_reaches_to_the_corner_is_no_finding(flat):
    def to_corner(uv):
        return uv - uv[:, 8:9]

    assert named(verify(flat(to_corner)), "points 2D") == []


def test_two_points_that_always_share_their_place_are_found(flat):
    report = verify(flat(lambda uv: np.where((np.arange(21) == 7)[None, :, None], uv[:, 8:9], uv)))

    assert named(report, "points 2D") == ["index_dip and index_tip share their place in most hands"]


@pytest.mark.parametrize("place", [190, 250])
def test_one_point_far_from_its_box_is_found(flat, place):
    """The box ends at 100 px; another length of it ends at 200 px."""
    report = verify(
        flat(
            lambda uv: np.where((np.arange(21) == 4)[None, :, None], place, 30 + uv % 40),
            bbox_xyxy=np.array([0, 0, 100, 100], np.float32),
            bbox_source=np.uint8(2),
        )
    )

    told = ["a keypoint lies more than the length of its box beside it"]
    assert named(report, "boxes 2D") == (told if place > 200 else [])


def test_many_points_at_one_place_are_found(flat):
    report = verify(flat(lambda uv: np.where((np.arange(21) > 14)[None, :, None], uv[:, :1], uv)))

    assert named(report, "points 2D") == ["4 or more keypoints at one place"]


def test_hands_far_from_their_box_are_found(flat):
    folder = flat(bbox_xyxy=np.array([5000, 5000, 5100, 5100], np.float32), bbox_source=np.uint8(2))

    assert named(verify(folder), "boxes 2D") == ["most keypoints lie far outside of their box"]


def two_labels(folder, sides):
    """Let every second label be of the picture of the one before it, with the given sides and the same points."""

    def change(rows, split):
        for one, other in zip(rows[::2], rows[1::2], strict=True):
            for name in ("frame", "sequence", "camera", "keypoints_2d"):
                other[name] = one[name]
            one["hand_side"], other["hand_side"] = (np.uint8(side) for side in sides)

    rewrite(folder, change)
    return folder


@pytest.mark.parametrize("sides", [(0, 1), (1, 1)])
def test_one_hand_that_is_called_both_left_and_right_is_found(flat, sides):
    found = named(verify(two_labels(flat(), sides)), "sides 2D")

    assert found == (["one hand of a picture is labelled both left and right"] if sides == (0, 1) else [])


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_a_split_a_pixel_beside_the_other_is_found_by_its_boxes(flat, shift):
    folder = flat()

    def boxes(rows, split):
        for row in rows:
            uv = row["keypoints_2d"]
            box = [*(uv.min(0) + 0.5 - 3), *(uv.max(0) + 0.5 + 4)]  # a margin of the dataset's own
            row["bbox_xyxy"], row["bbox_source"] = np.array(box, np.float32), np.uint8(2)
            row["keypoints_2d"] = uv + np.float32(shift if split == "val" else 0)

    rewrite(folder, boxes)
    report = verify(folder)

    said = f"points of val lie {shift:+.2f}, {shift:+.2f} px beside those of train, by their boxes"
    assert named(report, "shift 2D") == ([said] if shift else [])
    assert "shift 2D" in report.checks


@pytest.mark.slow
@pytest.mark.parametrize("name", manifest.names())
def test_rendered_hands_raise_no_alarm_in_2d(converted, name):
    data = open_dataset(converted(name))
    uv = data["keypoints_2d"].astype(float)
    whole = uv[np.isfinite(uv).all((1, 2))]
    if len(whole) < FEWEST:
        pytest.skip(f"{name} has no whole hands in 2D")

    assert (reversed_fingers(whole), exchanged_fingers(whole)) == ("", "")
