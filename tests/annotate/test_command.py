"""`handdata annotate-bbox` without a page: headless, import, export, and its refusals."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from handdata.boxes import COLUMNS, read_boxes
from tests.annotate.conftest import NUM_FRAMES, place

Run = Callable[..., subprocess.CompletedProcess[str]]
INIT = "10,20,40,40"


@pytest.fixture
def run(made_folder: Path, tmp_path: Path) -> Run:
    def command(*arguments: object, images: Path | None = made_folder) -> subprocess.CompletedProcess[str]:
        where = [] if images is None else ["--images", images, "--out", tmp_path / "made.csv"]
        line = [sys.executable, "-m", "handdata", "annotate-bbox", "--tracker", "kcf"]
        line += map(str, [*where, *arguments])  # the filter follows whole pixels exactly
        return subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, check=False)

    return command


def test_one_box_gives_a_row_per_picture_in_name_order(run: Run, tmp_path: Path) -> None:
    done = run("--headless", "--init", INIT)

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"24 frames (1 person, 23 tracker) -> {tmp_path}/made.csv\n"
    lines = (tmp_path / "made.csv").read_text().splitlines()
    assert lines[0] == ",".join(COLUMNS)
    assert lines[1] == "img_0.png,10.0,20.0,40.0,40.0,person,1,0.0"
    assert lines[11].startswith("img_10.png,40.0,30.0,40.0,40.0,tracker,0,")
    assert len(lines) == 1 + NUM_FRAMES


def test_running_twice_gives_the_same_bytes(run: Run, tmp_path: Path) -> None:
    run("--headless", "--init", INIT)
    first = (tmp_path / "made.csv").read_bytes()
    run("--headless", "--init", INIT)

    assert (tmp_path / "made.csv").read_bytes() == first


@pytest.mark.parametrize(
    "table",
    [
        "frame,x,y,w,h\n8,34,28,40,40\n16,,,,\n",
        "img_name,x,y,w,h\nimg_8.png,34,28,40,40\nimg_16.png,,,,\n",
        f"{','.join(COLUMNS)}\nimg_8.png,34,28,40,40,person,1,0\nimg_16.png,,,,,absent,1,0\n",
    ],
)
def test_keyframes_from_a_file_by_number_or_by_name(run: Run, tmp_path: Path, table: str) -> None:
    (tmp_path / "keys.csv").write_text(table)
    done = run("--headless", "--init", INIT, "--keyframes", "keys.csv", "--json")

    assert json.loads(done.stdout)["sources"] == {"absent": 8, "person": 2, "tracker": 14}
    rows = read_boxes(tmp_path / "made.csv")
    assert [rows[i].box for i in (0, 4, 8, 12)] == [place(i) for i in (0, 4, 8, 12)]
    assert rows[16].box is None


def test_keyframes_alone_are_tracked_backward_from_too(run: Run, tmp_path: Path) -> None:
    (tmp_path / "keys.csv").write_text("frame,x,y,w,h\n8,34,28,40,40\n")
    run("--headless", "--keyframes", "keys.csv")

    assert read_boxes(tmp_path / "made.csv")[0].box == place(0)


def test_a_dataset_lies_under_the_data_root_and_its_fingertips_are_checked(
    run: Run, tmp_path: Path, made_folder: Path
) -> None:
    """A fingertip of the made label lies at (310.83, 378.06) px, outside these small pictures' boxes."""
    color = tmp_path / "data" / "native" / "dexter" / "dexter+object" / "data" / "Grasp2" / "color"
    color.mkdir(parents=True)
    for i in range(3):
        cv2.imwrite(str(color / f"Color_{i + 1:04}.bmp"), cv2.imread(str(made_folder / f"img_{i}.png")))
    label = color.parent / "annotations" / "Grasp23D.txt"
    label.parent.mkdir()
    missing = "32001, 32001, 32001; "
    label.write_text(f"{missing * 8}\n37, -99, 440; {missing * 7}\n{missing * 8}\n")

    done = run("dexter/Grasp2", "--headless", "--init", INIT, images=None)

    assert done.stdout == (
        "3 frames (1 person, 2 tracker) -> data/boxes/dexter/Grasp2.csv; 1 boxes leave a labelled fingertip out\n"
    )
    rows = read_boxes(tmp_path / "data" / "boxes" / "dexter" / "Grasp2.csv")
    assert rows[2].img_name == "Grasp2/color/Color_0003.bmp"


