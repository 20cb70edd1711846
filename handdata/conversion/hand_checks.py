"""What `write_dataset` refuses in a hand before it is written: units, what is known in part, words and numbers."""

import numpy as np

from handdata.errors import DataError
from handdata.evaluation.absolute import HAND_MM
from handdata.exchange.labels import FARTHEST, FARTHEST_PX
from handdata.shards.hand import Hand
from handdata.shards.schema import (
    LAST_FRAME,
    MASK_BACKGROUND,
    MASK_HAND,
    MASK_OBJECT,
    MASK_UNKNOWN,
    ORIGINS,
    SQUARE,
    UNKNOWN,
)

_MOST = {  # as `convert` takes them
    "keypoints_2d": FARTHEST_PX, **dict.fromkeys(("keypoints_3d", "K", "box", "crop_box"), FARTHEST),
}  # fmt: skip
CORRECT = "Correct that hand, or leave it out."
_MASK = (MASK_BACKGROUND, MASK_HAND, MASK_OBJECT, MASK_UNKNOWN)
_MOST_FLAGS = 2**32 - 1  # a uint32


def check_unit(hand: Hand, where: str) -> None:
    """Refuse 3D that cannot be millimetres.

    Raises:
        DataError: the wrist would be nearer to the middle knuckle, or farther from it, than in any hand.
    """
    if np.isfinite(hand.scale_mm) and not HAND_MM[0] <= hand.scale_mm <= HAND_MM[1]:
        expected = f"mm: {HAND_MM[0]:g} to {HAND_MM[1]:g} from wrist to middle MCP"
        raise DataError(
            f"{where}[keypoints_3d]", expected=expected, got=f"{hand.scale_mm:.3g}", fix="Convert the unit."
        )


def check_known(hand: Hand, where: str) -> None:
    """Refuse what is known in part, or infinite, which would be taken for not known, and what `verify` rejects.

    Raises:
        DataError: so it is.
    """
    for name in ("K", "box", "crop_box", "palm_center_2d", "palm_center_3d"):
        values = np.asarray(getattr(hand, name))
        if not np.isfinite(values).all() and not np.isnan(values).all():
            expected, got = "numbers, or NaN alone where it is not known", str(values.tolist())
            raise DataError(f"{where}[{name}]", expected=expected, got=got, fix=CORRECT)
    for name, most in _MOST.items():
        farthest = np.max(np.abs(values := np.asarray(getattr(hand, name))), initial=0.0, where=~np.isnan(values))
        if farthest > most:
            raise DataError(f"{where}[{name}]", expected=f"numbers up to {most:g}", got=f"{farthest:g}", fix=CORRECT)
    behind = (hand.keypoints_3d[:, 2] <= 0) & np.isfinite(hand.keypoints_2d).all(1)
    if behind.any():
        got, fix = f"z = {hand.keypoints_3d[behind, 2].min():g} mm", "x is right, y down, z away from the camera."
        raise DataError(f"{where}[keypoints_3d]", expected="points in front of the camera", got=got, fix=fix)
    width, height = np.ptp(hand.crop_box[::2]), np.ptp(hand.crop_box[1::2])
    if abs(width - height) > SQUARE:
        got = f"{width:g} x {height:g} px"
        raise DataError(f"{where}[crop_box]", expected="a square", got=got, fix="Give it as box; a square follows.")
    if hand.mask is not None and not np.isin(hand.mask, _MASK).all():
        expected, got = f"labels of {', '.join(map(str, _MASK))}", str(np.setdiff1d(hand.mask, _MASK)[:5].tolist())
        raise DataError(f"{where}[mask]", expected=expected, got=got, fix=CORRECT)


def check_words(hand: Hand, where: str) -> None:
    """Refuse what a shard's tables of names and numbers cannot hold."""
    for name in ("sequence", "camera"):
        text = getattr(hand, name)
        if not isinstance(text, str) or not text.isascii() or not text.isprintable():
            raise DataError(f"{where}[{name}]", expected="ASCII text", got=repr(text))
    if not isinstance(hand.frame, int | np.integer) or not 0 <= hand.frame <= LAST_FRAME:
        raise DataError(f"{where}[frame]", expected=f"a whole number from 0 to {LAST_FRAME}", got=repr(hand.frame))
    seen = np.asarray(UNKNOWN if hand.visible is None else hand.visible)  # of a dict it is as it was given
    if not np.isin(seen, (-1, 0, 1)).all():
        raise DataError(f"{where}[visible]", expected="1, 0 or -1, not known", got=str(seen.tolist()))
    if hand.origin not in ("", None, *ORIGINS):
        raise DataError(f"{where}[origin]", expected=f"one of {', '.join(ORIGINS)}", got=repr(hand.origin))
    if not isinstance(hand.flags, int) or not 0 <= hand.flags <= _MOST_FLAGS:
        raise DataError(f"{where}[flags]", expected="bits of Flag", got=repr(hand.flags))
