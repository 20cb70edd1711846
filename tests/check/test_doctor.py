"""The doctor names what is wrong with an unpacked archive, and with the machine."""

import json
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from handdata import manifest
from handdata.check import environment
from handdata.check.doctor import diagnose, preview
from handdata.cli import group
from handdata.cli.options import DATASETS
from handdata.conversion.plan import make_plan
from handdata.conversion.rows import build_row
from handdata.converters import CONVERTERS
from handdata.synth.native import write_native


@pytest.fixture
def stereo(native_copy):
    return native_copy("stereo")


def look(root, dataset="stereo"):
    return diagnose(dataset, root, root.parent / "shards")


def unmarked(root):
    """Make a rendered tree pass for an archive."""
    (root / ".handdata-synth.json").unlink()
    return root


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_rendered_tree_is_well(dataset, native_tree, tmp_path):
    root = native_tree(dataset)

    found = diagnose(dataset, root, tmp_path)

    assert found.findings == []
    assert found.rendered
    assert found.root == str(root)
    assert sum(count for split in found.samples.values() for count in split.values()) > 0
    assert all(line.found > 0 for line in found.tree if not line.optional)
    assert found.sizes["pictures"] > 0
    assert found.minutes > 0


@pytest.mark.parametrize("side", [32, 320])
def test_the_time_is_that_of_the_canvases_too(side, native_tree, tmp_path, monkeypatch):
    """Rows are made at the side that is asked for, so what they take is what the conversion takes."""
    root = native_tree("ganerated")
    options = CONVERTERS["ganerated"].OPTIONS()
    plan = make_plan("ganerated", root, options)
    made: list[tuple[int, ...]] = []

    def watched(*given):
        row = build_row(*given)
        made.append(row["image"].shape)
        return row

    monkeypatch.setattr("handdata.check.doctor.build_row", watched)
    preview("ganerated", plan, options, tmp_path, side)

    assert made
    assert set(made) == {(side, side, 3)}


@pytest.mark.parametrize("dataset", DATASETS)
def test_no_file_counts_for_two_kinds(dataset, native_tree, tmp_path):
    """Or a whole archive has too many: `*_depth.png` is the end of `*_color_on_depth.png` too."""
    found: dict[int, set[int]] = {}
    for line in diagnose(dataset, native_tree(dataset), tmp_path).tree:
        found.setdefault(line.expected, set()).add(line.found)

    assert [numbers for numbers in found.values() if len(numbers) > 1] == []


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_manifest_lists_the_files_of_its_archive(dataset):
    facts = manifest.load(dataset)

    assert len(facts.extra["tree"]) >= 2
    assert next(iter(facts.extra["tree"].values())) <= facts.counts["frames"]


def test_one_level_too_high_is_found_and_said(stereo):
    found = look(stereo.parent)

    assert found.findings == []
    assert found.notes[0] == f"the dataset's own folder is {stereo}, one level below; convert finds it there"


def test_a_fault_one_level_below_is_not_blamed_on_the_level(stereo, tmp_path):
    label = next((stereo / "labels").glob("*_SK.mat"))
    label.unlink()

    (finding,) = diagnose("stereo", stereo.parent, tmp_path / "shards").findings

    assert label.name in finding


def test_two_levels_too_high_names_the_folder(stereo):
    found = look(stereo.parent.parent)

    assert found.findings[0].endswith(f"got the dataset's own folder further down, {stereo}. Use --root {stereo}.")


def test_one_level_too_low_names_the_folder(stereo):
    found = look(stereo / "images")

    (finding,) = found.findings
    assert finding.endswith(f"got a folder inside it: the dataset's own folder is {stereo}. Use --root {stereo}.")


@pytest.mark.parametrize(
    ("dataset", "pictures"), [("dexter", "data/Grasp1/color"), ("synthhands", "female_noobject/seq01/cam*/*")]
)
def test_a_folder_of_pictures_is_known_to_be_too_deep(dataset, pictures, native_tree, tmp_path):
    folder = next(native_tree(dataset).glob(pictures))

    (finding,) = diagnose(dataset, folder, tmp_path).findings
    assert "got a folder inside it: the dataset's own folder is" in finding


