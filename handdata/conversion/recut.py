"""Cut shards anew: some hands of them, several datasets as one, other splits. Rows are copied, never converted again.

A row keeps its bytes and so its hash: every shard that is written keeps the tables of names of the shard it is from.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata import __version__
from handdata.converters.read.picture_splits import BY_PICTURES, WAYS_OF_SHARDS, SplitBy, draw, parse_split_by
from handdata.errors import ConfigError, DataError, MissingError
from handdata.exchange.card import write_shard_card
from handdata.files.locks import alone
from handdata.progress import meter
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.provenance import KEY, as_json, origin_of_all, provenance_of
from handdata.shards.reader import INDEX, ShardReader, write_index
from handdata.shards.schema import SHARD_SAMPLES, SPLITS, VERSION
from handdata.shards.writer import ShardWriter

_KEPT = ("canvas_scale", "manifest_sha256", "options", "visibility_rule")  # attributes that a row's meaning rests on


def recut(
    data: Dataset,
    out: Path | str,
    *,
    name: str | None = None,
    by: str | None = None,
    seed: int = 0,
    split_of: NDArray[np.str_] | None = None,
) -> Dataset:
    """Write hands of converted datasets as shards of their own: some, several datasets as one, with other splits.

    Rows are copied as they are stored, so a hand keeps its canvas, its labels in the picture as shipped and its hash.

    Args:
        data: the hands, in the order they are to have.
        out: a folder without shards.
        name: of the new dataset; None keeps the one they are of.
        by: "sequence" or "random", with or without shares of val and test as in "sequence:0.1/0.1", or one of the
            splits for all; None keeps their splits.
        seed: of the draw.
        split_of: (N,) the split of each, instead of `by`.

    Raises:
        ConfigError: `out` holds a dataset, hands of several datasets without a name, or canvases that differ.
        DataError: an id is there twice.
        MissingError: no hands.

    Example:
        >>> import handdata as hd
        >>> data = hd.recut(hd.open(EXAMPLE), FOLDER, by="random:0.2/0", seed=1)
        >>> data.splits
        ('train', 'val')
    """
    out = Path(out)
    if by is not None and (asked := parse_split_by(by, "by", WAYS_OF_SHARDS)) is not None:
        split_of = resplit(data, asked, seed)
    names = list(dict.fromkeys(data["dataset"].tolist()))
    if not len(data):
        raise MissingError(out, expected="hands to write", got="none", fix="Choose other ones.")
    if name is None and len(names) > 1:
        raise ConfigError("--name", expected=f"a name for {' and '.join(names)} together", got="none")
    ids, counts = np.unique(data.ids, return_counts=True)
    if (counts > 1).any():
        twice = ids[counts > 1][0].decode()
        raise DataError(out, expected="each id once", got=f"{twice} twice", fix="Leave out one of the two datasets.")
    splits = data["split"] if split_of is None else split_of
    with alone(out, "writing"):
        if (out / INDEX).is_file():
            write_shard_card(out)  # of a run that was ended before it
            raise ConfigError(out, expected="a folder without shards", got="a dataset", fix="Choose another --out.")
        entries = _write(data, out, name or names[0], splits)
        write_index(out, _index(data, name or names[0], splits, entries))
        write_shard_card(out)
    return open_dataset(out)


def resplit(data: Dataset, by: SplitBy, seed: int) -> NDArray[np.str_]:
    """Return a new split for each hand, (N,): of whole sequences, or of whole frames with all their hands and cameras.

    Raises:
        ConfigError: by subjects, which shards do not know; or by sequences, of which there is one.
    """
    if by.way in SPLITS:
        return np.full(len(data), by.way)
    if by.way == "subject":
        raise ConfigError("--by", expected="sequence or random", got="subject, which shards do not know")
    sequences = data["sequence"].tolist()
    if by.way == "sequence" and len(set(sequences)) < 2:
        raise ConfigError("--by", expected="several sequences", got="one", fix="Take --by random.")
    frames = [f"{name}\n{frame}" for name, frame in zip(sequences, data["frame"].tolist(), strict=True)]
    groups = sequences if by.way == "sequence" else frames
    split_of = draw(set(groups), by, seed)
    return np.array([split_of[group] for group in groups])


def _write(data: Dataset, out: Path, name: str, splits: NDArray[np.str_]) -> list[dict[str, Any]]:
    entries = []
    with meter(f"write {name}", len(data)) as gauge:
        for split in SPLITS:
            for number, rows in enumerate(_chunks(data, np.flatnonzero(splits == split))):
                path = out / f"{split}-{number:05d}.h5"
                entries.append(_write_shard(path, rows, name, split))
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


def _write_shard(path: Path, rows: Sequence[tuple[ShardReader, int]], name: str, split: str) -> dict[str, Any]:
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
    return shard.entry()


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
        "canvas_scale": before["canvas_scale"],
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
