"""Corrections: labels of shards that a person mended, one entry per sample id; read and written.

`handdata convert --corrections FILE` lays them over the archive's own labels; the archive stays as it is. A file:

    {"format": "handdata-corrections/1", "dataset": "rhd", "samples": {
      "training/00111/left": {
        "size": [320, 320], "side": "right",
        "points": {"index_tip": {"state": "visible", "uv": [12.5, 40.25]}, "thumb_tip": {"state": "absent"}}}}}

`points` holds the changed ones alone. `uv` counts in pixels of the picture as shipped, (0, 0) the centre of its first
pixel; `size`, its width and height, may be left out, and so may `points` or `side`.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import isfinite
from pathlib import Path
from typing import Any

from handdata.exchange.labels import FARTHEST_PX
from handdata.files.text import LARGE, Wanted, as_object, read_object
from handdata.files.whole import write_text
from handdata.skeleton import KEYPOINTS, SIDE_NAMES

FORMAT = "handdata-corrections/1"
VISIBLE, OCCLUDED, OUTSIDE, ABSENT = STATES = ("visible", "occluded", "outside", "absent")
_FILE = Wanted(what="corrections", fix="docs/custom.md shows such a file.", largest=LARGE)


@dataclass(frozen=True, slots=True)
class MendedPoint:
    """One keypoint as a person says it is.

    Attributes:
        state: "visible" or "occluded" (inside the picture), "outside" of it, or "absent": it is not to be labelled.
        uv: px of the picture as shipped; None if absent, and allowed if outside.
    """

    state: str
    uv: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MendedHand:
    """What a person changed of one sample.

    Attributes:
        points: those that changed, by keypoint name.
        side: "left", "right" or "unknown"; "" leaves it.
        size: width and height of the picture as shipped, px; None: not said.
    """

    points: Mapping[str, MendedPoint] = field(default_factory=dict)
    side: str = ""
    size: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class Corrections:
    """Mended hands of one dataset by sample id.

    Attributes:
        dataset: its name; "" is any.
        samples: the hands.
        others: hands of the file that were left out, as the dataset was merged of others too.
    """

    dataset: str = ""
    samples: Mapping[str, MendedHand] = field(default_factory=dict)
    others: int = 0

    def of(self, ids: Iterable[str]) -> "Corrections":
        """Return those of some samples."""
        return replace(self, samples={one: self.samples[one] for one in ids if one in self.samples})

    @property
    def sha256(self) -> str:
        """What stands for their content; "" of none."""
        return hashlib.sha256(corrections_text(self).encode()).hexdigest() if self.samples else ""

    @property
    def facts(self) -> dict[str, Any]:
        """What index.json records of them."""
        points = sum(len(hand.points) for hand in self.samples.values())
        sides = sum(bool(hand.side) for hand in self.samples.values())
        return {"sha256": self.sha256, "samples": len(self.samples), "points": points, "sides": sides}


def write_corrections(path: Path, corrections: Corrections) -> None:
    """Write a file; the same bytes for the same corrections.

    Raises:
        WriteError: it cannot be written.
        HanddataError: what would be written could not be read again.
    """
    for sample_id, hand in corrections.samples.items():
        _hand(_plain(hand), f"{path}[samples][{sample_id}]")
    write_text(path, corrections_text(corrections))


def read_corrections(path: Path) -> Corrections:
    """Read a file.

    Raises:
        MissingError, DataError: no such file, or one that says what cannot be; the entry is named.
    """
    return parse_corrections(read_object(path, _FILE), path)


def parse_corrections(given: Any, path: Path | str) -> Corrections:
    """Take what a file holds, blamed on `path`; errors as of `read_corrections`."""
    content = as_object(given, str(path), _FILE)
    if content.get("format") != FORMAT:
        raise _FILE.fault(f"{path}[format]", FORMAT, repr(content.get("format")))
    _only(content, ("format", "dataset", "samples"), path)
    dataset = content.get("dataset", "")
    if not isinstance(dataset, str):
        raise _FILE.fault(f"{path}[dataset]", "the name of a dataset", repr(dataset))
    samples = as_object(content.get("samples"), f"{path}[samples]", _FILE)
    hands = {key: _hand(given, f"{path}[samples][{key}]") for key, given in samples.items()}
    return Corrections(dataset=dataset, samples=hands)


def _hand(given: Any, where: str) -> MendedHand:
    facts = as_object(given, where, _FILE)
    _only(facts, ("points", "side", "size"), where)
    points = as_object(facts.get("points", {}), f"{where}[points]", _FILE)
    _only(points, KEYPOINTS, f"{where}[points]")
    side = facts.get("side", "")
    if "side" in facts and side not in SIDE_NAMES:
        raise _FILE.fault(f"{where}[side]", f"one of {', '.join(SIDE_NAMES)}", repr(side))
    if not points and not side:
        raise _FILE.fault(where, "points or a side", "neither")
    size = facts.get("size")
    if size is not None and not (_are(size, int) and min(size) > 0):
        raise _FILE.fault(f"{where}[size]", "width and height, px", repr(size))
    mended = {name: _point(points[name], f"{where}[points][{name}]") for name in KEYPOINTS if name in points}
    return MendedHand(points=mended, side=side, size=None if size is None else (size[0], size[1]))


def _point(given: Any, where: str) -> MendedPoint:
    facts = as_object(given, where, _FILE)
    _only(facts, ("state", "uv"), where)
    state, uv = facts.get("state"), facts.get("uv")
    if state not in STATES:
        raise _FILE.fault(f"{where}[state]", f"one of {', '.join(STATES)}", repr(state))
    if uv is not None and not (_are(uv, int | float) and all(isfinite(x) and abs(x) <= FARTHEST_PX for x in uv)):
        raise _FILE.fault(f"{where}[uv]", "two numbers, px", repr(uv))
    if state == ABSENT and uv is not None:
        raise _FILE.fault(f"{where}[uv]", "no place of an absent point", repr(uv))
    if state in (VISIBLE, OCCLUDED) and uv is None:
        raise _FILE.fault(f"{where}[uv]", f"the place of the {state} point", "none")
    return MendedPoint(state, None if uv is None else (float(uv[0]), float(uv[1])))


def _are(pair: Any, kind: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(x, kind) and x is not True for x in pair)


def _only(facts: Mapping[str, Any], known: Iterable[str], where: object) -> None:
    """Refuse an unknown key.

    Raises:
        DataError: there is one; the nearest is named.
    """
    names = tuple(known)
    for key in facts:
        if key not in names:
            near = get_close_matches(key, names, n=1, cutoff=0.0)[0]
            raise _FILE.fault(where, f"keys such as {near!r}", repr(key))


def corrections_text(corrections: Corrections) -> str:
    """Return what a file of them holds."""
    samples = {sample_id: _plain(corrections.samples[sample_id]) for sample_id in sorted(corrections.samples)}
    lines = ",\n".join(f"{json.dumps(sample_id)}: {json.dumps(facts)}" for sample_id, facts in samples.items())
    head = json.dumps({"format": FORMAT, "dataset": corrections.dataset})[:-1]
    return f'{head}, "samples": {{\n{lines}\n}}}}\n'


def _plain(hand: MendedHand) -> dict[str, Any]:
    points = {
        name: {"state": point.state} | ({} if point.uv is None else {"uv": [float(x) for x in point.uv]})
        for name, point in sorted(hand.points.items(), key=lambda pair: KEYPOINTS.index(pair[0]))
    }
    said = {"size": hand.size and list(hand.size), "side": hand.side, "points": points}
    return {key: value for key, value in said.items() if value}
