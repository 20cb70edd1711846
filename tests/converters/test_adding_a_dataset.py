"""A dataset is a manifest, a native writer, a converter and a line in two registries; nothing else is edited."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOY = Path(__file__).parent / "toy_dataset"
FRAMES = 6


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package to which the toy dataset is added as CONTRIBUTING.md says."""
    root = tmp_path_factory.mktemp("package")
    for name in ("handdata", "manifests"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TOY / "manifest.toml", root / "manifests/toy.toml")
    shutil.copy(TOY / "converter.py", root / "handdata/converters/toy.py")
    shutil.copy(TOY / "writer.py", root / "handdata/synth/native/toy.py")
    for registry in ("handdata/converters/__init__.py", "handdata/synth/native/__init__.py"):
        register(root / registry, '    "ganerated",\n', '    "ganerated",\n    "toy",\n')
    return root


def register(path: Path, text: str, changed: str) -> None:
    whole = path.read_text()
    assert text in whole
    path.write_text(whole.replace(text, changed, 1))


@pytest.fixture(scope="module")
def handdata(package, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")

    def run(*arguments, code=0):
        command = [sys.executable, "-m", "handdata", *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(package)}
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    run("synth", "toy", "--frames", FRAMES, "--size", "small", "--workers", 1)
    run("convert", "toy", "--workers", 1)
    return run


def test_nothing_else_of_the_package_was_edited(package):
    """What differs from the checkout is two registries and three new files."""
    changed = [
        path.relative_to(package).as_posix()
        for path in sorted(package.rglob("*.*"))
        if path.is_file() and path.suffix != ".pyc"
        if not (ROOT / path.relative_to(package)).is_file()
        or path.read_bytes() != (ROOT / path.relative_to(package)).read_bytes()
    ]

    assert changed == [
        "handdata/converters/__init__.py",
        "handdata/converters/toy.py",
        "handdata/synth/native/__init__.py",
        "handdata/synth/native/toy.py",
        "manifests/toy.toml",
    ]


@pytest.mark.slow
def test_the_commands_know_it(handdata):
    assert "toy" in json.dumps(json.loads(handdata("datasets", "--json")))
    assert json.loads(handdata("doctor", "toy", "--json"))["samples"] == {"test": {"toy": FRAMES}}
    assert json.loads(handdata("verify", "toy", "--json"))["findings"] == []
    assert f"{FRAMES} samples" in handdata("stats", "toy")
    assert json.loads(handdata("convert", "all", "--dry-run", "--json"))[0]["dataset"] == "toy"


@pytest.mark.slow
def test_its_own_option_is_shown_and_read(handdata):
    assert "--every INTEGER RANGE" in handdata("convert", "toy", "--help")
    assert "Options of toy:" in handdata("convert", "--help")
    (record,) = json.loads(handdata("convert", "toy", "--every", 3, "--dry-run", "--json"))
    assert record["splits"] == {"test": 2}
    handdata("convert", "rhd", "--every", 3, code=2)


@pytest.mark.slow
def test_its_faults_are_planted_and_found(handdata, package):
    handdata(
        "synth", "toy", "--frames", FRAMES, "--size", "small", "--faults", "all", "--out", "damaged", "--workers", 1
    )

    found = json.loads(handdata("doctor", "toy", "--root", "damaged/toy", "--json", code=1))

    assert len(found["findings"]) >= 2
    assert found["root"].endswith("toy_v1")
