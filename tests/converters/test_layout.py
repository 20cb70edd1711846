"""What every archive may look like on disk: what systems and archivers leave in it, one level up, its data alone."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from handdata import manifest
from handdata.check.doctor import diagnose
from handdata.cli import group
from handdata.converters import CONVERTERS, DATASETS
from handdata.converters.options import declared
from handdata.errors import ConfigError, MissingError
from handdata.paths import RENDERED_MARK
from handdata.shards.schema import FIELDS
from tests.converters.conftest import plan_of


def litter(root: Path) -> None:
    """Leave in every folder what macOS and Windows leave there."""
    for folder in [root, *(path for path in sorted(root.rglob("*")) if path.is_dir())]:
        for path in [path for path in folder.iterdir() if path.is_file()]:
            path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
        for name in (".DS_Store", "Thumbs.db", "desktop.ini"):
            (folder / name).write_bytes(b"\0\0\0\1Bud1")


def pack_on_a_mac(root: Path, below: Path) -> Path:
    """Put an archive one level deeper, beside the shadow tree that zips made on a Mac unpack to."""
    for path in sorted(root.rglob("*")):
        shadow = below / "__MACOSX" / path.relative_to(root)
        shadow = shadow if path.is_dir() else shadow.with_name(f"._{path.name}")
        shadow.parent.mkdir(parents=True, exist_ok=True)
        shadow.mkdir(exist_ok=True) if path.is_dir() else shadow.write_bytes(b"\0\5\x16\7")
    return Path(shutil.move(root, below / "archive"))


def test_every_dataset_is_here():
    assert set(DATASETS) == set(CONVERTERS) - {"custom", "backgrounds"}


@pytest.mark.parametrize("dataset", DATASETS)
def test_what_systems_and_archivers_leave_is_passed_over(dataset, native_copy, tmp_path):
    root = native_copy(dataset)
    expected = plan_of(dataset, root)
    litter(root)
    up = tmp_path / "up"
    pack_on_a_mac(root, up)

    plan = plan_of(dataset, up)

    assert plan.root == up / "archive"
    assert plan.items == expected.items
    assert plan.warnings == expected.warnings
    assert plan.readings == expected.readings


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_doctor_counts_no_litter(dataset, native_copy, tmp_path):
    root = native_copy(dataset)
    clean = diagnose(dataset, root, tmp_path / "shards")
    litter(root)
    pack_on_a_mac(root, tmp_path / "up")
    shutil.move(tmp_path / "up/__MACOSX", tmp_path / "up/archive/__MACOSX")

    diagnosis = diagnose(dataset, tmp_path / "up/archive", tmp_path / "shards")

    assert diagnosis.tree == clean.tree
    assert diagnosis.findings == []
    assert json.loads((tmp_path / "up/archive" / RENDERED_MARK).read_text())["whole"]


def test_an_archive_that_was_not_unpacked_is_told(tmp_path, refused):
    archive = tmp_path / "SynthHands.zip"
    archive.write_bytes(b"PK")

    assert "got a file: unpack it" in refused(MissingError, lambda: plan_of("synthhands", archive))


@pytest.mark.parametrize("dataset", ["dexter", "dexter1", "egodexter", "ganerated"])
@pytest.mark.parametrize("named", ["the data folder", "its content alone"])
def test_the_data_folder_will_do(dataset, named, native_copy):
    root = native_copy(dataset)
    has_cameras = any(option.name == "camera" for option in declared(CONVERTERS[dataset].OPTIONS))
    every = {"camera": "all"} if has_cameras else {}
    expected = plan_of(dataset, root, **every)
    if named == "its content alone":
        (root / "data").rename(root.parent / "moved")
        shutil.rmtree(root)
        (root.parent / "moved").rename(root)

    plan = plan_of(dataset, root / "data" if named == "the data folder" else root, **every)

    assert [item.id for item in plan.items] == [item.id for item in expected.items]
    assert plan.readings == expected.readings
    read = CONVERTERS[dataset].reader(plan.root, manifest.load(dataset), CONVERTERS[dataset].OPTIONS(**every))
    assert read(plan.items[0]).id == expected.items[0].id


def test_a_dry_run_says_all_that_a_conversion_says(native_tree, tmp_path):
    asked = ["convert", "dexter1", "--root", str(native_tree("dexter1")), "--out", str(tmp_path / "out"), "--json"]
    asked += ["--camera", "cam0", "--workers", "1"]

    dry, real = (CliRunner().invoke(group, [*asked, *how], catch_exceptions=False) for how in (["--dry-run"], []))

    (planned,), (done,) = json.loads(dry.stdout), json.loads(real.stdout)
    assert planned["readings"] == done["readings"] != {}
    assert planned["warnings"] == done["warnings"]
    said = {line for line in real.stderr.splitlines() if line.startswith("dexter1: ")}
    assert {line for line in dry.stderr.splitlines() if line.startswith("dexter1: ")} >= said


def test_a_dry_run_says_what_doctor_says_of_the_work(native_tree, tmp_path):
    root = native_tree("rhd")
    asked = ["convert", "rhd", "--root", str(root), "--out", str(tmp_path / "out"), "--canvas", "96", "--limit", "3"]

    dry = CliRunner().invoke(group, [*asked, "--dry-run"], catch_exceptions=False)

    assert re.search(r"rhd: pictures \S+ MB, shards 0\.1 MB, \d+ seconds to convert", dry.stderr)
    assert "files of the whole archive: training/color/*.png" in dry.stderr
    assert not (tmp_path / "out").exists()
    (record,) = json.loads(CliRunner().invoke(group, [*asked, "--dry-run", "--json"], catch_exceptions=False).stdout)
    assert record["splits"] == {"train": 3}
    row = sum(int(np.prod(f.shape_at(96))) * np.dtype(f.dtype).itemsize for f in FIELDS if f.name != "mask")
    assert record["sizes"]["shards"] == 3 * row
    assert record["findings"] == []


def test_a_dry_run_refuses_what_a_conversion_refuses(native_tree):
    asked = ["convert", "rhd", "--root", str(native_tree("rhd")), "--dry-run", "--canvas", "100"]

    with pytest.raises(ConfigError, match="--canvas"):
        CliRunner().invoke(group, asked, catch_exceptions=False)
