"""The tracks of points: steps that were gone stay known when another track is lost."""

import numpy as np

from handdata.annotate.keypoints.lines import HandLine
from handdata.annotate.keypoints.marks import HandMark, PointMark
from handdata.annotate.keypoints.template import OPEN_HAND
from handdata.annotate.keypoints.tracks import PointTracks
from handdata.skeleton import NUM_KEYPOINTS

T, SIZE = 5, 100.0


def followed(*frames: int) -> PointTracks:
    """Return the tracks of a hand that is fixed on these frames."""
    line = HandLine(T, linked=True)
    for frame in frames:
        points = tuple(PointMark(float(u), float(v), "visible", "person") for u, v in OPEN_HAND * SIZE + 2 * frame)
        line.take(frame, HandMark("left", points), accepted=False, imported_sd=1.0)
    tracks = PointTracks()
    tracks.renew(0, line, SIZE, range(T))
    return tracks


def take_steps(tracks: PointTracks, *, lost: int) -> None:
    """Move all tracks by 2 px per frame, and lose those that begin in a frame."""
    while steps := tracks.next_step(0):
        for track in steps:
            start = track.start
            if start.frame == lost:
                track.lost = True
                continue
            u, v = (track.places[-1][0], track.places[-1][1]) if track.places else (start.u, start.v)
            track.places.append((u + 2 * start.step, v + 2 * start.step, 1.0))
            track.misses.append(0.5)
        tracks.note(steps)


def test_a_track_lost_at_once_takes_no_step_of_another_with_it() -> None:
    tracks = followed(0, 2)
    take_steps(tracks, lost=2)

    moved, missed = tracks.moved(0, range(T))
    assert np.allclose(moved[1:3], 2.0)
    assert np.isnan(moved[3:]).all()
    assert np.isfinite(missed[1:3]).all()


def test_a_track_lost_on_its_first_step_back_from_the_last_frame_is_just_lost() -> None:
    tracks = followed(T - 1)
    take_steps(tracks, lost=T - 1)

    moved, _ = tracks.moved(0, range(T))
    assert moved.shape == (T, NUM_KEYPOINTS, 2)
    assert np.isnan(moved).all()
    assert tracks.left == 0
