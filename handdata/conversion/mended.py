"""Lay a person's corrections over the labels of a dataset while it is converted; its archive is never touched."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.converters import CONVERTERS
from handdata.converters.options import Options
from handdata.converters.protocol import Item
from handdata.errors import ConfigError, DataError
from handdata.exchange.corrections import OCCLUDED, OUTSIDE, VISIBLE, Corrections, MendedHand, read_corrections
from handdata.exchange.plain import lies_in
from handdata.geometry import project
from handdata.shards.schema import UNKNOWN, BoxSource, Flag, Sample
from handdata.skeleton import INDEX, NUM_KEYPOINTS, SIDE_NAMES

_SEEN = {VISIBLE: 1, OCCLUDED: 0, OUTSIDE: 0}
STILL_THERE = 0.02  # of the larger side of the hand in 2D: a 3D label that projects farther away is another place


def corrections_of(options: Options, dataset: str, items: Sequence[Item]) -> Corrections:
    """Return the corrections that `--corrections` names, none without it.

    Args:
        options: of the conversion.
        dataset: its name.
        items: everything that the conversion could write, before `--split` and `--limit`.

    Raises:
        HanddataError: the file cannot be read.
        ConfigError: it is of another dataset, or corrects a sample that is not there; with `--sequences`, and of
            shards that were merged or renamed, only if it corrects none that is.
    """
    path = options.corrections
    if path is None:
        return Corrections()
    said = read_corrections(path)
    is_cut = said.dataset not in ("", *CONVERTERS)  # a name of somebody's own, of several datasets or of a part
    if said.dataset not in ("", dataset) and not is_cut:
        got, fix = f"those of {said.dataset!r}", f"Give corrections of {dataset}, or convert the dataset they are of."
        raise ConfigError(f"--corrections {path}", expected=f"corrections of {dataset}", got=got, fix=fix)
    known = {item.id for item in items}
    unknown = [sample_id for sample_id in said.samples if sample_id not in known]
    if unknown and (not (options.sequences or is_cut) or len(unknown) == len(said.samples)):
        near = get_close_matches(unknown[0], known if len(known) <= 100_000 else (), n=1, cutoff=0.0)
        got = repr(unknown[0]) + (f" and {len(unknown) - 1} others" if len(unknown) > 1 else "")
        fix = f"The nearest is {near[0]}." if near else "Take that entry out, or convert what it is of."
        raise ConfigError(f"--corrections {path}", expected=f"ids of samples of {dataset}", got=got, fix=fix)
    if not said.samples:
        raise ConfigError(f"--corrections {path}", expected="a corrected sample", got="none")
    return replace(said.of(known), others=len(unknown) if is_cut else 0)


def told_of(corrections: Corrections) -> tuple[tuple[str, str], ...]:
    """Return what a conversion says of its corrections, as its plan's readings are said."""
    facts = corrections.facts
    line = f"{facts['points']} points and {facts['sides']} sides of {facts['samples']} samples, mended by a person"
    if corrections.others:
        line += f"; {corrections.others} others of {corrections.dataset} are of samples that are not in this dataset"
    return (("corrections", line),) if corrections.samples else ()


def check_fit(hand: MendedHand, size: tuple[int, int], where: str) -> None:
    """Refuse corrections of a picture of another size, or whose points do not lie where their state says.

    Args:
        hand: the corrections.
        size: width and height of the picture, px.
        where: is blamed.

    Raises:
        DataError: so they are.
    """
    if hand.size is not None and hand.size != size:
        raise DataError(where, expected=f"corrections of a picture of {_by(size)} px", got=_by(hand.size))
    for name, point in hand.points.items():
        if point.uv is not None and lies_in(point.uv, size) == (point.state == OUTSIDE):
            expected = f"{name} {'outside' if point.state == OUTSIDE else 'inside'} its picture of {_by(size)} px"
            raise DataError(f"{where}[corrections]", expected=expected, got=f"{point.uv[0]:g}, {point.uv[1]:g}")


def mend(sample: Sample, hand: MendedHand | None, where: str) -> Sample:
    """Return a sample with what a person changed of it, flagged `Flag.CORRECTED`.

    A 3D label stays if it projects where its point is now, else it is left out: nobody gave the new one. A box that
    followed from the points follows from the new ones.

    Raises:
        DataError: the correction does not fit the picture, blamed on `where`.
    """
    if hand is None:
        return sample
    size = (sample.image.shape[1], sample.image.shape[0])
    check_fit(hand, size, where)
    uv = np.array(sample.keypoints_2d, np.float64)
    visible = np.full(NUM_KEYPOINTS, UNKNOWN, np.int8) if sample.visible is None else sample.visible.copy()
    for name, point in hand.points.items():
        at = INDEX[name]
        if point.uv is not None or point.state != OUTSIDE or lies_in(uv[at], size):
            uv[at] = np.nan if point.uv is None else point.uv  # a place outside stays one of a point outside
        visible[at] = _SEEN.get(point.state, UNKNOWN)
    gone = _elsewhere_3d(sample, uv, [INDEX[name] for name in hand.points])
    xyz = np.where(gone[:, None], np.nan, np.asarray(sample.keypoints_3d, np.float64))
    normalized = sample.keypoints_3d_normalized
    own_box = sample.bbox_source == BoxSource.KEYPOINTS and bool(hand.points)
    flags = sample.flags & ~Flag.SIDE_UNSURE if hand.side in SIDE_NAMES[:2] else sample.flags
    return replace(
        sample,
        keypoints_2d=uv,
        keypoints_3d=xyz,
        keypoints_3d_normalized=None if normalized is None else np.where(gone[:, None], np.nan, normalized),
        visible=visible,
        hand_side=SIDE_NAMES.index(hand.side) if hand.side else sample.hand_side,
        bbox_xyxy=None if own_box else sample.bbox_xyxy,
        bbox_source=BoxSource.NONE if own_box else sample.bbox_source,
        flags=flags | Flag.CORRECTED,
    )


def _elsewhere_3d(sample: Sample, uv: NDArray[Any], changed: Sequence[int]) -> NDArray[np.bool_]:
    """Say which changed points, (21,), lie elsewhere in 2D than their 3D label says."""
    moved = np.zeros(NUM_KEYPOINTS, bool)
    moved[list(changed)] = True
    before, xyz = np.asarray(sample.keypoints_2d, np.float64), np.asarray(sample.keypoints_3d, np.float64)
    known = before[np.isfinite(before).all(1)]
    near = STILL_THERE * np.ptp(known, axis=0).max() if len(known) else 0.0
    in_front = moved & (xyz[:, 2] > 0)
    at = before.copy()  # without a camera, the place that the 3D label was given with
    if sample.K is not None and in_front.any():
        at[in_front] = project(xyz[in_front], np.asarray(sample.K, np.float64))
    distance = np.linalg.norm(uv - at, axis=1)
    is_elsewhere: NDArray[np.bool_] = moved & ~(distance <= max(near, 1.0))
    return is_elsewhere


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
