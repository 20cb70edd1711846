"""Every native tree is a function of what was asked for, whole or resumable, and never mixed with anything else."""

import fcntl
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from handdata.conversion.run import convert
from handdata.converters import CONVERTERS
from handdata.errors import BusyError, ConfigError, HanddataError
from handdata.paths import RENDERED_MARK
from handdata.synth.native import NATIVE_WRITERS, write_native
from handdata.synth.native.tree import FAULTS, WORK, aim, shares
from handdata.synth.place import stand_at

NAMES = sorted(NATIVE_WRITERS)
OURS = ("ganerated", "rhd", "stereo", "synthhands")
ALONE = ("ho3d", "rhd")  # with each fault by itself; with all of them at once every tree is in test_native_faults.py


def contents(root: Path) -> dict[str, str]:
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


# ------------------------------------------------------------------------------------------------ counts


@pytest.mark.parametrize(
    ("total", "weights"), [(0, [1]), (3, [1] * 12), (12, [1] * 12), (1000, [1, 2, 3]), (7, [5, 1])]
)
def test_shares_add_up_and_leave_nobody_out_while_there_is_enough(total, weights):
    counts = shares(total, weights)

    assert sum(counts) == total
    assert sum(count > 0 for count in counts) == min(total, len(weights))


@pytest.mark.parametrize(("total", "expected"), [(60, [10, 20, 30]), (6, [2, 2, 2]), (2, [1, 1, 0])])
def test_shares_follow_the_weights(total, expected):
    assert shares(total, [1, 2, 3]) == pytest.approx(expected, abs=1)


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("name", OURS)
def test_a_tree_holds_as_many_samples_as_were_asked_for(name, frames, tmp_path):
    write_native(name, tmp_path / name, frames, seed=5, small=True)

    assert convert(name, tmp_path / name, tmp_path / "out").num_samples == frames


# ------------------------------------------------------------------------------------------------ the same again


