"""A followed hand as a hand can be: fitted from picture to picture, its bones calibrated and then held.

Source:
    docs/method.md 14, the kinematic fit; the calibration is ours.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from handdata.evaluation.absolute import Size, rays_of
from handdata.model.fit import SD_2D, SD_3D, FitsBefore, fit
from handdata.model.place import MeasuredPerson, place
from handdata.shards.hand import Hand
from handdata.skeleton import ROOT
from handdata.track.smooth import GAP_S, RATE

Floats = NDArray[np.float64]
CALIBRATION = 30  # confident pictures of a hand from which the factors of its bones are taken
SURE = 0.5  # confidence of such a picture


@dataclass
class HandFitter:
    """Fits one hand of a video.

    Until its bones are calibrated the hand is placed by its 2D and the fitted pose; then the fit gives its place too.

    Attributes:
        size: what is assumed of wrist to middle MCP.
        person: (20,) factors of the bones once they are calibrated, else None.
    """

    size: Size
    person: Floats | None = None
    _factors: list[Floats] = field(default_factory=list)
    _path: tuple[Floats, Floats, float, str] | None = None  # unknowns of the last two pictures, when, the side

    def __call__(self, hand: Hand, confidence: float, seconds: float) -> tuple[Hand, float]:
        """Return the hand with its fitted pose in mm, and the standard deviation of its depth, mm.

        Args:
            hand: with `K`, `keypoints_2d`, `keypoints_3d_normalized`, `peaks` and `crop_box`.
            confidence: of the model in it, 0..1.
            seconds: the clock.
        """
        found = fit(
            rays_of(hand.keypoints_2d, hand.K)[None],
            hand.keypoints_3d_normalized[None],
            np.array([(hand.crop_box[2] - hand.crop_box[0]) / hand.K[0, 0]]),
            self.size,
            right=np.array([hand.side == "right"]),
            sd_2d=SD_2D,
            sd_3d=SD_3D,
            person=self.person,
            path=self._path_to(hand.side, seconds),
        )
        if not np.isfinite(found.pose).all():
            self._path = None
            return place(hand, self.size)
        before = found.unknowns if self._path is None else self._path[0]
        self._path = found.unknowns, before, seconds, hand.side
        placed, depth_sd = place(replace(hand, keypoints_3d_normalized=found.pose[0]), self.size)
        if self.person is not None:
            depth_sd = self.size.sd_mm / self.size.mm * float(found.xyz_mm[0, ROOT, 2])
            placed = replace(placed, keypoints_3d=found.xyz_mm[0])
        self._calibrate(found.factors[0], confidence)
        return placed, depth_sd

    def _path_to(self, side: str, seconds: float) -> FitsBefore | None:
        """Return what the pictures before say; nothing after a gap or where the side changed."""
        if self._path is None:
            return None
        last, before, then, old_side = self._path
        if side != old_side or not 0 < seconds - then <= GAP_S:
            self._path = None
            return None
        return FitsBefore(last, before, pace=(seconds - then) * RATE)

    def _calibrate(self, factors: Floats, confidence: float) -> None:
        if self.person is None and confidence >= SURE:
            self._factors.append(factors)
            if len(self._factors) == CALIBRATION:
                self.person = np.exp(np.median(np.log(self._factors), axis=0))


@dataclass
class PersonSize:
    """The size of one hand of a measured person, from its first confident pictures.

    Attributes:
        person: whose bones were measured.
        size: as known so far; first the prior.
    """

    person: MeasuredPerson
    size: Size
    _prior: Size | None = None
    _poses: list[Floats] = field(default_factory=list)

    def __call__(self, hand: Hand, confidence: float) -> Size:
        """Return the size with what this picture says of the bones."""
        if self._prior is None:
            self._prior = self.size
        pose = hand.keypoints_3d_normalized
        if confidence >= SURE and len(self._poses) < CALIBRATION and np.isfinite(pose).all():
            self._poses.append(pose)
            self.size = self.person.size(np.stack(self._poses), self._prior)
        return self.size


class HandPlacer:
    """Puts the hands of a video before a camera, in mm; each track by itself.

    Args:
        size: what is assumed of wrist to middle MCP.
        person: whose bones were measured; None where nobody's were.
        fits: whether poses are fitted.
    """

    def __init__(self, size: Size, person: MeasuredPerson | None = None, *, fits: bool = False) -> None:
        self._size, self._person, self._fits = size, person, fits
        self._sizes: dict[int, PersonSize] = {}
        self._fitters: dict[int, HandFitter] = {}

    def __call__(self, track: int, hand: Hand, confidence: float, seconds: float) -> tuple[Hand, float]:
        """Return a hand with `keypoints_3d` and the standard deviation of its depth, mm."""
        size = self._size
        if self._person is not None:
            own = self._sizes.setdefault(track, PersonSize(self._person, self._size))
            size = own(hand, confidence)
        if not self._fits:
            return place(hand, size)
        fitter = self._fitters.setdefault(track, HandFitter(size))
        fitter.size = size
        return fitter(hand, confidence, seconds)

    @property
    def sizes(self) -> dict[int, Size]:
        """What each track's size came to; empty without a person."""
        return {track: one.size for track, one in self._sizes.items()}
