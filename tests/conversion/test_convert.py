"""The conversion engine on a made Stereo tree: same bytes whatever happens, one clear line when it cannot go on."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

import handdata.conversion.run as engine
from handdata.conversion.plan import make_plan
from handdata.conversion.run import convert
from handdata.converters.stereo import StereoOptions
from handdata.converters.synthhands import SynthHandsOptions
from handdata.errors import BusyError, ConfigError, DataError, HanddataError, MissingError
from handdata.files.locks import alone
from handdata.shards.dataset import open_dataset

FRAMES = 40


def write_tree(root: Path, sequences=("B1Counting", "B2Random"), frames=FRAMES) -> Path:
    rng = np.random.default_rng(0)
    ok, png = cv2.imencode(
        ".png", np.fromfunction(lambda v, u, c: (u // 5 + v // 3 * (c + 1)) % 256, (480, 640, 3)).astype(np.uint8)
    )
    assert ok
    (root / "labels").mkdir(parents=True)
    for sequence in sequences:
        folder = root / "images" / sequence
        folder.mkdir(parents=True)
        for i in range(frames):
            (folder / f"SK_color_{i}.png").write_bytes(png.tobytes())
        xyz = np.stack([rng.uniform(a, b, (21, frames)) for a, b in ((-60, 60), (-60, 60), (400, 500))])
        savemat(root / "labels" / f"{sequence}_SK.mat", {"handPara": xyz})
    return root


@pytest.fixture
def root(tmp_path):
    return write_tree(tmp_path / "stereo")


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.h5"))}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "handdata", *map(str, arguments)]


def test_the_shards_do_not_depend_on_the_number_of_workers(root, tmp_path):
    for workers in (1, 2, 4):
        convert("stereo", root, tmp_path / str(workers), workers=workers)

    one = shards(tmp_path / "1")
    assert len(one) == 2
    assert one == shards(tmp_path / "2") == shards(tmp_path / "4")
    assert (tmp_path / "1/index.json").read_bytes() == (tmp_path / "4/index.json").read_bytes()


def test_converting_again_keeps_what_is_current_and_redoes_what_changed(root, tmp_path):
    out = tmp_path / "out"
    assert convert("stereo", root, out).num_kept == 0
    before = shards(out)
    assert convert("stereo", root, out).num_kept == 2

    picture = root / "images/B1Counting/SK_color_3.png"
    cv2.imwrite(str(picture), np.zeros((480, 640, 3), np.uint8))
    assert convert("stereo", root, out).num_kept == 1

    after = shards(out)
    assert [name for name in before if before[name] != after[name]] == ["val-00000.h5"]


def test_shards_of_an_earlier_wider_conversion_do_not_stay(root, tmp_path):
    out = tmp_path / "out"
    convert("stereo", root, out)
    convert("stereo", root, out, splits=("val",))

    assert sorted(shards(out)) == ["val-00000.h5"]
    assert set(json.loads((out / "index.json").read_text())["splits"]) == {"val"}


def test_limit_counts_samples_in_order(root, tmp_path):
    convert("stereo", root, tmp_path / "out", limit=7)

    ids = open_dataset(tmp_path / "out")["sample_id"]
    assert [i.decode() for i in ids] == [f"B2Random/SK/{i:04d}" for i in range(7)]


def test_the_jobs_of_an_array_make_what_one_conversion_makes(root, tmp_path):
    convert("stereo", root, tmp_path / "one")
    first = convert("stereo", root, tmp_path / "array", job=(0, 2))
    assert not first.complete
    assert not (tmp_path / "array/index.json").exists()
    assert convert("stereo", root, tmp_path / "array", job=(1, 2)).complete

    assert shards(tmp_path / "array") == shards(tmp_path / "one")


def test_jobs_of_an_array_that_run_at_once_leave_a_whole_dataset(root, tmp_path):
    """None of them is the last one to be started; whichever ends last writes the index."""
    convert("stereo", root, tmp_path / "one")
    out = tmp_path / "array"
    out.mkdir()
    (out / "val-00000.h5.1.partial").write_bytes(b"what a job that died left")
    asked = ("convert", "stereo", "--root", root, "--out", out, "--workers", 1, "--num-jobs", 2)
    jobs = [subprocess.Popen(command(*asked, "--job", i), stderr=subprocess.DEVNULL) for i in (1, 0)]

    assert [job.wait() for job in jobs] == [0, 0]
    assert shards(out) == shards(tmp_path / "one")
    assert (out / "index.json").read_bytes() == (tmp_path / "one/index.json").read_bytes()
    assert not list(out.glob("*.partial"))


def test_a_job_looks_again_for_what_the_others_of_its_array_have_made_meanwhile(root, tmp_path, monkeypatch):
    out = tmp_path / "array"
    real = engine.write_shard

    def while_another_job_works(task):
        monkeypatch.setattr(engine, "write_shard", real)
        other = convert("stereo", root, out, job=(1, 2))
        assert not other.complete
        return real(task)

    monkeypatch.setattr(engine, "write_shard", while_another_job_works)
    result = convert("stereo", root, out, job=(0, 2))

    assert result.complete
    assert result.num_kept == 0
    assert len(open_dataset(out)) == 2 * FRAMES


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"num_samples": ', '"num_samples": 0, "was": '),
        ('"size": ', '"size": 1'),
        ('"label_hashes": "', '"l": "'),
        ("{", ""),
    ],
)
def test_what_was_noted_of_a_shard_and_is_damaged_is_not_believed(root, tmp_path, capsys, old, new):
    """The first lost a shard without a word: what is noted goes into the index as it is."""
    out = tmp_path / "out"
    convert("stereo", root, out)
    whole, index = shards(out), (out / "index.json").read_bytes()
    note = sorted((out / ".state").glob("*.h5.json"))[0]
    note.write_text(note.read_text().replace(old, new, 1))

    result = convert("stereo", root, out)

    assert result.num_kept == result.num_shards - 1
    assert (shards(out), (out / "index.json").read_bytes()) == (whole, index)
    assert f"{note.stem}: what was noted of it is damaged" in capsys.readouterr().err


@pytest.mark.slow
def test_a_killed_conversion_goes_on_to_the_same_result(tmp_path):
    root = write_tree(tmp_path / "stereo", frames=400)
    convert("stereo", root, tmp_path / "calm", workers=2)
    out = tmp_path / "killed"
    process = subprocess.Popen(
        command("convert", "stereo", "--root", root, "--out", out, "--workers", 2), stderr=subprocess.DEVNULL
    )
    while not any(out.glob(".state/*.h5.json")):
        assert process.poll() is None
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (out / "index.json").exists()

    result = convert("stereo", root, out, workers=2)

    assert result.num_kept >= 1
    assert shards(out) == shards(tmp_path / "calm")
    assert (out / "index.json").read_bytes() == (tmp_path / "calm/index.json").read_bytes()
    assert not list(out.glob("*.partial"))


def test_a_second_conversion_into_the_same_folder_is_refused(root, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="another conversion"):
            convert("stereo", root, out)


@pytest.mark.parametrize("job", [(0, 1), (0, 2)], ids=["alone", "array"])
def test_a_conversion_into_a_folder_that_somebody_else_writes_is_refused(job, root, tmp_path):
    """Each once took the other's unfinished shards for what a dead run had left."""
    out = tmp_path / "out"
    with alone(out, "writing"), pytest.raises(BusyError, match="out: expected a folder that is not in use"):
        convert("stereo", root, out, job=job)
    with engine._locked(out, job), pytest.raises(BusyError, match="got another writing in it"), alone(out, "writing"):
        pass


