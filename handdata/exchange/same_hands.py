"""Whether two datasets of one name hold some of the same hands: two of the user's own are both called custom."""

import hashlib
from pathlib import Path

import numpy as np

from handdata.shards.dataset import Dataset, open_dataset

SHARDS, HANDS = 8, 8  # looked at, and of each of those


def some_pictures(data: Dataset) -> list[str]:
    """Return what stands for some of the pictures in the folders that hands are from, in order; few shards are opened.

    A picture stays the same when labels are mended, points come in another order, or more pictures are converted.

    Args:
        data: hands, of which those folders may hold more: another split, or others than were chosen.
    """
    found: set[str] = set()
    for folder in data.shards.folders:
        whole = open_dataset(folder)
        counts, names = whole.shards.counts, [Path(name).name for name in whole.shards.files]
        starts = np.concatenate([[0], np.cumsum(counts)])
        chosen = sorted(range(len(names)), key=lambda at: hashlib.sha256(names[at].encode()).digest())[:SHARDS]
        for at in chosen:
            numbers = range(int(starts[at]), int(starts[at]) + min(HANDS, counts[at]))
            found |= {hashlib.sha256(whole.image(number).tobytes()).hexdigest()[:16] for number in numbers}
    return sorted(found)
