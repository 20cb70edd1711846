"""From a found hand to millimetres: a camera, an assumed hand size, and what they leave open."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError
from handdata.evaluation.absolute import ADULT, HAND_MM, Size, is_intrinsics, lift_pose, rays_of, size_of_person
from handdata.files.text import Wanted, read_json
from handdata.shards.hand import Hand
from handdata.skeleton import INDEX, ROOT

Floats = NDArray[np.float64]
BONE_MM = (5.0, 300.0)  # of any hand's bones, and of longer ways across it
BESIDE = 0.15  # of a picture's side, how far a principal point lies from the middle where K is of another size
SD_BONE_MM = 2.0  # of a bone that somebody measured, where nobody says


@dataclass(frozen=True, kw_only=True)
class Lens:
    """What is known of a camera; one of the three.

    Attributes:
        focal_px: focal length; the principal point is the middle of the picture.
        fov_deg: horizontal field of view, degrees; the same.
        K: (3, 3) intrinsics, px.
    """

    focal_px: float | None = None
    fov_deg: float | None = None
    K: Floats | None = None

    def intrinsics(self, width: int, height: int) -> Floats:
        """Return the (3, 3) intrinsics of a picture.

        Example:
            >>> Lens(fov_deg=90).intrinsics(640, 480)[0].tolist()
            [320.0, 0.0, 319.5]
        """
        if self.K is not None:
            return self.K
        if self.focal_px is None and self.fov_deg is None:
            raise ValueError("a lens needs focal_px, fov_deg or K")
        focal = self.focal_px or width / 2 / math.tan(math.radians(self.fov_deg or 0.0) / 2)
        return np.array([[round(focal, 9), 0, (width - 1) / 2], [0, round(focal, 9), (height - 1) / 2], [0, 0, 1.0]])

    def is_beside(self, width: int, height: int) -> bool:
        """Say whether the principal point lies as far from a picture's middle as that of a K of another size does.

        Example:
            >>> lens = Lens(K=np.array([[900, 0, 639.5], [0, 900, 359.5], [0, 0, 1.0]]))
            >>> lens.is_beside(1280, 720), lens.is_beside(1920, 1080), lens.is_beside(640, 360)
            (False, True, True)
        """
        away = self.intrinsics(width, height)[:2, 2] - [(width - 1) / 2, (height - 1) / 2]
        return bool((np.abs(away) > BESIDE * np.array([width, height])).any())


def read_lens(path: Path) -> Lens:
    """Read intrinsics from JSON: a 3 x 3 list, or an object that has one as "K".

    Raises:
        MissingError: there is no such file.
        DataError: it holds no such list.
    """
    expected = "JSON of a 3 x 3 list, or an object with one as K, focal lengths above 0 and below 1e9, last row 0 0 1"
    content = read_json(path, Wanted(what=expected))
    try:
        K = np.array(content["K"] if isinstance(content, dict) else content, np.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(path, expected=expected, got=f"something else ({error})") from error
    if not is_intrinsics(K):
        raise DataError(path, expected=expected, got=f"{K.tolist()}")
    return Lens(K=K)


def size_of(hand_size: float | str | None, trained: Size | None = None) -> Size:
    """Return the hand size that was asked for.

    Args:
        hand_size: mm from wrist to middle knuckle; "adult"; "trained" or None for that of the training hands.
        trained: size of the hands that the model was trained on; where it is not known, adults stand for it.

    Raises:
        ValueError: none of these.
    """
    if hand_size is None or hand_size == "trained":
        return trained or ADULT
    if hand_size == "adult":
        return ADULT
    try:
        mm = math.nan if np.iscomplexobj(hand_size) else float(hand_size)
    except (ValueError, TypeError, OverflowError):
        mm = math.nan
    if not (math.isfinite(mm) and HAND_MM[0] <= mm <= HAND_MM[1]):
        raise ValueError(f"hand_size must be {HAND_MM[0]:g} to {HAND_MM[1]:g} mm, adult or trained, got {hand_size!r}")
    return Size(mm, 0.0, "given")


@dataclass(frozen=True, kw_only=True)
class MeasuredPerson:
    """Somebody whose bones were measured.

    Attributes:
        bones: pairs of keypoints.
        mm: (N,) their distances.
        sd_mm: (N,) how sure these are.
    """

    bones: tuple[tuple[int, int], ...]
    mm: Floats
    sd_mm: Floats

    def size(self, poses: Floats, prior: Size) -> Size:
        """Return the hand's size from what a model said of its bones over pictures.

        Args:
            poses: (F, 21, 3) normalised; the median length of each bone counts.
            prior: of the size, which few or doubtful bones leave as it is.
        """
        starts, ends = (list(side) for side in zip(*self.bones, strict=True))
        seen = np.median(np.linalg.norm(poses[:, ends] - poses[:, starts], axis=-1), axis=0)
        return size_of_person(seen, self.mm, self.sd_mm, prior)


def read_person(path: Path) -> MeasuredPerson:
    """Read measured bones from JSON: {"bones": {"index_mcp-index_pip": 41, "wrist-index_mcp": [86, 1.5]}}, mm.

    A second number is the standard deviation; without it a bone is good to 2 mm. No bone is shorter than 5 mm or longer
    than 300: such a number is in another unit, and every millimetre of the video would rest on it.

    Raises:
        MissingError: there is no such file.
        DataError: it holds no such object.
    """
    expected = 'JSON such as {"bones": {"index_mcp-index_pip": 41, "wrist-index_mcp": [86, 1.5]}}, in mm'
    content = read_json(path, Wanted(what=expected))
    try:
        named = dict(content["bones"])
        pairs = [tuple(INDEX[name] for name in bone.split("-")) for bone in named]
        values = np.array([_bone(value) for value in named.values()], np.float64).reshape(len(named), 2)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(path, expected=expected, got=f"something else ({error})") from error
    two = [(pair[0], pair[-1]) for pair in pairs if len(pair) == 2 and pair[0] != pair[1]]
    if not two or len(two) < len(pairs) or not (np.isfinite(values).all() and (values > 0).all()):
        raise DataError(path, expected=expected, got=f"{named}")
    shortest, longest = values[:, 0].min(), values[:, 0].max()
    if shortest < BONE_MM[0] or longest > BONE_MM[1]:
        got = f"{shortest:g}" if shortest < BONE_MM[0] else f"{longest:g}"
        raise DataError(path, expected=f"bones of {BONE_MM[0]:g} to {BONE_MM[1]:g} mm", got=got)
    return MeasuredPerson(bones=tuple(two), mm=values[:, 0], sd_mm=values[:, 1])


def _bone(value: Any) -> tuple[Any, Any]:
    """Return a bone's length and its standard deviation, mm.

    Raises:
        ValueError: there are none, or more.
    """
    given = value if isinstance(value, list) else [value]
    mm, sd = given if len(given) > 1 else (*given, SD_BONE_MM)
    return mm, sd


def place(hand: Hand, size: Size) -> tuple[Hand, float]:
    """Put a found hand into its camera's axes: weighted least squares of its pose against its 2D keypoints.

    Args:
        hand: with `K`, `keypoints_2d`, `keypoints_3d_normalized` in the axes of that camera, and `peaks`.
        size: what is assumed of wrist to middle MCP; the depth is proportional to it.

    Returns:
        The hand with `keypoints_3d`, mm, NaN where the problem is ill conditioned; the standard deviation of its depth.

    Raises:
        ValueError: the hand has no camera.
    """
    if not np.isfinite(hand.K).all():
        raise ValueError("to place a hand its camera must be known: give K")
    lifted = lift_pose(rays_of(hand.keypoints_2d, hand.K), hand.keypoints_3d_normalized, hand.peaks, robust=True)
    xyz, sd = lifted.in_mm(size)
    known = np.asarray(np.isfinite(xyz).all(-1))
    placed = replace(hand, keypoints_3d=xyz, annotated_3d=known, scale_mm=size.mm if known[ROOT] else float("nan"))
    return placed, float(sd)
