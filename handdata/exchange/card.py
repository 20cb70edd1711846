"""README.md beside shards and exported files: a Hugging Face dataset card: what the pictures are, and their licence.

Format of the head: https://huggingface.co/docs/hub/datasets-cards
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handdata import __version__
from handdata.errors import HanddataError
from handdata.exchange.record import CARD, SHEET, ExportRecord
from handdata.files.text import Wanted, read_text
from handdata.files.whole import write_bytes, write_text
from handdata.pictures.overlay import contact_sheet
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.provenance import KEY, Provenance, provenance_of
from handdata.shards.provenance import facts_of as archive_of
from handdata.shards.schema import SPLITS
from handdata.skeleton import KEYPOINTS, SIDE_NAMES

SHEET_HANDS = 12
SHARDS = "shards"
_BY = "Written by handdata"
_CARD = Wanted(what="a card")
_KNOWN = {"CC BY-NC 4.0": "cc-by-nc-4.0", "MIT": "mit", "CC0 1.0": "cc0-1.0"}  # the hub's words, the strictest first
_LONGEST_SLUG = 60
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_ORIGIN = {
    "rendered": "Rendered by handdata; nobody's hand is shown.",
    "published": "Pictures of the published dataset.",
    "several": "Pictures of the published datasets.",
    "own": "Pictures of whoever converted them.",
}
_SHOWN = {
    "canvas": "square windows about the hands, resampled once",
    "crop": "the squares that a model is shown",
    "source": "as shipped, each with all its hands",
}
_OPEN = 'handdata.open("FOLDER")'  # shards


@dataclass(frozen=True)
class Terms:
    """What may be done with a dataset's pictures, whose they are, and what is known to be wrong or missing in them."""

    parts: tuple[Provenance, ...]
    errata: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Names of all the datasets."""
        return "; ".join(dict.fromkeys(part.title for part in self.parts))

    @property
    def licence(self) -> str:
        """Each licence once, those that somebody else says first."""
        ordered = sorted(self.parts, key=lambda part: not part.is_restricted)
        return "; ".join(dict.fromkeys(part.licence for part in ordered))

    @property
    def homepage(self) -> str:
        """Of the first dataset that has one."""
        return next((part.homepage for part in self.parts if part.homepage), "")

    @property
    def citation(self) -> str:
        """Each citation once."""
        return "; ".join(dict.fromkeys(part.citation for part in self.parts if part.citation))

    @property
    def restricted(self) -> tuple[Provenance, ...]:
        """The datasets of whose pictures somebody else says who may have them."""
        return tuple(part for part in self.parts if part.is_restricted)


def terms_of(data: Dataset) -> Terms:
    """Return the terms of a dataset; rendered hands have those of the mesh, and no faults of an archive."""
    parts = provenance_of(data)
    names = dict.fromkeys(part.dataset for part in parts if part.origin != "rendered")
    known = [facts for name in names if (facts := archive_of(name)) is not None]
    of = [f"{one.title}: " if len(known) > 1 else "" for one in known]
    return Terms(parts, tuple(f"{title}{line}" for title, one in zip(of, known, strict=True) for line in one.errata))


def facts_of(part: Dataset) -> dict[str, Any]:
    """Return the counts of one split for its card."""
    sides = part["side"].tolist()
    return {
        "hands": len(part),
        "sequences": len(set(part["sequence"].tolist())),
        "sides": {side: sides.count(side) for side in SIDE_NAMES if side in sides},
        "with_3d": int(part["annotated_3d"].any(-1).sum()),
        "keypoints_2d": int(part["annotated_2d"].sum()),
    }


def write_card(folder: Path, data: Dataset, record: ExportRecord, terms: Terms, *, shown: str, load: str) -> None:
    """Write the card of an export, and its contact sheet; `load` is how its format is opened, as `Format` says it."""
    _write_sheet(folder, data)
    write_text(folder / CARD, card_text(data, record.kind, record.finished, terms, shown, load))


def write_shard_card(folder: Path) -> None:
    """Write the card of converted shards, and its contact sheet, unless they are there; a README.md of others stays.

    The card is written last and names the shards that it is of, so that a run that was killed before it is made good.

    Raises:
        HanddataError: the shards cannot be read, or the folder not be written.
    """
    data = open_dataset(folder)
    if not len(data):
        return
    try:
        before = read_text(folder / CARD, _CARD)
    except HanddataError:  # none, or no text
        before = ""
    mark = _mark(data)
    is_of_these = before.endswith(mark) and (folder / SHEET).is_file()
    if is_of_these or (before and _BY not in before):
        return
    parts = {split: data.split(split) for split in data.splits}
    text = card_text(data, SHARDS, {split: facts_of(part) for split, part in parts.items()}, terms_of(data), "canvas")
    _write_sheet(folder, data)
    write_text(folder / CARD, text + mark)


def _mark(data: Dataset) -> str:
    """Return the line of a card, unseen where it is shown, that says which shards it is of."""
    hashes = "".join(entry["content_sha256"] for entry in data.index["shards"])
    hashes += json.dumps(data.index[KEY]) if KEY in data.index else ""
    return f"\n<!-- of the shards {hashlib.sha256(hashes.encode()).hexdigest()[:32]} -->\n"


def _write_sheet(folder: Path, data: Dataset) -> None:
    tiles = [np.asarray(hand.draw(scale=1)) for hand in data.spread(SHEET_HANDS)]
    ok, sheet = cv2.imencode(".jpg", contact_sheet(tiles)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    if ok:
        write_bytes(folder / SHEET, sheet.tobytes())


def card_text(
    data: Dataset,
    kind: str,
    splits: Mapping[str, Mapping[str, Any]],
    terms: Terms,
    shown: str,
    load: str = _OPEN,
) -> str:
    """Return the text of a card."""
    hands = sum(int(facts.get("hands", 0)) for facts in splits.values())
    size = next((word for most, word in _SIZES if hands < most), "1M<n<10M")
    word = _licence_word(terms)
    head = ["---", f"pretty_name: {json.dumps(terms.title)}", f"license: {word}"]
    licences = {part.licence for part in terms.parts}
    if word == "other":  # one name and one link are no place for several; the lines below have them all
        head += [f"license_name: {_slug(terms.licence) if len(licences) == 1 else 'several'}"]
        link = terms.licence if _is_address(terms.licence) else terms.homepage
        head += [f"license_link: {json.dumps(link)}"] if len(licences) == 1 and link else []
    head += [
        "task_categories: [keypoint-detection]",
        f"size_categories: [{size}]",
        "tags: [hand-pose, keypoints]",
        "---",
    ]
    table = ["| split | hands | sides | sequences | with 3D | labelled keypoints in 2D |", "|---|---|---|---|---|---|"]
    for split, facts in sorted(splits.items()):
        sides = ", ".join(f"{count} {side}" for side, count in facts.get("sides", {}).items())
        cells = [
            split,
            facts.get("hands"),
            sides,
            facts.get("sequences"),
            facts.get("with_3d"),
            facts.get("keypoints_2d"),
        ]
        table.append(f"| {' | '.join(map(str, cells))} |")
    body = [
        f"# {terms.title}",
        f"{_whose(terms)} {_BY} {__version__} as {kind}; pictures: {_SHOWN[shown]}.",
        f"![Hands with their labels]({SHEET})",
        "\n".join(table),
        *_licences(terms),
        f"- Keypoints, in this order: {', '.join(KEYPOINTS)}",
        "- Pixels: (0, 0) is the centre of the first pixel. Millimetres, camera axes: x right, y down, z forward.",
        f"- To read it: `{_loading(load, [split for split, facts in splits.items() if _kind_of(facts, kind) == kind])}`"
        + ("" if kind == SHARDS else "; or `handdata import` of this folder"),
        *(
            f"- {split} is there as {_kind_of(facts, kind)}, from an earlier export"
            for split, facts in sorted(splits.items())
            if _kind_of(facts, kind) != kind
        ),
        *(
            f"- Left out of {split}, which {_kind_of(facts, kind)} cannot hold: {facts['left_out']} hands"
            for split, facts in sorted(splits.items())
            if facts.get("left_out")
        ),
        *(f"- Of the archive: {line}" for line in terms.errata),
        *_corrected(data),
    ]
    return "\n".join(head) + "\n\n" + "\n\n".join(body[:4]) + "\n\n" + "\n".join(body[4:]) + "\n"


def _kind_of(facts: Mapping[str, Any], kind: str) -> str:
    """Return the format that a split is there as: a folder may hold those of earlier exports."""
    return str(facts.get("format", kind))


def _loading(load: str, splits: Iterable[str]) -> str:
    """Return how to read files, by the names of those that are there."""
    ordered = [split for split in SPLITS if split in splits]
    first, files = ordered[0] if ordered else "", json.dumps({split: f"{split}.parquet" for split in ordered})
    line = load.replace("{FILES}", files).replace("FIRST", first)
    more = ", ".join(ordered[1:])
    return line + (f"; likewise {more}" if "FIRST" in load and more else "")


def _licence_word(terms: Terms) -> str:
    """Return the hub's word for the strictest of the licences; "other" where one of them has none."""
    licences = {part.licence for part in terms.parts}
    return (
        next((word for name, word in _KNOWN.items() if name in licences), "other")
        if licences <= set(_KNOWN)
        else "other"
    )


