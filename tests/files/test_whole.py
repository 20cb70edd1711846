"""A file appears under its name whole or not at all, whatever happens meanwhile."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from handdata.errors import BusyError, HanddataError, WriteError
from handdata.files.whole import ENDING, whole, write_bytes, write_text

ROOT = Path(__file__).resolve().parents[2]
WRITE_AND_STOP = """
import sys, time
from pathlib import Path
from handdata.files.whole import whole
with whole(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("begun", flush=True)
    time.sleep(60)
"""


def begun(path: Path) -> subprocess.Popen:
    """Start a process that has written half of a file and waits."""
    other = subprocess.Popen([sys.executable, "-c", WRITE_AND_STOP, path], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "begun\n"
    return other


def end(other: subprocess.Popen) -> None:
    other.send_signal(signal.SIGKILL)
    other.communicate()


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_file_appears_at_the_end_and_replaces_what_was_there(tmp_path):
    target = tmp_path / "a/b/report.txt"
    write_text(target, "old\r\nß")
    with whole(target) as file:
        file.write(b"new")
        assert target.read_bytes() == "old\r\nß".encode()

    assert content(target.parent) == {"report.txt": b"new"}


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    write_bytes(tmp_path / "kept", b"old")
    with pytest.raises(error), whole(tmp_path / "kept"):
        raise error

    assert content(tmp_path) == {"kept": b"old"}


@pytest.mark.parametrize("size", [10_001, 3_000_000])
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path, file_limit, size):
    write_bytes(tmp_path / "kept", b"old")
    file_limit(10_000)
    with pytest.raises(WriteError) as caught:
        write_bytes(tmp_path / "kept", bytes(size))

    line = (
        f"{tmp_path}/kept: expected a file that can be written, got File too large. Make room, or choose another place."
    )
    assert str(caught.value) == line
    assert content(tmp_path) == {"kept": b"old"}


def test_an_error_in_reading_what_is_written_stays_that_of_what_was_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"), whole(tmp_path / "copy") as file:
        file.write((tmp_path / "absent").read_bytes())


def test_a_device_is_not_replaced_by_a_file():
    with pytest.raises(WriteError, match="/dev/null: expected a plain file to write, got a device or pipe"):
        write_bytes(Path("/dev/null"), b"x")


def test_every_name_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for path in (tmp_path / "folder", tmp_path / "file/below", Path("/proc/none/x"), tmp_path / ("n" * 300)):
        with pytest.raises(WriteError, match=re.escape(f"{path}: expected ")) as caught:
            write_bytes(path, b"x")
        assert "\n" not in str(caught.value)


def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path):
    write_bytes(tmp_path / ("n" * 255), b"x")

    assert content(tmp_path) == {"n" * 255: b"x"}


def test_a_second_writer_of_one_file_is_refused_and_the_first_goes_on(tmp_path):
    other = begun(tmp_path / "page.html")
    with pytest.raises(BusyError, match=r"page.html: expected a file that is not being written, got another writer"):
        write_bytes(tmp_path / "page.html", b"mine")
    write_bytes(tmp_path / "other.html", b"another file")

    assert content(tmp_path) == {f"page.html{ENDING}": b"half", "other.html": b"another file"}
    end(other)


def test_what_a_killed_process_left_goes_with_the_next_file_of_that_folder(tmp_path):
    end(begun(tmp_path / "page.html"))
    assert content(tmp_path) == {f"page.html{ENDING}": b"half"}
    (tmp_path / "download.partial").write_bytes(b"somebody's")
    write_bytes(tmp_path / "other.html", b"x")

    assert content(tmp_path) == {"other.html": b"x", "download.partial": b"somebody's"}


def test_the_next_writer_of_that_file_takes_over_what_a_killed_one_left(tmp_path):
    write_bytes(tmp_path / "other", b"")  # the folder has been looked at
    end(begun(tmp_path / "page.html"))
    write_bytes(tmp_path / "page.html", b"x")

    assert content(tmp_path) == {"other": b"", "page.html": b"x"}


def test_where_nothing_can_be_locked_writers_have_names_of_their_own(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with whole(tmp_path / "page") as one, whole(tmp_path / "page") as two:
        one.write(b"1")
        two.write(b"2")

    assert content(tmp_path) == {"page": b"1"}


def test_a_link_planted_in_the_place_of_the_partial_file_is_not_followed(tmp_path):
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / f"page{ENDING}").symlink_to(tmp_path / "precious")
    with pytest.raises(HanddataError):
        write_bytes(tmp_path / "page", b"x")

    assert (tmp_path / "precious").read_bytes() == b"precious"
