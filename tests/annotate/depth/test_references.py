"""The frames to label: like as many others as can be, few, the same every time."""

import numpy as np

from handdata.annotate.depth.crops import REACH_MM, crop_about, depth_at, find_centre
from handdata.annotate.depth.references import choose_references, distances
from handdata.geometry import project
from tests.annotate.depth.rendered import K, rendered


def test_distances_are_root_mean_squares() -> None:
    crops = np.zeros((3, 4, 4), np.float32)
    crops[1] += 3.0
    crops[2, 0, 0] = 8.0

    assert np.allclose(distances(crops), [[0, 3, 2], [3, 0, np.sqrt((15 * 9 + 25) / 16)], [2, np.sqrt(10), 0]])


def test_one_frame_of_each_kind_is_chosen_and_the_larger_kind_first() -> None:
    kind = np.array([0, 1, 1, 0, 1, 1, 2, 0, 1])
    apart = np.where(kind[:, None] == kind, 0.5, 40.0)

    chosen = choose_references(apart, limit_mm=1.0, most=9)

    assert kind[chosen].tolist() == [1, 0, 2]


def test_frames_without_a_hand_are_left_out() -> None:
    apart = np.full((4, 4), np.nan)
    apart[np.ix_([1, 3], [1, 3])] = [[0, 20], [20, 0]]

    assert sorted(choose_references(apart, limit_mm=1.0)) == [1, 3]
    assert choose_references(np.full((2, 2), np.nan), limit_mm=1.0) == []


def test_a_choice_grows_by_adding() -> None:
    apart = np.abs(np.subtract.outer(np.arange(30.0), np.arange(30.0)))

    few, more = (choose_references(apart, 0.0, most=most) for most in (3, 7))

    assert more[:3] == few


def test_the_centre_is_found_from_the_fingertips_and_the_crop_does_not_change_with_distance() -> None:
    truth, depth, _ = rendered()
    centre = find_centre(depth[0], K, truth[0, [4, 8, 12, 16, 20]].mean(axis=0))
    crop = crop_about(depth[0], K, centre)

    assert np.linalg.norm(centre - truth[0].mean(axis=0)) < 50
    assert crop.relative.shape == (32, 32)
    assert (np.abs(crop.relative) <= REACH_MM).all()
    assert np.allclose(crop.outside(crop.inside(truth[0, :, :2])), truth[0, :, :2])
    farther = np.kron(depth[0], np.ones((2, 2)))  # twice the pixels for the same field: the same hand
    twice = np.array([[2 * K[0, 0], 0, 2 * K[0, 2] + 0.5], [0, 2 * K[1, 1], 2 * K[1, 2] + 0.5], [0, 0, 1]])
    again = crop_about(farther, twice, centre)
    assert np.median(np.abs(again.relative - crop.relative)) < 2


def test_no_surface_no_centre_and_no_depth() -> None:
    nothing = np.zeros((240, 320))

    assert np.isnan(find_centre(nothing, K, np.array([0.0, 0.0, 400.0]))).all()
    assert np.isnan(depth_at(nothing, np.array([[10.0, 10.0], [np.nan, np.nan], [-50.0, 3.0]]))).all()


def test_the_depth_at_a_place_is_the_middle_of_the_surfaces_about_it() -> None:
    picture = np.zeros((5, 5))
    picture[1:4, 1:4] = [[400, 401, 402], [0, 403, 404], [0, 0, 900]]

    assert depth_at(picture, np.array([[2.2, 1.9]])) == [402.0]


def test_points_of_the_hand_lie_behind_the_surface() -> None:
    truth, depth, seen = rendered()
    under = depth_at(depth[3], project(truth[3], K))

    assert 4 < np.median((truth[3, :, 2] - under)[seen[3]]) < 12
