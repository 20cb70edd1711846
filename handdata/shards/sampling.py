"""Which sample comes when: a counter-based generator and a permutation without a table. Pure NumPy.

Every number is a function of (seed, epoch, index, stream) alone, so it is the same for any number of threads,
processes and devices, after a restart, and in any order of asking. Nothing here keeps state.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Philox4x32-10: multipliers, key increments and rounds of Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as
# easy as 1, 2, 3", SC'11, table 2. tests/shards/test_sampling.py checks it against Random123's published vectors.
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)
# A Feistel network of 8 rounds over Philox-keyed 32-bit mixing; the mixer is MurmurHash3's finaliser (A. Appleby).
_FEISTEL_ROUNDS = 8

STREAM_SAMPLING, STREAM_AUGMENT, STREAM_FLIP = 0, 16, 64  # streams 0..15 choose samples, 16 and up look at them


def philox(counter: NDArray[Any], key: tuple[int, int]) -> NDArray[np.uint32]:
    """Encrypt counters with Philox4x32-10.

    Args:
        counter: (..., 4) unsigned, each below 2^32.
        key: two unsigned 32-bit words.

    Returns:
        (..., 4) uint32, uniform bits.
    """
    c0, c1, c2, c3 = (np.asarray(counter[..., i], np.uint64) & _LOW for i in range(4))
    k0, k1 = key
    for _ in range(_ROUNDS):
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (second >> _HALF) ^ c1 ^ np.uint64(k0),
            second & _LOW,
            (first >> _HALF) ^ c3 ^ np.uint64(k1),
            first & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=-1).astype(np.uint32)


def uniforms(seed: int, epoch: int, indices: NDArray[Any], count: int, *, stream: int) -> NDArray[np.float64]:
    """Draw `count` numbers in [0, 1) for every index.

    Args:
        seed: 64 bits of it are used.
        epoch: 32 bits.
        indices: (B,) int, the sample's position in the epoch, below 2^48.
        count: numbers an index.
        stream: what they are for; `count / 4` streams from this one on are used up.

    Returns:
        (B, count) float64, multiples of 2^-32.
    """
    index = np.asarray(indices, np.int64).astype(np.uint64)
    blocks = -(-count // 4)
    counter = np.empty((len(index), blocks, 4), np.uint64)
    counter[..., 0] = (index & _LOW)[:, None]
    # the index's upper bits share a word with the stream: 16 bits each
    counter[..., 1] = ((index >> _HALF) << np.uint64(16))[:, None] | np.arange(stream, stream + blocks, dtype=np.uint64)
    counter[..., 2] = np.uint64(epoch & 0xFFFFFFFF)
    counter[..., 3] = np.uint64(0)
    words = philox(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF))
    return np.asarray(words.reshape(len(index), 4 * blocks)[:, :count] * 2.0**-32, np.float64)


def permute(seed: int, epoch: int, turn: int, indices: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Return where a random permutation of `range(size)` sends each index, without building it.

    A Feistel network over the next even power of two, walked until the result is below `size` (Black & Rogaway,
    "Ciphers with arbitrary finite domains", 2002): memory does not grow with the size, time grows only with the
    number of indices.

    Args:
        seed: of the run.
        epoch: another permutation each.
        turn: which pass over the range within the epoch; another permutation each.
        indices: (B,) int in [0, size).
        size: length of the range, at least 1, at most 2^62.

    Returns:
        (B,) int64 in [0, size), all different for different indices.
    """
    half = max(1, (int(size - 1).bit_length() + 1) // 2)
    words = philox(
        np.array([[turn & 0xFFFFFFFF, r, epoch & 0xFFFFFFFF, 1] for r in range(_FEISTEL_ROUNDS)], np.uint64),
        (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF),
    )
    keys = words[:, 0].astype(np.uint64)
    result = _feistel(np.asarray(indices, np.int64).astype(np.uint64), keys, half)
    outside = np.flatnonzero(result >= np.uint64(size))
    while len(outside):
        result[outside] = _feistel(result[outside], keys, half)
        outside = outside[result[outside] >= np.uint64(size)]
    return result.astype(np.int64)


def _feistel(values: NDArray[np.uint64], keys: NDArray[np.uint64], half: int) -> NDArray[np.uint64]:
    mask, shift = np.uint64((1 << half) - 1), np.uint64(half)
    left, right = values >> shift, values & mask
    for key in keys:
        left, right = right, left ^ (_mix(right ^ key) & mask)
    return (left << shift) | right


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Mix the lower 32 bits well."""
    x = x & _LOW
    x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x85EBCA6B)) & _LOW
    x = ((x ^ (x >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & _LOW
    return x ^ (x >> np.uint64(16))
