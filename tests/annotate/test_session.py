"""One sequence in work: edits on the disk before they count, tracking in between, one person at a time."""

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.annotate.pictures import Pictures, list_pictures
from handdata.annotate.session import Session
from handdata.boxes import PUBLISHED_COLUMNS, BoxRow, format_boxes, read_boxes, validate_boxes
from handdata.errors import BusyError, ConfigError, DataError
from handdata.pictures.kinds import SUFFIXES
from tests.annotate.conftest import EXACT, NUM_FRAMES, place

TrackAll = Callable[[Session], None]


def reopened(session: Session) -> Session:
    session.close()
    return Session(session.pictures, session.path, EXACT)


def test_one_box_is_tracked_to_both_ends(session: Session, track_all: TrackAll) -> None:
    session.keyframe(10, place(10))
    track_all(session)

    for frame, cell in enumerate(session.cells()):
        assert cell.box == place(frame)
        assert cell.settled
        assert cell.source == ("person" if frame == 10 else "tracker")
    assert session.left_to_track() == 0


def test_the_tracker_never_overwrites_a_keyframe(session: Session, track_all: TrackAll) -> None:
    odd = (60.0, 40.0, 50.0, 50.0)
    session.keyframe(0, place(0))
    session.keyframe(8, odd)
    session.keyframe(16, place(16))
    track_all(session)

    assert session.cells()[8].box == odd
    sizes = [cell.box[2] for cell in session.cells()[:17] if cell.box]
    assert sizes[4] == pytest.approx(math.sqrt(40 * 50), abs=0.01)  # halfway in ratio


def test_absent_holds_until_the_next_keyframe(session: Session, track_all: TrackAll) -> None:
    session.keyframe(0, place(0))
    session.absent(5)
    session.keyframe(9, place(9))
    track_all(session)

    sources = [cell.source for cell in session.cells()]
    assert sources == ["person", *["tracker"] * 4, *["absent"] * 4, "person", *["tracker"] * (NUM_FRAMES - 10)]
    assert all((cell.box is None) == (cell.source == "absent") for cell in session.cells())


def test_clearing_a_keyframe_lets_the_tracker_decide_again(session: Session, track_all: TrackAll) -> None:
    session.keyframe(0, place(0))
    session.keyframe(5, (70.0, 50.0, 40.0, 40.0))
    session.clear(5)
    track_all(session)

    assert session.cells()[5].box == place(5)


def test_redrawing_tracks_only_between_the_neighbouring_keyframes(session: Session, track_all: TrackAll) -> None:
    for frame in (0, 8, 16):
        session.keyframe(frame, place(frame))
    track_all(session)
    before = session.version[1]

    session.keyframe(12, place(12))
    assert session.left_to_track() <= 4 * 4  # two new tracks of five frames; the old ones still serve
    track_all(session)
    assert session.version[1] - before <= 16


def test_undoing_needs_no_tracking_anew(session: Session, track_all: TrackAll) -> None:
    session.keyframe(0, place(0))
    track_all(session)
    session.keyframe(12, place(12))
    track_all(session)

    session.undo()
    assert session.left_to_track() == 0
    session.redo()
    assert session.left_to_track() == 0


def test_undo_and_redo_tell_the_frames_of_the_edit_and_not_those_seen_since(
    session: Session, track_all: TrackAll
) -> None:
    session.keyframe(0, place(0))
    track_all(session)
    session.keyframe(12, place(12))
    track_all(session)
    session.see([3, 4])
    assert session.marks[3].kind == "kept"

    assert session.undo() == [12]
    assert session.undo() == [0]
    assert session.undo() == []
    assert session.redo() == [0]
    assert session.redo() == [12]
    assert session.redo() == []


def test_watched_frames_stay_as_they_are_when_a_later_box_is_drawn(session: Session, track_all: TrackAll) -> None:
    session.keyframe(0, place(0))
    track_all(session)
    assert session.watch(1, 9) == 9
    seen = [cell.box for cell in session.cells()[:10]]

    session.keyframe(20, (20.0, 60.0, 60.0, 60.0))  # pulls every free box before it
    track_all(session)

    assert [cell.box for cell in session.cells()[:10]] == seen
    assert session.cells()[15].box != place(15)
    session.release(1, 9)
    assert session.cells()[5].box != seen[5]


def test_what_is_not_settled_cannot_be_watched(session: Session) -> None:
    assert session.watch(0, 3) == 0
    session.keyframe(0, place(0))

    assert session.watch(0, 3) == 0
    assert all(cell.accepted == "" for cell in session.cells()[1:])


