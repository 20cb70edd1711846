"""A recording in work: what a person says of its reference frames, kept safe, and the 3D of all frames. No HTTP."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.annotate.depth.derive import Derivation, Survey
from handdata.annotate.depth.least_squares import NEARER_MM
from handdata.annotate.depth.lift import Clicks
from handdata.annotate.depth.output import DerivedHands, derived_text, write_derived
from handdata.annotate.depth.pictures import DepthPictures, to_depth, to_shown
from handdata.annotate.keypoints import edits
from handdata.annotate.keypoints.fitted import FittedHand
from handdata.annotate.keypoints.found import Found
from handdata.annotate.keypoints.marks import FrameMark
from handdata.annotate.keypoints.session import PointSession, check_points
from handdata.errors import ConfigError, HanddataError
from handdata.geometry import normalize_pose, project
from handdata.skeleton import BONES, NUM_KEYPOINTS, WRIST

Floats = NDArray[np.float64]

HAND = 0  # the number of the one hand there is
SEEN_SD, HIDDEN_SD = 0.02, 0.06  # of the hand's size, of points that were carried from other frames
ENDS = {"start": 1, "end": -1, "unknown": 0}


class DepthSession(PointSession):
    """A recording opened for labelling in 3D.

    A frame that a person accepted is a reference: its points, with what is hidden and which ends of bones are nearer,
    tell the 3D of all others. Edits are kept as those of keypoints are; `save` writes the 3D once all of it is derived.

    Attributes:
        recording: the sequence.
        survey: what a look at every frame told.
        derivation: the 3D so far.

    Args:
        pictures: of the recording.
        path: the file of labels to write; the journal and the lock lie beside it.
        survey: what a look at every frame told.
    """

    _KIND = "depth"  # of the journal

    def __init__(self, pictures: DepthPictures, path: Path, survey: Survey) -> None:
        self.recording, self.survey = pictures.recording, survey
        self.derivation = Derivation(pictures.recording, survey)
        self._proposed: set[int] = set()
        super().__init__(pictures, path, linked=False)

    def _begin(self) -> None:
        self._hands.take(dict(self._history.marks))
        self._hear()

    def _changed(self, frames: set[int]) -> None:
        super()._changed(frames)
        self._hear()

    def _hear(self) -> None:
        """Tell the derivation what is said now; proposals stay until better ones come, or nothing is said any more."""
        said = clicks_of(self._history.marks)
        self.derivation.say(said)
        if not said:
            for frame in sorted(self._proposed):
                self._hands.take_back(frame, HAND)
            self._proposed.clear()

    # ---- edits

    def tell_nearer(self, frame: int, hand: int, k: int, end: str) -> None:
        """Say which end of the bone that leads to point k is nearer to the camera: its "start", its "end", "unknown".

        Raises:
            ConfigError: no such frame, hand, keypoint or end; the wrist, to which no bone leads.
        """
        with self._mutex:
            cell = self._hand(frame, hand)
            check_points([k])
            if k == WRIST or end not in ENDS:
                raise ConfigError("nearer", expected="start, end or unknown of a bone's point", got=f"{k}, {end[:20]}")
            self._commit("nearer", edits.set_nearer(self._history.marks, frame, cell, k, ENDS[end]))

    def begin(self, frame: int, box: tuple[float, float, float, float], side: str = "unknown") -> int:
        """Take a person's word that the hand is in a box; return its number.

        Raises:
            ConfigError: as for keypoints, or there is a hand in the frame.
        """
        with self._mutex:
            self._check(frame)
            if self._hands.cell(frame).hands:
                raise ConfigError(
                    "hands", expected="one hand per frame", got="one more", fix="Drag the points instead."
                )
            return super().begin(frame, box, self.recording.side if side == "unknown" else side)

    # ---- what there is

    @property
    def broken(self) -> dict[int, HanddataError]:
        """Pictures that could not be read: frame -> what is wrong."""
        return {**self.survey.broken, **super().broken}

    def left(self) -> int:
        """Return how many steps are still to be done in the background."""
        with self._mutex:
            return self.derivation.left + self._hands.waiting

    def derived(self) -> DerivedHands:
        """Return the 3D as far as it is derived."""
        with self._mutex:
            marks = self._history.marks
            clicked = np.array([f in marks and marks[f].accepted for f in range(len(self.pictures))])
            without = [f for f, mark in marks.items() if _has_no_hand(mark)]
            sides = [hand.side for mark in marks.values() for hand in mark.hands.values() if hand.side != "unknown"]
            side = max(sorted(set(sides)), key=sides.count, default=self.recording.side)
            xyz = self.derivation.xyz.copy()
            xyz[without] = np.nan
            return DerivedHands(xyz, clicked, side)

    def text(self, kind: str = "json") -> str:  # noqa: ARG002 - there is one
        """Return the labels.

        Raises:
            ConfigError: not all of them are derived yet.
        """
        if not self.derivation.whole:
            left = self.left()
            got = f"{left} steps to go" if left else "no accepted frame whose depth shows the hand"
            raise ConfigError("export", expected="labels of all frames", got=got, fix="Wait a moment.")
        return derived_text(self.path, self.recording, self.derived())

    def save(self) -> None:
        """Write the labels if all of them are derived; else those written before stay."""
        with self._saving:
            self.pictures.refuse_replaced()
            if self.derivation.whole:
                write_derived(self.path, self.recording, self.derived())

    # ---- in the background

    def work(self, focus: int = 0) -> bool:
        """Derive a little further; return whether there was anything to do."""
        with self._mutex:
            step = self.derivation.next_step()
            if step is None:
                waits = self._hands.waiting > 0
                self._hands.estimate_more(focus, 0.03)
                return waits
        finish = step()
        with self._mutex:
            for frame in finish():
                self._show(frame)
        return True

    def _show(self, frame: int) -> None:
        """Propose the derived points of a frame, with the hand in 3D."""
        xyz, seen = self.derivation.xyz[frame], self.derivation.seen[frame]
        uv = to_shown(project(xyz, self.recording.K))
        size = max(float((uv.max(0) - uv.min(0)).max()), 1.0)
        pose = normalize_pose(xyz)[0]
        box = np.concatenate([uv.min(0), uv.max(0)])
        found = Found(uv, np.where(seen, SEEN_SD, HIDDEN_SD) * size, self.recording.side, box, pose, 1.0)

        self._proposed.add(frame)
        cell = self._hands.propose(frame, HAND, found, ~seen, nearer_ends(xyz, seen))
        if cell is not None:
            self._hands.fits[frame, HAND] = FittedHand(cell.uv.copy(), uv, pose)


def nearer_ends(xyz: Floats, seen: NDArray[np.bool_]) -> tuple[int, ...]:
    """Return what a person would say of the bones of a hand that has a hidden end, as marks.HandMark has it."""
    starts, ends = (list(side) for side in zip(*BONES, strict=True))
    deeper = xyz[ends, 2] - xyz[starts, 2]
    asked = (~seen[starts] | ~seen[ends]) & (np.abs(deeper) > NEARER_MM)
    return tuple(np.where(asked, np.sign(deeper), 0).astype(int).tolist())


def _has_no_hand(mark: FrameMark) -> bool:
    """Say whether a person said that a frame shows no hand."""
    hand = mark.hands.get(HAND)
    return hand.gone if hand is not None else mark.accepted


def clicks_of(marks: Mapping[int, FrameMark]) -> dict[int, Clicks]:
    """Return what is said of accepted frames, by frame, in px of the depth camera."""
    found: dict[int, Clicks] = {}
    for frame, mark in sorted(marks.items()):
        hand = mark.hands.get(HAND)
        if not mark.accepted or hand is None or hand.gone:
            continue
        uv, hidden = np.full((NUM_KEYPOINTS, 2), np.nan), np.ones(NUM_KEYPOINTS, bool)
        for k, point in hand.fixed(accepted=True).items():
            if point.is_placed and point.state != "absent":
                uv[k], hidden[k] = (point.u, point.v), point.state != "visible"
        nearer = np.array(hand.nearer or (0,) * len(BONES), np.int64)
        found[frame] = Clicks(to_depth(uv)[None], hidden[None], nearer[None])
    return found
