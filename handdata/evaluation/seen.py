"""What weights have been trained on, held against what is scored: nothing they have seen counts as held out.

A run's shards.json records it: for each dataset the shards by the hash of their content, their splits, the sequences
that were left out, and the same of the runs that it started from.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import DataError, HanddataError
from handdata.files.text import Wanted, read_object
from handdata.shards.alike import same_hands
from handdata.shards.dataset import Dataset, open_dataset

Mask = NDArray[np.bool_]
RECORD = "shards.json"
RECORDED = Wanted(what="what a run was trained on", fix="Restore it or train that run again.")


@dataclass(frozen=True, kw_only=True)
class SeenSet:
    """What was trained on of one dataset.

    Attributes:
        dataset: its name.
        origin: whose hands: rendered ones are not the published ones of the same name; "" where it is not recorded.
        hashes: content hashes of the shards that were trained on.
        others: content hashes of the other shards of that conversion.
        splits: of the shards that were trained on.
        sequences: that were trained on, "" of an older record.
        left_out: sequences of these shards that were not trained on.
        by_sequence: the training was told which sequences to leave out, and took all others whatever their split.
        folder: of the shards when they were trained on; "" of weights that were given on.
    """

    dataset: str
    origin: str = ""
    hashes: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()
    splits: frozenset[str] = frozenset()
    sequences: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()
    by_sequence: bool = False
    folder: str = ""

    def covers(self, *, split: str, sequence: str, content: str, origin: str) -> bool:
        """Tell whether a sample was trained on, by its split, its sequence, and its shard's content and origin.

        A shard that the training did not know is another conversion or another rendering of the dataset: real pictures
        are the same ones then, so they are told by their sequence; rendered ones are new, but for those of the splits
        that were trained on, which nobody could tell.
        """
        if content in self.others:
            return False
        if content in self.hashes or self.by_sequence:
            return sequence not in self.left_out
        is_new = (self.origin or origin) == "rendered"  # where no origin is recorded, by what the sample says
        return split in self.splits or (not is_new and sequence in self.sequences)

    def lacks(self, contents: Sequence[str]) -> bool:
        """Tell whether the training did not know one of some shards, by their content hashes."""
        return not self.hashes | self.others >= set(contents)

    def own_hands(self) -> Dataset | None:
        """Return somebody's own hands that were trained on, while their shards are where they were.

        Another import of such hands is told by their ids and labels: its name says nothing, most have no sequence, and
        other pictures may be called alike.
        """
        if self.origin != "own" or not self.folder:
            return None
        try:
            data = open_dataset(self.folder)
        except HanddataError:
            return None
        contents = [_content(entry) for entry in data.index["shards"]]
        if not self.hashes <= set(contents):
            return None
        trained = np.array([content in self.hashes for content in contents])[data.locate(np.arange(len(data)))[0]]
        return data[trained & ~np.isin(data["sequence"], sorted(self.left_out))]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What weights were trained on, their own run and those before it."""

    sets: tuple[SeenSet, ...] = ()

    def rows(self, dataset: Dataset) -> Mask:
        """Tell which hands of a dataset were trained on: (N,) bool."""
        mine = [one for one in self.sets if one.dataset == dataset.name and one.origin in ("", dataset.origin)]
        seen = np.zeros(len(dataset), bool)
        if not mine or not len(dataset):
            return seen
        hashes = {entry["file"]: _content(entry) for entry in dataset.index["shards"]}
        contents = [hashes.get(name, "") for name in dataset.shards.names]
        shard = dataset.locate(np.arange(len(dataset)))[0]
        number, names = dataset.codes("sequence")
        among, origin = [_among(dataset, one) if one.lacks(contents) else None for one in mine], dataset.origin
        for place, sequence in {(int(s), int(n)) for s, n in zip(shard, number, strict=True)}:
            here, content = (shard == place) & (number == sequence), contents[place]
            for one, trained in zip(mine, among, strict=True):
                if trained is not None and one.lacks([content]):
                    seen[here] |= trained[here]
                elif one.covers(
                    split=dataset.shards.splits[place], sequence=names[sequence], content=content, origin=origin
                ):
                    seen[here] = True
        return seen

    def takes_sequences(self, dataset: str) -> bool:
        """Tell whether a dataset was trained on by sequence: its splits say nothing of what is held out."""
        return any(one.by_sequence for one in self.sets if one.dataset == dataset)

    def covers_some(self, *, dataset: str, split: str, sequences: Sequence[str], origin: str) -> bool:
        """Tell whether some of a scored set was trained on, as far as its results say what they are of."""
        mine = [one for one in self.sets if one.dataset == dataset and one.origin in ("", origin)]
        return any(bool(set(sequences) - one.left_out) if one.by_sequence else split in one.splits for one in mine)


