"""Labels of shards in work: what a person changes of them, as a file of corrections. No HTTP.

The shards say what each hand looks like; the journal holds what the person said beyond that, and the file what differs.
`handdata convert --corrections` lays it over the archive's labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import nan
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from handdata.annotate.journal import CORRECTIONS, names_said
from handdata.annotate.keypoints import edits
from handdata.annotate.keypoints.canvases import Canvases, canvases_of, chosen_of, stored_labels
from handdata.annotate.keypoints.cells import PLACES, HandCell, has_place
from handdata.annotate.keypoints.marks import (
    MADE_BY_PERSON,
    NO_POINTS,
    STATES,
    FrameMark,
    HandMark,
    PointMark,
    PointState,
    is_place,
)
from handdata.annotate.keypoints.session import PointSession, check_points
from handdata.annotate.keypoints.template import in_box, onto
from handdata.errors import ConfigError, DataError
from handdata.exchange.corrections import (
    ABSENT,
    OCCLUDED,
    OUTSIDE,
    VISIBLE,
    Corrections,
    MendedHand,
    MendedPoint,
    corrections_text,
    read_corrections,
)
from handdata.exchange.plain import lies_in
from handdata.geometry import apply_affine
from handdata.shards.dataset import Dataset
from handdata.skeleton import KEYPOINTS

HAND = 0  # the number of the one hand of a canvas
_STATE: Mapping[str, PointState] = {state: state for state in STATES}
SAME = 0.6 * 10.0**-PLACES  # px: two places that differ by rounding alone
ENDING = ".corrections.json"


def corrections_path(folder: Path) -> Path:
    """Return the file of the corrections of a folder of shards: beside it, so that the shards stay as they are."""
    whole = folder.resolve()
    return whole.with_name(whole.name + ENDING)


def hands_to_mend(data: Dataset, ids: Sequence[str] | None, path: Path) -> Canvases:
    """Return the hands of some ids, None for all, and behind them those that `path` or its journal speaks of.

    So one file holds what was mended of a dataset, whichever hands are looked at.

    Raises:
        MissingError, DataError: no hands, too many, of several datasets, or a damaged file.
    """
    chosen = data if ids is None else chosen_of(data, ids, _mended_before(path))
    names = sorted(set(chosen["dataset"].tolist()))
    if len(names) > 1:
        fix = "Mend one dataset after the other."
        raise DataError(data.folder, expected="hands of one dataset", got=" and ".join(names), fix=fix)
    return canvases_of(chosen)


def _mended_before(path: Path) -> list[str]:
    said = read_corrections(path).samples if path.is_file() else {}
    return sorted({*said, *map(unquote, names_said(path.with_suffix(".journal")))})


class MendSession(PointSession):
    """Hands of shards opened for mending their labels: one per picture; the stored labels are what it begins with.

    Args:
        canvases: the hands.
        path: the file of corrections; the journal and the lock lie beside it.

    Raises:
        BusyError: the file is in work elsewhere.
        DataError: a journal of another dataset, or a damaged journal or file.
    """

    _KIND = CORRECTIONS

    def __init__(self, canvases: Canvases, path: Path) -> None:
        self.canvases = canvases
        self._stored = stored_labels(canvases)
        self._before: Corrections = Corrections()  # as the file was when it was opened
        super().__init__(canvases, path, linked=False, follows=False)

    def _begin(self) -> None:
        self._before = read_corrections(self.path) if self.path.is_file() else Corrections()
        if self._before.dataset not in ("", self.canvases.data.name):
            fix = "Give another file with --out."
            expected, got = f"corrections of {self.canvases.data.name}", self._before.dataset
            raise DataError(self.path, expected=expected, got=got, fix=fix)
        self._changed(set(range(len(self.pictures))))
        if not self._journal.entries and self._before.samples:
            self.import_marks(self.marks_of(self._before))

    def _changed(self, frames: set[int]) -> None:
        self._hands.take({frame: self._as_it_stands(frame) for frame in sorted(frames)})

    def _as_it_stands(self, frame: int) -> FrameMark:
        """Return what is fixed about a frame: what the person said, else what is stored."""
        mark, stored = self._history.marks.get(frame, FrameMark()), self._stored.hands[frame]
        said = mark.hands.get(HAND, HandMark(stored.side))
        points = tuple(mine or label for mine, label in zip(said.points, stored.points, strict=True))
        return FrameMark({HAND: HandMark(said.side, points)}, mark.accepted)

    # ---- edits that are others here

    def set_state(self, frame: int, hand: int, ks: Sequence[int], state: str) -> None:
        """Say of points what they are; one without a label is put where it may be, to be dragged from there."""
        with self._mutex:
            cell = self._hand(frame, hand)
            check_points(ks)
            if state not in (VISIBLE, OCCLUDED) or has_place(cell.uv[list(ks)]).all():
                super().set_state(frame, hand, ks, state)
                return
            filled = replace(cell, uv=np.where(has_place(cell.uv)[:, None], cell.uv, self._somewhere(frame, cell)))
            patch = edits.set_state(self._history.marks, frame, filled, ks, _STATE[state], self._inside(frame))
            self._commit("state", patch)

    def _somewhere(self, frame: int, cell: HandCell) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        """Return (21, 2) px on the picture where an open hand's points would be."""
        width, height = self.pictures.size_of(frame)
        box = (0.25 * width, 0.25 * height, 0.75 * width, 0.75 * height)
        hand = onto(cell.uv, cell.side)
        places = apply_affine(self.canvases.to_shipped[frame], in_box(box, cell.side) if hand is None else hand)
        last = np.array(self.canvases.shipped_size(frame)) - 1.0
        back = apply_affine(self.canvases.to_canvas[frame], np.clip(places, 0, last))
        return np.asarray(np.clip(back, 0, [width - 1, height - 1]).round(PLACES))

    def gone(self, frame: int, hand: int) -> None:
        """Take a person's word that there is no hand: none of its points is to be labelled."""
        self.set_state(frame, hand, range(len(KEYPOINTS)), ABSENT)

    def begin(self, frame: int, box: tuple[float, float, float, float], side: str = "unknown") -> int:  # noqa: ARG002
        """Refuse one more hand: each hand of a picture is a sample of its own.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("hands", expected="the one hand that the sample is of", got="one more")

    # ---- files

    def corrections(self) -> Corrections:
        """Return what differs from the labels of the archive, and what the file said of hands that are not here."""
        with self._mutex:
            marks = dict(self._history.marks)
        ids = self.canvases.img_names
        mended = {ids[frame]: hand for frame in marks if (hand := self._mended(frame, marks[frame])) is not None}
        others = {name: hand for name, hand in self._before.samples.items() if name not in set(ids)}
        return Corrections(dataset=self.canvases.data.name, samples=others | mended)

    def _mended(self, frame: int, mark: FrameMark) -> MendedHand | None:
        said = mark.hands.get(HAND)
        if said is None:
            return None
        points = {
            KEYPOINTS[k]: self._point(frame, k, p) for k, p in enumerate(said.points) if self._differs(frame, k, p)
        }
        before = self._before.samples.get(self.canvases.img_names[frame], MendedHand()).side
        again = bool(self._stored.mended[frame]) and said.side == before  # what is stored has that side from the file
        side = said.side if said.side != self._stored.hands[frame].side or again else ""
        size = self.canvases.shipped_size(frame)
        return MendedHand(points=points, side=side, size=size) if points or side else None

    def _differs(self, frame: int, k: int, point: PointMark | None) -> bool:
        """Say whether a point is a person's, and another than the archive's."""
        if point is None or point.source not in MADE_BY_PERSON:
            return False
        stored = self._stored.hands[frame].points[k]
        assert stored is not None  # noqa: S101 - a stored hand has all of them
        unsaid = point.state == "visible" and not self._stored.said[frame, k]
        return bool(self._stored.mended[frame]) or unsaid or stored.state != point.state or not _same(point, stored)

    def _point(self, frame: int, k: int, point: PointMark | None) -> MendedPoint:
        """Return a point as the file says it, px of the picture as shipped."""
        assert point is not None  # noqa: S101 - `_differs` says so
        stored = self._stored.hands[frame].points[k]
        if not point.is_placed:
            return MendedPoint(point.state)
        uv = self.canvases.as_shipped(frame, (point.u, point.v))
        if stored is not None and _same(point, stored):
            uv = (float(self._stored.uv[frame, k, 0]), float(self._stored.uv[frame, k, 1]))
        inside = lies_in(uv, self.canvases.shipped_size(frame))
        return MendedPoint(OUTSIDE if not inside else VISIBLE if point.state == OUTSIDE else point.state, uv)

    def marks_of(self, said: Corrections) -> dict[int, FrameMark]:
        """Return what a file of corrections says of these hands, as marks."""
        number = {name: frame for frame, name in enumerate(self.canvases.img_names)}
        here = {number[name]: hand for name, hand in said.samples.items() if name in number}
        return {frame: FrameMark({HAND: self._marked(frame, hand)}) for frame, hand in sorted(here.items())}

    def _marked(self, frame: int, hand: MendedHand) -> HandMark:
        points: list[PointMark | None] = list(NO_POINTS)
        for name, point in hand.points.items():
            uv = np.full((1, 2), np.nan) if point.uv is None else np.array([point.uv])
            place = apply_affine(self.canvases.to_canvas[frame], uv)[0].round(PLACES).tolist()
            u, v = place if all(map(is_place, place)) else (nan, nan)
            points[KEYPOINTS.index(name)] = PointMark(u, v, _STATE[point.state], "person")
        return HandMark(hand.side or self._stored.hands[frame].side, tuple(points))

    def save(self) -> None:
        """Write the file of corrections; while nothing is mended none is made."""
        if self.path.exists() or self.corrections().samples:
            super().save()

    def text(self, kind: str = "corrections") -> str:
        """Return the file of corrections.

        Raises:
            ConfigError: another format.
        """
        if kind != "corrections":
            raise ConfigError("format", expected="corrections", got=kind[:40])
        return corrections_text(self.corrections())


def _same(point: PointMark, stored: PointMark) -> bool:
    """Say whether two points lie at one place, or neither has one."""
    if not (point.is_placed and stored.is_placed):
        return point.is_placed == stored.is_placed
    return bool(max(abs(point.u - stored.u), abs(point.v - stored.v)) < SAME)