@pytest.mark.parametrize("kind", ["cvat", "coco", "mot", "csv"])
def test_a_table_goes_out_and_comes_in_again(run: Run, tmp_path: Path, kind: str) -> None:
    run("--headless", "--init", INIT)
    before = [row.box for row in read_boxes(tmp_path / "made.csv")]
    ending = {"cvat": "xml", "coco": "json", "mot": "txt", "csv": "csv"}[kind]
    (tmp_path / f"out.{ending}").write_text(run("--export", kind).stdout)
    (tmp_path / "made.csv").unlink()

    done = run("--headless", "--import", f"out.{ending}")

    assert done.returncode == 0, done.stderr
    assert [row.box for row in read_boxes(tmp_path / "made.csv")] == before


def test_headless_never_writes_over_a_persons_work(run: Run, tmp_path: Path) -> None:
    run("--headless", "--init", INIT)
    (tmp_path / "out.csv").write_text(run("--export", "csv").stdout)
    run("--headless", "--import", "out.csv")  # leaves a journal
    before = (tmp_path / "made.csv").read_bytes()

    done = run("--headless", "--init", "50,50,30,30")
    assert done.returncode == 1
    assert "expected no journal at" in done.stderr
    assert (tmp_path / "made.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("table", "got"),
    [
        ("img_name,x,y,w,h\nimg_0.png,1,2,3,4\n", "another program's"),
        (f"{','.join(COLUMNS)}\nimg_0.png,10,20,40,41,person,1,0\n", "1, the first on img_0.png"),
        (f"{','.join(COLUMNS)}\nimg_3.png,1,2,3,4,tracker,1,0\n", "1, the first on img_3.png"),
        (f"{','.join(COLUMNS)}\nimg_9.png,,,,,absent,1,0\n", "1, the first on img_9.png"),
    ],
)
def test_headless_writes_over_no_boxes_that_it_does_not_give_again(
    run: Run, tmp_path: Path, table: str, got: str
) -> None:
    (tmp_path / "made.csv").write_text(table)

    done = run("--headless", "--init", INIT)
    assert done.returncode == 1
    assert f"made.csv: expected no boxes of a person but these keyframes, got {got}. Pass --overwrite" in done.stderr
    assert (tmp_path / "made.csv").read_text() == table
    assert run("--headless", "--init", INIT, "--overwrite").returncode == 0
    (tmp_path / "keys.csv").write_text("frame,x,y,w,h\n8,34,28,40,40\n16,,,,\n")
    for _ in range(2):  # more keyframes, and the same ones
        done = run("--headless", "--init", INIT, "--keyframes", "keys.csv")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["--headless"],
            1,
            "--headless: expected at least one box, got none. Give --init X,Y,W,H or --keyframes FILE.",
        ),
        (["--headless", "--init", "1,2,3"], 1, "--init: expected four numbers X,Y,W,H in pixels, got 1,2,3."),
        (["--headless", "--init", "500,0,40,40"], 1, "--init: expected a box on the picture of 160 x 120 px"),
        (["--headless", "--init", "nan,0,40,40"], 1, "--init: expected"),
        (["--init", INIT], 1, "expected --headless with them"),
        (["--overwrite"], 1, "--overwrite: expected --headless with --init or --keyframes, got none."),
        (["--headless", "--keyframes", "none.csv"], 1, "none.csv: expected a table of keyframes, got no such file."),
        (["--headless", "--import", "none.csv"], 1, "none.csv: expected a file of boxes, got no such file."),
        (["--export", "csv"], 1, "made.csv: expected a table of boxes to export, got no such file. Draw boxes first"),
        (["dexter/Grasp1"], 2, "--images DIR goes with --out FILE.csv, and without TARGET."),
        (["--export", "zip"], 2, "Invalid value for '--export'"),
        (["--port", "70000"], 2, "Invalid value for '--port'"),
        (["--host", "256.1.1.1"], 1, "--host: expected an address of this machine"),
    ],
)
def test_mistakes_get_one_line_and_write_nothing(
    run: Run, tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = run(*arguments)

    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "made.csv").exists()
    if code == 1:
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("frame,x,y,w,h\n24,1,2,30,30\n", "keys.csv:2: expected a picture up to 23"),
        ("frame,x,y,w,h\n0,x,2,30,30\n", r"keys.csv:2[x]"),
    ],
)
def test_a_keyframe_that_is_none_is_named_with_its_line(run: Run, tmp_path: Path, table: str, said: str) -> None:
    (tmp_path / "keys.csv").write_text(table)
    done = run("--headless", "--keyframes", "keys.csv")

    assert done.returncode == 1
    assert said in done.stderr