def test_a_lost_frame_is_not_accepted_by_playing_past(tmp_path: Path, track_all: TrackAll, made_folder: Path) -> None:
    import cv2
    import numpy as np

    for path in made_folder.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for frame in range(12, NUM_FRAMES):
        cv2.imwrite(str(tmp_path / f"img_{frame}.png"), np.zeros((120, 160, 3), np.uint8))
    session = Session(list_pictures(tmp_path), tmp_path / "out" / "made.csv", EXACT)
    session.keyframe(0, place(0))
    track_all(session)

    assert [cell.source for cell in session.cells()[11:14]] == ["tracker", "lost", "lost"]
    assert session.watch(1, NUM_FRAMES - 1) == 11
    session.close()
    assert read_boxes(session.path)[12] == BoxRow("img_12.png", None, "lost", reviewed=False, doubt=1.0)


def test_everything_is_there_again_after_closing(session: Session, track_all: TrackAll) -> None:
    session.keyframe(0, place(0))
    track_all(session)
    session.watch(1, 5)
    session.review(6, 7)
    session.absent(20)
    session.undo()
    marks = session.marks

    again = reopened(session)

    assert again.marks == marks
    assert again.redo()
    assert again.marks[20].kind == "absent"
    again.undo()
    again.undo()
    assert again.marks == {frame: mark for frame, mark in marks.items() if frame not in (6, 7)}
    again.close()


def test_an_edit_is_in_the_journal_before_it_is_acknowledged(session: Session) -> None:
    journal = session.path.with_suffix(".journal")
    for frame in range(5):
        session.keyframe(frame, place(frame))
        assert json.loads(journal.read_bytes().splitlines()[-1])["set"].keys() == {f"img_{frame}.png"}


def test_a_line_cut_off_anywhere_by_a_power_cut_is_dropped(session: Session) -> None:
    session.keyframe(0, place(0))
    before = session.marks
    session.keyframe(3, place(3))
    session.close()
    journal = session.path.with_suffix(".journal")
    whole = journal.read_bytes()
    last = whole.rstrip(b"\n").rfind(b"\n") + 1

    for cut in range(last, len(whole)):
        journal.write_bytes(whole[:cut])
        again = Session(session.pictures, session.path)
        assert again.marks == before
        again.keyframe(7, place(7))  # and the next line stands by itself
        again.close()
        third = Session(session.pictures, session.path)
        assert third.marks.keys() == {0, 7}
        third.close()


