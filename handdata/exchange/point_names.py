"""Names of keypoints as other tools write them, mapped to ours. No files."""

import re
from collections.abc import Sequence

from handdata.errors import DataError
from handdata.skeleton import INDEX, NUM_KEYPOINTS

PALM = NUM_KEYPOINTS  # slot after the 21: the palm centre, which is no wrist
_SIDES = re.compile(r"^((left|right|hand|l|r)_)+")
_NAME = re.compile(
    r"(thumb|index|forefinger|middle|ring|little|pinky|pinkie|small)_?(?:finger)?_?(cmc|mcp|pip|ip|dip|tip|[1-4])"
)
_FINGERS = {"forefinger": "index", "pinky": "little", "pinkie": "little", "small": "little"}
_NUMBERED = {"1": "mcp", "2": "pip", "3": "dip", "4": "tip"}
WHY_COUNTED = "as numbered points mostly are"  # of the order of points that are only counted
_COUNTED = re.compile(r"(.*?)(\d{1,2})")
_THUMB_BY_ANATOMY = {"cmc": "mcp", "mcp": "pip", "ip": "dip", "tip": "tip"}  # carpometacarpal first, as MediaPipe


def match_names(names: Sequence[str], where: object) -> list[int | None]:
    """Find the slot of each name: 0..20 as in `skeleton.KEYPOINTS`, 21 the palm centre, None for any other.

    Names may carry a side, a hyphen or a number: `left_forefinger1`, `INDEX_FINGER_MCP`, `pinky-tip`. Where a thumb
    has a CMC or an IP its four are named by anatomy. 21 points that are only counted are in our order.

    Raises:
        DataError: no name is known, or two name the same point.
    """
    slots = _slots(names)
    known = [slot for slot in slots if slot is not None]
    twice = [name for name, slot in zip(names, slots, strict=True) if slot is not None and known.count(slot) > 1]
    if not known or twice:
        expected = "names of keypoints (wrist, thumb_mcp, ..., little_tip), each once"
        raise DataError(
            where, expected=expected, got=", ".join(twice or names)[:120] or "none", fix="See docs/custom.md."
        )
    return slots


def names_a_hand(names: Sequence[str]) -> bool:
    """Tell whether some of the names are points of one hand: a body has two wrists and no finger."""
    known = [slot for slot in _slots(names) if slot is not None]
    return bool(known) and (len(set(known)) == len(known) or any(slot not in (INDEX["wrist"], PALM) for slot in known))


def numbered_slots(names: Sequence[str]) -> list[int] | None:
    """Return the slots of 21 points that are only counted, as "0" to "20" or kp1 to kp21; None for other names."""
    found = [_COUNTED.fullmatch(name.strip()) for name in names]
    matches = [match for match in found if match is not None]
    numbers = [int(match[2]) for match in matches]
    first = min(numbers, default=0)
    is_counted = sorted(numbers) == list(range(first, first + NUM_KEYPOINTS)) and first in (0, 1)
    same = len({match[1] for match in matches}) == 1
    return [number - first for number in numbers] if is_counted and same and len(matches) == len(names) else None


def _slots(names: Sequence[str]) -> list[int | None]:
    counted = numbered_slots(names)
    if counted is not None:
        return list(counted)
    plain = [re.sub(r"[\s.\-]+", "_", name.strip().lower()) for name in names]
    plain = [name if name == "hand_root" else _SIDES.sub("", name) for name in plain]
    by_anatomy = any(re.search(r"thumb_?(finger)?_?(cmc|ip)$", name) for name in plain)
    return [_slot(name, by_anatomy=by_anatomy) for name in plain]


def _slot(name: str, *, by_anatomy: bool) -> int | None:
    if name in ("wrist", "root", "hand_root", "carpus"):
        return INDEX["wrist"]
    if name in ("palm", "palm_center", "palm_centre"):
        return PALM
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    finger, joint = _FINGERS.get(match[1], match[1]), match[2]
    if joint in _NUMBERED:
        joint = _NUMBERED[joint]
    elif finger == "thumb" and by_anatomy:
        joint = _THUMB_BY_ANATOMY.get(joint, joint)
    return INDEX.get(f"{finger}_{joint}")
