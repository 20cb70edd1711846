"""Which samples an evaluation looks at: folders, splits, sequences, and nothing trained on unless it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handdata.errors import ConfigError, MissingError
from handdata.evaluation.join import refuse_others, scored_of
from handdata.evaluation.seen import Seen, read_seen
from handdata.progress import say
from handdata.shards.dataset import Dataset, open_dataset
from handdata.train.loader.loaders import Mixture
from handdata.train.loader.mixture import names_of
from handdata.train.loader.proportions import slot_map
from handdata.train.placing import Placing

LISTED = 8  # names of sequences in one line


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Which samples are predicted, and how they are looked at.

    Attributes:
        folders: converted datasets.
        split: "train", "val" or "test"; None takes all.
        held_out: with no split and no sequences named, leave out what `seen` was trained on, and "train" of datasets
            that have another split.
        sequences: only these; empty takes all.
        limit: the first so many of each dataset; 0 takes all.
        augmented: draw the published augmentation, which Table 4.6b is about, whatever the run was trained with.
        repeats: of the whole set, with other draws each time; only with `augmented`.
        seen: what the weights were trained on.
        fit: replace the poses by those that a hand can take, where the camera is known; only without `augmented`.
        placing: give millimetres too, by this; only without `augmented`, whose views have no camera.
    """

    folders: Sequence[Path]
    split: str | None = None
    held_out: bool = False
    sequences: Sequence[str] = ()
    limit: int = 0
    augmented: bool = False
    repeats: int = 1
    seen: Seen = field(default_factory=Seen)
    fit: bool = False
    placing: Placing | None = None

    @property
    def leaves_out(self) -> bool:
        """Whether what was trained on is left out."""
        return self.held_out and self.split is None and not self.sequences


def select(selection: Selection) -> list[Mixture]:
    """Open the selected samples, a mixture for each folder that has any: their canvases may differ in size.

    Raises:
        MissingError: no sample is left.
    """
    mixtures: list[Mixture] = []
    for folder in selection.folders:
        parts = [part for part in _parts(folder, selection) if len(part)]
        if parts:
            mixtures.append(Mixture(parts, slot_map([len(part) for part in parts])))
    if not mixtures:
        where = ", ".join(str(folder) for folder in selection.folders) or "--shards"
        fix = "Name other shards, split or sequences."
        if selection.leaves_out and selection.seen.sets:
            fix = "What is there was trained on: name other shards, or score it all the same by --split or --sequences."
        raise MissingError(where, expected="samples to predict", got="none", fix=fix)
    return mixtures


def refuse_same(mixtures: Sequence[Mixture], selection: Selection) -> None:
    """Refuse folders whose predictions could not be told apart.

    Args:
        mixtures: what is predicted.
        selection: what it was chosen by; all of its splits is scored, as far as there is a prediction of that id.

    Raises:
        ConfigError: two of them hold a sample of one dataset and id, or another hand than a predicted one by its id.
    """
    if len(selection.folders) < 2:
        return
    seen: dict[str, list[tuple[Path, NDArray[np.bytes_]]]] = {}
    for mixture in mixtures:
        part, ids = mixture.datasets[0], np.concatenate([part.ids for part in mixture.datasets])
        for folder, others in seen.setdefault(part.name, []):
            if len(same := np.intersect1d(ids, others)):
                got = f"{part.name}/{same[0].decode()} in {folder} and in {part.folder}"
                fix = "Score one folder at a time: their predictions could not be told apart."
                raise ConfigError("--shards", expected="each sample once", got=got, fix=fix)
        seen[part.name].append((part.folder, ids))
    predicted = {name: np.concatenate([ids for _, ids in several]) for name, several in seen.items()}
    splits = None if selection.split is None else [selection.split]
    refuse_others([scored_of(open_dataset(folder), splits) for folder in selection.folders], predicted)


def _parts(folder: Path, selection: Selection) -> list[Dataset]:
    wholes = _splits(folder, selection)
    if selection.sequences:
        wholes = [whole[np.isin(whole["sequence"], list(selection.sequences))] for whole in wholes]
    if selection.leaves_out:
        wholes = [whole[~selection.seen.rows(whole)] for whole in wholes]
    return [whole[: selection.limit] if selection.limit else whole for whole in wholes]


def _splits(folder: Path, selection: Selection) -> list[Dataset]:
    """Open the selected splits of one dataset."""
    found = open_dataset(folder, selection.split)
    others = [split for split in found.splits if split != "train"]
    by_sequence = selection.seen.takes_sequences(found.name)
    if selection.split is not None or not selection.held_out or not others or by_sequence:
        return [found]
    return [open_dataset(folder, split) for split in others]


def has_held_out(run: Path, selection: Selection) -> bool:
    """Tell whether a selection holds samples that a run was not trained on."""
    selection = replace(selection, seen=read_seen(run))
    return any(len(part) for folder in selection.folders for part in _parts(folder, selection))


def say_left_out(selection: Selection) -> None:
    """Name what is left out: what the weights were trained on, and what else is called train."""
    wholes = [open_dataset(folder) for folder in selection.folders] if selection.leaves_out else []
    for name, whole in zip(names_of(wholes), wholes, strict=True):
        known = selection.seen.rows(whole)
        if known.any():
            sequences = [one for one in sorted(set(whole["sequence"][known].tolist())) if one]  # "" of hands without
            more = f" and {len(sequences) - LISTED} more" if len(sequences) > LISTED else ""
            listed = f": {', '.join(sequences[:LISTED])}{more}" if sequences else ""
            say(f"{name}: {known.sum()} of {len(whole)} samples were trained on and are left out{listed}")
        if "train" not in {split for part in _splits(whole.folder, selection) for split in part.splits}:
            others = int((~known & (whole["split"] == "train")).sum())
            if others:
                say(f"{name}: {others} of {len(whole)} samples are of its split train: --split train scores them")
