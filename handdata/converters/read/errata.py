"""Single points that are known to be labelled wrongly: listed in a dataset's manifest, read as not annotated."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from handdata.converters.protocol import Item
from handdata.manifest import Manifest
from handdata.shards.schema import UNKNOWN, Flag, Sample
from handdata.skeleton import INDEX

WrongPoints = Mapping[tuple[str, int], tuple[int, ...]]  # (sequence, frame) -> our keypoints


def wrong_points(manifest: Manifest) -> WrongPoints:
    """Return the wrong points of a dataset, from the table `wrong_points` of its manifest."""
    found: dict[tuple[str, int], tuple[int, ...]] = {}
    for entry in manifest.extra.get("wrong_points", ()):
        place = entry["sequence"], entry["frame"]
        found[place] = (*found.get(place, ()), INDEX[entry["point"]])
    return found


def without(sample: Sample, item: Item, wrong: WrongPoints) -> Sample:
    """Return a sample without its wrong points, flagged, where it has any."""
    points = list(wrong.get((item.sequence, item.frame), ()))
    if not points:
        return sample
    visible = None if sample.visible is None else sample.visible.copy()
    if visible is not None:
        visible[points] = UNKNOWN
    normalized = sample.keypoints_3d_normalized
    return replace(
        sample,
        keypoints_2d=_blank(sample.keypoints_2d, points),
        keypoints_3d=_blank(sample.keypoints_3d, points),
        keypoints_3d_normalized=None if normalized is None else _blank(normalized, points),
        visible=visible,
        flags=sample.flags | Flag.POINT_LEFT_OUT,
    )


def describe(items: Iterable[Item], wrong: WrongPoints) -> tuple[tuple[str, str], ...]:
    """Say how many of the items' points are left out, as a reading of the plan."""
    met = {place: points for item in items if (points := wrong.get(place := (item.sequence, item.frame)))}
    if not met:
        return ()
    count = sum(len(points) for points in met.values())
    return (("labels known to be wrong", f"{count} points of {len(met)} frames are left out: see docs/datasets.md"),)


def _blank(values: NDArray[np.float64], points: list[int]) -> NDArray[np.float64]:
    kept = np.array(values, np.float64)
    kept[points] = np.nan
    return kept
