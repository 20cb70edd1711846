"""`handdata synth` as a user meets it."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli import group
from handdata.cli.options import DATASETS
from handdata.errors import ConfigError, DataError, WriteError
from handdata.paths import RENDERED_MARK
from handdata.synth.native import NATIVE_WRITERS


def synth(*arguments, root):
    return CliRunner().invoke(group, ["--data-root", str(root), "synth", *arguments])


def test_there_is_a_writer_for_every_dataset():
    assert sorted(NATIVE_WRITERS) == sorted(DATASETS)


def test_writes_where_convert_looks_and_says_what_to_run_next(tmp_path):
    result = synth("dexter", "--frames", "2", "--size", "small", "--workers", "1", root=tmp_path)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"dexter: 2 samples -> {tmp_path}/data/native/dexter\n"
    assert result.stderr.splitlines()[-1] == "next: handdata convert dexter"
    assert any((tmp_path / "data" / "native" / "dexter").rglob("*.png"))


def test_out_names_the_parent_folder(tmp_path):
    out = tmp_path / "made"
    result = synth("dexter", "--frames", "1", "--size", "small", "--workers", "1", "--out", str(out), root=tmp_path)
    assert result.stdout == f"dexter: 1 samples -> {out}/dexter\n"
    assert result.stderr.splitlines()[-1] == f"next: handdata convert dexter --root {out}/dexter"


@pytest.mark.parametrize("arguments", [[], ["stereo", "--preview", "3"]])
def test_wants_a_name_or_a_preview(arguments, tmp_path):
    result = synth(*arguments, root=tmp_path)
    assert result.exit_code == 2
    assert "Give a dataset's NAME (or all, or frames), or --preview N." in result.output


def test_an_unknown_dataset_is_named_with_the_known_ones(tmp_path):
    result = synth("nohands", root=tmp_path)
    assert result.exit_code == 2
    assert "'stereo', 'dexter'" in result.output


def test_the_next_command_can_be_pasted_into_a_shell(tmp_path):
    out = tmp_path / "my hands"
    result = synth("dexter", "--frames", "1", "--size", "small", "--workers", "1", "--out", str(out), root=tmp_path)
    assert result.stderr.splitlines()[-1] == f"next: handdata convert dexter --root '{out}/dexter'"


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="takes a place where nobody can make a folder")
def test_a_place_where_no_folder_can_be_made_is_told_in_one_line(tmp_path):
    result = synth("dexter", "--frames", "1", "--size", "small", "--out", "/proc/handdata", root=tmp_path)
    assert isinstance(result.exception, WriteError)
    assert "/proc/handdata/dexter: expected a folder that can be written" in str(result.exception)


@pytest.mark.parametrize("mark", ["{", "[1]", "{}"])
def test_a_damaged_mark_is_told_in_one_line(tmp_path, mark):
    (tmp_path / "dexter").mkdir()
    (tmp_path / "dexter" / RENDERED_MARK).write_text(mark)
    result = synth("dexter", "--frames", "1", "--size", "small", "--out", str(tmp_path), root=tmp_path)
    assert isinstance(result.exception, ConfigError)
    line = str(result.exception)
    assert ".handdata-synth.json" in line
    assert "Choose another --out, or remove that folder first." in line


def test_an_unknown_fault_is_told_with_the_known_ones(tmp_path):
    result = synth("dexter", "--frames", "1", "--size", "small", "--faults", "rust", root=tmp_path)
    assert isinstance(result.exception, ConfigError)
    assert "truncated-picture" in str(result.exception)
    assert not (tmp_path / "data").exists()


def test_a_folder_without_pictures_is_told(tmp_path):
    (tmp_path / "empty").mkdir()
    result = synth("--preview", "1", "--backgrounds", str(tmp_path / "empty"), root=tmp_path)
    assert isinstance(result.exception, DataError)
    assert str(tmp_path / "empty") in str(result.exception)


@pytest.mark.parametrize("style", ["clean", "gritty"])
def test_preview_shows_each_hand_bare_and_with_labels(style, tmp_path):
    result = synth("--preview", "2", "--style", style, "--size", "small", root=tmp_path)
    path = tmp_path / "data" / f"preview_{style}.png"
    assert result.stdout == f"2 hands, as rendered and with labels -> {path}\n"
    sheet = cv2.imread(str(path))
    assert sheet.shape == (2 * 132 + 4, 2 * 132 + 4, 3)
    assert np.abs(sheet[4:132].astype(int) - sheet[136:264]).max() > 100  # the skeletons


def test_threads_of_the_linear_algebra_do_not_matter():
    code = (
        "import hashlib; from handdata.synth.picture import render_hand; frame = render_hand(3, 1, 'clean', 96);"
        "view, xyz = frame.views[0], frame.hands[0].keypoints_3d;"
        "print(hashlib.sha256(view.image.tobytes() + view.depth.tobytes() + xyz.tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads},
            stdout=subprocess.PIPE,
            check=True,
        ).stdout
        for threads in ("1", "4")
    }
    assert len(digests) == 1
