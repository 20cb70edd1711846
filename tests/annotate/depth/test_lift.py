"""Clicked hands in 3D: each thing that a person says makes them better; bones are found; the step is a true one."""

from dataclasses import replace

import numpy as np
import pytest

from handdata.annotate.depth.bone_lengths import USUAL_MM, lengths_of, usual_weight
from handdata.annotate.depth.least_squares import BONE_MM, Known, _equations, in_a_row, minimise, no_guess
from handdata.annotate.depth.lift import Clicks, lift
from handdata.geometry import project
from tests.annotate.depth.rendered import K, clicked, off, rendered

CHOSEN = [0, 2, 4, 6, 8, 10]


def lifted(clicks: Clicks) -> tuple[np.ndarray, np.ndarray]:
    return lift(clicks, [rendered()[1][frame] for frame in CHOSEN], K)


def test_what_a_person_says_of_the_nearer_ends_counts() -> None:
    truth, clicks = rendered()[0][CHOSEN], clicked(CHOSEN)
    unsaid = lifted(replace(clicks, nearer=0 * clicks.nearer))[0]
    told, bones = lifted(clicks)

    assert off(told, truth) < 4.0
    assert off(told, truth) < 0.8 * off(unsaid, truth)
    assert np.abs(bones - lengths_of(rendered()[0]).mean(axis=0)).mean() < 3.0


def test_known_bones_are_kept() -> None:
    bones = lengths_of(rendered()[0]).mean(axis=0)
    depths = [rendered()[1][frame] for frame in CHOSEN]

    xyz, after = lift(clicked(CHOSEN), depths, K, bones)

    assert (after == bones).all()
    assert np.abs(lengths_of(xyz) - bones).max() < 3 * BONE_MM


def test_points_that_nobody_clicked_are_a_hands() -> None:
    truth, clicks = rendered()[0][CHOSEN], clicked(CHOSEN)
    fewer = replace(clicks, uv=np.where(clicks.hidden[..., None], np.nan, clicks.uv), nearer=0 * clicks.nearer)

    xyz, bones = lifted(fewer)

    assert np.isfinite(xyz).all()
    assert np.abs(lengths_of(xyz) - bones).max() < 5 * BONE_MM
    assert np.linalg.norm(xyz - truth, axis=-1)[~clicks.hidden].mean() < 12


def test_without_any_depth_the_points_stay_on_their_rays() -> None:
    clicks = clicked([0])

    xyz, _ = lift(clicks, [np.zeros((240, 320))], K)

    assert np.linalg.norm(project(xyz, K) - clicks.uv, axis=-1).mean() < 1.5


def made(frames: int, seed: int = 0) -> Known:
    rng = np.random.default_rng(seed)
    xyz, sd = no_guess(frames)
    xyz[:, ::3] = rng.normal([0, 0, 420.0], 40.0, (frames, 7, 3))
    return Known(
        K=K,
        bones=USUAL_MM,
        uv=rng.normal([160.0, 120.0], 30.0, (frames, 21, 2)),
        uv_sd=np.where(rng.random((frames, 21)) < 0.3, np.inf, 2.0),
        depth=np.where(rng.random((frames, 21)) < 0.5, np.nan, rng.normal(420.0, 20.0, (frames, 21))),
        behind=np.where(rng.random((frames, 21)) < 0.5, np.nan, rng.normal(420.0, 20.0, (frames, 21))),
        nearer=rng.integers(-1, 2, (frames, 20)),
        xyz=xyz,
        xyz_sd=10 * sd,
    )


@pytest.mark.parametrize("kind", ["alone", "in a row", "bones free"])
def test_no_way_down_is_left(kind: str) -> None:
    """The cost at the end rises in every direction; numbers, not the equations of the step, say so."""
    known, rng = made(3), np.random.default_rng(1)
    if kind == "in a row":
        moves = rng.normal(0.0, 5.0, (2, 21, 3))
        known = in_a_row([made(1, seed) for seed in range(3)], moves, rng.uniform(2.0, 9.0, (2, 21)))
    if kind == "bones free":
        known = replace(known, bone_weight=usual_weight())

    points, bones = minimise(rng.normal([0, 0, 420.0], 40.0, (3, 21, 3)), known, steps=400)

    least = _equations(points, bones, known).cost
    for _ in range(20):
        way = 0.01 * rng.normal(size=points.shape)
        longer = 0.01 * rng.normal(size=27) if kind == "bones free" else np.zeros(27)
        cost = (
            _equations(points + way, bones + longer, known).cost + _equations(points - way, bones - longer, known).cost
        )
        assert cost / 2 > least - 1e-6 * least


def test_a_frame_of_which_nothing_is_known_goes_along() -> None:
    clear, unclear = made(1), made(1)
    for name in ("uv", "depth", "behind", "xyz"):
        unclear = replace(unclear, **{name: np.full_like(getattr(unclear, name), np.nan)})
    start, moves = np.random.default_rng(2).normal([0, 0, 420.0], 40.0, (2, 21, 3)), np.full((1, 21, 3), 7.0)

    xyz, _ = minimise(start, in_a_row([clear, replace(unclear, nearer=clear.nearer)], moves, np.ones((1, 21))), 400)

    assert np.abs(xyz[1] - xyz[0] - 7.0).max() < 1.0
