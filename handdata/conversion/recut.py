"""Cut shards anew: some hands of them, several datasets as one, other splits. Rows are copied, never converted again.

A row keeps its bytes and so its hash: every shard that is written keeps the tables of names of the shard it is from.
"""

import re
from collections.abc import Iterator, Sequence
from operator import index
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from handdata import __version__
from handdata.conversion.state import note_made_of_those
from handdata.converters.read.picture_splits import BY_PICTURES, SplitBy, draw, parse_split_by
from handdata.errors import ConfigError, MissingError
from handdata.exchange.card import write_shard_card
from handdata.files.locks import alone
from handdata.paths import path_of
from handdata.progress import meter
from handdata.shards.concat import refuse_twice
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.provenance import KEY, as_json, origin_of_all, provenance_of
from handdata.shards.reader import INDEX, ShardReader, write_index
from handdata.shards.schema import SHARD_SAMPLES, SPLITS, VERSION
from handdata.shards.writer import ShardWriter

_KEPT = ("canvas_scale", "manifest_sha256", "options", "visibility_rule")  # attributes that a row's meaning rests on
_ONE_SIZE = "Convert with one --canvas. `train --shards` takes several as they are."


def recut(
    data: Dataset,
    out: Path | str,
    *,
    name: str | None = None,
    by: str | None = None,
    subject: str = "",
    seed: int = 0,
    split_of: ArrayLike | None = None,
) -> Dataset:
    """Write hands of converted datasets as shards of their own: some, several datasets as one, with other splits.

    Rows are copied as they are stored, so a hand keeps its canvas, its labels in the picture as shipped and its hash.

    Args:
        data: the hands, in the order they are to have.
        out: a folder without shards.
        name: of the new dataset; None keeps the one they are of.
        by: "sequence", "subject" or "random", with or without shares of val and test as in "sequence:0.1/0.1", or one
            of the splits for all; None keeps their splits.
        subject: regular expression that finds the subject in the name of a sequence, for "subject".
        seed: of the draw.
        split_of: (N,) the split of each, instead of `by`.

    Raises:
        ValueError: `split_of` beside `by`, of another length, or with what is no split; `subject` without a need.
        TypeError: hands that are no Dataset, a name that is no text, or a seed that is no whole number.
        ConfigError: `out` holds a dataset, hands of several datasets without a name, or canvases that differ.
        DataError: an id is there twice.
        MissingError: no hands.

    Example:
        >>> import handdata as hd
        >>> data = hd.recut(hd.open(EXAMPLE), FOLDER, by="random:0.2/0", seed=1)
        >>> data.splits
        ('train', 'val')
    """
    out = path_of(out)
    if not isinstance(data, Dataset) or not isinstance(name, str | None):
        raise TypeError(f"recut takes a Dataset and a name, got {type(data).__name__} and {name!r}")
    seed = index(seed)
    chosen = None if split_of is None else _checked(split_of, len(data), by)
    if subject and not (by or "").startswith("subject"):
        raise ValueError("subject goes with by='subject'")
    if by is not None and (asked := parse_split_by(by, "by")) is not None:
        chosen = resplit(data, asked, seed, subject)
    names = list(dict.fromkeys(data["dataset"].tolist()))
    if not len(data):
        raise MissingError(out, expected="hands to write", got="none", fix="Choose other ones.")
    if name is None and len(names) > 1:
        raise ConfigError("--name", expected=f"a name for {' and '.join(names)} together", got="none")
    _refuse_two_sizes(data, out)
    refuse_twice(data, out)
    splits = data["split"] if chosen is None else chosen
    with alone(out, "writing"):
        if (out / INDEX).is_file():
            write_shard_card(out)  # of a run that was ended before it
            raise ConfigError(out, expected="a folder without shards", got="a dataset", fix="Choose another --out.")
        entries = _write(data, out, name or names[0], splits)
        note_made_of_those(out, list(dict.fromkeys(data.shards.folders)))
        write_index(out, _index(data, name or names[0], splits, entries))
        write_shard_card(out)
    return open_dataset(out)


def _refuse_two_sizes(data: Dataset, out: Path) -> None:
    """Refuse canvases of several sizes.

    Raises:
        ConfigError: there are.
    """
    sides = {
        Path(file).parent: seal.layout.canvas for file, seal in zip(data.shards.files, data.shards.seals, strict=True)
    }
    if len(set(sides.values())) > 1:
        got = "; ".join(f"{folder} {side} px" for folder, side in sides.items())
        raise ConfigError(out, expected="canvases of one size", got=got, fix=_ONE_SIZE)


def _checked(split_of: ArrayLike, total: int, by: str | None) -> NDArray[np.str_]:
    """Return splits that a caller gives for each hand, (N,)."""
    splits = np.asarray(split_of)
    if by is not None or splits.shape != (total,) or not np.isin(splits, SPLITS).all():
        raise ValueError(f"split_of takes one of {', '.join(SPLITS)} for each of {total} hands, and no `by` beside it")
    return splits


