"""Whether the doubt of a tracked box tells where it is wrong, after one drawn box with nobody watching (issue 20).

    python benchmarks/doubt.py [--rendered N] [--first NUMBER] [--scratch DIR]

In each of nine windows of 130 frames of a sequence, evenly placed, one true box is drawn: on the first labelled frame
of the first, in the middle of the second, on the last of the third, and so on. A sequence of 130 frames or fewer is its
own window, three times. The session's own code tracks from there both ways, and the model is asked about all boxes. A
box is wrong if its IoU with the truth is below 0.5. Frames without a true box do not count, nor does the drawn one;
lost frames, whose doubt is 1 and which the page names apart, are counted apart.

AUC: the chance that a wrong frame has more doubt than another one. The interval is a bootstrap over windows.
Sequences: as in annotate.py; the doubt's constants were chosen on rendered swipes of numbers 100 to 102 (`--first 100
--rendered 3`).
"""

import argparse
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from annotate import ASK, NO_HANDS, Sequence, add_rendered, asked_sequences, overlap, real_sequences
from machine import Aim, Result
from numpy.typing import NDArray

from handdata.annotate.marks import person
from handdata.annotate.pictures import Pictures, list_pictures
from handdata.annotate.tracker import TrackerSettings
from handdata.annotate.tracking import SequenceTracks

WINDOW = 130  # frames, about five seconds
WRONG = 0.5  # IoU below
QUEUED = 0.5  # doubt from which on the page asks for a look
DRAWS = 2000
LEAST_AUC = 0.9

Floats = NDArray[np.float64]


@dataclass
class Judged:
    """A window: doubt and whether it is wrong of every tracked box that has a true one, (T,); and how many are lost."""

    name: str
    doubt: Floats
    wrong: NDArray[np.bool_]
    lost: int


def judge(sequence: Sequence, first: int, at: int) -> Judged:
    """Draw the box of frame `at` and track the window that begins at `first`."""
    every = list_pictures(sequence.folder)
    part = slice(first, first + WINDOW)
    pictures = Pictures(every.paths[part], every.targets[part], every.img_names[part], every.width, every.height)
    truth = sequence.truth[part]
    board, marks = SequenceTracks(pictures, TrackerSettings(), ASK), {at - first: person(truth[at - first])}
    while (job := board.next_job(marks, 0)) is not None:
        board.do(job)
    while (look := board.next_look(marks, 0, 0)) is not None:
        look()
    cells = board.cells(marks, 0)
    there = [i for i, box in enumerate(truth) if box is not None and i not in marks]
    seen = [i for i in there if cells[i].box is not None]
    wrong = np.array([overlap(cells[i].box, truth[i]) < WRONG for i in seen], bool)
    return Judged(sequence.name, np.array([cells[i].doubt for i in seen]), wrong, len(there) - len(seen))


def windows(sequence: Sequence) -> list[tuple[int, int]]:
    """Return the first frame of each window and the frame that is drawn in it."""
    spare = max(len(sequence.truth) - WINDOW, 0)
    firsts = np.linspace(0, spare, 9 if spare else 3).round().astype(int).tolist()
    labelled = [[i for i in sequence.labelled if first <= i < first + WINDOW] for first in firsts]
    places = itertools.cycle([0, 0.5, 1])
    return [
        (first, frames[round(place * (len(frames) - 1))])
        for first, frames, place in zip(firsts, labelled, places, strict=False)
        if frames
    ]


def auc(doubt: Floats, wrong: NDArray[np.bool_]) -> float:
    """Return the chance that a wrong frame has more doubt than another, halves for equal; NaN without either."""
    pairs = doubt[wrong][:, None] - doubt[~wrong][None]
    return float(np.mean((pairs > 0) + 0.5 * (pairs == 0))) if pairs.size else float("nan")


def joined(members: list[Judged]) -> tuple[Floats, NDArray[np.bool_]]:
    return np.concatenate([one.doubt for one in members]), np.concatenate([one.wrong for one in members])


def row(members: list[Judged]) -> dict[str, float]:
    """Return the figures of some windows together."""
    doubt, wrong = joined(members)
    rng = np.random.default_rng(0)
    chosen = [rng.integers(len(members), size=len(members)) for _ in range(DRAWS)]
    drawn = [auc(*joined([members[i] for i in draw])) for draw in chosen]
    low, high = np.nanpercentile(drawn, [2.5, 97.5]) if np.isfinite(drawn).any() else (np.nan, np.nan)
    queued = doubt >= QUEUED
    return {
        "frames": len(doubt),
        "lost": sum(one.lost for one in members),
        "wrong": int(wrong.sum()),
        "AUC": auc(doubt, wrong),
        "from": low,
        "to": high,
        "wrong ones queued": float(queued[wrong].mean()) if wrong.any() else float("nan"),
        "queued": float(queued.mean()),
        "queued ones wrong": float(wrong[queued].mean()) if queued.any() else float("nan"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_rendered(parser)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    found: dict[str, list[Judged]] = {}
    with tempfile.TemporaryDirectory() as folder:
        rendered = asked_sequences(asked, Path(folder), WINDOW)
        real = (one for one in real_sequences() if one.name not in NO_HANDS)
        for kind, sequences in {"real": real, "rendered": rendered}.items():
            for sequence in sequences:
                found.setdefault(kind, []).extend(judge(sequence, *where) for where in windows(sequence))
    result = Result("8 annotator, doubt")
    for kind, members in found.items():
        result.rows[kind] = row(members)
        for name in dict.fromkeys(one.name for one in members):
            result.rows[name] = row([one for one in members if one.name == name])
        result.aims.append(Aim(f"AUC of the doubt, {kind}", result.rows[kind]["AUC"], LEAST_AUC, unit=""))
    result.finish(as_json=asked.json)


if __name__ == "__main__":
    main()
