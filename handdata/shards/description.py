"""One line that says what a dataset is."""

from typing import TYPE_CHECKING

import numpy as np

from handdata import manifest
from handdata.shards.index import read_index

if TYPE_CHECKING:
    from handdata.shards.dataset import Dataset


def describe(data: "Dataset") -> str:
    """Return name, splits and counts, canvas, origin and licence of a dataset."""
    names, counts = np.unique(data["split"], return_counts=True)
    splits = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
    origin = ", ".join(dict.fromkeys(str(read_index(folder).get("origin", "")) for folder in data.shards.folders))
    facts = [f"{len(data):,} hands" + (f" ({splits})" if splits else ""), f"canvas {data.canvas} px", origin]
    known = [name for name in dict.fromkeys(data.shards.datasets) if name in manifest.names()]
    facts += [f"licence: {licence}" for licence in dict.fromkeys(manifest.load(name).licence for name in known)]
    return f"<Dataset {data.name}: {'; '.join(fact for fact in facts if fact)}>"
