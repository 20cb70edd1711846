"""How often each dataset is drawn: mixtures by weight or by name, and the position -> (dataset, row) map. Pure NumPy.

An epoch is a space of T slots. Dataset d owns a share of them equal to its weight, and T is the smallest size in which
every dataset fits whole, so the rarest-drawn one is seen once a pass and the others wrap round. That is the published
Mix B (docs/method.md 9.1) for any weights. Positions visit the slots in a random order, without a repeat within a pass.

Mixes that others published lie in train/mixes, a file each: weights of the sets that can be converted here, of which a
training takes those that it is given.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError
from handdata.files.text import Wanted, read_toml
from handdata.shards.sampling import STREAM_SAMPLING, permute, uniforms
from handdata.train.mixes import FOLDER, mix_names

# docs/method.md 9.1. None: every picture equally likely, whatever the dataset.
MIXES: dict[str, dict[str, float] | None] = {
    "A": None,
    "B": {"synthhands": 2.0, "ganerated": 1.0},
    "C": None,
}
MIX_MEMBERS: dict[str, tuple[str, ...]] = {
    "A": ("synthhands", "ganerated"),
    "B": ("synthhands", "ganerated"),
    "C": ("stereo", "dexter"),
}
MAX_SLOTS = 2**48  # sampling.uniforms takes 48 bits of an index


@dataclass(frozen=True, slots=True)
class SlotMap:
    """The slots of an epoch and who owns them.

    Attributes:
        sizes: (D,) samples of each dataset.
        slots: (D,) slots each owns; at least one where its weight is above zero.
    """

    sizes: NDArray[np.int64]
    slots: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Slots of one pass."""
        return int(self.slots.sum())

    @property
    def shares(self) -> NDArray[np.float64]:
        """(D,) the share of the draws that each dataset gets over a whole pass."""
        return np.asarray(self.slots / self.slots.sum(), np.float64)

    def draw(self, seed: int, epoch: int, positions: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return which sample stands at each position of an epoch.

        Args:
            seed: of the run.
            epoch: counted from 0.
            positions: (B,) int, any order; beyond `total` another pass begins, in another order.

        Returns:
            (B,) dataset number and (B,) row in it.
        """
        total = self.total
        turns, offsets = np.divmod(positions, total)
        slots = np.empty(len(positions), np.int64)
        for turn in np.unique(turns):
            here = turns == turn
            slots[here] = permute(seed, epoch, int(turn), offsets[here], total)
        ends = np.cumsum(self.slots)
        dataset = np.searchsorted(ends, slots, side="right")
        within = slots - (ends - self.slots)[dataset]
        # a set that wraps round repeats other rows first in every epoch
        first = uniforms(seed, epoch, np.arange(len(self.sizes)), 1, stream=STREAM_SAMPLING)[:, 0] * self.sizes
        return dataset, (within + first.astype(np.int64)[dataset]) % self.sizes[dataset]


def slot_map(sizes: Sequence[int], weights: Sequence[float] | None = None) -> SlotMap:
    """Lay out the slots of a mixture.

    Args:
        sizes: samples of each dataset, all above zero.
        weights: relative probability of drawing from each; None for every sample equally likely (Mix A).

    Raises:
        ValueError: a size below one, or a weight below zero, or no weight above zero.
        ConfigError: weights so far apart that an epoch would have more slots than can be counted.
    """
    counts = np.asarray(sizes, np.int64)
    if len(counts) == 0 or (counts < 1).any():
        raise ValueError(f"every dataset of a mixture needs a sample, got sizes {list(sizes)}")
    if weights is None:
        return SlotMap(counts, counts.copy())
    shares = np.asarray(weights, np.float64)
    if shares.shape != counts.shape or (shares < 0).any() or not shares.any() or not np.isfinite(shares).all():
        raise ValueError(f"expected {len(counts)} weights of zero or more, got {list(weights)}")
    used = shares > 0
    shares = shares / shares.max()  # first, so that the sum is finite
    shares = shares / shares.sum()
    with np.errstate(over="ignore", divide="ignore"):
        total = np.divide(counts, shares, where=used, out=np.zeros(len(counts))).max()
    if total > MAX_SLOTS / 2:  # rounding up adds less than a slot a dataset
        raise ConfigError(
            "mix", expected=f"weights for epochs of up to {MAX_SLOTS // 2} samples", got=f"{list(weights)}: {total:.2g}"
        )
    return SlotMap(counts, np.where(used, np.maximum(np.rint(shares * total), 1), 0).astype(np.int64))


def mix_weights(mix: str | Mapping[str, float] | None, datasets: Sequence[str]) -> list[float] | None:
    """Return the weight of each dataset of a mixture.

    Args:
        mix: "A", "B" or "C" of docs/method.md 9.1, a file of train/mixes by name, weights by dataset name, or None for
            every sample equally likely.
        datasets: names of the shard folders, in order.

    Returns:
        One weight per dataset, or None when every sample is equally likely.

    Raises:
        ConfigError: an unknown mix, or names that are not the datasets given.
    """
    if mix is None:
        return None
    if isinstance(mix, str):
        if mix in published_mixes():
            return _published_weights(mix, datasets)
        if mix not in MIXES:
            expected, fix = (
                f"{', '.join(MIXES)} or {', '.join(mix_names())}",
                "Or give weights: synthhands=2 rhd=1.",
            )
            raise ConfigError("mix", expected=expected, got=repr(mix), fix=fix)
        _check_members(f"mix {mix}", MIX_MEMBERS[mix], datasets)
        by_name = MIXES[mix]
        return None if by_name is None else [by_name[name] for name in datasets]
    _check_members("mix", tuple(mix), datasets)
    if not any(weight > 0 for weight in mix.values()) or not all(0 <= weight < math.inf for weight in mix.values()):
        raise ConfigError(
            "mix", expected="weights above zero", got=str(dict(mix)), fix="Raise one, or leave the set out."
        )
    return [mix[name] for name in datasets]


@cache
def published_mixes() -> dict[str, dict[str, float]]:
    """Return the mixes of train/mixes: weights by dataset, by the mix' name."""
    wanted = Wanted(what="a mix")
    return {name: dict(read_toml(FOLDER / f"{name}.toml", wanted)["weights"]) for name in mix_names()}


def half_for(target: Sequence[str], shares: Mapping[str, float]) -> dict[str, float]:
    """Return weights that give half of the draws to some datasets and half to the others.

    Args:
        target: names of some.
        shares: weight of every dataset by name; within each half they stay as they are to each other.

    Raises:
        ConfigError: an unknown name, or nothing left for either half.
    """
    unknown = sorted(set(target) - set(shares))
    if unknown:
        raise ConfigError("adapt.target", expected=f"some of {', '.join(shares)}", got=", ".join(unknown))
    own = sum(weight for name, weight in shares.items() if name in target)
    rest = sum(weight for name, weight in shares.items() if name not in target)
    if own <= 0 or rest <= 0:
        raise ConfigError(
            "adapt.target",
            expected="datasets with labels beside the target",
            got=f"{', '.join(target)} of {', '.join(shares)}",
            fix="Leave a dataset to learn from.",
        )
    return {name: weight / (own if name in target else rest) for name, weight in shares.items()}


def absent_members(mix: str | Mapping[str, float] | None, datasets: Sequence[str]) -> list[str]:
    """Return the sets of a published mix that a training is not given; the others keep their weights."""
    members = published_mixes().get(mix, {}) if isinstance(mix, str) else {}
    return [name for name in members if name not in datasets]


def _published_weights(mix: str, datasets: Sequence[str]) -> list[float]:
    members = published_mixes()[mix]
    others = [name for name in datasets if name not in members]
    if others:
        expected, fix = f"some of {', '.join(members)}", "Name the shards: --shards."
        raise ConfigError(f"mix {mix}", expected=expected, got=", ".join(others), fix=fix)
    return [members[name] for name in datasets]


def _check_members(where: str, members: Sequence[str], datasets: Sequence[str]) -> None:
    if sorted(members) != sorted(datasets):
        raise ConfigError(
            where,
            expected=f"shards of {', '.join(sorted(members))}",
            got=", ".join(sorted(datasets)) or "none",
            fix="Give one shard folder for each name, and one weight for each folder.",
        )