def _slug(words: str) -> str:
    """Return a name as the hub takes it: words, joined by hyphens; of a text its beginning, of an address all."""
    beginning = re.sub(r"^https?://", "", words) if _is_address(words) else re.split(r"[;:(]", words)[0]
    slug = re.sub(r"[^a-z0-9]+", "-", beginning.lower()).strip("-")
    if not re.search("[a-z]", slug):
        return "in-words"  # that are not of these letters
    last = slug.rfind("-", 0, _LONGEST_SLUG + 1) if len(slug) > _LONGEST_SLUG else len(slug)
    return slug[: last if last > 0 else _LONGEST_SLUG]


def _is_address(words: str) -> bool:
    return re.fullmatch(r"https?://\S+", words) is not None


def _licences(terms: Terms) -> list[str]:
    """Return a line for the licence of each part, and for what wants to be cited."""
    lines = []
    for part in terms.parts:
        of = f" of {part.title}" if len(terms.parts) > 1 else ""
        lines.append(f"- Licence{of}: {part.licence}" + (f" ({part.homepage})" if part.homepage else ""))
    return [*lines, *([f"- Cite: {terms.citation}"] if terms.citation else [])]


def _whose(terms: Terms) -> str:
    """Return whose hands are shown, a sentence for each origin."""
    origins = dict.fromkeys(origin for part in terms.parts for origin in part.origin.split(", "))
    if sum(part.is_restricted for part in terms.parts) > 1:
        origins = dict.fromkeys("several" if origin == "published" else origin for origin in origins)
    return " ".join(_ORIGIN.get(origin, "Origin not recorded.") for origin in origins)


def _corrected(data: Dataset) -> list[str]:
    """Say how much of the labels a person mended."""
    facts = data.index.get("corrections")
    if not isinstance(facts, dict):
        return []
    counts = f"{facts.get('points')} points and {facts.get('sides')} sides of {facts.get('samples')} hands"
    return [f"- Mended by a person when these shards were converted: {counts}"]