def test_a_full_disk_refuses_the_edit_and_keeps_the_journal_whole(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.keyframe(0, place(0))
    before = session.marks

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("handdata.annotate.journal.os.fsync", full)
        with pytest.raises(OSError, match="No space"):
            session.keyframe(5, place(5))
    assert session.marks == before

    session.keyframe(6, place(6))
    again = reopened(session)
    assert again.marks.keys() == {0, 6}
    again.close()


@pytest.mark.parametrize(
    "line", [b"no json\n", b"[1]\n", b'{"op": "undo", "count": 9}\n', b'{"op": "keyframe", "set": {"a/99": null}}\n']
)
def test_a_damaged_journal_is_named_with_its_line(session: Session, line: bytes) -> None:
    session.keyframe(0, place(0))
    session.close()
    journal = session.path.with_suffix(".journal")
    journal.write_bytes(journal.read_bytes() + line)

    with pytest.raises(DataError, match=r"made\.journal:3: expected"):
        Session(session.pictures, session.path)
    journal.write_bytes(journal.read_bytes()[: -len(line)])
    Session(session.pictures, session.path).close()  # the lock was let go


def test_a_journal_of_other_pictures_is_refused(session: Session, tmp_path: Path, made_folder: Path) -> None:
    session.keyframe(0, place(0))
    session.close()
    for number, path in enumerate(sorted(made_folder.glob("*.png"))[:3]):
        (tmp_path / f"other_{number}.png").write_bytes(path.read_bytes())

    with pytest.raises(
        DataError, match=r"made\.journal: expected edits of pictures such as other_0\.png, got img_0\.png"
    ):
        Session(list_pictures(tmp_path), session.path, EXACT)
    with pytest.raises(DataError, match=r"\[folder\]: expected Grasp1/color/, got"):
        Session(list_pictures(made_folder, prefix="Grasp1/color/"), session.path, EXACT)


def copied(made_folder: Path, folder: Path, names: Iterable[str]) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes((made_folder / name).read_bytes())
    return folder


def test_other_pictures_of_the_same_names_are_told_at_the_next_start_and_moved_ones_are_not(
    tmp_path: Path, made_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"img_{frame}.png" for frame in range(NUM_FRAMES)]
    folder, table = copied(made_folder, tmp_path / "frames", names), tmp_path / "boxes.csv"
    session = Session(list_pictures(folder), table, EXACT)
    for frame in (0, 8, 16):
        session.keyframe(frame, place(frame))
    session.keyframe(8, place(9))  # is known by now
    session.close()
    entries = [json.loads(line) for line in table.with_suffix(".journal").read_text().splitlines()[1:]]
    assert [list(entry.get("files", ())) for entry in entries] == [["img_0.png"], ["img_8.png"], ["img_16.png"], []]

    moved = copied(made_folder, tmp_path / "moved", names)  # at another time, in another place
    Session(list_pictures(moved), table, EXACT).close()
    assert "other files" not in capsys.readouterr().err
    for frame, name in enumerate(names):
        (moved / name).write_bytes((made_folder / names[frame - 5]).read_bytes())
    session = Session(list_pictures(moved), table, EXACT)
    session.keyframe(0, place(1))  # goes on: they may be the same ones, written anew
    session.close()
    assert "3 of 3 pictures that were looked at are other files than when this was begun, the first img_0.png. " in (
        capsys.readouterr().err
    )


def test_pictures_come_and_go_and_every_edit_stays_with_its_own(
    tmp_path: Path, made_folder: Path, track_all: TrackAll
) -> None:
    names = [f"img_{frame}.png" for frame in range(NUM_FRAMES)]
    folder, table = copied(made_folder, tmp_path / "frames", names[4:]), tmp_path / "boxes.csv"
    session = Session(list_pictures(folder), table, EXACT)
    session.keyframe(0, place(4))
    session.keyframe(6, place(10))
    track_all(session)
    session.review(8, 8)
    session.close()

    copied(made_folder, folder, names[:2])  # two that come before, two that go
    (folder / "img_10.png").unlink()
    (folder / "img_12.png").unlink()
    session = Session(list_pictures(folder), table, EXACT)
    assert {session.pictures.names[frame] for frame in session.marks} == {"img_4.png"}
    track_all(session)
    assert session.rows()[0].box == place(0)
    session.keyframe(0, place(0))
    session.close()

    copied(made_folder, folder, ["img_10.png", "img_12.png"])
    session = Session(list_pictures(folder), table, EXACT)
    kinds = {session.pictures.names[frame]: mark.kind for frame, mark in session.marks.items()}
    assert kinds == {"img_0.png": "person", "img_4.png": "person", "img_10.png": "person", "img_12.png": "kept"}
    session.close()


def test_a_journal_that_counts_the_pictures_is_read_and_goes_on_by_name(
    pictures: Pictures, table: Path, made_folder: Path
) -> None:
    """As version 0.1 wrote it."""
    journal = table.with_suffix(".journal")
    journal.parent.mkdir()
    header = {"journal": 1, "pictures": 24, "first": "img_0.png", "last": "img_23.png", "width": 160, "height": 120}
    box = [10.0, 20.0, 40.0, 40.0]
    lines = [
        header,
        {"op": "keyframe", "set": {"0": ["person", box, "person", "reviewed", 0.0]}},
        {"op": "watch", "set": {"1": ["kept", box, "tracker", "watched", 0.25], "2": None}},
        {"op": "absent", "set": {"20": ["absent", None, "absent", "reviewed", 0.0]}},
        {"op": "undo", "count": 1},
    ]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))

    session = Session(pictures, table)
    assert {frame: mark.kind for frame, mark in session.marks.items()} == {0: "person", 1: "kept"}
    assert session.redo()
    session.close()
    written = [json.loads(line) for line in journal.read_bytes().splitlines()]
    assert written[0]["journal"] == 2
    assert written[2]["set"].keys() == {"img_1.png", "img_2.png"}

    journal.write_text(json.dumps(header | {"pictures": 30}) + "\n")
    with pytest.raises(DataError, match=r"made\.journal:1\[pictures\]: expected 24, got 30"):
        Session(pictures, table)


