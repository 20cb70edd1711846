"""One line that says what a dataset is."""

from typing import TYPE_CHECKING

import numpy as np

from handdata import manifest
from handdata.shards.provenance import provenance_of

if TYPE_CHECKING:
    from handdata.shards.dataset import Dataset


def describe(data: "Dataset") -> str:
    """Return name, splits and counts, canvas, origin and licence of a dataset."""
    names, counts = np.unique(data["split"], return_counts=True)
    splits = ", ".join(f"{name} {count:,}" for name, count in zip(names, counts, strict=True))
    hands = "1 hand" if len(data) == 1 else f"{len(data):,} hands"
    facts = [hands + (f" ({splits})" if splits else ""), f"canvas {data.canvas} px", data.origin]
    licences = [part.licence for part in provenance_of(data) if part.dataset in manifest.names() or part.is_restricted]
    facts += [f"licence: {licence}" for licence in dict.fromkeys(licences)]
    return f"<Dataset {data.name}: {'; '.join(fact for fact in facts if fact)}>"
