"""Nothing is waited for, and what may not be read is not taken for absent."""

import os
import socket

import pytest

from handdata.errors import DataError
from handdata.files.opening import is_file, matching, open_plain, require_readable

PATTERNS = ["*", "*.txt", "a/*", "*/x.txt", "a/x.txt", "**/*", "**/*.txt", "none/*", "a/x.txt/*", "*/*/*", "b*"]


@pytest.fixture
def tree(tmp_path):
    for name in ("x.txt", "a/x.txt", "a/y.png", "a/deep/x.txt", "b/.hidden.txt", "b/x.txt/inside"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to("a")
    (tmp_path / "dangling.txt").symlink_to("nowhere")
    return tmp_path


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_is_found_as_by_pathlib(tree, pattern):
    assert sorted(matching(tree, pattern)) == sorted(tree.glob(pattern))
    assert not list(matching(tree / "none", pattern))
    assert not list(matching(tree / "x.txt", pattern))


@pytest.mark.usefixtures("not_as_root")
@pytest.mark.parametrize(("mode", "pattern"), [(0, "a/*"), (0, "*/x.txt"), (0, "**/*.txt"), (0o444, "a/x.txt")])
def test_a_folder_that_may_not_be_read_is_no_empty_one(tree, mode, pattern):
    (tree / "link").unlink()
    (tree / "a").chmod(mode)

    with pytest.raises(PermissionError, match=f"{tree}/a"):
        list(matching(tree, pattern))
    (tree / "a").chmod(0o755)


@pytest.mark.usefixtures("not_as_root")
def test_what_a_file_system_puts_into_every_disk_is_nobodys_data(tree):
    (tree / "lost+found").mkdir(mode=0)

    assert list(matching(tree, "*/x.txt"))
    (tree / "lost+found").chmod(0o755)


def test_pipes_sockets_and_devices_are_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
    (tmp_path / "endless").symlink_to("/dev/zero")

    for name in ("pipe", "socket", "endless"):
        with pytest.raises(OSError, match="no plain file"):
            open_plain(tmp_path / name)


@pytest.mark.usefixtures("not_as_root")
def test_what_may_not_be_read_is_mended_by_the_right_to_it(tmp_path):
    (tmp_path / "weights").touch(mode=0)

    with pytest.raises(
        DataError, match=r"got Permission denied\. Allow reading it \(chmod u\+rX\), or ask its owner\.$"
    ):
        require_readable(tmp_path / "weights", "weights")
    assert "again" not in str(DataError("w", expected="x", got="Permission denied", fix="Train it again."))


def test_a_folder_and_a_pipe_are_no_absent_files(tree):
    os.mkfifo(tree / "pipe")

    assert is_file(tree / "x.txt", "text")
    assert not any(is_file(tree / name, "text") for name in ("none", "none/x", "x.txt/x", "dangling.txt", "\0"))
    for name, got in (("a", "a folder"), ("pipe", "no plain file")):
        with pytest.raises(DataError, match=f"{name}: expected text, got {got}"):
            is_file(tree / name, "text")


@pytest.mark.usefixtures("not_as_root")
def test_a_file_that_nobody_may_look_for_is_not_absent(tree):
    (tree / "a").chmod(0)

    with pytest.raises(DataError, match=r"a/x\.txt: expected text, got Permission denied\. Allow reading it"):
        is_file(tree / "a/x.txt", "text")
    (tree / "a").chmod(0o755)