@pytest.mark.parametrize("name", OURS)
def test_a_rendering_that_was_stopped_ends_as_an_undisturbed_one(name, native_tree, tmp_path, monkeypatch):
    from handdata.synth.native import tree
    from tests.conftest import NATIVE_FRAMES

    class StoppedError(Exception):
        pass

    def stop_half_way(tasks, write, *, workers, title):
        render(tasks[: len(tasks) // 2], write, workers=workers, title=title)
        raise StoppedError

    render, root = tree.render_frames, tmp_path / name
    monkeypatch.setattr(tree, "render_frames", stop_half_way)
    with pytest.raises(StoppedError):
        write_native(name, root, NATIVE_FRAMES, seed=0, small=True)
    monkeypatch.setattr(tree, "render_frames", render)
    write_native(name, root, NATIVE_FRAMES, seed=0, small=True)

    assert contents(root) == contents(native_tree(name))


@pytest.mark.parametrize(
    ("name", "content"), [("rhd", b""), pytest.param("interhand", b"\x93NUMPY", marks=pytest.mark.thorough)]
)
def test_a_frame_whose_labels_a_power_cut_damaged_is_rendered_again(name, content, native_tree, tmp_path, monkeypatch):
    from handdata.synth.native import tree
    from tests.conftest import NATIVE_FRAMES

    class StoppedError(Exception):
        pass

    def stop(*_, **__):
        raise StoppedError

    root = tmp_path / name
    monkeypatch.setattr(tree.shutil, "rmtree", stop)  # before the files of work go
    with pytest.raises(StoppedError):
        write_native(name, root, NATIVE_FRAMES, seed=0, small=True)
    monkeypatch.undo()
    first = sorted((root / WORK).rglob("*.npy"))[0]
    first.write_bytes(content)
    write_native(name, root, NATIVE_FRAMES, seed=0, small=True)

    assert contents(root) == contents(native_tree(name))


def test_working_files_that_a_failing_disk_did_not_let_go_of_go_the_next_time(native_copy):
    root = native_copy("rhd")
    before = contents(root)
    (root / WORK / "evaluation").mkdir(parents=True)
    (root / WORK / "evaluation/000000.npy").write_bytes(b"1")
    mark = json.loads((root / RENDERED_MARK).read_text())

    assert write_native("rhd", root, mark["frames"], seed=mark["seed"], small=True) == mark["frames"]
    assert contents(root) == before


def test_the_tree_does_not_depend_on_the_number_of_workers(native_tree, tmp_path):
    from tests.conftest import NATIVE_FRAMES

    write_native("synthhands", tmp_path / "two", NATIVE_FRAMES, seed=0, small=True, workers=2)

    assert contents(tmp_path / "two") == contents(native_tree("synthhands"))


def test_another_seed_or_style_is_another_tree(tmp_path):
    for folder, seed, style in (("a", 1, "clean"), ("b", 2, "clean"), ("c", 1, "gritty")):
        write_native("ganerated", tmp_path / folder, 1, seed=seed, style=style, small=True)

    pictures = {(tmp_path / folder / "data/noObject/0001/0001_color_composed.png").read_bytes() for folder in "abc"}
    assert len(pictures) == 3


@pytest.mark.parametrize("name", NAMES)
def test_nothing_half_written_stays(name, native_tree):
    left = [path for path in native_tree(name).rglob("*") if path.name.endswith(".partial") or path.name == WORK]

    assert left == []
    assert (native_tree(name) / RENDERED_MARK).is_file()


# ------------------------------------------------------------------------------------------------ never mixed


def test_a_real_archive_is_never_written_into(tmp_path, native_tree):
    (tmp_path / "labels").mkdir()

    with pytest.raises(ConfigError, match="files not rendered by handdata"):
        write_native("stereo", tmp_path, 2, seed=0, small=True)
    assert [path.name for path in tmp_path.iterdir()] == ["labels"]


@pytest.mark.parametrize("change", [{"seed": 1}, {"style": "gritty"}, {"small": False}, {"faults": ("missing-file",)}])
def test_another_rendering_is_not_continued(change, native_tree):
    from tests.conftest import NATIVE_FRAMES

    options = {"seed": 0, "small": True, **change}
    with pytest.raises(ConfigError, match=next(iter(change))):
        write_native("rhd", native_tree("rhd"), NATIVE_FRAMES, **options)


def test_two_renderings_into_one_folder_are_refused(tmp_path):
    (tmp_path / "rhd").mkdir()
    other = os.open(tmp_path / "rhd", os.O_RDONLY)
    try:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BusyError, match="expected a folder that is not in use, got another rendering in it"):
            write_native("rhd", tmp_path / "rhd", 1, seed=0, small=True)
    finally:
        os.close(other)
    assert list((tmp_path / "rhd").iterdir()) == []


@pytest.mark.parametrize(("frames", "faults"), [(0, ()), (2, ("gremlins",))])
def test_what_cannot_be_rendered_leaves_nothing(frames, faults, tmp_path):
    with pytest.raises(ConfigError):
        write_native("rhd", tmp_path / "rhd", frames, seed=0, small=True, faults=faults)
    assert not (tmp_path / "rhd").exists()


# ------------------------------------------------------------------------------------------------ faults


@pytest.fixture(scope="module")
def with_fault(tmp_path_factory):
    made: dict[tuple[str, str], Path] = {}

    def render(name: str, fault: str) -> Path:
        if (name, fault) not in made:
            made[name, fault] = tmp_path_factory.mktemp("faults") / name
            write_native(name, made[name, fault], 4, seed=0, small=True, faults=(fault,))
        return made[name, fault]

    return render


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")

    def render(name: str) -> dict[str, str]:
        write_native(name, folder / name, 4, seed=0, small=True)
        return {path: digest for path, digest in contents(folder / name).items() if path != RENDERED_MARK}

    return render


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", ALONE)
def test_a_fault_changes_one_thing(name, fault, with_fault, sound):
    before = sound(name)
    after = {path: digest for path, digest in contents(with_fault(name, fault)).items() if path != RENDERED_MARK}

    changed = {path for path in before.keys() & after.keys() if before[path] != after[path]}
    if fault == "one-level-deeper":
        assert changed == set()
        assert sorted(after.values()) == sorted(before.values())
        assert after.keys() != before.keys()
    elif fault == "missing-file":
        assert changed == set()
        assert len(before.keys() - after.keys()) == 1
    else:
        assert (len(changed), after.keys()) == (1, before.keys())
        assert all(path.endswith((".png", ".jpg")) for path in changed) == (fault == "truncated-picture")


@pytest.mark.parametrize("name", ALONE)
def test_a_truncated_picture_is_found(name, with_fault, tmp_path):
    with pytest.raises(HanddataError, match="cut short"):
        convert(name, with_fault(name, "truncated-picture"), tmp_path / "out")


@pytest.mark.parametrize("name", ALONE)
def test_an_archive_unpacked_one_level_deeper_converts_all_the_same(name, with_fault, tmp_path):
    assert convert(name, with_fault(name, "one-level-deeper"), tmp_path / "out").num_samples == 4


# ------------------------------------------------------------------------------------------------ aim


def test_what_the_aim_camera_sees_is_what_the_view_sees():
    K = np.array([[600.0, 0, 300.0], [0, 600.0, 250.0], [0, 0, 1]])
    camera = aim(K, 640, 480)
    edges = np.array([[-0.5, -0.5], [639.5, 479.5]])

    rays = (edges - K[:2, 2]) / [K[0, 0], K[1, 1]]
    seen = rays * [camera.K[0, 0], camera.K[1, 1]] + camera.K[:2, 2]
    assert seen == pytest.approx(np.array([[-0.5, -0.5], [camera.width - 0.5, camera.height - 0.5]]))
    wrist = stand_at(camera, np.array([0.5, 0.5]), 500.0, np.zeros(3), 90.0)
    assert (K @ wrist)[:2] / wrist[2] == pytest.approx([319.5, 239.5])  # the middle of the picture


def test_every_dataset_with_a_converter_can_be_rendered():
    assert set(NATIVE_WRITERS) == set(CONVERTERS) - {"backgrounds", "custom"}