@pytest.mark.parametrize("broken", [0, 1])
def test_a_broken_picture_is_skipped_and_named_without_a_page(
    run: Run, tmp_path: Path, made_folder: Path, broken: int
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        (folder / f"{i}.png").write_bytes((made_folder / f"img_{i}.png").read_bytes()[: None if i != broken else 500])
    done = run("--images", folder, "--out", "b.csv", "--headless", "--init", INIT, images=None)

    assert done.returncode == 0
    assert done.stderr.count("skipped: ") == 1
    assert f"{broken}.png: expected a whole PNG" in done.stderr
    rows = read_boxes(tmp_path / "b.csv")
    assert [row.source == "lost" for row in rows] == [i == broken for i in range(3)]


def test_without_starlette_the_fix_is_named(run: Run, tmp_path: Path, made_folder: Path) -> None:
    code = (
        "import sys; sys.modules['starlette'] = None; sys.modules['uvicorn'] = None\n"
        "sys.argv = ['handdata', 'annotate-bbox', '--images', sys.argv[1], '--out', 'x.csv', '--port', '0']\n"
        "from handdata.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, made_folder], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert done.returncode == 1
    assert "pip install 'handdata[annotate]'" in done.stderr
    assert not np.any([path.suffix == ".csv" for path in tmp_path.iterdir()])


@pytest.mark.parametrize("option", ["--keyframes", "--import"])
def test_the_table_is_not_written_over_the_one_it_is_made_of(run: Run, tmp_path: Path, option: str) -> None:
    table = tmp_path / "made.csv"
    table.write_text("img_name,x,y,w,h\nimg_8.png,34,28,40,40\n")
    done = run("--headless", option, table)

    assert done.stderr == f"handdata: {table}: expected another file than {option}, got that one. Give another --out.\n"
    assert table.read_text() == "img_name,x,y,w,h\nimg_8.png,34,28,40,40\n"


def test_the_table_is_not_written_over_a_picture(run: Run, made_folder: Path) -> None:
    picture = made_folder / "img_0.png"
    before = picture.read_bytes()
    done = run("--images", made_folder, "--out", picture, "--headless", "--init", INIT, images=None)

    assert (done.returncode, picture.read_bytes()) == (2, before)
    assert f"Invalid value for '--out': {picture} does not end in .csv." in done.stderr


def test_a_video_is_taken_apart_beside_itself(run: Run, tmp_path: Path) -> None:
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    ground = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    for number in range(4):
        writer.write(np.roll(cv2.blur(ground, (5, 5)), 2 * number, 1))
    writer.release()

    done = run("--images", "film.avi", "--out", "made.csv", "--headless", "--init", "10,10,20,20", images=None)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "4 frames (1 person, 3 tracker) -> made.csv\n"
    assert [row.img_name for row in read_boxes(tmp_path / "made.csv")] == [f"{number:06d}.jpg" for number in range(4)]
    assert len(list((tmp_path / "film/frames").glob("*.jpg"))) == 4