def test_nothing_there_says_where_to_get_it(tmp_path):
    (finding,) = look(tmp_path / "nowhere").findings

    assert manifest.load("stereo").homepage in finding
    assert "handdata synth stereo" in finding


def test_an_incomplete_archive_is_counted(stereo):
    found = look(unmarked(stereo))

    assert "labels/*_SK.mat: 12 of 12" not in str(found.findings)
    assert any(finding.startswith("B*/SK_color_*.png: 14 of 18000 files.") for finding in found.findings)


@pytest.mark.parametrize(("most", "is_told"), [({}, True), ({"*/rgb/*.jpg": 14}, False), ({"*/rgb/*.jpg": 13}, True)])
def test_another_edition_may_have_more_pictures(native_copy, monkeypatch, most, is_told):
    root = unmarked(native_copy("freihand"))
    tree = {"*/rgb/*.jpg": 2, "training/mask/*.jpg": 2}
    facts = manifest.load("freihand")
    extra = {**facts.extra, "tree": tree, "tree_most": most, "tree_optional": {}}
    monkeypatch.setattr("handdata.manifest.load", lambda _: replace(facts, extra=extra, counts={"frames": 2}))

    said = "*/rgb/*.jpg: 14 files, the archive has 2. Is another dataset among them?"
    assert (said in look(root, "freihand").findings) == is_told


def test_missing_labels_are_named(stereo):
    sequence = sorted(path.name for path in (stereo / "images").iterdir())[0]
    (stereo / "labels" / f"{sequence}_SK.mat").unlink()

    found = look(stereo)

    assert f"{sequence}_SK.mat: expected the labels of a sequence" in found.findings[0]


def test_a_rendered_tree_that_lost_a_picture_is_told(stereo):
    sorted(stereo.glob("images/*/SK_color_*.png"))[0].unlink()

    (finding,) = look(stereo).findings

    assert "13 of 14 rendered samples" in finding


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ("{", "expected JSON, got an end too early at column 2. Render it again into another folder."),
        ('{"frames": []}', "[frames]: expected a whole number, got []"),
        ('{"frames": 1e300}', "[frames]: expected a whole number, got 1e+300"),
        ('{"frames": 20, "seed": "x"}', "[seed]: expected a whole number, got 'x'"),
    ],
)
def test_a_mark_of_a_rendering_that_is_none_is_told(stereo, mark, told):
    (stereo / ".handdata-synth.json").write_text(mark)

    found = look(stereo)

    assert found.rendered
    assert told in found.findings[0]
    assert len(found.findings) == 1


def test_a_picture_that_cannot_be_read_is_told(stereo):
    for path in stereo.glob("images/*/SK_color_*.png"):
        path.write_bytes(path.read_bytes()[:100])

    assert all("cut short" in finding for finding in look(stereo).findings)


def test_a_picture_without_its_label_is_told(native_copy, tmp_path):
    root = native_copy("synthhands")
    sorted(root.rglob("*_joint_pos.txt"))[0].unlink()

    (finding, *_) = diagnose("synthhands", root, tmp_path).findings

    assert finding.startswith("1 files are missing: cam*/*/*_joint_pos.txt 13, cam*/*/*_color.png 14.")


@pytest.mark.parametrize("fault", ["missing-file", "truncated-picture"])
def test_the_faults_of_real_archives_are_found(tmp_path, fault):
    write_native("stereo", tmp_path / "stereo", 14, seed=0, small=True, faults=[fault])

    assert look(tmp_path / "stereo").findings


def test_an_archive_unpacked_one_level_deeper_is_well(tmp_path):
    write_native("rhd", tmp_path / "rhd", 4, seed=0, small=True, faults=["one-level-deeper"])

    found = look(tmp_path / "rhd", "rhd")

    assert found.findings == []
    assert found.rendered
    assert "one level below" in found.notes[0]


def test_which_reading_it_is_is_said(native_tree, tmp_path):
    found = diagnose("rhd", native_tree("rhd"), tmp_path)

    assert found.readings


