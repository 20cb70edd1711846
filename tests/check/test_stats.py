"""Statistics count what is there and measure what hands do."""

import json
import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from handdata.check.stats import collect
from handdata.check.stats_page import write_page
from handdata.cli import group
from handdata.shards.reader import write_index
from handdata.shards.schema import VERSION
from tests.check.made_dataset import make_dataset, rewrite


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("made") / "made", count=60)


@pytest.fixture(scope="module")
def tips(tmp_path_factory):
    return make_dataset(tmp_path_factory.mktemp("made") / "tips", count=30, tips_only=True)


def test_counts_add_up(folder):
    stats = collect(folder)

    assert stats.num_samples == stats.num_looked_at == 60
    assert stats.counts["split"] == {"train": 40, "val": 20}
    assert stats.counts["sequence"] == {"a": 20, "b": 20, "c": 20}
    assert stats.counts["hand_side"] == {"left": 60}
    assert stats.counts["image_size"] == {"640 x 480": 60}


def test_presence_is_the_share_of_samples(folder):
    def hide(rows, split):
        for row in rows[::2]:
            row["keypoints_2d"] = row["keypoints_2d"].copy()
            row["keypoints_2d"][8] = np.nan
            row["annotated_2d"] = np.isfinite(row["keypoints_2d"]).all(-1)
            row["in_frame"] = row["in_frame"] & row["annotated_2d"]
            row["visible"] = np.ones(21, np.int8)

    copy = shutil.copytree(folder, folder.parent / "hidden")
    rewrite(copy, hide)

    presence = collect(copy).presence["index_tip"]

    assert presence["annotated_2d"] == 0.5
    assert presence["annotated_3d"] == 1.0
    assert presence["visible"] == 1.0  # among the samples that say


def test_visibility_the_dataset_does_not_give_is_not_zero(folder):
    assert collect(folder).presence["wrist"]["visible"] is None


def test_flexion_of_a_straight_finger_is_zero_and_of_a_right_angle_ninety(folder):
    def bend(rows, split):
        for row in rows:
            xyz = row["keypoints_3d"].copy()
            start = xyz[5]
            xyz[6:9] = start + np.array([[40.0, 0, 0], [40, 25, 0], [40, 45, 0]])
            xyz[10:13] = xyz[9] + np.array([[40.0, 0, 0], [65, 0, 0], [85, 0, 0]])
            row["keypoints_3d"] = xyz

    copy = shutil.copytree(folder, folder.parent / "bent")
    rewrite(copy, bend)

    found = collect(copy).distributions

    assert found["flexion of the index (degrees)"] == pytest.approx(90, abs=0.1)
    assert found["flexion of the middle (degrees)"] == pytest.approx(0, abs=0.1)


def test_what_tips_cannot_tell_is_left_out(tips):
    found = collect(tips).distributions

    assert "scale, wrist to middle MCP (mm)" not in found
    assert set(found["annotated keypoints (number)"]) == {5.0}


def test_labels_are_sampled_where_there_are_too_many(folder, monkeypatch):
    monkeypatch.setattr("handdata.check.stats.MAX_ROWS", 30)

    stats = collect(folder)

    assert (stats.num_samples, stats.num_looked_at) == (60, 30)
    assert stats.counts["split"] == {"train": 40, "val": 20}


def test_the_page_holds_everything_itself(folder, tmp_path):
    write_page(collect(folder), tmp_path / "page.html")
    html = (tmp_path / "page.html").read_text()

    assert not re.findall(r"""(?:src|href)=["'](?!data:)""", html)
    assert html.count("data:image/svg+xml;base64,") == 2
    assert "flexion of the ring (degrees)" in html


def test_the_page_is_the_same_for_the_same_shards(folder, tmp_path):
    for name in "ab":
        write_page(collect(folder), tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def run(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_the_command_prints_tables_and_writes_the_page(folder, tmp_path):
    result = run("stats", folder, "--html", tmp_path / "page.html")

    assert result.exit_code == 0
    assert "split: train 40, val 20" in result.stdout
    assert "palm towards the camera" in result.stdout
    assert (tmp_path / "page.html").is_file()


def test_rendered_hands_are_called_so(folder, tmp_path):
    index = json.loads((folder / "index.json").read_text())
    again = shutil.copytree(folder, tmp_path / "again")
    (again / "index.json").write_text(json.dumps({**index, "origin": "rendered"}))
    result = run("stats", again, "--html", tmp_path / "page.html")

    assert result.stdout.splitlines()[0] == f"{index['dataset']}: 60 samples, rendered hands"
    assert "60 samples, rendered hands." in (tmp_path / "page.html").read_text()


def test_the_command_prints_json(folder):
    found = json.loads(run("stats", folder, "--json").stdout)

    assert found["distributions"]["crop side (px)"]["count"] == 60


def test_no_shards_is_one_clear_line(tmp_path):
    result = run("stats", tmp_path)

    assert "expected a converted dataset" in str(result.exception)


def test_a_dataset_without_samples_is_one_clear_line(tmp_path):
    write_index(tmp_path, {"schema": VERSION, "dataset": "made", "shards": []})

    assert "expected samples, got none" in str(run("stats", tmp_path).exception)
    assert "expected samples, got none" in str(run("export", tmp_path, "--out", tmp_path / "out").exception)
