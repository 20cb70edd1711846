"""The smoothed path of a hand: what is fixed stays, a correction spreads, and nothing is made up."""

import numpy as np

from handdata.annotate.keypoints.smoothing import Evidence, smoothed
from handdata.annotate.keypoints.template import OPEN_HAND
from handdata.skeleton import KEYPOINTS

SIZE, T = 100.0, 12
TIP, DIP, LITTLE = (KEYPOINTS.index(name) for name in ("index_tip", "index_dip", "little_tip"))
SPEED = np.array([3.0, -1.0])  # px per frame


def truth() -> np.ndarray:
    return OPEN_HAND * SIZE + np.arange(T)[:, None, None] * SPEED


def nothing() -> Evidence:
    nowhere = np.full((T, 21, 2), np.nan)
    return Evidence(
        SIZE, nowhere.copy(), np.ones((T, 21), bool), nowhere.copy(), nowhere.copy(), np.full((T, 21), np.nan)
    )


def off(uv: np.ndarray) -> np.ndarray:
    return np.linalg.norm(uv - truth(), axis=-1)


def test_what_is_fixed_stays_and_the_flow_leads_on_from_it() -> None:
    evidence = nothing()
    evidence.fixed_uv[2] = truth()[2]
    evidence.moved[1:], evidence.missed[1:] = SPEED, 0.1

    uv, sd = smoothed(evidence)

    assert off(uv)[2].max() < 0.1
    assert off(uv).max() < 2.0
    assert (np.diff(sd[2:], axis=0) > 0).all()  # the farther, the less sure


def test_a_corrected_point_mends_its_finger_on_other_frames_too() -> None:
    evidence = nothing()
    evidence.found_uv[:] = truth() + np.array([8.0, 0.0])
    evidence.fixed_uv[5, TIP] = truth()[5, TIP]

    uv, _ = smoothed(evidence)

    assert off(uv)[5, TIP] < 0.5
    for frame in (4, 5, 6):
        assert off(uv)[frame, DIP] < 6.0
        assert off(uv)[frame, DIP] < off(uv)[frame, LITTLE]


def test_a_step_of_the_flow_onto_something_else_counts_little() -> None:
    evidence = nothing()
    evidence.fixed_uv[0], evidence.fixed_uv[-1] = truth()[0], truth()[-1]
    evidence.found_uv[:] = truth()
    evidence.moved[1:], evidence.missed[1:] = SPEED, 0.1
    evidence.moved[6, TIP] = (40.0, 40.0)

    assert off(smoothed(evidence)[0])[:, TIP].max() < 5.0


def test_a_point_that_nothing_follows_slows_down_and_grows_unsure() -> None:
    evidence = nothing()
    evidence.fixed_uv[:3] = truth()[:3]

    uv, sd = smoothed(evidence)

    assert np.linalg.norm(np.diff(uv[3:], axis=0), axis=-1).max() <= np.linalg.norm(SPEED) * 1.05
    assert sd[-1].min() > 10 * sd[2].max()


def test_a_point_of_which_nothing_is_known_is_not_made_up() -> None:
    evidence = nothing()
    evidence.found_uv[:] = truth()
    evidence.found_uv[:, TIP] = np.nan

    uv, sd = smoothed(evidence)

    assert np.isnan(uv[:, TIP]).all()
    assert np.isinf(sd[:, TIP]).all()
    assert np.isfinite(uv[:, DIP]).all()
    assert np.isnan(smoothed(nothing())[0]).all()
