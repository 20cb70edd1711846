"""Damaged and hostile pictures: one line that names the file, in every command that reads pictures."""

import resource
import time

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from handdata.cli import group
from tests.pictures.test_picture_file import cut_but_ended, png
from tests.reliability.refusals import refused

LARGE = "expected a picture of at most 64 megapixels, got 60000 x 60000 px"


@pytest.fixture
def folder(tmp_path):
    """A folder with one picture that claims 60,000 x 60,000 px and four that are whole."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures/a_0.png").write_bytes(png(60_000, 60_000, 100))
    for number in range(1, 5):
        cv2.imwrite(str(tmp_path / f"pictures/a_{number}.png"), np.full((48, 64, 3), 40 * number, np.uint8))
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    "command",
    [
        ["convert", "backgrounds", "--root", "{folder}", "--out", "{out}"],
        ["predict", "{folder}/a_0.png", "--out", "{out}"],
        ["predict", "{folder}/a_0.png", "--fov", "60", "--out", "{out}"],
        ["synth", "rhd", "--frames", "2", "--size", "small", "--out", "{out}", "--backgrounds", "{folder}"],
    ],
    ids=["convert", "predict", "predict with a lens", "synth"],
)
def test_a_picture_that_claims_to_be_huge_is_one_line_in_every_command(folder, tmp_path, command):
    if command[0] == "synth":
        for path in folder.glob("a_[1-4].png"):
            path.unlink()
    before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()

    line = refused(*(part.format(folder=folder, out=tmp_path / "out") for part in command))

    assert LARGE in line
    assert "a_0.png" in line
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB
    assert time.process_time() - begin < 30


def test_the_annotator_skips_and_names_a_picture_that_claims_to_be_huge(folder, tmp_path):
    given = ["--images", str(folder), "--out", str(tmp_path / "b.csv"), "--headless", "--init", "1,1,9,9"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    done = CliRunner().invoke(group, ["annotate-bbox", *given])

    assert done.exit_code == 0, done.output
    assert LARGE in done.stderr
    assert f"skipped: {folder}/a_0.png" in done.stderr
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kB


def test_skip_bad_leaves_out_what_is_too_large_or_cut_short(folder, tmp_path, capfd):
    whole = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8), (0, 0), 2)
    (folder / "a_5.jpg").write_bytes(cut_but_ended(whole))
    command = ["convert", "backgrounds", "--root", str(folder), "--out", str(tmp_path / "out"), "--skip-bad"]

    result = CliRunner().invoke(group, command)

    assert result.exit_code == 0, result.output
    assert "a_0.png" in result.output
    assert "a_5.jpg" in result.output
    assert "Corrupt JPEG" not in capfd.readouterr().err
