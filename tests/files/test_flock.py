"""Locks are asked for when something is locked, not when handdata is imported."""

import subprocess
import sys

import pytest

from handdata.files.flock import take

# what Windows has not is not to be found
WITHOUT = """
import importlib, pkgutil, sys
import torch, h5py, cv2, matplotlib.pyplot, scipy.io, PIL.Image, rich.progress, click, pandas  # they may need them
for name in ("fcntl", "resource"):
    sys.modules[name] = None
import handdata
for module in pkgutil.walk_packages(handdata.__path__, "handdata."):
    if "__main__" not in module.name:
        importlib.import_module(module.name)
from handdata.files.whole import write_text
from pathlib import Path
write_text(Path(sys.argv[1]), "whole")
"""


def test_every_module_is_imported_and_files_are_written_without_fcntl(tmp_path):
    subprocess.run([sys.executable, "-W", "ignore", "-c", WITHOUT, tmp_path / "a"], check=True)

    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_a_lock_is_its_holder_s(tmp_path):
    (tmp_path / "a").touch()
    with (tmp_path / "a").open("a+") as one, (tmp_path / "a").open("a+") as two:
        take(one, shared=True)
        take(two, shared=True)
        with pytest.raises(BlockingIOError):
            take(two)
    with (tmp_path / "a").open("a+") as one:
        take(one, wait=True)
