"""Edits and their undoing, without files or pictures."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handdata.annotate import marks as edits
from handdata.annotate.history import History, box_history
from handdata.annotate.marks import ABSENT, Mark, Patch, Span, person, spans
from handdata.boxes import Box, BoxRow

BOX: Box = (1.0, 2.0, 30.0, 30.0)
KEPT = Mark("kept", BOX, "tracker", "watched", 0.25)
FRAMES = 20
NAMES = tuple(f"{frame}.png" for frame in range(FRAMES))

marks = st.sampled_from([person(BOX), ABSENT, KEPT, Mark("imported", None, "lost"), None])
patches = st.dictionaries(st.integers(0, FRAMES - 1), marks, min_size=1, max_size=6)
actions = st.lists(st.one_of(patches, st.sampled_from(["undo", "redo"])), max_size=30)


def play(history: History[Mark], chosen: list[Patch | str]) -> list[dict]:
    """Make edits as a session does; return what the journal holds then, as read back from its text."""
    entries = []
    for number, action in enumerate(chosen):
        if isinstance(action, str):
            entry = history.undo_entry() if action == "undo" else history.redo_entry()
        else:
            entry = history.entry("watch" if number % 3 == 0 else "keyframe", action)
        if entry is not None:
            history.apply(entry)
            entries.append(json.loads(json.dumps(entry)))
    return entries


@given(actions)
def test_reading_the_journal_back_gives_the_same_state(chosen: list[Patch | str]) -> None:
    first, second = box_history(NAMES), box_history(NAMES)
    for entry in play(first, chosen):
        second.apply(entry)

    assert second == first


@given(actions)
def test_undoing_everything_gives_nothing_and_redoing_gives_it_back(chosen: list[Patch | str]) -> None:
    history = box_history(NAMES)
    play(history, [action for action in chosen if not isinstance(action, str)])
    before = dict(history.marks)

    while (entry := history.undo_entry()) is not None:
        history.apply(entry)
    assert history.marks == {}
    while (entry := history.redo_entry()) is not None:
        history.apply(entry)
    assert history.marks == before


def test_playing_on_is_undone_as_one() -> None:
    history = box_history(NAMES)
    for op, patch in [("keyframe", {0: person(BOX)}), ("watch", {1: KEPT}), ("watch", {2: KEPT, 3: KEPT})]:
        history.apply(history.entry(op, patch))

    assert history.undo_entry() == {"op": "undo", "count": 2}
    history.apply({"op": "undo", "count": 2})
    assert history.marks == {0: person(BOX)}


def test_stepping_past_frames_is_undone_and_redone_with_the_edit_before_it() -> None:
    history = box_history(NAMES)
    for op, patch in [
        ("keyframe", {0: person(BOX)}),
        ("keyframe", {9: ABSENT}),
        ("seen", {1: KEPT}),
        ("seen", {2: KEPT}),
    ]:
        history.apply(history.entry(op, patch))

    assert history.undo_entry() == {"op": "undo", "count": 3}
    history.apply({"op": "undo", "count": 3})
    assert history.marks == {0: person(BOX)}
    assert history.redo_entry() == {"op": "redo", "count": 3}


def test_what_was_played_or_stepped_past_of_late_reaches_to_the_furthest_of_it() -> None:
    """Stepping back to where a mistake began does not forget how far the person had been."""
    history = box_history(NAMES)
    for op, patch in [
        ("watch", {5: KEPT, 6: KEPT}),
        ("seen", {9: KEPT}),
        ("seen", {8: KEPT}),
        ("keyframe", {7: ABSENT}),
    ]:
        history.apply(history.entry(op, patch))

    assert history.watched_to() == 9
    history.apply(history.entry("seen", {12: KEPT}))
    assert history.watched_to() == 12


def test_edits_of_pictures_that_are_gone_stay_in_the_count_and_come_back_with_them() -> None:
    whole = box_history(NAMES)
    entries = play(whole, [{0: person(BOX)}, {5: KEPT}, {7: person(BOX)}, "undo"])
    fewer = box_history(tuple(name for name in NAMES if name != "5.png"))
    for entry in entries:
        fewer.apply(entry)

    assert fewer.marks == {0: person(BOX)}
    assert fewer.undo_entry() == {"op": "undo", "count": 2}  # what cannot be seen to change goes with what can
    fewer.apply({"op": "undo", "count": 2})
    assert fewer.marks == {}


def test_an_edit_after_undoing_ends_what_could_be_redone() -> None:
    history = box_history(NAMES)
    play(history, [{0: person(BOX)}, "undo", {1: ABSENT}])

    assert history.redo_entry() is None


@pytest.mark.parametrize(
    "entry",
    [
        {"op": "undo", "count": 1},
        {"op": "undo", "count": 0},
        {"op": "redo", "count": "all"},
        {"op": "keyframe"},
        {"op": "keyframe", "set": {"": None}},
        {"op": "keyframe", "set": {"a/0.png": None}},
        {"op": "keyframe", "set": {"0.png": ["person", [1, 2, 3], "person", "", 0]}},
        {"op": "keyframe", "set": {"0.png": ["someone", [1, 2, 3, 4], "person", "", 0]}},
        {"op": "keyframe", "set": {"gone.png": ["person", None, "person", "", 0]}},
    ],
)
def test_an_entry_that_does_not_fit_is_refused(entry: dict) -> None:
    with pytest.raises((ValueError, TypeError)):
        box_history(NAMES).apply(entry)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([], [Span(None, None, 0, 19)]),
        ([0], [Span(0, None, 0, 19)]),
        ([5], [Span(None, 5, 0, 5), Span(5, None, 5, 19)]),
        ([0, 8, 19], [Span(0, 8, 0, 8), Span(8, 19, 8, 19), Span(19, None, 19, 19)]),
    ],
)
def test_spans_lie_between_neighbouring_keyframes(keys: list[int], expected: list[Span]) -> None:
    assert spans(dict.fromkeys(keys, person(BOX)) | {3: KEPT}, FRAMES) == expected


def test_redrawing_soon_after_the_mistake_releases_what_was_played_past_it() -> None:
    watched = dict.fromkeys(range(1, 10), KEPT)

    patch = edits.set_keyframe({0: person(BOX), **watched}, 6, person(BOX), FRAMES, watched_to=9)
    assert patch == {6: person(BOX), 7: None, 8: None, 9: None}


def test_redrawing_long_after_leaves_accepted_frames_frozen() -> None:
    watched = dict.fromkeys(range(1, 200), KEPT)

    assert edits.set_keyframe(watched, 6, person(BOX), 300, watched_to=199) == {6: person(BOX)}


def test_redrawing_never_reaches_past_the_next_keyframe_or_reviewed_frames() -> None:
    reviewed = Mark("kept", BOX, "tracker", "reviewed")
    before = {4: KEPT, 5: reviewed, 6: KEPT, 7: person(BOX), 8: KEPT}

    assert edits.set_keyframe(before, 3, ABSENT, FRAMES, watched_to=8) == {3: ABSENT, 4: None, 6: None}


def test_redrawing_gives_unread_imported_boxes_to_the_tracker_up_to_the_next_keyframe() -> None:
    unread = Mark("imported", BOX, "tracker")
    before = dict.fromkeys(range(10), unread) | {8: person(BOX)}

    assert edits.set_keyframe(before, 5, person(BOX), FRAMES) == {5: person(BOX), 6: None, 7: None}


def test_accepting_freezes_boxes_as_they_are_and_leaves_keyframes() -> None:
    rows = {frame: BoxRow(f"{frame}.png", BOX, "tracker", doubt=0.25) for frame in range(3)}

    assert edits.accept({0: person(BOX)}, rows, "watched") == {1: KEPT, 2: KEPT}


def test_watching_does_not_lessen_a_review() -> None:
    reviewed = Mark("kept", BOX, "tracker", "reviewed")
    rows = {1: BoxRow("1.png", BOX, "tracker")}

    assert edits.accept({1: reviewed}, rows, "watched") == {}


def test_releasing_gives_kept_frames_to_the_tracker_and_imported_ones_first_to_their_file() -> None:
    read, unread = Mark("imported", BOX, "tracker", "watched"), Mark("imported", BOX, "tracker")

    patch = edits.release({0: person(BOX), 1: KEPT, 2: read, 3: unread}, range(5))
    assert patch == {1: None, 2: unread, 3: None}
