"""Mapped files: the bytes of the file, no handle kept, nothing to write to, memory given back."""

import gc
from pathlib import Path

import numpy as np
import pytest

from handdata.shards.mapped import map_file


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "numbers.bin"
    file.write_bytes(np.arange(20_000, dtype="<u4").tobytes())
    return file


def open_files():
    return len(list(Path("/proc/self/fd").iterdir()))


def mappings_of(path):
    return Path("/proc/self/maps").read_text().count(str(path))


def test_a_mapping_is_the_file_and_cannot_be_written(path):
    mapped = map_file(path)

    assert mapped.tobytes() == path.read_bytes()
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1


def test_a_mapping_keeps_no_file_open(path):
    before = open_files()
    mapped = [map_file(path) for _ in range(20)]

    assert open_files() == before
    assert mappings_of(path) == len(mapped)


def test_a_mapping_lives_as_long_as_any_view_of_it(path):
    part = np.ndarray(4, "<u4", buffer=map_file(path).data, offset=4 * 19_996)
    gc.collect()

    assert part.tolist() == [19_996, 19_997, 19_998, 19_999]
    assert mappings_of(path) == 1
    del part
    gc.collect()
    assert mappings_of(path) == 0


def test_what_cannot_be_mapped_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        map_file(tmp_path / "none.bin")
    (tmp_path / "empty.bin").touch()
    with pytest.raises(OSError, match=r"empty\.bin"):
        map_file(tmp_path / "empty.bin")
