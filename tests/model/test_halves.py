"""Files of tensors that notice damage to themselves."""

import json
import random
import shutil

import pytest
import torch
from safetensors.torch import save_file

from handdata.check import environment
from handdata.errors import DataError
from handdata.model.halves import is_sealed, read_halves, shipped_weights, write_halves

FACTS = {"recipe": "compact", "seen": {"samples": 9}}


@pytest.fixture
def made(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "w.safetensors"
    write_halves(path, {"a.weight": torch.randn(4, 3), "a.count": torch.tensor(7)}, FACTS)
    return path


def test_what_was_written_is_read(made):
    facts, tensors = read_halves(made, "weights")

    assert facts == FACTS
    assert {name: (value.dtype, tuple(value.shape)) for name, value in tensors.items()} == {
        "a.weight": (torch.float32, (4, 3)),
        "a.count": (torch.int64, ()),
    }
    assert tensors["a.count"] == 7


def test_the_same_tensors_make_the_same_bytes(made, tmp_path):
    _, tensors = read_halves(made, "weights")
    write_halves(tmp_path / "again.safetensors", tensors, FACTS)

    assert (tmp_path / "again.safetensors").read_bytes() == made.read_bytes()


def test_every_flipped_byte_is_noticed(made):
    whole = made.read_bytes()
    for place in range(len(whole)):
        for bit in (1, 16, 128):
            made.write_bytes(whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :])
            with pytest.raises(DataError):
                read_halves(made, "weights")


def test_a_file_that_is_cut_or_longer_is_noticed(made):
    whole = made.read_bytes()
    for data in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"\0"):
        made.write_bytes(data)
        with pytest.raises(DataError):
            read_halves(made, "weights")


def test_a_file_of_before_there_was_a_hash_is_read(tmp_path):
    path = tmp_path / "old.safetensors"
    save_file({"a": torch.ones(2).half()}, path, {"handdata": json.dumps(FACTS)})

    facts, tensors = read_halves(path, "weights")

    assert facts == FACTS
    assert tensors["a"].tolist() == [1, 1]
    assert not is_sealed(path)


def test_a_file_of_others_is_refused_in_one_line(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(DataError, match="expected weights, got a file that says nothing of itself"):
        read_halves(tmp_path / "x.safetensors", "weights")


def test_the_doctor_reads_the_weights_of_the_package():
    check = environment.probe("weights", environment._PROBES["weights"])

    assert check.state == "ok", check.text
    assert check.text == shipped_weights()
    assert {name.split()[0] for name in check.text.split(", ")} == {"compact", "spotter"}


def test_the_doctor_names_damaged_weights_of_the_package(tmp_path, made, monkeypatch):
    for folder in ("weights", "detector_weights"):
        (tmp_path / folder).mkdir()
    data, bad = made.read_bytes(), tmp_path / "weights/compact.safetensors"
    shutil.copy(made, tmp_path / "detector_weights/spotter.safetensors")
    place = random.Random(0).randrange(len(data) - 40, len(data))
    bad.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
    monkeypatch.setattr("handdata.model.halves.resources.files", lambda _: tmp_path)

    with pytest.raises(DataError, match=r"compact\.safetensors: expected weights .* the file is damaged\. Install"):
        shipped_weights()
