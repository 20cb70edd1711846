"""One line that says what a dataset is."""

from typing import TYPE_CHECKING

import numpy as np

from handdata import manifest

if TYPE_CHECKING:
    from handdata.shards.dataset import Dataset


def describe(data: "Dataset") -> str:
    """Return name, splits and counts, canvas, origin and licence of a dataset."""
    names, counts = np.unique(data["split"], return_counts=True)
    splits = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
    hands = "1 hand" if len(data) == 1 else f"{len(data):,} hands"
    facts = [hands + (f" ({splits})" if splits else ""), f"canvas {data.canvas} px", data.origin]
    known = [name for name in dict.fromkeys(data.shards.datasets) if name in manifest.names()]
    facts += [f"licence: {licence}" for licence in dict.fromkeys(manifest.load(name).licence for name in known)]
    return f"<Dataset {data.name}: {'; '.join(fact for fact in facts if fact)}>"
