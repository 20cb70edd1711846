"""What a person has seen: it never changes without being named, and a wrong stretch of it bends no good track."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.annotate.pictures import list_pictures
from handdata.annotate.session import Session
from handdata.boxes import Box, BoxRow
from tests.annotate.conftest import EXACT, NUM_FRAMES, place

TrackAll = Callable[[Session], None]
FRAMES, FALSE_PLACE = 120, (400.0, 20.0, 80.0, 80.0)


def truth(frame: int) -> Box:
    return (20.0 + 2 * frame, 80.0, 80.0, 80.0)


@pytest.fixture(scope="module")
def passing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A target of 80 px that moves 2 px a frame to the right, before a ground that stands still."""
    folder = tmp_path_factory.mktemp("passing")
    rng = np.random.default_rng(0)
    ground = cv2.GaussianBlur(rng.integers(0, 255, (240, 640, 3), np.uint8), (0, 0), 6)
    ground = cv2.normalize(ground, None, 60, 190, cv2.NORM_MINMAX).astype(np.uint8)
    target = cv2.resize(rng.integers(0, 255, (10, 10, 3), np.uint8), (80, 80), interpolation=cv2.INTER_NEAREST)
    for frame in range(FRAMES):
        image = ground.copy()
        x, y = (int(side) for side in truth(frame)[:2])
        image[y : y + 80, x : x + 80] = target
        cv2.imwrite(str(folder / f"{frame:04}.png"), image)
    return folder


@pytest.fixture
def misled(passing: Path, tmp_path: Path, track_all: TrackAll) -> Iterator[Session]:
    """A box on the ground, which never moves, played past for longer than a person's reaction, then drawn right."""
    session = Session(list_pictures(passing), tmp_path / "boxes.csv", EXACT)
    session.keyframe(0, FALSE_PLACE)
    track_all(session)
    assert session.watch(0, 90) == 90  # all but the keyframe
    assert session.keyframe(20, truth(20)) == []
    track_all(session)
    yield session
    session.close()


def off(box: Box | None, expected: Box) -> float:
    return np.inf if box is None else max(abs(a - b) for a, b in zip(box, expected, strict=True))


def test_an_accepted_wrong_stretch_is_asked_about_and_bends_no_track_behind_it(misled: Session) -> None:
    cells = misled.cells()

    assert [frame for frame, cell in enumerate(cells) if cell.disputed] == [*range(1, 20), *range(21, 91)]
    assert all(cells[frame].box == FALSE_PLACE for frame in range(1, 20))
    assert all(cells[frame].doubt == 1.0 for frame in range(21, 91))
    assert max(off(cells[frame].box, truth(frame)) for frame in range(91, FRAMES)) <= 4


def test_it_is_asked_about_too_where_everything_was_accepted(passing: Path, tmp_path: Path) -> None:
    """A box that is drawn elsewhere than the one accepted on the next frame speaks against it by itself."""
    session = Session(list_pictures(passing), tmp_path / "boxes.csv")
    rows = [BoxRow(name, FALSE_PLACE, "tracker", reviewed=True) for name in session.pictures.names]
    session.import_rows(rows, "t.csv")
    session.keyframe(20, (300.0, 150.0, 60.0, 60.0))
    while session.work():
        pass

    asked = [frame for frame, cell in enumerate(session.cells()) if cell.disputed]
    assert {19, 21, 60, FRAMES - 1} <= set(asked)
    session.close()


def test_the_stretch_follows_the_new_box_when_the_person_says_so(misled: Session) -> None:
    misled.release(1, 90)

    cells = misled.cells()
    assert max(off(cells[frame].box, truth(frame)) for frame in range(21, FRAMES)) <= 4
    assert not any(cell.disputed for cell in cells)


def test_the_stretch_stays_and_is_not_asked_about_again_when_the_person_confirms_it(
    misled: Session, track_all: TrackAll
) -> None:
    misled.confirm(21, 90)
    track_all(misled)

    cells = misled.cells()
    assert {cell.box for cell in cells[21:91]} == {FALSE_PLACE}
    assert {cell.accepted for cell in cells[21:91]} == {"confirmed"}
    assert not any(cell.disputed for cell in cells[20:])


def test_frames_stepped_past_stay_when_a_box_is_drawn_elsewhere(session: Session, track_all: TrackAll) -> None:
    session.keyframe(0, place(0))
    track_all(session)
    assert session.see([1, 2, 3, 10]) == 4
    seen = [session.cells()[frame].box for frame in (1, 2, 3, 10)]

    assert session.keyframe(20, (20.0, 60.0, 60.0, 60.0)) == []
    track_all(session)

    assert [session.cells()[frame].box for frame in (1, 2, 3, 10)] == seen


def test_a_frame_stepped_past_leaves_those_before_it_as_doubtful_as_they_were(
    session: Session, track_all: TrackAll
) -> None:
    """From what was only seen nothing is tracked back, so no two directions can be apart there."""
    session.keyframe(0, place(0))
    track_all(session)
    before = [cell.doubt for cell in session.cells()]
    session.see([NUM_FRAMES - 2])
    track_all(session)

    assert [cell.doubt for cell in session.cells()] == pytest.approx(before, abs=0.01)


def test_what_was_stepped_past_on_the_way_back_to_a_mistake_is_given_back_and_named(
    session: Session, track_all: TrackAll
) -> None:
    session.keyframe(0, place(0))
    track_all(session)
    for frame in (0, 5, 10, 9, 8):  # on by tens, then back frame by frame
        session.see([frame])

    assert session.keyframe(7, (40.0, 30.0, 50.0, 50.0)) == [8, 9, 10]
    assert session.marks.keys() == {0, 5, 7}


def test_nothing_seen_changes_unnamed_whatever_the_person_does(session: Session, track_all: TrackAll) -> None:
    """Two hundred edits by chance: what was accepted is as it was, or the edit's answer names it."""
    rng = random.Random(3)
    for _ in range(200):
        first, last = sorted(rng.choices(range(NUM_FRAMES), k=2))
        box = (rng.uniform(0, 100), rng.uniform(0, 70), rng.uniform(20, 60), rng.uniform(20, 60))
        before = {frame: cell.box for frame, cell in enumerate(session.cells()) if cell.accepted}
        named: list[int] = []
        act = rng.choice(["keyframe", "keyframe", "absent", "watch", "see", "review"])
        if act == "keyframe":
            named = [first, *session.keyframe(first, box)]
        elif act == "absent":
            named = [first, *session.absent(first)]
        elif act == "see":
            session.see([first, last])
        else:
            getattr(session, act)(first, last)
        track_all(session)
        cells = session.cells()
        changed = {frame for frame, box in before.items() if cells[frame].box != box}
        assert changed <= set(named)