@pytest.mark.parametrize("job", [(0, 1), (0, 2)], ids=["alone", "array"])
def test_locks_are_such_as_nfs_gives(job, root, tmp_path, monkeypatch, capsys):
    """NFS makes them locks of records, which want the file open for reading to share it, for writing to own it."""
    real = fcntl.flock

    def of_nfs(file, kind):
        wanted = os.O_RDONLY if kind & fcntl.LOCK_SH else os.O_WRONLY
        if fcntl.fcntl(file, fcntl.F_GETFL) & os.O_ACCMODE not in (wanted, os.O_RDWR):
            raise OSError(errno.EBADF, "Bad file descriptor")
        real(file, kind)

    monkeypatch.setattr(fcntl, "flock", of_nfs)
    convert("stereo", root, tmp_path / "out", job=job)
    assert "not locked" not in capsys.readouterr().err


@pytest.mark.parametrize("job", [(0, 1), (0, 2)], ids=["alone", "array"])
def test_a_file_system_that_locks_nothing_is_said_once_and_written_to(job, root, tmp_path, monkeypatch, capsys):
    def without(*_arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", without)
    convert("stereo", root, tmp_path / "out", job=job)

    assert (
        capsys.readouterr().err.count("out: not locked (No locks available): make sure that nobody else uses it") == 1
    )
    assert list((tmp_path / "out").glob("*.h5"))


def _truncate(root):
    path = root / "images/B1Counting/SK_color_5.png"
    path.write_bytes(path.read_bytes()[:900])


def _flip(root):
    path = root / "images/B1Counting/SK_color_5.png"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def _no_labels(root):
    (root / "labels/B1Counting_SK.mat").unlink()


def _wrong_shape(root):
    savemat(root / "labels/B1Counting_SK.mat", {"handPara": np.zeros((21, 3, 2))})


def _no_variable(root):
    savemat(root / "labels/B1Counting_SK.mat", {"hand": np.zeros((3, 21, 2))})


def _nan(root):
    savemat(root / "labels/B1Counting_SK.mat", {"handPara": np.full((3, 21, FRAMES), np.nan)})


def _garbage(root):
    (root / "labels/B1Counting_SK.mat").write_bytes(b"not a mat file" * 20)


FAULTS = {
    "truncated picture": (_truncate, "SK_color_5.png", "cut short"),
    "flipped byte": (_flip, "SK_color_5.png", "checksum fails"),
    "no label file": (_no_labels, "B1Counting_SK.mat", "no such file"),
    "wrong shape": (_wrong_shape, "B1Counting_SK.mat[handPara]", "(21, 3, 2)"),
    "no variable": (_no_variable, "B1Counting_SK.mat", "got hand"),
    "NaN labels": (_nan, "B1Counting_SK.mat[handPara][0]", "got NaN"),
    "garbage": (_garbage, "B1Counting_SK.mat", "MATLAB"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_bad_input_is_told_in_one_line_and_leaves_no_index(fault, root, tmp_path):
    plant, where, got = FAULTS[fault]
    plant(root)
    out = tmp_path / "out"

    with pytest.raises(HanddataError) as caught:
        convert("stereo", root, out)

    line = str(caught.value)
    assert where in line
    assert got in line
    assert "\n" not in line
    assert not (out / "index.json").exists()
    assert not list(out.glob("*.partial"))


def test_the_command_ends_with_one_line_and_exit_code_1(root, tmp_path):
    _truncate(root)
    done = subprocess.run(
        command("convert", "stereo", "--root", root, "--out", tmp_path / "out", "--workers", 2),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.strip().splitlines()[-1].startswith("handdata: ")


@pytest.mark.slow
def test_workers_that_are_ended_by_anothers_fault_leave_nothing_half_written(tmp_path):
    root = write_tree(tmp_path / "stereo", frames=250)
    for i in range(20, 250):  # the fault is met while the other worker is at its own shard
        (root / f"images/B2Random/SK_color_{i}.png").write_bytes(b"")

    with pytest.raises(HanddataError, match=r"SK_color_20\.png"):
        convert("stereo", root, tmp_path / "out", workers=2)

    assert not list((tmp_path / "out").glob("*.partial"))


def test_skip_bad_leaves_out_counts_and_names(root, tmp_path):
    _truncate(root)
    (root / "images/B2Random/SK_color_0.png").write_bytes(b"")

    result = convert("stereo", root, tmp_path / "out", skip_bad=True)

    assert sorted(result.skipped) == ["B1Counting/SK/0005", "B2Random/SK/0000"]
    assert not any("skip-bad" in why for why in result.skipped.values())
    assert result.num_samples == 2 * FRAMES - 2
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert sorted(index["skipped"]) == sorted(result.skipped)
    assert len(open_dataset(tmp_path / "out")) == 2 * FRAMES - 2


def test_a_full_disk_is_told_in_one_line(root, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("cannot mount a small tmpfs here")
    try:
        with pytest.raises(DataError, match=r"room to write the shard, got No space left"):
            convert("stereo", root, disk / "out")
        assert not list((disk / "out").glob("*.h5*"))
        assert not (disk / "out/index.json").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"canvas": 100}, "--canvas"),
        ({"splits": ("test",)}, "--split"),
        ({"options": StereoOptions(sequences=("B9",))}, "--sequences"),
        ({"options": StereoOptions(camera="left")}, "--camera"),
        ({"options": StereoOptions(with_segmentation=True)}, "--with-segmentation"),
        ({"options": StereoOptions(derive_wrist="guess")}, "--derive-wrist"),
    ],
)
def test_a_wrong_option_is_named(changes, where, root, tmp_path):
    with pytest.raises(ConfigError, match=where):
        convert("stereo", root, tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()


def test_all_takes_the_segmentation_of_those_that_have_one(native_tree, tmp_path):
    for name in ("stereo", "rhd"):
        (tmp_path / "data/native").mkdir(parents=True, exist_ok=True)
        (tmp_path / "data/native" / name).symlink_to(native_tree(name))
    asked = ("convert", "all", "--data-root", tmp_path, "--with-segmentation", "--workers", 1)
    done = subprocess.run(command(*asked), capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert open_dataset(tmp_path / "data/shards/rhd").shards.reader(0).mask is not None
    assert open_dataset(tmp_path / "data/shards/stereo").shards.reader(0).mask is None


def test_a_published_split_of_another_dataset_is_a_mistake_of_usage(root, tmp_path):
    asked = ("convert", "stereo", "--root", root, "--out", tmp_path / "out", "--split-scheme", "reference-rotate")
    done = subprocess.run(command(*asked), capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "reference-rotate is for dexter, not stereo" in done.stderr


def test_a_sequence_without_pictures_is_told(tmp_path):
    (tmp_path / "native/female_object/seq01/cam01/01").mkdir(parents=True)
    picture = tmp_path / "native/male_object/seq02/cam01/01/00000000_color.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"")

    with pytest.raises(MissingError, match="native: expected labelled pictures that match the request, got none"):
        make_plan("synthhands", tmp_path / "native", SynthHandsOptions(sequences=("female_object/seq01",)))


def test_missing_input_says_where_to_get_it_and_offers_synth(tmp_path):
    with pytest.raises(MissingError, match=r"github\.com/zhjwustc.*handdata synth stereo"):
        convert("stereo", tmp_path / "nowhere", tmp_path / "out")


def test_files_of_others_in_the_folder_stay(root, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    others = ["precious.h5", "download.partial", "train-00000.h5.partial.txt", "val-1.h5", "test-00000.h5"]
    for name in others:
        (out / name).write_text("precious")
    for limit in (None, 5):
        convert("stereo", root, out, limit=limit)

    assert {(out / name).read_text() for name in others} == {"precious"}
    assert sorted(path.name for path in out.glob("*.h5")) == sorted(
        ["precious.h5", "test-00000.h5", "train-00000.h5", "val-1.h5"]
    )


def test_a_file_of_somebody_elses_under_a_shards_name_is_refused_and_stays(root, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "train-00000.h5").write_text("precious")
    with pytest.raises(
        ConfigError, match=r"train-00000.h5: expected no file, or a shard, got a file of another program"
    ):
        convert("stereo", root, out)

    assert (out / "train-00000.h5").read_text() == "precious"


def test_a_folder_that_was_copied_without_its_hidden_files_converts_again(root, tmp_path):
    convert("stereo", root, tmp_path / "out")
    (tmp_path / "copy").mkdir()
    for path in (tmp_path / "out").glob("*"):
        if path.is_file():
            shutil.copy(path, tmp_path / "copy")
    assert convert("stereo", root, tmp_path / "copy").num_kept == 0

    assert shards(tmp_path / "copy") == shards(tmp_path / "out")
