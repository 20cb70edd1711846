"""Split labelled pictures into train, val and test: by recordings, by persons, or by groups of pictures.

Pictures belong together that are one file stored twice or carry the same labels (one shot before several backgrounds).
"""

import hashlib
import re
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handdata.errors import ConfigError
from handdata.exchange.labels import HandLabels, LabelRow
from handdata.exchange.packed import is_there
from handdata.shards.schema import SPLITS

WAYS = ("sequence", "subject", "random")
MANY = 10  # recordings, from which on whole ones are kept together by default
BY_PICTURES = "by groups of pictures"  # how such a split begins in words: a sequence may lie in two of its parts
_ENDS = 4096  # bytes of a file that tell it from others of its size


@dataclass(frozen=True, slots=True)
class SplitBy:
    """How to split: one of WAYS or of SPLITS (all into that one), and the shares of val and test."""

    way: str
    val: float = 0.1
    test: float = 0.1


def parse_split_by(text: str, asked: str = "--split-by", ways: Sequence[str] = WAYS) -> SplitBy | None:
    """Read `way[:val/test]`, one of some ways; None for an empty text. `asked` is the option's name.

    Raises:
        ConfigError: it is something else.
    """
    if not text:
        return None
    match = re.fullmatch(r"(\w+)(?::(\d*\.?\d+)/(\d*\.?\d+))?", text)
    shares = (float(match[2]), float(match[3])) if match and match[2] else (0.1, 0.1)
    if match is None or match[1] not in (*ways, *SPLITS) or (match[1] in SPLITS and match[2]):
        expected = f"{', '.join(ways)}, with or without shares as in random:0.1/0.1, or one of {', '.join(SPLITS)}"
        raise ConfigError(asked, expected=expected, got=text)
    if sum(shares) >= 1:
        raise ConfigError(
            asked, expected="shares of val and test that leave some for train, below 1 together", got=text
        )
    return SplitBy(match[1], *shares)


def split_rows(rows: Sequence[LabelRow], root: Path, asked: SplitBy | None, seed: int) -> tuple[list[str], str]:
    """Return the split of each row, and how it was found, in words.

    Shares are of what will be written: a split is drawn among the rows whose pictures are there. Those of the others
    are of no meaning, unless the file says them.

    Args:
        rows: of the file.
        root: folder of the pictures.
        asked: None keeps what the file says, and makes train and val of one that says nothing.
        seed: of the draw.

    Raises:
        ConfigError: no row has what it is to be split by, or all have the same.
    """
    if asked is None and any(row.split for row in rows):
        missing = sum(not row.split for row in rows)
        words = "as the file says" + (f"; test for {missing} that it does not say of" if missing else "")
        return [row.split or "test" for row in rows], words
    if asked is not None and asked.way in SPLITS:
        return [asked.way] * len(rows), f"all {asked.way}, as asked"
    is_here = [not row.image or is_there(root, row.image) for row in rows]
    if not any(is_here):
        return [SPLITS[0]] * len(rows), "no picture is there"
    here = [row for row, is_one in zip(rows, is_here, strict=True) if is_one]
    if asked is None:
        many = len({row.sequence for row in here if row.image}) >= MANY
        asked = SplitBy("sequence" if many else "random", 0.1, 0.0)
        apart = "" if many else "; frames of one recording may lie in both"
        why = f"by default, as the file says nothing{apart}; see --split-by"
    else:
        why = "as asked"
    groups = _groups(here, root, asked.way)
    split_of = draw(set(groups), asked, seed)
    of_here = [split_of[group] for group in groups]
    of_pictures = {row.image: split for row, split in zip(here, of_here, strict=True) if row.image}
    whole = {"sequence": "sequences", "subject": "subjects", "random": "groups"}[asked.way]
    there = " that are there" if len(here) < len(rows) else ""
    counts = f"{_counts(list(split_of.values()))} {whole}; {_counts(list(of_pictures.values()))} pictures{there}"
    how = {"sequence": "by sequences", "subject": "by subjects", "random": BY_PICTURES}[asked.way]
    found = iter(of_here)
    splits = [next(found) if is_one else SPLITS[0] for is_one in is_here]
    return splits, f"{how} with seed {seed}: {counts} ({why})"


def _counts(splits: Sequence[str]) -> str:
    return ", ".join(f"{split} {splits.count(split)}" for split in SPLITS if split in splits)


def draw(groups: Iterable[str], asked: SplitBy, seed: int) -> dict[str, str]:
    """Give each group a split, the same for the same seed, however many rows a group has."""
    ordered = sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())
    wanted = {"val": asked.val, "test": asked.test}
    counts = {s: max(1, round(share * len(ordered))) if share > 0 else 0 for s, share in wanted.items()}
    if len(ordered) <= sum(counts.values()):  # training comes first, then val
        counts = {"val": min(counts["val"], max(len(ordered) - 1, 0)), "test": 0}
    names = ["val"] * counts["val"] + ["test"] * counts["test"]
    names += ["train"] * (len(ordered) - len(names))
    return dict(zip(ordered, names, strict=True))


def _groups(rows: Sequence[LabelRow], root: Path, way: str) -> list[str]:
    if way == "random":
        return _picture_groups(rows, root)
    if not any(getattr(row, way) for row in rows):
        fix = "Take --split-by random, or say it in the file."
        raise ConfigError("--split-by", expected=f"rows with a {way}", got="none", fix=fix)
    groups = [getattr(row, way) for row in rows]
    if len(set(groups)) < 2:
        raise ConfigError("--split-by", expected=f"several {way}s", got="one", fix="Take --split-by random.")
    return groups


def _picture_groups(rows: Sequence[LabelRow], root: Path) -> list[str]:
    """Return the first picture of the group that each row belongs to."""
    parent: dict[str, str] = {row.image: row.image for row in rows}

    def first(image: str) -> str:
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    seen: dict[Hashable, str] = {}
    for sign, image in (*_signs_of_files(parent, root), *_signs_of_labels(rows)):
        one, other = sorted((first(image), first(seen.setdefault(sign, image))))
        parent[other] = one
    return [first(row.image) for row in rows]


def _signs_of_files(images: Iterable[str], root: Path) -> list[tuple[Hashable, str]]:
    """Return what tells files that may be copies of each other from others: size, beginning and end."""
    by_size: dict[int, list[str]] = {}
    for image in images:
        path = root / image
        if image and path.is_file():
            by_size.setdefault(path.stat().st_size, []).append(image)
    return [((size, _ends(root / i, size)), i) for size, same in by_size.items() if len(same) > 1 for i in same]


def _ends(path: Path, size: int) -> bytes:
    with path.open("rb") as file:
        head = file.read(_ENDS)
        file.seek(max(size - _ENDS, 0))
        return hashlib.sha256(head + file.read(_ENDS)).digest()


def _signs_of_labels(rows: Sequence[LabelRow]) -> list[tuple[Hashable, str]]:
    """Return the labels of rows that have five points or more, as bytes."""
    hands = [(row.hand, row.image) for row in rows if isinstance(row.hand, HandLabels) and row.image]
    return [(h.uv.tobytes(), image) for h, image in hands if np.isfinite(h.uv).all(-1).sum() >= 5]