def test_the_second_person_on_a_sequence_gets_a_clear_refusal(session: Session) -> None:
    code = (
        "import sys; from pathlib import Path; from handdata.files.locks import signed\n"
        "from handdata.errors import BusyError\n"
        "try: signed(Path(sys.argv[1])).__enter__()\n"
        "except BusyError as error: print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code, session.path], capture_output=True, text=True, check=True).stdout

    assert "expected a sequence that is not in use, got process" in said
    with pytest.raises(BusyError):
        Session(session.pictures, session.path)
    session.close()
    Session(session.pictures, session.path).close()


@pytest.mark.parametrize(
    "box", [(0, 0, 0, 10), (0, 0, 10, -1), (500, 0, 20, 20), (math.nan, 0, 5, 5), (0, 0, math.inf, 9)]
)
def test_a_box_that_is_none_is_refused_and_not_journaled(session: Session, box: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match="box: expected x,y,w,h on a picture of 160 x 120 px"):
        session.keyframe(0, box)  # type: ignore[arg-type]
    assert session.marks == {}
    assert not session.can_undo


@pytest.mark.parametrize("frame", [-1, NUM_FRAMES, 10**6])
def test_a_frame_that_is_not_there_is_refused(session: Session, frame: int) -> None:
    for edit in (lambda: session.absent(frame), lambda: session.clear(frame), lambda: session.watch(0, frame)):
        with pytest.raises(ConfigError, match="frame: expected 0 to 23"):
            edit()


def test_the_table_has_one_row_per_picture_in_name_order(session: Session, track_all: TrackAll) -> None:
    session.keyframe(0, place(0))
    track_all(session)
    session.close()

    rows = read_boxes(session.path)
    validate_boxes(rows, session.pictures.img_names, session.path)
    assert [row.img_name for row in rows] == [f"img_{frame}.png" for frame in range(NUM_FRAMES)]
    assert format_boxes(rows[:1]).splitlines()[1] == "img_0.png,10.0,20.0,40.0,40.0,person,1,0.0"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_pictures_of_every_kind_that_is_listed_are_read(tmp_path: Path, suffix: str) -> None:
    cv2.imwrite(str(tmp_path / f"p_0{suffix}"), np.full((48, 64, 3), (200, 100, 50), np.uint8))

    pictures = list_pictures(tmp_path)

    assert (pictures.width, pictures.height) == (64, 48)
    assert np.abs(pictures.read(0).astype(int) - (200, 100, 50)).max() <= 2


def test_a_broken_picture_is_lost_and_named_and_the_rest_goes_on(
    tmp_path: Path, made_folder: Path, track_all: TrackAll
) -> None:
    for path in made_folder.glob("*.png"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    whole = (tmp_path / "img_4.png").read_bytes()
    (tmp_path / "img_4.png").write_bytes(whole[: len(whole) // 2])
    session = Session(list_pictures(tmp_path), tmp_path / "out" / "made.csv", EXACT)
    session.keyframe(0, place(0))
    track_all(session)

    assert session.cells()[4].source == "lost"
    assert session.cells()[5].box == place(5)
    assert "img_4.png" in str(session.broken[4])
    session.close()


def test_imported_boxes_show_and_leave_unchanged(session: Session) -> None:
    sources = ["person", "tracker", "interpolated", "lost", "absent"]
    rows = [
        BoxRow(name, None if source in ("lost", "absent") else place(i), source, reviewed=i % 2 == 0, doubt=0.125)
        for i, (name, source) in enumerate(zip(session.pictures.img_names, sources * 5, strict=False))
    ]
    rows = [replace(row, reviewed=True, doubt=0.0) if row.source in ("person", "absent") else row for row in rows]

    assert session.import_rows(rows, "t.csv") == NUM_FRAMES
    assert session.rows() == rows
    session.undo()
    assert session.marks == {}


def test_the_published_table_imports_shows_and_exports_byte_for_byte(
    shared: Path, tmp_path: Path, made_folder: Path
) -> None:
    """Pictures are made up, under the names of Occlusion's: 354 frames, 304 px squares."""
    import cv2
    import numpy as np

    published = shared / "samples" / "dexter" / "bbox_dexter+object.csv"
    folder = tmp_path / "Occlusion" / "color"
    folder.mkdir(parents=True)
    picture = cv2.imencode(".bmp", np.zeros((480, 640, 3), np.uint8))[1].tobytes()
    for frame in range(354):
        (folder / f"Color_{frame + 1:04}.bmp").write_bytes(picture)
    session = Session(list_pictures(folder, prefix="Occlusion/color/"), tmp_path / "Occlusion.csv", EXACT)

    session.import_rows(read_boxes(published), str(published))
    session.close()

    lines = published.read_bytes().splitlines(keepends=True)
    mine = b"".join([lines[0], *(line for line in lines if line.startswith(b"Occlusion/"))])
    assert format_boxes(read_boxes(session.path), PUBLISHED_COLUMNS).encode() == mine
    again = Session(session.pictures, session.path)
    assert again.cells()[0].kind == "imported"
    again.close()


def test_a_table_of_another_sequence_is_refused(session: Session, pictures: Pictures) -> None:
    with pytest.raises(DataError, match=r"t\.csv: expected rows of img_0\.png and so on, got none"):
        session.import_rows([BoxRow("else.png", place(0), "person")], "t.csv")


def test_fingertips_outside_the_box_are_counted(pictures: Pictures, table: Path, track_all: TrackAll) -> None:
    """The box spans 10..50 px; the last pixel inside has its centre at 49."""
    tips = [[] for _ in pictures.paths]
    tips[0] = [(49.0, 30.0), (10.0, 20.0)]
    tips[1] = [(60.0, 30.0)]
    session = Session(pictures, table, EXACT, tips)
    assert session.misses() == [0, 1]  # no box yet
    session.keyframe(0, place(0))
    track_all(session)

    assert session.misses() == [1]
    session.close()
