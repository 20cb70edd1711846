"""Commands that train and apply nothing import no PyTorch: they begin seconds earlier, and run where it is broken."""

import subprocess
import sys

import pytest

from handdata.shards.dataset import open_dataset
from tests.made_runs import made_run, made_shards

COMMANDS = (
    "datasets",
    "doctor",
    "convert stereo --limit 4 --workers 1 --out {root}/new",
    "browse stereo --out {root}/sheet.png",
    "stats stereo",
    "verify stereo",
    "diff stereo stereo",
    "export stereo --format coco --out {root}/coco",
    "runs",
    "report --out {root}/report",
)
SCRIPT = """
import sys
from handdata.cli import main
try:
    main()
finally:
    print("torch imported:", "torch" in sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory, converted, native_tree):
    root = tmp_path_factory.mktemp("root")
    shards, native = root / "data" / "shards", root / "data" / "native"
    native.mkdir(parents=True)
    (native / "stereo").symlink_to(native_tree("stereo"))
    shards.mkdir()
    (shards / "stereo").symlink_to(converted("stereo"))
    made_run(root, "made", [open_dataset(made_shards(shards / "synthhands", "synthhands"))])
    return root


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[0])
def test_command_imports_no_torch(root, command):
    words = command.format(root=root).split()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, "--data-root", str(root), *words], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr.endswith("torch imported: False\n")
