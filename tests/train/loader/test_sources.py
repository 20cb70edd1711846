"""What is trained on and what is validated on: nothing in both, and what the user may get wrong."""

import pytest

from handdata.errors import ConfigError
from handdata.train.loader.sources import open_sources
from tests.train.made_shards import write_dataset
from tests.train.made_training import tiny


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    return [
        write_dataset(root / "rhd", "rhd", (6,), canvas=32, sequence="one"),
        write_dataset(root / "stereo", "stereo", (4,), canvas=32, sequence="two"),
    ]


def sets(folders, *sequences, **settings):
    given = [f"data.val_sequences={list(sequences)}", *(f"data.{k}={v}" for k, v in settings.items())]
    return open_sources(folders, tiny("best", *given))


def test_a_set_whose_sequences_all_validate_is_not_trained_on(folders):
    train, val = sets(folders, "two")

    assert (train.names, len(train)) == (["rhd"], 6)
    assert (val.names, len(val)) == (["stereo"], 4)


def test_sequences_that_leave_nothing_to_train_on_are_told(folders):
    with pytest.raises(
        ConfigError, match=r"^data\.val_sequences: expected sequences left to train on, got all of them"
    ):
        sets(folders, "one", "two")


def test_an_unknown_sequence_is_told(folders):
    with pytest.raises(ConfigError, match=r"data\.val_sequences: expected some of one, two, got three"):
        sets(folders, "one", "three")


def test_a_weight_of_a_set_that_is_not_trained_on_is_told(folders):
    with pytest.raises(ConfigError, match="mix: expected shards of rhd, stereo, got rhd"):
        sets(folders, "two", weights="{rhd = 2, stereo = 1}")
