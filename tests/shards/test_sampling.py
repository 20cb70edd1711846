"""The counter-based generator against Random123's vectors, and the permutation by its properties."""

import numpy as np
import pytest

from handdata.shards.sampling import permute, philox, uniforms

# Random123 1.14, tests/kat_vectors, philox4x32 10: counter, key, output
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_gives_the_published_vectors(counter, key, expected):
    assert tuple(philox(np.array(counter, np.uint64), key).tolist()) == expected


def test_numbers_are_uniform_and_independent_of_the_batch():
    numbers = uniforms(7, 3, np.arange(20_000), 6, stream=16)

    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert np.allclose(numbers.mean(0), 0.5, atol=0.01)
    assert np.allclose(numbers.std(0), 12**-0.5, atol=0.01)
    assert np.abs(np.corrcoef(numbers.T) - np.eye(6)).max() < 0.03
    assert np.array_equal(uniforms(7, 3, np.array([77, 3, 19_999]), 6, stream=16), numbers[[77, 3, 19_999]])


@pytest.mark.parametrize("change", [{"seed": 8}, {"epoch": 4}, {"stream": 20}, {"seed": 7 + 2**32}])
def test_another_seed_epoch_or_stream_gives_other_numbers(change):
    base = {"seed": 7, "epoch": 3, "stream": 16}
    first = uniforms(indices=np.arange(64), count=4, **base)
    second = uniforms(indices=np.arange(64), count=4, **{**base, **change})

    assert not (first == second).any()


def test_numbers_beyond_32_bits_of_index_differ():
    low, high = (uniforms(0, 0, np.array([i]), 4, stream=16) for i in (5, 5 + 2**32))

    assert not (low == high).any()


@pytest.mark.parametrize("size", [1, 2, 3, 10, 64, 1000, 4097])
def test_permutation_visits_every_place_once(size):
    assert sorted(permute(1, 2, 0, np.arange(size), size).tolist()) == list(range(size))


def test_permutation_is_a_function_of_its_arguments_only():
    size = 10**7
    some = np.array([0, 9_999_999, 4321])
    batch = permute(1, 2, 0, np.arange(5000), size)

    assert permute(1, 2, 0, some[2:], size)[0] == batch[4321]
    assert len(np.unique(batch)) == 5000
    for other in (permute(2, 2, 0, some, size), permute(1, 3, 0, some, size), permute(1, 2, 1, some, size)):
        assert not np.array_equal(other, permute(1, 2, 0, some, size))


def test_permutation_looks_random():
    size = 65_537
    places = permute(0, 0, 0, np.arange(size), size)
    # first-half positions land in the first half half of the time; neighbours do not stay neighbours
    assert (places[: size // 2] < size // 2).mean() == pytest.approx(0.5, abs=0.01)
    assert abs(np.corrcoef(places[:-1], places[1:])[0, 1]) < 0.02
    moves = np.bincount((places - np.arange(size)) % 16, minlength=16) / size
    assert np.allclose(moves, 1 / 16, atol=0.005)