def test_a_disk_too_small_is_told(stereo, monkeypatch):
    usage = shutil._ntuple_diskusage(10, 10, 0)
    monkeypatch.setattr("handdata.check.doctor.shutil.disk_usage", lambda _path: usage)

    assert any("0.0 GB free" in finding for finding in look(stereo).findings)


def run(*arguments):
    return CliRunner().invoke(group, [str(argument) for argument in arguments])


def test_the_command_prints_the_tree_and_ends_with_0(stereo):
    result = run("doctor", "stereo", "--root", stereo)

    assert result.exit_code == 0
    assert "B*/SK_color_*.png" in result.stdout
    assert result.stdout.endswith("nothing wrong\n")


def test_the_command_ends_with_1_on_findings(tmp_path):
    result = run("doctor", "stereo", "--data-root", tmp_path)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("FOUND ")


def test_the_command_prints_json(stereo):
    found = json.loads(run("doctor", "stereo", "--root", stereo, "--json").stdout)

    assert found["ok"]
    assert found["tree"][0]["expected"] == 18000


# ------------------------------------------------------------------------------------------------ the machine


def test_a_library_that_loads_tells_its_version():
    assert environment.probe("x", "print('1.2')") == environment.Check("x", "ok", "1.2")


@pytest.mark.parametrize(
    ("script", "fix"),
    [
        ("raise ImportError('libGL.so.1: cannot open shared object file: No such file or directory')", "libgl1"),
        ("import cv2_that_is_not_there", "pip install ."),
        ("raise AttributeError(\"module 'cv2' has no attribute 'TrackerKCF'\")", "opencv-contrib-python"),
        ("raise RuntimeError('operator torchvision::nms does not exist')", "of the same release"),
    ],
    ids=["libGL", "absent", "no contrib", "torchvision"],
)
def test_what_stops_a_library_is_named_with_its_remedy(script, fix):
    check = environment.probe("x", script)

    assert check.state == "found"
    assert fix in check.fix


def test_a_library_that_kills_its_process_is_told():
    check = environment.probe("x", "import os; os.kill(os.getpid(), 11)")

    assert (check.state, check.text) == ("found", "ended with signal 11")


@pytest.mark.parametrize(
    ("installed", "state"),
    [
        ({"opencv-contrib-python"}, "ok"),
        ({"opencv-python", "opencv-contrib-python"}, "found"),
        (set(), "ok"),
    ],
    ids=["one", "two", "none"],
)
def test_two_builds_of_opencv_at_once_are_told(installed, state):
    assert environment.opencv_builds(frozenset(installed)).state == state


def test_every_extra_that_a_user_may_want_is_looked_for():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert {*environment.EXTRAS} == {*project["optional-dependencies"]} - {"dev", "exchange-test"}


def test_a_missing_extra_is_a_note(monkeypatch, tmp_path):
    monkeypatch.setattr("handdata.check.environment._PROBES", {"x": "print(1)"})
    monkeypatch.setattr("handdata.check.environment.util.find_spec", lambda name: None if name == "dask" else True)

    result = run("doctor", "--data-root", tmp_path)

    assert result.exit_code == 0
    line = next(line for line in result.stdout.splitlines() if "extra dask" in line)
    assert line.startswith("note")
    assert "pip install 'handdata[dask]'" in line


def test_the_machine_as_json(monkeypatch, tmp_path):
    monkeypatch.setattr("handdata.check.environment._PROBES", {"x": "raise ImportError('libGL.so.1')"})

    result = run("doctor", "--data-root", tmp_path, "--json")

    assert result.exit_code == 1
    assert {check["name"]: check["state"] for check in json.loads(result.stdout)}["x"] == "found"


@pytest.mark.parametrize(("name", "state"), [("torchvision", "note"), ("torch", "found")])
def test_what_little_needs_is_a_note(monkeypatch, tmp_path, name, state):
    monkeypatch.setattr("handdata.check.environment._PROBES", {name: "raise RuntimeError('torchvision::nms')"})

    checks = environment.examine(environment.DataRoot(tmp_path))

    assert {check.name: check.state for check in checks}[name] == state
