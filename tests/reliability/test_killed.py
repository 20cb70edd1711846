"""Killed and full: what a dead command left is never taken for whole, and the same command goes on."""

import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from handdata.errors import WriteError
from handdata.exchange.export import export
from handdata.files.whole import ENDING
from handdata.paths import RENDERED_MARK
from handdata.shards.dataset import open_dataset
from handdata.synth.native import write_native
from tests.reliability.refusals import refused


def command(*arguments):
    return [sys.executable, "-m", "handdata", *map(str, arguments)]


# ------------------------------------------------------------------------------------------------ exports


def test_an_export_that_is_killed_leaves_whole_pictures_alone(trained, tmp_path):
    for number, wait in enumerate((0.0, 0.004, 0.01)):
        out = tmp_path / f"{number}"
        started = subprocess.Popen(command("export", trained.shards, "--out", out), stdout=subprocess.DEVNULL)
        limit = time.monotonic() + 60
        while started.poll() is None and not list(out.glob("images/*/*")) and time.monotonic() < limit:
            time.sleep(0.001)
        time.sleep(wait)
        started.send_signal(signal.SIGKILL)
        started.wait()

        for path in out.rglob("*.png"):
            assert cv2.imread(str(path)) is not None, path
        assert subprocess.run(command("export", trained.shards, "--out", out), check=False).returncode == 0
        assert len(list(out.rglob("*.png"))) == 14
        assert not list(out.rglob(f"*{ENDING}"))


def test_an_export_to_a_full_disk_leaves_no_half_picture(trained, tmp_path, tmp_path_factory, file_limit):
    whole = tmp_path_factory.mktemp("whole")
    export(open_dataset(trained.shards), whole, "coco")
    file_limit(min(path.stat().st_size for path in whole.rglob("*.png")) - 1)  # the record, written before, is smaller
    with pytest.raises(WriteError, match=r"\.png: expected a file that can be written, got File too large"):
        export(open_dataset(trained.shards), tmp_path / "out", "coco")

    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_two_exports_to_one_folder_at_once_are_one_whole_and_one_line(trained, tmp_path):
    asked = command("export", trained.shards, "--out", tmp_path / "out")
    started = [subprocess.Popen(asked, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in range(2)]
    ended = [process.communicate()[1] for process in started]

    assert 0 in {process.returncode for process in started}
    for process, errors in zip(started, ended, strict=True):
        if process.returncode:
            assert errors.splitlines()[-1].endswith("Wait for it to end, or choose another folder.")
    assert len(list((tmp_path / "out").rglob("*.png"))) == 14


# ------------------------------------------------------------------------------------------------ renderings


@pytest.mark.parametrize("left", [f"{RENDERED_MARK}{ENDING}", f"{RENDERED_MARK}.partial"])
def test_a_rendering_goes_on_after_it_was_killed_at_its_first_write(tmp_path, left):
    (tmp_path / "rhd").mkdir()
    (tmp_path / "rhd" / left).touch()

    assert write_native("rhd", tmp_path / "rhd", 1, seed=0, small=True) == 1
    assert not list(tmp_path.rglob(f"*{ENDING}"))


# ------------------------------------------------------------------------------------------------ full disks


def test_a_full_disk_names_the_file(trained, tmp_path, file_limit):
    run = shutil.copytree(trained.run, tmp_path / "runs/r")
    picture = tmp_path / "p.png"
    cv2.imwrite(str(picture), np.full((64, 64, 3), 90, np.uint8))
    file_limit(50)
    out = tmp_path / "out"
    for asked, named in (
        (["synth", "rhd", "--frames", "1", "--size", "small", "--out", out], out / "rhd" / RENDERED_MARK),
        (["evaluate", run, "--shards", trained.shards, "--device", "cpu"], run),
        (["predict", run, picture, "--out", out, "--device", "cpu"], out),
        (["stats", trained.shards, "--html", out / "page.html"], out / "page.html"),
    ):
        line = refused("--data-root", tmp_path, *asked)
        assert line.startswith(str(named)), line
        assert "expected a file that can be written, got File too large. Make room, or choose another place." in line
    assert not list(tmp_path.rglob(f"*{ENDING}"))


def test_what_a_killed_report_left_goes_with_the_next(trained, tmp_path):
    shutil.copytree(trained.run, tmp_path / "runs/r")
    (tmp_path / "out").mkdir()
    for name in ("report.md", "index.html", "other"):
        (tmp_path / f"out/{name}{ENDING}").write_text("half")
    asked = command("--data-root", tmp_path, "report", "r", "--out", tmp_path / "out")

    assert subprocess.run(asked, check=False, stdout=subprocess.DEVNULL).returncode == 0
    assert list((tmp_path / "out").iterdir())
    assert not list(tmp_path.rglob(f"*{ENDING}"))


# ------------------------------------------------------------------------------------------------ conversions


@pytest.mark.parametrize("lost", [["README.md"], ["README.md", "contact_sheet.jpg"], ["contact_sheet.jpg"]])
def test_a_conversion_that_was_killed_before_its_card_has_one_the_next_time(native_tree, tmp_path, lost):
    asked = command("convert", "rhd", "--root", native_tree("rhd"), "--out", tmp_path, "--workers", 1)
    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
    whole = {name: (tmp_path / name).read_bytes() for name in ("README.md", "contact_sheet.jpg")}
    for name in lost:
        (tmp_path / name).unlink()

    done = subprocess.run(asked, check=True, capture_output=True, text=True)
    assert "kept from before" in done.stdout
    assert {name: (tmp_path / name).read_bytes() for name in whole} == whole


def test_a_card_of_other_shards_is_written_anew(native_tree, tmp_path):
    """It may say the same in words: only what is shown is another."""
    asked = command("convert", "rhd", "--root", native_tree("rhd"), "--out", tmp_path, "--workers", 1)
    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
    card = tmp_path / "README.md"
    whole = card.read_text()
    card.write_text(whole.replace(whole.splitlines()[-1], "<!-- of the shards 0123 -->"))

    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
    assert card.read_text() == whole