def resplit(data: Dataset, by: SplitBy, seed: int, subject: str = "") -> NDArray[np.str_]:
    """Return a new split for each hand, (N,): of whole sequences or subjects, or of whole frames with all their hands.

    Raises:
        ConfigError: by subjects, and `subject` does not find one in each sequence's name; or one sequence or subject.
    """
    if by.way in SPLITS:
        return np.full(len(data), by.way)
    sequences = data["sequence"].tolist()
    if by.way == "random":
        groups = [f"{name}\n{frame}" for name, frame in zip(sequences, data["frame"].tolist(), strict=True)]
    else:
        found = _subjects(sequences, subject) if by.way == "subject" else {name: name for name in sequences}
        groups = [found[name] for name in sequences]
        if len(set(groups)) < 2:
            raise ConfigError("--by", expected=f"several {by.way}s", got="one", fix="Take --by random.")
    split_of = draw(set(groups), by, seed)
    return np.array([split_of[group] for group in groups])


def _subjects(sequences: Sequence[str], pattern: str) -> dict[str, str]:
    """Return the subject of each sequence: what a pattern finds in its name, of a group in it the group."""
    if not pattern:
        fix = r"Say where it is in the sequences' names, as in --subject 'subject-\d+'."
        raise ConfigError("--by subject", expected="the subject of each sequence", got="shards without them", fix=fix)
    try:
        known = re.compile(pattern)
    except re.error as error:
        raise ConfigError("--subject", expected="a regular expression", got=f"{pattern} ({error})") from error
    found = {}
    for name in sequences:
        match = known.search(name)
        if match is None:
            raise ConfigError("--subject", expected=f"{pattern} in the name of each sequence", got=name)
        found[name] = match[match.lastindex or 0]
    return found


def _write(data: Dataset, out: Path, name: str, splits: NDArray[np.str_]) -> list[dict[str, Any]]:
    entries = []
    with meter(f"write {name}", len(data)) as gauge:
        for split in SPLITS:
            for number, rows in enumerate(_chunks(data, np.flatnonzero(splits == split))):
                path = out / f"{split}-{number:05d}.h5"
                entries.append(_write_shard(path, rows, name, split, data.canvas_scale))
                gauge.advance(len(rows))
    return entries


def _chunks(data: Dataset, numbers: NDArray[np.intp]) -> Iterator[list[tuple[ShardReader, int]]]:
    """Yield the rows of each shard to be: hands whose shards have the same tables and attributes."""
    shard, row = data.locate(numbers.astype(np.int64))
    kinds: dict[Any, list[tuple[ShardReader, int]]] = {}
    for place, at in zip(shard.tolist(), row.tolist(), strict=True):
        reader = data.shards.reader(place)
        kinds.setdefault(_kind(reader), []).append((reader, at))
    for members in kinds.values():
        for start in range(0, len(members), SHARD_SAMPLES):
            yield members[start : start + SHARD_SAMPLES]


def _kind(reader: ShardReader) -> Any:
    kept = tuple(str(reader.attributes.get(key)) for key in _KEPT)
    return (tuple(reader.sequences), tuple(reader.cameras), tuple(field.name for field in reader.fields), kept)


def _write_shard(
    path: Path, rows: Sequence[tuple[ShardReader, int]], name: str, split: str, canvas_scale: float
) -> dict[str, Any]:
    """Write one; its entry has the scale of its canvases where that is another than the dataset's."""
    first = rows[0][0]
    kept = {key: first.attributes[key] for key in _KEPT}
    attributes = {**kept, "dataset": name, "split": split, "handdata_version": __version__}
    fields = [field.name for field in first.fields if field.name != "row_hash"]
    optional = [field.name for field in first.fields if field.optional]
    with ShardWriter(
        path,
        len(rows),
        canvas=first.canvas,
        attributes=attributes,
        sequences=first.sequences,
        cameras=first.cameras,
        optional=optional,
    ) as shard:
        for reader, row in rows:
            shard.append({field: reader.row(field, row) for field in fields})
    scale = first.attributes["canvas_scale"]
    return {**shard.entry(), **({} if scale == canvas_scale else {"canvas_scale": scale})}


def _index(data: Dataset, name: str, splits: NDArray[np.str_], entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    before, parts = data.index, provenance_of(data)
    sequence = data["sequence"]
    options = dict(before.get("options", {}))
    if (splits != data["split"]).any():
        options["readings"] = {**options.get("readings", {}), "split": f"{BY_PICTURES} or sequences, cut anew"}
    return {
        "schema": VERSION,
        "dataset": name,
        "num_samples": len(data),
        "canvas_size": data.canvas,
        "canvas_scale": data.canvas_scale,
        "handdata_version": __version__,
        "manifest_sha256": before.get("manifest_sha256", ""),
        "options": options,
        "origin": origin_of_all(parts),
        KEY: as_json(parts),
        "splits": {
            split: {
                "num_samples": int((splits == split).sum()),
                "sequences": sorted(set(sequence[splits == split].tolist())),
            }
            for split in SPLITS
            if (splits == split).any()
        },
        "shards": list(entries),
        "skipped": {},
        "warnings": [],
    }
