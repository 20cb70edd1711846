"""A folder or a file is one writer's as long as that lives."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from handdata.errors import BusyError, WriteError
from handdata.files.locks import alone, signed

HOLD = """
import sys, time
from pathlib import Path
from handdata.files.locks import alone
with alone(Path(sys.argv[1]), "rendering"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_folder_held_by_another_process_is_refused_until_it_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "a"], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="got another training in it"), alone(tmp_path / "a", "training"):
            pass
        other.kill()
    with alone(tmp_path / "a", "training"):
        pass


def test_a_folder_without_a_file_goes_again_one_with_files_stays(tmp_path):
    with pytest.raises(ZeroDivisionError), alone(tmp_path / "deep/empty", "rendering"):
        raise ZeroDivisionError
    with alone(tmp_path / "full", "rendering"):
        (tmp_path / "full/file").touch()

    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "file", "full"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="takes a place where nobody can make a folder")
def test_a_place_where_no_folder_can_be_made_is_told():
    nowhere = Path("/proc/handdata/a")
    with pytest.raises(WriteError, match="expected a folder that can be written"), alone(nowhere, "rendering"):
        pass


@pytest.mark.parametrize("lock", [lambda path: alone(path, "training"), signed], ids=["alone", "signed"])
def test_where_nothing_can_be_locked_a_line_says_so_and_the_work_goes_on(lock, tmp_path, monkeypatch, capsys):
    def without(*_arguments):
        raise OSError(errno.ENOTSUP, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", without)
    with lock(tmp_path / "run"):
        pass

    said = f"{tmp_path / 'run'}: not locked (Operation not supported): make sure that nobody else uses it meanwhile\n"
    assert capsys.readouterr().err == said
