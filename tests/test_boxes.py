"""The table of hand boxes: read, write, validate, look up."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handdata.boxes import (
    COLUMNS,
    PUBLISHED_COLUMNS,
    BoxRow,
    format_boxes,
    has_tables,
    load_boxes,
    natural_key,
    parse_boxes,
    read_boxes,
    sequence_of,
    validate_boxes,
    write_boxes,
)
from handdata.errors import DataError, MissingError, WriteError

HEADER = ",".join(COLUMNS)
# docs/datasets.md: colour images of each sequence
DEXTER_COUNTS = {"Grasp1": 356, "Grasp2": 648, "Occlusion": 354, "Pinch": 458, "Rigid": 531, "Rotate": 798}


@pytest.mark.usefixtures("not_as_root")
def test_tables_that_may_not_be_read_are_not_taken_for_none(tmp_path: Path) -> None:
    write_boxes(tmp_path / "boxes/S.csv", [BoxRow("a.png", (1, 2, 3, 4), "person")])
    (tmp_path / "boxes").chmod(0)

    with pytest.raises(PermissionError):
        has_tables(tmp_path / "boxes")
    (tmp_path / "boxes").chmod(0o755)


@pytest.fixture
def published(shared: Path) -> Path:
    return shared / "samples" / "dexter" / "bbox_dexter+object.csv"


def test_the_published_file_comes_back_byte_for_byte(published: Path, tmp_path: Path) -> None:
    write_boxes(tmp_path / "again.csv", read_boxes(published), PUBLISHED_COLUMNS)

    assert (tmp_path / "again.csv").read_bytes() == published.read_bytes()


def test_the_published_file_splits_into_its_six_sequences(published: Path, tmp_path: Path) -> None:
    rows = read_boxes(published)
    split = {name: [row for row in rows if sequence_of(row.img_name) == name] for name in DEXTER_COUNTS}
    assert {name: len(rows) for name, rows in split.items()} == DEXTER_COUNTS

    for name, rows in split.items():
        write_boxes(tmp_path / f"{name}.csv", rows)
    again = load_boxes(tmp_path)
    joined = list(again.rows.values())
    assert format_boxes(joined, PUBLISHED_COLUMNS).encode() == published.read_bytes()


def test_lookup_gives_edges_and_source(published: Path) -> None:
    box_xyxy, source = load_boxes(published).lookup("Grasp1", "Color_0001.bmp")

    assert box_xyxy.tolist() == [275.0, 126.0, 523.0, 374.0]  # 275,126,248,248
    assert source == 4


@pytest.mark.parametrize(("source", "number"), [("dataset", 2), ("person", 3), ("tracker", 4), ("interpolated", 5)])
def test_sources_are_the_schemas_enum(tmp_path: Path, source: str, number: int) -> None:
    write_boxes(tmp_path / "S.csv", [BoxRow("a.png", (1, 2, 3, 4), source)])

    assert load_boxes(tmp_path).lookup("S", "a.png")[1] == number


@pytest.mark.parametrize("source", ["absent", "lost"])
def test_no_box_is_written_empty_and_looked_up_as_nan(tmp_path: Path, source: str) -> None:
    write_boxes(tmp_path / "S.csv", [BoxRow("S/color/a.png", None, source, reviewed=True, doubt=0.5)])

    assert (tmp_path / "S.csv").read_text() == f"{HEADER}\nS/color/a.png,,,,,{source},1,0.5\n"
    box_xyxy, number = load_boxes(tmp_path).lookup("S", "a.png")
    assert np.isnan(box_xyxy).all()
    assert number == 0


def test_a_picture_without_a_row_has_no_box(tmp_path: Path) -> None:
    write_boxes(tmp_path / "S.csv", [BoxRow("a.png", (1, 2, 3, 4), "person")])

    assert load_boxes(tmp_path).lookup("T", "a.png")[1] == 0


def test_numbers_print_as_in_the_published_file() -> None:
    row = BoxRow("a.png", (275, 126.5, 248.0, 248), "person")

    assert format_boxes([row]) == f"{HEADER}\na.png,275.0,126.5,248.0,248.0,person,0,0.0\n"


sides = st.floats(0.01, 5000, allow_nan=False)
shares = st.floats(0, 1)
boxes = st.tuples(st.floats(-500, 5000), st.floats(-500, 5000), sides, sides)
rows = st.one_of(
    st.builds(
        BoxRow, st.just(""), boxes, st.sampled_from(["person", "tracker", "interpolated"]), st.booleans(), shares
    ),
    st.builds(BoxRow, st.just(""), st.none(), st.sampled_from(["absent", "lost"]), st.booleans(), shares),
)


@given(st.lists(rows, max_size=12))
def test_writing_and_reading_round_trips(given_rows: list[BoxRow]) -> None:
    named = [BoxRow(f"S/{i}.png", r.box, r.source, r.reviewed, r.doubt) for i, r in enumerate(given_rows)]

    assert parse_boxes(format_boxes(named), "t.csv") == named


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "t.csv:1"),
        ("a,b\n", "t.csv:1"),
        (f"{HEADER}\na.png,1,2,3\n", "t.csv:2"),
        (f"{HEADER}\na.png,1,2,3,4,person,1,0\na.png,1,2,3,4,person,1,0\n", "t.csv:3: expected one row per picture"),
        (f"{HEADER}\na.png,1,2,x,4,person,1,0\n", r"t.csv:2\[w\]"),
        (f"{HEADER}\na.png,1,,3,4,person,1,0\n", r"t.csv:2\[y\]"),
        (f"{HEADER}\na.png,1,2,nan,4,person,1,0\n", r"t.csv:2\[w\]"),
        (f"{HEADER}\na.png,1,2,0,4,person,1,0\n", "t.csv:2: expected w and h above 0"),
        (f"{HEADER}\na.png,1,2,3,4,absent,1,0\n", r"t.csv:2\[source\]"),
        (f"{HEADER}\na.png,,,,,person,1,0\n", r"t.csv:2\[source\]"),
        (f"{HEADER}\na.png,1,2,3,4,somebody,1,0\n", r"t.csv:2\[source\]"),
        (f"{HEADER}\na.png,1,2,3,4,person,yes,0\n", r"t.csv:2\[reviewed\]"),
        (f"{HEADER}\na.png,1,2,3,4,person,1,\n", r"t.csv:2\[doubt\]"),
        (f"{HEADER}\n../a.png,1,2,3,4,person,1,0\n", r"t.csv:2\[img_name\]"),
        (f"{HEADER}\n\n,1,2,3,4,person,1,0\n", r"t.csv:3\[img_name\]"),
    ],
)
def test_a_malformed_table_is_refused_in_one_line_that_names_the_place(text: str, where: str) -> None:
    with pytest.raises(DataError, match=f"^{where}") as caught:
        parse_boxes(text, "t.csv")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00\x80")

    with pytest.raises(DataError, match="expected text in UTF-8"):
        read_boxes(tmp_path / "t.csv")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"no\.csv"):
        load_boxes(tmp_path / "no.csv")
    with pytest.raises(MissingError, match="none in the folder"):
        load_boxes(tmp_path)


def test_a_picture_in_two_tables_is_refused(tmp_path: Path) -> None:
    for name in ("S", "copy"):
        write_boxes(tmp_path / f"{name}.csv", [BoxRow("S/color/a.png", (1, 2, 3, 4), "person")])

    with pytest.raises(DataError, match="each picture in one table"):
        load_boxes(tmp_path)


def test_names_sort_by_the_value_of_their_numbers() -> None:
    names = ["B1/SK_color_10.png", "B1/SK_color_2.png", "A/2.png", "B1/SK_color_0.png"]

    assert sorted(names, key=natural_key) == ["A/2.png", "B1/SK_color_0.png", "B1/SK_color_2.png", "B1/SK_color_10.png"]


def test_validate_wants_one_row_per_picture_in_name_order() -> None:
    table = [BoxRow(name, (1, 2, 3, 4), "person") for name in ("a.png", "b.png")]
    validate_boxes(table, ["a.png", "b.png"], "t.csv")

    with pytest.raises(DataError, match=r"t\.csv:2: expected b\.png, got a\.png"):
        validate_boxes(table, ["b.png", "a.png"], "t.csv")
    with pytest.raises(DataError, match="expected 3 rows, got 2"):
        validate_boxes(table, ["a.png", "b.png", "c.png"], "t.csv")


def test_a_crash_while_writing_leaves_the_old_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "S.csv"
    write_boxes(path, [BoxRow("a.png", (1, 2, 3, 4), "person")])
    before = path.read_bytes()

    def full_disk(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(WriteError, match="expected a file that can be written, got No space"):
        write_boxes(path, [BoxRow("b.png", (1, 2, 3, 4), "person")])
    assert path.read_bytes() == before
