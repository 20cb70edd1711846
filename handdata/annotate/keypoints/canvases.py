"""The canvases of converted hands as pictures, with the labels that their shards hold."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.keypoints.cells import PLACES
from handdata.annotate.keypoints.marks import HandMark, PointMark, PointState
from handdata.annotate.pictures import Pictures
from handdata.annotate.tracker import Image
from handdata.errors import DataError, MissingError
from handdata.exchange.plain import lies_in
from handdata.geometry import apply_affine, invert_affine
from handdata.shards.dataset import Dataset
from handdata.shards.schema import UNKNOWN, Flag
from handdata.skeleton import SIDE_NAMES

MOST = 20_000  # hands of one page, which holds the points of all
Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Canvases(Pictures):
    """Canvases as pictures: px are theirs. Their names are the ids of their hands, with no slash.

    Attributes:
        data: the hands.
        shipped_sizes: (N, 2) width and height of the pictures as shipped, px.
        to_canvas: (N, 2, 3) affine from px of the picture as shipped.
        to_shipped: (N, 2, 3) affine to px of the picture as shipped.
    """

    data: Dataset = field(compare=False)
    shipped_sizes: NDArray[np.int32] = field(repr=False, compare=False)
    to_canvas: Floats = field(repr=False, compare=False)
    to_shipped: Floats = field(repr=False, compare=False)

    @property
    def folder(self) -> str:
        """What the journal knows them by: the dataset, whichever hands of it are here."""
        return f"{self.data.name}/"

    def holds(self, index: int, place: tuple[float, float]) -> bool:
        """Say whether a place, px of canvas `index`, lies in the picture as shipped."""
        return lies_in(self.as_shipped(index, place), self.shipped_size(index))

    def as_shipped(self, index: int, place: tuple[float, float]) -> tuple[float, float]:
        """Take a place, px of canvas `index`, to px of the picture as shipped, to a ten-thousandth."""
        u, v = apply_affine(self.to_shipped[index], np.array([place]))[0].round(4)
        return float(u), float(v)

    def shipped_size(self, index: int) -> tuple[int, int]:
        """Return the width and height of a picture as shipped, px."""
        return int(self.shipped_sizes[index, 0]), int(self.shipped_sizes[index, 1])

    def read(self, index: int) -> Image:
        """Return canvas `index` as (S, S, 3) uint8 BGR.

        Raises:
            DataError: a damaged row.
        """
        return np.ascontiguousarray(self.data.image(index)[..., ::-1])


def canvases_of(data: Dataset) -> Canvases:
    """Return the canvases of some hands.

    Raises:
        MissingError: there are none.
        DataError: too many for one page.
    """
    if not len(data):
        raise MissingError(data.folder, expected="hands to mend", got="none")
    if len(data) > MOST:
        fix = "Name some with --ids FILE; handdata browse writes such a file."
        expected = f"at most {MOST:,} hands on one page, which holds the points of all"
        raise DataError(data.folder, expected=expected, got=f"{len(data):,}", fix=fix)
    ids, side = tuple(data["id"].tolist()), data.canvas
    to_canvas = data["source_to_canvas"].astype(np.float64)
    names = tuple(Path(quote(name, safe="")) for name in ids)
    return Canvases(
        paths=names,
        targets=names,
        img_names=ids,
        width=side,
        height=side,
        sizes=((side, side),) * len(ids),
        data=data,
        shipped_sizes=data["image_size"],
        to_canvas=to_canvas,
        to_shipped=np.stack([invert_affine(A) for A in to_canvas]),
    )


def chosen_of(data: Dataset, ids: Iterable[str], also: Iterable[str] = ()) -> Dataset:
    """Return the hands of some ids in their order, then those of `also` that are there and not among them."""
    place = {name: number for number, name in enumerate(data["id"].tolist())}
    wanted = dict.fromkeys([*ids, *(name for name in also if name in place)])
    return data.take(np.array([place[name] for name in wanted], np.int64))


@dataclass(frozen=True)
class StoredLabels:
    """The labels of some hands as their shards hold them.

    Attributes:
        uv: (N, 21, 2) px of the pictures as shipped; NaN where not labelled.
        hands: the same as marks, px of the canvases.
        said: (N, 21) bool: the dataset says whether the point is visible.
        mended: (N,) bool: converted with corrections.
    """

    uv: Floats
    hands: tuple[HandMark, ...]
    said: NDArray[np.bool_]
    mended: NDArray[np.bool_]


def stored_labels(canvases: Canvases) -> StoredLabels:
    """Read the labels of some hands."""
    data = canvases.data
    uv, visible, inside = data["keypoints_2d"].astype(np.float64), data["visible"], data["in_frame"]
    on_canvas = apply_affine(canvases.to_canvas, uv).round(PLACES)
    hands = []
    for number, side in enumerate(data["hand_side"].tolist()):
        points = zip(on_canvas[number].tolist(), visible[number].tolist(), inside[number].tolist(), strict=True)
        hands.append(HandMark(SIDE_NAMES[side], tuple(_stored(*point) for point in points)))
    mended = (data["flags"] & int(Flag.CORRECTED)) != 0
    return StoredLabels(uv, tuple(hands), visible != UNKNOWN, mended)


def _stored(place: list[float], visible: int, inside: bool) -> PointMark:  # noqa: FBT001
    u, v = place
    state: PointState = "occluded" if visible == 0 else "visible"
    if not inside:
        state = "outside" if isfinite(u) else "absent"
    return PointMark(u, v, state, "stored")