def _among(dataset: Dataset, one: SeenSet) -> Mask | None:
    """Tell which hands of a dataset are among somebody's own that were trained on, as far as ids and labels tell.

    Returns:
        (N,) bool; None where those are not to be had.
    """
    trained = one.own_hands()
    if trained is None:
        return None
    _, here, there = np.intersect1d(dataset.ids, trained.ids, return_indices=True)
    found = np.zeros(len(dataset), bool)
    found[here] = same_hands(dataset[here], trained[there])
    return found


def trained_facts(dataset: Dataset, left_out: Sequence[str] = ()) -> dict[str, Any]:
    """Return what shards.json records of a dataset that is trained on.

    Args:
        dataset: the hands that are trained on.
        left_out: sequences that the training was told to leave out.
    """
    files = set(dataset.shards.names)
    entries = dataset.index["shards"]
    return {
        "dataset": dataset.name,
        "origin": dataset.origin,
        "folder": str(dataset.folder),
        "splits": list(dataset.splits),
        "sequences": sorted(set(dataset["sequence"].tolist())),
        "left_out": sorted(left_out),
        "shards": [_content(entry) for entry in entries if entry["file"] in files],
        "other_shards": [_content(entry) for entry in entries if entry["file"] not in files],
    }


def read_seen(run: Path) -> Seen:
    """Return what a run, or the run of a checkpoint, was trained on; nothing where that is not recorded.

    Raises:
        DataError: the record is damaged.
    """
    with damage_told(run / RECORD):
        return Seen(sets=tuple(_set(facts) for facts in records_of(run)))


@contextmanager
def damage_told(path: Path) -> Iterator[None]:
    """Name the file of a record that holds other things than it should.

    Raises:
        DataError: it does.
    """
    try:
        yield
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        got, fix = f"a damaged record ({error})", "Restore it or train that run again."
        raise DataError(path, expected="what was trained on", got=got, fix=fix) from error


def seen_by(options: Mapping[str, Any]) -> Seen | None:
    """Return what the weights behind a file of predictions were trained on, by its options; None if nobody knows."""
    made_by = options.get("checkpoint")
    seen = read_seen(Path(made_by)) if isinstance(made_by, str) else Seen()
    return seen if seen.sets else None


def records_of(run: Path | None) -> list[dict[str, Any]]:
    """Return what a run, or the run of a checkpoint, records of its own training sets and of those before it.

    Raises:
        DataError: the record is damaged.
    """
    places = () if run is None else (run, run.parent, run.parent.parent)
    folder = next((path for path in places if (path / RECORD).is_file()), None)
    if folder is None:
        return []
    content = _read(folder / RECORD)
    with damage_told(folder / RECORD):
        return [*trained_in(folder), *(dict(facts) for facts in content.get("before", []))]


def trained_in(run: Path) -> list[dict[str, Any]]:
    """Return what a run's folder records of its own training sets, where it has a record.

    Sets of one name, such as two folders of imported labels, know each other's other shards: they were told apart when
    the run began, and hands without a sequence would count as trained on wherever they are.

    Raises:
        DataError: the record is damaged.
    """
    content = _read(run / RECORD)
    with damage_told(run / RECORD):
        trained = content["trained"] if "trained" in content else _older(content, _read(run / "config.json"))
        others: dict[str, list[str]] = {}
        for facts in trained:
            others.setdefault(facts["dataset"], []).extend(facts["other_shards"])
        return [{**facts, "other_shards": others[facts["dataset"]]} for facts in trained]


def _set(facts: Mapping[str, Any]) -> SeenSet:
    return SeenSet(
        dataset=str(facts["dataset"]),
        origin=str(facts.get("origin", "")),
        hashes=frozenset(facts["shards"]) - {""},
        others=frozenset(facts["other_shards"]) - {""},
        splits=frozenset(facts["splits"]),
        sequences=frozenset(facts["sequences"]),
        left_out=frozenset(facts["left_out"]),
        by_sequence=bool(facts["left_out"]),
        folder=str(facts.get("folder", "")),
    )


def _older(content: Mapping[str, Any], config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the record of a run that was made before training and validation sets were told apart."""
    left_out = list(config.get("data", {}).get("val_sequences", []))
    return [
        {
            "dataset": facts["dataset"],
            "splits": facts["splits"] if left_out else ["train"],
            "sequences": [],
            "left_out": left_out,
            "shards": [_content(shard) for shard in facts["shards"] if left_out or shard["split"] == "train"],
            "other_shards": [],
        }
        for facts in content.get("datasets", [])
    ]


def _content(entry: Mapping[str, Any]) -> str:
    return str(entry.get("content_sha256") or entry.get("sha256") or "")


def _read(path: Path) -> dict[str, Any]:
    """Return a JSON object of a run; {} where it is not there."""
    return read_object(path, RECORDED) if path.is_file() else {}
