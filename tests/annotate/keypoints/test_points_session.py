"""Keypoints in work: what a person fixes stays, everything else follows from it, and nothing said is lost."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from handdata.annotate.keypoints.found import Finder
from handdata.annotate.keypoints.page_state import PointPlace
from handdata.annotate.keypoints.session import PointSession
from handdata.annotate.pictures import list_pictures
from handdata.annotate.session import Session
from handdata.errors import BusyError, ConfigError, DataError
from handdata.shards.hand import Hand
from handdata.skeleton import INDEX
from tests.annotate.keypoints.made_hands import HEIGHT, NUM_FRAMES, OFF, WIDTH, made_finder, truth, write_pictures

TIP, DIP, LITTLE = INDEX["index_tip"], INDEX["index_dip"], INDEX["little_tip"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("hands")
    write_pictures(made)
    return made


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "labels" / "made.json"


@pytest.fixture
def session(folder: Path, out: Path) -> Iterator[PointSession]:
    opened = PointSession(list_pictures(folder), out, finder=made_finder())
    yield opened
    opened.close()


def finish(session: PointSession) -> None:
    while session.left():
        assert session.work()


def place_all(session: PointSession, frame: int, hand: int = 0) -> None:
    session.place(frame, hand, {k: tuple(uv) for k, uv in enumerate(truth(frame))})


def errors(session: PointSession, frame: int) -> np.ndarray:
    return np.linalg.norm(session.cell(frame).hands[0].uv - truth(frame), axis=1)


def test_hands_are_proposed_in_the_background_and_are_no_labels(session: PointSession, out: Path) -> None:
    assert session.cell(0).hands == ()
    finish(session)

    cell = session.cell(3)
    assert [hand.side for hand in cell.hands] == ["right"]
    assert set(cell.hands[0].sources) == {"model"}
    assert errors(session, 3) == pytest.approx(OFF, abs=0.02)
    assert json.loads(session.text())["annotations"] == []


@pytest.mark.parametrize(("most", "left"), [(1, []), (2, [100.0]), (3, [100.0, 150.0])])
def test_hands_beyond_the_known_ones_lie_elsewhere_the_surest_first_and_no_more_than_asked_for(
    most: int, left: list[float]
) -> None:
    """One of three that are found is the known one; its own answer comes from where it is known to be."""

    def hand_at(square: np.ndarray) -> Hand:
        points = np.array([square[:2], square[2:]])[np.arange(21) % 2]
        pose = np.zeros((21, 3))
        return Hand(
            image=None, side="left", keypoints_2d=points, keypoints_3d_normalized=pose, presence=0.9, crop_box=square
        )

    squares = [np.array([x, 10.0, x + 40, 50.0]) for x in (12.0, 100.0, 150.0)]
    finder = Finder(
        lambda _: [hand_at(square) for square in squares],
        lambda _image, boxes, _sides: [hand_at(np.asarray(box) + 1) for box in boxes],
        most_hands=most,
    )

    mine, others = finder.look(
        np.zeros((HEIGHT, WIDTH, 3), np.uint8), {4: (np.array([14.0, 14.0, 46.0, 46.0]), "left")}
    )

    assert list(mine) == [4]
    assert mine[4].uv[0, 0] == pytest.approx(30 - 1.3 * 16 + 1)  # of the square 1.3 times as wide as its points
    assert [float(one.uv[0, 0]) for one in others] == left


@pytest.mark.parametrize(("out", "name"), [("hands/keypoints.json", "hands"), ("dexter/Grasp2.json", "Grasp2")])
def test_the_page_names_the_folder_of_pictures_or_the_sequence(
    folder: Path, tmp_path: Path, out: str, name: str
) -> None:
    opened = PointSession(list_pictures(folder), tmp_path / out)

    assert PointPlace(opened).name == name
    opened.close()


def test_a_placed_point_stays_and_draws_its_finger_along(session: PointSession) -> None:
    finish(session)
    session.place(0, 0, {TIP: tuple(truth(0)[TIP])})

    off = errors(session, 0)
    assert off[TIP] < 0.01
    assert off[DIP] < off[LITTLE] < OFF  # those near by most
    assert session.cell(0).hands[0].sources[TIP] == "person"


def test_placed_points_are_followed_through_the_pictures(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    finish(session)

    assert max(errors(session, frame).max() for frame in range(NUM_FRAMES)) < 1.5
    assert set(session.cell(5).hands[0].sources) == {"flow"}


def test_between_two_placed_frames_both_directions_count(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    session.place(NUM_FRAMES - 1, 0, {TIP: tuple(truth(NUM_FRAMES - 1)[TIP])})
    finish(session)

    assert errors(session, NUM_FRAMES - 1)[TIP] < 0.01
    assert errors(session, 6)[TIP] < 1


def test_accepted_frames_never_change(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    finish(session)
    session.accept(3, 4)
    before = [session.cell(frame).hands[0].uv.copy() for frame in (3, 4)]
    session.place(5, 0, {TIP: (100.0, 100.0)})
    session.place(2, 0, {LITTLE: (100.0, 100.0)})
    finish(session)

    for frame, uv in zip((3, 4), before, strict=True):
        assert session.cell(frame).accepted
        np.testing.assert_array_equal(session.cell(frame).hands[0].uv, uv)


def test_release_gives_all_but_a_persons_points_back(session: PointSession) -> None:
    finish(session)
    session.place(2, 0, {TIP: (50.0, 60.0)})
    session.accept(2, 2)
    session.release(2, 2)

    cell = session.cell(2)
    assert not cell.accepted
    assert [k for k, source in enumerate(cell.hands[0].sources) if source == "person"] == [TIP]


@pytest.mark.parametrize("state", ["occluded", "visible", "absent", "outside"])
def test_states_are_kept(session: PointSession, state: str) -> None:
    finish(session)
    session.set_state(1, 0, [TIP], state)

    hand = session.cell(1).hands[0]
    assert hand.states[TIP] == state
    assert np.isfinite(hand.uv[TIP]).all() == (state in ("occluded", "visible"))  # outside, where nobody knows
    assert hand.states[DIP] == "visible"


def test_a_point_beyond_the_edge_is_outside_and_comes_back(session: PointSession) -> None:
    finish(session)
    session.place(1, 0, {TIP: (float(WIDTH), 10.0)})
    assert session.cell(1).hands[0].states[TIP] == "outside"
    session.place(1, 0, {TIP: (WIDTH - 1.0, HEIGHT - 1.0)})
    assert session.cell(1).hands[0].states[TIP] == "visible"


def test_a_hand_is_gone_until_it_is_placed_again(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    session.gone(4, 0)
    assert [len(session.cell(frame).hands) for frame in (3, 4, 8)] == [1, 0, 0]
    session.undo()
    session.gone(4, 0)
    number = session.begin(8, (20, 20, 120, 120), "left")
    assert number == 0
    assert [len(session.cell(frame).hands) for frame in (7, 8, 9)] == [0, 1, 1]


def test_a_drawn_box_begins_a_hand_that_the_model_then_looks_at(folder: Path, out: Path) -> None:
    session = PointSession(list_pictures(folder), out, finder=None)
    box = (*(truth(0).min(0) - 4), *(truth(0).max(0) + 4))
    number = session.begin(0, box, "right")

    hand = session.cell(0).hand(number)
    assert hand is not None
    assert np.abs(hand.uv - truth(0)).max() < 12  # an open hand in the box
    assert hand.doubts.min() == 1  # of which nobody knows more
    assert json.loads(session.text())["annotations"] == []
    session.close()


def test_copy_and_interpolate(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    session.copy(4, 0, 0)
    np.testing.assert_array_equal(session.cell(4).hands[0].uv, session.cell(0).hands[0].uv)
    assert set(session.cell(4).hands[0].sources) == {"copied"}

    session.place(4, 0, {k: (float(u), float(v)) for k, (u, v) in enumerate(truth(4))})
    assert list(session.interpolate(2, 0)) == [1, 2, 3]
    assert set(session.cell(2).hands[0].sources) == {"interpolated"}
    assert errors(session, 2).max() < 0.02
    with pytest.raises(ConfigError, match="expected frames before and after"):
        session.interpolate(8, 0)


def test_a_hand_far_from_what_was_accepted_is_the_same_one_after_a_restart(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("hands", "found"):
        monkeypatch.setattr(f"handdata.annotate.keypoints.{module}.NEAR", 2)  # frames; there are twelve
    first = PointSession(list_pictures(folder), out, finder=made_finder())
    finish(first)
    first.accept(6, 6)
    first.close()

    session = PointSession(list_pictures(folder), out, finder=made_finder())
    finish(session)
    assert [[hand.number for hand in cell.hands] for cell in session.cells()] == [[0]] * NUM_FRAMES
    session.close()


def test_what_was_interpolated_follows_its_ends_when_it_is_asked_for_again(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    place_all(session, 4)
    session.interpolate(2, 0)
    u, v = session.cell(4).hands[0].uv[TIP]
    session.place(4, 0, {TIP: (u + 8, v)})
    before = session.cell(2).hands[0].uv[TIP]

    assert list(session.interpolate(2, 0)) == [1, 2, 3]
    np.testing.assert_allclose(session.cell(2).hands[0].uv[TIP], before + np.array([4.0, 0.0]), atol=0.002)
    session.accept(2, 2)
    assert list(session.interpolate(3, 0)) == [3]  # an accepted frame is an end of its own


def test_the_timeline_tells_interpolated_frames_from_those_a_person_worked_on(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    place_all(session, 4)
    session.interpolate(2, 0)

    shown = {int(frame): head for frame, (head, _) in PointPlace(session).changes(0, 0)["frames"].items()}
    assert [shown[frame][1] for frame in range(5)] == ["person", *["interpolated"] * 3, "person"]
    assert [shown[frame][4] for frame in range(5)] == ["person", "", "", "", "person"]


def test_what_is_only_estimated_is_nobodys_point(folder: Path, out: Path) -> None:
    session = PointSession(list_pictures(folder), out, follows=False)
    session.begin(0, (20, 20, 120, 120), "right")
    place_all(session, 0)

    assert set(session.cell(3).hands[0].sources) == {"straight"}
    assert not session.cell(3).hands[0].drawn
    session.accept(3, 3)
    session.release(3, 3)
    assert set(session.marks) == {0}
    session.close()


def test_sides_are_said_of_the_whole_sequence(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    session.set_side(5, 0, "left")

    assert {session.cell(frame).hands[0].side for frame in range(NUM_FRAMES)} == {"left"}


def test_undo_and_redo_reach_over_a_restart(folder: Path, out: Path) -> None:
    first = PointSession(list_pictures(folder), out)
    first.begin(0, (20, 20, 120, 120), "right")
    first.place(0, 0, {TIP: (50.0, 60.0)})
    marks = first.marks
    first.close()

    second = PointSession(list_pictures(folder), out)
    assert second.marks == marks
    assert second.undo()
    assert second.undo()
    assert not second.undo()
    assert second.cell(0).hands == ()
    assert second.redo()
    assert second.redo()
    assert second.marks == marks
    second.close()


def test_the_file_is_the_start_without_a_journal(folder: Path, out: Path) -> None:
    first = PointSession(list_pictures(folder), out)
    first.begin(0, (20, 20, 120, 120), "right")
    first.place(0, 0, {TIP: (50.25, 60.5)})
    first.set_state(0, 0, [DIP], "absent")
    first.accept(3, 3)
    text = first.text()
    first.close()
    out.with_suffix(".journal").unlink()

    second = PointSession(list_pictures(folder), out)
    assert second.text() == text
    second.close()


def test_a_session_without_an_edit_leaves_nothing_and_the_next_one_opens(folder: Path, out: Path) -> None:
    """The thread in the background saved an empty file, and the next start refused it."""
    session = PointSession(list_pictures(folder), out)
    session.save()
    assert not out.exists()
    session.close()

    text = session.text()  # as sessions of before left it
    named = [{"id": 1, "file_name": list_pictures(folder).names[0]}]
    for left in (text, json.dumps({"info": {"kind": "handdata label"}, "images": named, "annotations": []})):
        out.write_text(left)
        session = PointSession(list_pictures(folder), out)
        assert session.marks == {}
        session.close()
    out.write_text(json.dumps({"images": [{"id": 1, "file_name": "another.png"}], "annotations": []}))
    with pytest.raises(DataError):
        PointSession(list_pictures(folder), out)


def test_stills_tell_nothing_of_one_another(folder: Path, out: Path) -> None:
    session = PointSession(list_pictures(folder), out, linked=False, finder=made_finder())
    finish(session)
    place_all(session, 0)
    finish(session)

    assert errors(session, 1) == pytest.approx(OFF, abs=0.02)
    session.gone(2, 0)
    assert [len(session.cell(frame).hands) for frame in (1, 2, 3)] == [1, 0, 1]
    session.close()


def test_doubt_names_points_where_model_and_flow_disagree(session: PointSession) -> None:
    finish(session)
    place_all(session, 0)
    finish(session)
    assert session.cell(6).doubt < 0.5
    wrong = {k: tuple(np.add(uv, (0, 35.0))) for k, uv in enumerate(truth(6)) if k == TIP}
    session.place(6, 0, wrong)  # which the flow from frame 0 does not lead to
    finish(session)

    cell = session.cell(5).hands[0]
    assert cell.reasons[TIP] == "apart"
    assert cell.doubts[TIP] > max(cell.doubts[k] for k in range(21) if k != TIP)
    assert session.cell(6).hands[0].doubts[TIP] == 0  # a person's word


def test_a_bone_longer_than_the_persons_own_is_doubted(folder: Path, out: Path) -> None:
    session = PointSession(list_pictures(folder), out, linked=False, finder=made_finder(0.0))
    finish(session)
    session.accept(0, 4)
    session.place(6, 0, {DIP: tuple(truth(6)[DIP] - [0, 45.0])})
    finish(session)

    assert "bones" in session.cell(6).hands[0].reasons
    session.close()


def test_the_page_is_answered_before_every_frame_is_estimated(
    folder: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = PointSession(list_pictures(folder), out, follows=False)
    place = PointPlace(session)
    monkeypatch.setattr("handdata.annotate.keypoints.session.ANSWER_S", 0.0)
    number = session.begin(5, (20.0, 20.0, 110.0, 110.0), "right")
    news = place.changes(0, 7)
    seen = news["frames"]

    shown = [frame for frame, (_, hands) in seen.items() if hands]
    assert shown == [5, 7]  # what was edited, and what is in view
    assert news["left"] == NUM_FRAMES - 2
    while news["left"]:
        assert session.work(7)
        news = place.changes(news["version"], 7)
        seen |= news["frames"]
    assert all(hands for _, hands in seen.values())
    assert {frame: [hand.number for hand in cell.hands] for frame, cell in enumerate(session.cells())} == {
        frame: [number] for frame in range(NUM_FRAMES)
    }
    session.close()


def test_two_people_are_told(session: PointSession, folder: Path, out: Path) -> None:
    with pytest.raises(BusyError):
        PointSession(list_pictures(folder), out)


def test_a_journal_of_boxes_is_no_journal_of_keypoints(folder: Path, out: Path) -> None:
    boxes = Session(list_pictures(folder), out.with_suffix(".csv"))
    boxes.keyframe(0, (10, 10, 40, 40))
    boxes.close()
    with pytest.raises(DataError, match=r"journal:1\[of\]: expected keypoints, got boxes"):
        PointSession(list_pictures(folder), out)


@pytest.mark.parametrize(
    "call",
    [
        lambda s: s.place(0, 5, {0: (1.0, 1.0)}),
        lambda s: s.place(99, 0, {0: (1.0, 1.0)}),
        lambda s: s.place(0, 0, {21: (1.0, 1.0)}),
        lambda s: s.place(0, 0, {0: (float("nan"), 1.0)}),
        lambda s: s.place(0, 0, {0: (1e9, 1.0)}),
        lambda s: s.set_state(0, 0, [0], "nonsense"),
        lambda s: s.set_side(0, 0, "both"),
        lambda s: s.begin(0, (0, 0, 2, 2)),
        lambda s: s.begin(0, (500, 500, 600, 600)),
        lambda s: s.begin(0, (float("inf"), 0, 10, 10)),
        lambda s: s.copy(0, 0, 99),
    ],
)
def test_nonsense_is_refused_and_changes_nothing(session: PointSession, call) -> None:
    finish(session)
    with pytest.raises(ConfigError):
        call(session)
    assert session.marks == {}


def test_pictures_of_several_sizes_are_taken(tmp_path: Path, out: Path) -> None:
    import cv2

    for number, (width, height) in enumerate([(60, 40), (30, 80)]):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((height, width, 3), np.uint8))
    session = PointSession(list_pictures(tmp_path, any_size=True), out, linked=False)

    assert [session.pictures.size_of(frame) for frame in (0, 1)] == [(60, 40), (30, 80)]
    session.begin(1, (0, 50, 20, 70))
    session.place(1, 0, {TIP: (29.0, 79.0)})
    assert session.cell(1).hands[0].states[TIP] == "visible"
    assert session.cell(0).hands == ()
    session.close()


def test_every_pair_of_edits_is_undone_exactly(session: PointSession) -> None:
    finish(session)
    steps = [
        lambda: session.place(2, 0, {TIP: (40.0, 40.0)}),
        lambda: session.set_state(2, 0, [DIP], "occluded"),
        lambda: session.accept(1, 3),
        lambda: session.gone(5, 0),
    ]
    for first, second in itertools.permutations(steps, 2):
        before = session.marks
        first()
        between = session.marks
        second()
        session.undo()
        assert session.marks == between
        session.undo()
        assert session.marks == before
