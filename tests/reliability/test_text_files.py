"""Damaged, foreign and hostile text files: each is one line that names it, in the command that a user would give."""

import json
import shutil
from contextlib import closing

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.annotate.box_formats import import_text
from handdata.annotate.pictures import list_pictures
from handdata.annotate.requests import parse_edit
from handdata.annotate.session import Session
from handdata.boxes import read_boxes
from handdata.cli import group
from handdata.errors import ConfigError, DataError
from handdata.evaluation.predictions import read_predictions
from handdata.paths import DataRoot
from handdata.report.page import write_report
from handdata.report.reference import read_reference
from handdata.report.runs import find_runs
from handdata.train.config import load_config
from handdata.train.runs import list_runs
from tests.reliability.refusals import refused, refused_by

DEEP = "[" * 100_000
DIGITS = "1" + "0" * 400
POINTS = [[1, 2]] * 21


@pytest.fixture
def pictures(tmp_path):
    """Four pictures as a person annotates them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"p_{number}.png"), np.full((48, 64, 3), 40 * number, np.uint8))
    return list_pictures(folder)


# ------------------------------------------------------------------------------------------------ shards' indexes


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DEEP, "expected JSON nested at most 64 deep"),
        ("[]", "expected an index of shards, a JSON object, got a list"),
        ('{"schema": "\x1b[31m"}', "index.json:1: expected text in UTF-8, got the control character 0x1b"),
        ('{"schema": "\\u001b[31m"}', "index.json: expected text in UTF-8, got the control character 0x1b"),
        ('{"schema": 1e400}', "expected a finite number, got inf"),
    ],
)
def test_an_index_that_is_none(tmp_path, text, told):
    (tmp_path / "index.json").write_text(text)

    assert told in refused("stats", tmp_path)
    assert told in refused("export", tmp_path, "--format", "coco", "--out", tmp_path / "out")


# ------------------------------------------------------------------------------------------------ predictions


def predictions_csv(*rows):
    return "sample_id,keypoint,u,v\n" + "".join(f"training/00000/left,{row}\n" for row in rows)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (predictions_csv("wrist,1,2").encode("utf-16"), "p.csv: expected text in UTF-8, got text in UTF-16"),
        (b"sample_id,keypoint,u,v," + b"a" * 200_000, "p.csv:1: expected comma-separated text, got field larger"),
        (predictions_csv("wrist,1,2", "wrist,3,4").encode(), "p.csv:3: expected each keypoint of a sample once"),
        (predictions_csv("wrist,inf,2").encode(), "p.csv:2: expected a finite number, got inf"),
        (predictions_csv("wrist,1e308,2").encode(), "p.csv:2: expected numbers up to 1e+09, got 1e308"),
        (predictions_csv("wrist,1").encode(), "p.csv:2: expected 4 cells, got 3"),
    ],
)  # fmt: skip
def test_predictions_as_csv_that_are_none(tmp_path, data, told):
    (tmp_path / "p.csv").write_bytes(data)

    assert told in refused_by(read_predictions, tmp_path / "p.csv")


def test_predictions_that_a_table_program_wrote_with_a_mark_are_read(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xef\xbb\xbf" + predictions_csv("wrist,1.5,2.5").encode())

    assert read_predictions(tmp_path / "p.csv").keypoints_2d["given"][0, 0].tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("samples", "options", "told"),
    [
        ("[5]", "{}", "[samples][0]: expected predictions, a JSON object, got a number"),
        ("null", "{}", "[samples]: expected a list of samples, got null"),
        (f'[{{"sample_id": "a", "keypoints_2d": {POINTS}}}]', "5", "[options]: expected predictions, a JSON object"),
        (f'[{{"sample_id": "a", "keypoints_2d": [[{DIGITS}, 1]]}}]', "{}", "expected a whole number below 2^63"),
        (f'[{{"sample_id": "a", "keypoints_2d": {[[1e300, 2]] * 21}}}]', "{}", "expected numbers up to 1e+09"),
        (f'[{{"sample_id": ["a"], "keypoints_2d": {POINTS}}}]', "{}", "expected sample_id and keypoints_2d"),
        (DEEP, "{}", "expected JSON"),
    ],
)
def test_predictions_as_json_that_are_none(tmp_path, samples, options, told):
    text = f'{{"schema": "handdata-predictions/1", "samples": {samples}, "options": {options}}}'
    (tmp_path / "p.json").write_text(text)

    assert told in refused_by(read_predictions, tmp_path / "p.json")


# ------------------------------------------------------------------------------------------------ runs and recipes


def test_a_damaged_run_does_not_hide_the_others(trained, tmp_path, capsys):
    for name in ("a", "b"):
        shutil.copytree(trained.run, tmp_path / name)
    (tmp_path / "a/config.json").write_bytes((tmp_path / "a/config.json").read_bytes()[:300])

    assert [row["name"] for row in list_runs(tmp_path)] == ["b"]
    err = capsys.readouterr().err
    assert "a/config.json:" in err
    assert "1 of 2 runs not read: a" in err


@pytest.mark.usefixtures("not_as_root")
@pytest.mark.parametrize("mode", [0, 0o444])
def test_a_run_that_may_not_be_read_does_not_hide_the_others(trained, tmp_path, capsys, mode):
    shutil.copytree(trained.run, tmp_path / "b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/config.json").touch()
    (tmp_path / "a").chmod(mode)
    (tmp_path / "c/config.json").mkdir(parents=True)

    assert [row["name"] for row in list_runs(tmp_path)] == ["b"]
    err = capsys.readouterr().err
    assert "a/config.json: expected the settings of a run, got Permission denied. Allow reading it" in err
    assert "2 of 3 runs not read: a, c" in err
    (tmp_path / "a").chmod(0o755)


RESULTS = b'{"schema": "handdata-results/1", '


@pytest.mark.parametrize(
    ("file", "data", "told"),
    [
        ("config.json", b'{"name": "\\u001b[31m"}', "config.json: expected text in UTF-8, got the control character"),
        ("config.json", b'{"name": "caf\xe9"}', "config.json:1: expected text in UTF-8, got a byte 0xe9"),
        ("config.json", b'{"augment": {"kind": 5}}', "config.json[augment.kind]: expected a text, got 5"),
        ("config.json", b'{"data": 5}', "config.json[data]: expected a table, got 5"),
        ("shards.json", b'{"datasets": 5}', "shards.json[datasets]: expected a list, got 5"),
        ("shards.json", b'{"datasets": [{"splits": 5}]}', "shards.json[splits]: expected a list, got 5"),
        ("log.jsonl", b'{"epoch": 1, "train": {}}\n\xff\n', "log.jsonl:2: expected text in UTF-8"),
        ("log.jsonl", b'{"epoch": 1, "train": 5}\n', "log.jsonl:1[train]: expected a table, got 5"),
        ("log.jsonl", b'{"epoch": 1, "train": null}\n', "log.jsonl:1: expected an epoch and its training losses, got"),
        ("results.json", RESULTS + b'"sets": 5, "readout": ""}', "results.json[sets]: expected a list"),
        ("results.json", RESULTS + b'"sets": []}', "results.json[readout]: expected a value, got none"),
    ],
)  # fmt: skip
def test_a_run_that_no_page_can_show(trained, tmp_path, file, data, told):
    shutil.copytree(trained.run, tmp_path / "runs/a")
    (tmp_path / "runs/a" / file).write_bytes(data)

    assert told in refused_by(find_runs, DataRoot(tmp_path), [])


def test_settings_of_a_run_that_are_null_are_as_none(trained, tmp_path):
    shutil.copytree(trained.run, tmp_path / "runs/a")
    (tmp_path / "runs/a/config.json").write_text('{"name": null, "model": null, "augment": null, "data": null}')

    (run,) = find_runs(DataRoot(tmp_path), [])
    assert (run.recipe, run.model, run.augmented) == ("", 0, False)
    assert write_report([run], DataRoot(tmp_path), tmp_path / "out").is_file()


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"\xff\xfem\x00", "expected text in UTF-8, got text in UTF-16"),
        (b"a = " + DEEP.encode(), "expected TOML nested at most 64 deep"),
        (b"[data]\nbatch = " + b"9" * 5000, "expected TOML, got Exceeds the limit"),
        (b"[data]\nbatch = 1e400", "expected a finite number, got inf"),
        (b"extends = 5", "r.toml[extends]: expected the name of a recipe, got 5"),
    ],
)
def test_a_recipe_that_is_none(tmp_path, data, told):
    (tmp_path / "r.toml").write_bytes(data)

    assert told in refused("train", "--recipe", tmp_path / "r.toml", "--shards", tmp_path)


@pytest.mark.parametrize(
    "setting", ["optim.betas=[2.0,5.0]", "optim.betas=[0.9,1.0]", "optim.momentum=-1.0", "optim.weight_decay=-1.0"]
)
def test_settings_that_no_optimiser_takes(setting):
    with pytest.raises(ConfigError, match=rf"\[{setting.partition('=')[0]}\]: expected "):
        load_config("demo", ["optim.kind=adamw", setting])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (DEEP, "expected JSON nested at most 64 deep"),
        (f'{{"error_keypoint_2d": {[0.1] * 21}, "error_total_2d": {DIGITS}}}', "expected a whole number below 2^63"),
        (f'{{"error_keypoint_2d": {[0.1] * 21}, "error_total_2d": "1"}}', "[error_total_2d]: expected a number"),
        (f'{{"error_keypoint_2d": {[0.1] * 21}, "error_total_2d": 1, "acc_range_2d": [[1]], "thres_range": [1]}}',
         "[acc_range_2d]: expected a list of numbers"),
    ],
)  # fmt: skip
def test_result_files_of_the_thesis_that_are_none(tmp_path, text, told):
    (tmp_path / "e010__stereo_valuation.json").write_text(text)

    assert told in refused_by(read_reference, tmp_path)


# ------------------------------------------------------------------------------------------------ boxes


MARK = ["person", [5.0, 5.0, 20.0, 20.0], "person", "reviewed", 0.0]


def begin_journal(pictures, path):
    """Leave a journal of no edits, as a process that was killed does."""
    session = Session(pictures, path)
    header = path.with_suffix(".journal").read_bytes()
    session.close()
    path.with_suffix(".journal").write_bytes(header)


@pytest.mark.parametrize(
    "entry",
    [
        {"op": "keyframe", "set": {"0": [*MARK[:1], [5.0, "nan", 20.0, 20.0], *MARK[2:]]}},
        {"op": "keyframe", "set": {"0": [*MARK[:1], [5.0, 5.0, -20.0, 20.0], *MARK[2:]]}},
        {"op": "keyframe", "set": {"0": [*MARK[:1], [5.0, 5.0, 1e300, 20.0], *MARK[2:]]}},
        {"op": "keyframe", "set": {"0": [*MARK[:4], 2.0]}},
        {"op": "keyframe", "set": {"0": [*MARK[:4], "nan"]}},
        {"op": "keyframe", "set": {"0": MARK[:3]}},
        {"op": "keyframe", "set": {"9" * 5000: MARK}},
        {"op": "keyframe", "set": {"0": 5}},
        {"op": "undo", "count": 10**400},
    ],
)
def test_a_journal_with_a_line_that_is_no_edit(tmp_path, pictures, entry):
    begin_journal(pictures, tmp_path / "b.csv")
    with (tmp_path / "b.journal").open("a") as file:
        file.write(json.dumps(entry) + "\n")

    assert "b.journal:2: expected " in refused_by(Session, pictures, tmp_path / "b.csv")


@pytest.mark.parametrize(
    "line", [DEEP.encode(), b'{"op": NaN}', b'{"op": "\xff"}', b"[]", b'{"op": "undo", "op": "redo"}']
)
def test_a_journal_with_a_line_that_is_no_json(tmp_path, pictures, line):
    begin_journal(pictures, tmp_path / "b.csv")
    with (tmp_path / "b.journal").open("ab") as file:
        file.write(line + b"\n")

    assert "b.journal:2" in refused_by(Session, pictures, tmp_path / "b.csv")


COLUMNS = "img_name,x,y,w,h,source,reviewed,doubt"


def coco(bbox, **attributes):
    image = {"id": 1, "file_name": "p_0.png"}
    annotation = {"image_id": 1, "bbox": bbox, "attributes": attributes}
    return json.dumps({"images": [image], "annotations": [annotation]})


@pytest.mark.parametrize(
    ("kind", "text", "told"),
    [
        ("coco", coco([1, 1, 5, 5]).replace("5, 5", f"5, {DIGITS}"), "expected a whole number below 2^63"),
        ("coco", coco([1, 1, 5, 5]).replace("5, 5", "5, 1e400"), "expected a finite number"),
        ("coco", coco([1, 1, 5, 1e300]), "expected a box with a size, within 100000 px"),
        ("coco", coco([1, 1, 5, 5], doubt=1e300), "expected a doubt from 0 to 1"),
        ("coco", coco([1, 1, 5, 5], doubt=-1), "expected a doubt from 0 to 1"),
        ("csv", f"{COLUMNS}\np_0.png,1,1,5,5,person,1,nan\n", "[doubt]: expected a finite"),
        ("csv", f"{COLUMNS}\np_0.png,1,1,5,5,person,1,2\n", "expected a number from 0 to 1"),
        ("csv", "a" * 200_000, "t:1: expected comma-separated text"),
        ("mot", "", "t: expected at least one box, got none"),
        ("mot", "\n\n", "t: expected at least one box, got none"),
        ("cvat", "", "expected CVAT for video 1.1, XML"),
    ],
)  # fmt: skip
def test_boxes_that_are_none_leave_the_session_as_it_was(tmp_path, pictures, kind, text, told):
    with closing(Session(pictures, tmp_path / "b.csv")) as session:
        session.keyframe(1, (5, 5, 20, 20))
        before = session.marks

        assert told in refused_by(lambda: session.import_rows(import_text(kind, text, "t", pictures), "t"))
        assert session.marks == before


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ("frame,x,y,w,h\n0,ä,5,20,20\n".encode("latin-1"), "k.csv:2: expected text in UTF-8, got a byte 0xe4"),
        (b"frame,x,y,w,h\n0,5,5,20,20\n" + b"1" * 5000 + b",5,5,20,20\n", "k.csv:3: expected a picture up to 3"),
        (b"a" * 200_000, "k.csv:1: expected comma-separated text"),
    ],
)
def test_keyframes_that_are_none(tmp_path, pictures, data, told):
    (tmp_path / "k.csv").write_bytes(data)
    asked = (
        "--images",
        tmp_path / "pictures",
        "--out",
        tmp_path / "b.csv",
        "--headless",
        "--keyframes",
        tmp_path / "k.csv",
    )

    assert told in refused("annotate-bbox", *asked)


def test_lines_that_an_old_macintosh_ended_are_read(tmp_path, pictures):
    (tmp_path / "k.csv").write_bytes(b"img_name,x,y,w,h\rp_0.png,10,10,25,25\r")
    asked = (
        "--images",
        tmp_path / "pictures",
        "--out",
        tmp_path / "b.csv",
        "--headless",
        "--keyframes",
        tmp_path / "k.csv",
    )
    result = CliRunner().invoke(group, ["annotate-bbox", *map(str, asked)])

    assert result.exit_code == 0, result.output
    assert read_boxes(tmp_path / "b.csv")[0].box == (10, 10, 25, 25)


@pytest.mark.parametrize(
    "body", [b'{"op":"\\ud800"}', b"[" * 100_000, b'{"op": 1e400}', b"\xff\xfe{", b'{"op": "\x1b"}']
)
def test_an_edit_that_is_none_is_refused_in_words_that_can_be_sent(body):
    line = refused_by(parse_edit, body)

    assert json.dumps({"error": line}, ensure_ascii=False).encode()


def test_an_escape_code_in_a_table_is_shown_and_not_sent_to_the_terminal(tmp_path):
    (tmp_path / "b.csv").write_text("img_name,x,y,w,h\nS/a.bmp,\x1b[31m,2,3,4\n")

    line = refused("convert", "dexter", "--root", tmp_path, "--boxes", tmp_path / "b.csv", "--out", tmp_path / "out")
    assert "\x1b" not in line


def test_every_line_is_about_the_data(tmp_path):
    with pytest.raises(DataError):
        read_predictions(tmp_path)
