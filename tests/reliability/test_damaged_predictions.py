"""A predictions file that lost a sector, or whose HDF5 says nonsense under a fitting hash, is one line."""

import hashlib
import io

import h5py
import numpy as np
import pytest

from handdata.errors import DataError
from handdata.evaluation.predictions import BLOCK_BYTES, VERSION, Predictions, read_predictions, write_predictions
from tests.reliability.refusals import refused, refused_by

SECTOR = 512
COUNT = 5


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    predictions = Predictions(
        dataset=np.array(["rhd"] * COUNT),
        sample_id=np.array([f"training/{i:05d}/left" for i in range(COUNT)]),
        keypoints_2d={"expectation": rng.normal(80, 9, (COUNT, 21, 2)).astype(np.float32)},
        crop_xyxy=np.tile(np.array([10, 10, 150, 150], np.float32), (COUNT, 1)),
        keypoints_3d_normalized=rng.normal(0, 1, (COUNT, 21, 3)).astype(np.float32),
        options={"run": "r"},
    )
    write_predictions(tmp_path / "p.h5", predictions)
    return tmp_path / "p.h5"


def test_every_lost_sector_is_named(path):
    whole = path.read_bytes()
    tried = 0
    for start in range(0, len(whole), SECTOR):
        end = min(start + SECTOR, len(whole))
        if any(whole[start:end]):
            path.write_bytes(whole[:start] + bytes(end - start) + whole[end:])
            with pytest.raises(DataError, match=r"p\.h5: expected a file of \S+, got a damaged file"):
                read_predictions(path)
            tried += 1
    assert tried > 10


def test_the_commands_that_read_it_name_it(path, trained):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)

    assert "p.h5: expected a file" in refused("evaluate", "--predictions", path, "--shards", trained.shards)


@pytest.mark.parametrize("end", [0, 100, 512, 513, 5000])
def test_a_file_that_ends_too_early_is_named(path, end):
    path.write_bytes(path.read_bytes()[:end])

    assert "p.h5: expected " in refused_by(read_predictions, path)


def schema_of_numbers(file):
    file.attrs["schema"] = [1, 2]


def words_for_a_size(file):
    file.attrs["input_size"] = "x"


def no_size(file):
    file.attrs["input_size"] = 0


def id_of_another_encoding(file):
    file["sample_id"][0] = b"\xff"


def truth_that_is_an_array(file):
    file["truth"] = np.zeros(3)


def more_rows_than_memory(file):
    del file["crop_xyxy"]
    file.create_dataset("crop_xyxy", (2**36, 4), "f4", chunks=(1024, 4))


def a_dataset_that_is_none(file):
    file["dataset"][0] = 200


@pytest.mark.parametrize(
    "change",
    [schema_of_numbers, words_for_a_size, no_size, id_of_another_encoding, truth_that_is_an_array,
     more_rows_than_memory, a_dataset_that_is_none],
)  # fmt: skip
def test_nonsense_under_a_fitting_hash_is_one_line(path, change):
    content = io.BytesIO(path.read_bytes()[BLOCK_BYTES:])
    with h5py.File(content, "r+") as file:
        change(file)
    data = content.getvalue()
    block = f"{VERSION} sha256 {hashlib.sha256(data).hexdigest()}\n".encode()
    path.write_bytes(block.ljust(BLOCK_BYTES, b"\0") + data)

    assert "p.h5" in refused_by(read_predictions, path)
