"""The published image-level split of a dataset that has none of its own: sorted paths, shuffled with a fixed seed."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np


def reference_split(names: Sequence[str], facts: Mapping[str, Any], full_count: int) -> tuple[list[str], list[str]]:
    """Give every picture the split it has in the published experiments (docs/method.md 2.1, 2.2).

    The first `facts["val"]` of the shuffled names validate, the next `facts["test"]` test, the rest train. A tree that
    is not whole gets shares in the same proportion, at least one picture each, and a warning: the published split
    cannot be had from it, since the shuffle depends on the number of pictures.

    Args:
        names: relative paths of all pictures, sorted by code point; only their number matters, not what they are.
        facts: `seed`, `val` and `test` of the manifest.
        full_count: pictures in the whole archive.

    Returns:
        The split of each name, and warnings.
    """
    val, test, warnings = facts["val"], facts["test"], []
    if len(names) != full_count:
        val, test = (max(1, round(count * len(names) / full_count)) for count in (val, test))
        warnings.append(
            f"the tree has {len(names)} of {full_count} pictures: the reference split is drawn the published way, "
            f"with {val} val and {test} test in proportion, but is not the published one"
        )
    order = list(range(len(names)))
    np.random.RandomState(facts["seed"]).shuffle(order)  # the legacy generator, as published
    splits = ["train"] * len(names)
    for rank, index in enumerate(order[: val + test]):
        splits[index] = "val" if rank < val else "test"
    return splits, warnings
