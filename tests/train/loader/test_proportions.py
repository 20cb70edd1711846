"""Mixtures: shares, whole passes, the published mixes, and what the user may get wrong."""

import numpy as np
import pytest

from handdata.converters import DATASETS
from handdata.errors import ConfigError
from handdata.train.loader.proportions import absent_members, mix_weights, published_mixes, slot_map


def test_mix_a_draws_every_picture_once_in_a_pass():
    slots = slot_map([176, 321])
    dataset, row = slots.draw(0, 0, np.arange(slots.total))

    assert slots.total == 497
    assert sorted(zip(dataset.tolist(), row.tolist(), strict=True)) == [
        (d, r) for d, n in enumerate((176, 321)) for r in range(n)
    ]


def test_mix_b_is_two_thirds_to_one_third_over_three_times_the_second_set():
    slots = slot_map([176, 321], mix_weights("B", ["synthhands", "ganerated"]))
    dataset, row = slots.draw(0, 0, np.arange(slots.total))

    assert slots.total == 3 * 321  # docs/method.md 9.1: index space of 3 N_gan
    assert (dataset == 0).sum() == 2 * 321
    assert sorted(row[dataset == 1]) == list(range(321))
    assert set(np.bincount(row[dataset == 0], minlength=176)) <= {3, 4}  # 642 draws of 176 rows


def test_realised_share_is_within_one_percent_of_the_wish():
    slots = slot_map([5000, 40_000, 700], [2, 1, 1])
    dataset, _ = slots.draw(3, 1, np.arange(16_000))  # one published epoch

    assert np.allclose(np.bincount(dataset) / 16_000, [0.5, 0.25, 0.25], atol=0.01)
    assert np.allclose(slots.shares, [0.5, 0.25, 0.25], atol=1e-4)


def test_a_wrapped_set_repeats_other_rows_in_other_epochs():
    slots = slot_map([100, 150], [1, 1])  # the first has 150 slots for 100 rows: 50 come twice
    twice = []
    for epoch in range(4):
        dataset, row = slots.draw(0, epoch, np.arange(slots.total))
        twice.append(frozenset(np.flatnonzero(np.bincount(row[dataset == 0], minlength=100) == 2).tolist()))

    assert {len(rows) for rows in twice} == {50}
    assert len(set(twice)) > 1


def test_positions_beyond_a_pass_begin_another_in_another_order_l14():
    slots = slot_map([50])
    _, row = slots.draw(0, 0, np.arange(100))

    assert sorted(row[:50]) == sorted(row[50:]) == list(range(50))
    assert row[:50].tolist() != row[50:].tolist()


def test_epochs_and_seeds_differ_and_a_draw_does_not_depend_on_its_neighbours():
    slots = slot_map([1000, 300], [1, 2])
    whole = np.stack(slots.draw(5, 2, np.arange(512)))

    assert np.array_equal(np.stack(slots.draw(5, 2, np.arange(100, 110))), whole[:, 100:110])
    assert not np.array_equal(np.stack(slots.draw(5, 3, np.arange(512))), whole)
    assert not np.array_equal(np.stack(slots.draw(6, 2, np.arange(512))), whole)


def test_a_set_of_weight_zero_is_never_drawn():
    dataset, _ = slot_map([10, 10], [0, 1]).draw(0, 0, np.arange(10))

    assert set(dataset) == {1}


def test_weights_by_name_follow_the_order_of_the_folders():
    assert mix_weights({"rhd": 3.0, "synthhands": 1.0}, ["synthhands", "rhd"]) == [1.0, 3.0]
    assert mix_weights("B", ["ganerated", "synthhands"]) == [1.0, 2.0]
    assert mix_weights("A", ["synthhands", "ganerated"]) is None
    assert mix_weights(None, ["anything"]) is None


def test_a_published_mix_takes_the_sets_that_are_there_with_its_weights():
    assert mix_weights("hamer", ["rhd", "freihand"]) == [0.05, 0.25]
    assert absent_members("hamer", ["rhd", "freihand"]) == ["interhand", "wholebody", "ho3d", "dexycb"]
    assert absent_members("B", ["rhd"]) == absent_members(None, []) == absent_members({"a": 1.0}, []) == []


def test_published_mixes_are_of_sets_that_can_be_converted():
    for weights in published_mixes().values():
        assert set(weights) <= set(DATASETS)


@pytest.mark.parametrize(
    ("mix", "datasets", "message"),
    [
        ("D", ["rhd"], "mix: expected A, B, C or hamer, got 'D'."),
        (
            "hamer",
            ["rhd", "stereo"],
            "mix hamer: expected some of freihand, interhand, wholebody, rhd, ho3d, dexycb, got",
        ),
        ("B", ["rhd"], "mix B: expected shards of ganerated, synthhands, got rhd."),
        ({"rhd": 1.0}, ["rhd", "stereo"], "mix: expected shards of rhd, got rhd, stereo."),
        ({"rhd": 0.0}, ["rhd"], "mix: expected weights above zero, got {'rhd': 0.0}."),
        ({"a": 1.0, "b": -1.0}, ["a", "b"], "mix: expected weights above zero, got {'a': 1.0, 'b': -1.0}."),
        ({"a": 1.0, "b": np.nan}, ["a", "b"], "mix: expected weights above zero, got {'a': 1.0, 'b': nan}."),
        ({"a": 1.0, "b": np.inf}, ["a", "b"], "mix: expected weights above zero, got {'a': 1.0, 'b': inf}."),
    ],
)
def test_a_wrong_mix_is_told_in_one_line(mix, datasets, message):
    with pytest.raises(ConfigError) as error:
        mix_weights(mix, datasets)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize(("sizes", "weights"), [([], None), ([0], None), ([1, 2], [1]), ([1], [-1]), ([1], [0])])
def test_callers_faults_are_value_errors(sizes, weights):
    with pytest.raises(ValueError, match=r"expected|needs"):
        slot_map(sizes, weights)


@pytest.mark.parametrize("weights", [[1e30, 1], [1, 1e-300], [1e308, 1e-308], [1e13, 1]])
def test_weights_too_far_apart_are_told_in_one_line(weights):
    with pytest.raises(ConfigError, match=r"mix: expected weights for epochs of up to \d+ samples, got \["):
        slot_map([50, 70], weights)


@pytest.mark.parametrize("weights", [[1e308, 1e308], [1e-300, 1e-300], [1e11, 1e11]])
def test_weights_count_by_their_ratio_alone(weights):
    assert slot_map([50, 70], weights).slots.tolist() == slot_map([50, 70], [1, 1]).slots.tolist()
