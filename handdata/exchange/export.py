"""Shards to other programs' formats: pictures, and labels in their pixels."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from handdata import __version__
from handdata.errors import ConfigError, MissingError
from handdata.exchange.card import facts_of, terms_of, write_card
from handdata.exchange.formats import FORMATS as KNOWN
from handdata.exchange.formats import WRITERS as FORMATS
from handdata.exchange.in_parts import processes
from handdata.exchange.pictures import CANVAS, ENCODINGS, SHOWN, SOURCE, ExportView
from handdata.exchange.record import ExportRecord
from handdata.exchange.same_hands import some_pictures
from handdata.files.locks import alone
from handdata.paths import path_of
from handdata.progress import say
from handdata.shards.concat import refuse_twice
from handdata.shards.dataset import Dataset, open_dataset
from handdata.shards.provenance import as_json
from handdata.workers import check_counts

_NAMED = 5  # of the hands that are left out


def export(
    data: Dataset | Path | str,
    out: Path | str,
    kind: str,
    *,
    picture: str = "png",
    limit: int | None = None,
    pictures: str = CANVAS,
    source_of: Mapping[str, Path] | None = None,
    workers: int = 1,
    i_may_share: bool = False,
) -> int:
    """Write hands in another format, with a card; their splits are kept apart.

    Args:
        data: the hands, or the name or folder of a converted dataset.
        out: a folder; what an earlier export wrote into it and this one does not is removed.
        kind: one of FORMATS.
        picture: "png" (exact) or "jpg"; pictures as shipped keep their own.
        limit: samples of each split, from the first; of pictures as shipped, and the others in the same ones.
        pictures: "canvas", "crop" (what a model is shown) or "source": as shipped, each with all its hands.
        source_of: sample id -> file of its picture as shipped, also of hands that `data` does not have, of which it is
            said that they are not labelled there; needed for "source".
        workers: processes that make pictures and labels, if there are thousands. A script that calls this needs
            `if __name__ == "__main__":` then, and each process imports what the script imports at its top.
        i_may_share: the licence of a published dataset's pictures lets you, or nobody else gets them.

    Returns:
        The number of samples written.

    Raises:
        ValueError: a limit or workers below 1.
        DataError: an id is there twice in a split, or the record of what was exported to `out` cannot be read.
        ConfigError: no such format, one that can hold none of the hands, pictures of a published dataset without
            `i_may_share`, or a folder that holds an export of another dataset (also one of the same name),
            somebody's own files of the names that would be written or, for YOLO, pictures in its folders, or labels
            corrected since they were exported.
        BusyError: somebody else exports to `out`.
        WriteError: `out` cannot be written to.
        MissingError: there are no samples, or a picture as shipped is not there.

    Example:
        >>> import handdata as hd
        >>> hd.export(hd.open(EXAMPLE, split="val"), FOLDER, "coco", limit=2)
        2
        >>> sorted(path.name for path in FOLDER.iterdir())
        ['README.md', 'annotations', 'contact_sheet.jpg', 'handdata-export.json', 'images']
    """
    if kind not in FORMATS or picture not in ENCODINGS:
        raise ConfigError("format", expected=f"one of {', '.join(FORMATS)}, png or jpg", got=f"{kind}, {picture}")
    check_counts(limit, workers)
    data = data if isinstance(data, Dataset) else open_dataset(data)
    if pictures not in SHOWN:
        raise ConfigError("pictures", expected=f"one of {', '.join(SHOWN)}", got=pictures)
    if not len(data):
        raise MissingError(data.folder, expected="samples", got="none", fix="Convert that dataset again.")
    source_of = source_of or {} if pictures == SOURCE else {}
    parts = {split: _first(data.split(split), limit, source_of, out) for split in sorted(set(data["split"].tolist()))}
    if not any(KNOWN[kind].holds(part).any() for part in parts.values()):
        expected, got = f"hands with {KNOWN[kind].needs}", f"none of {sum(map(len, parts.values()))}"
        raise ConfigError(f"export as {kind}", expected=expected, got=got, fix="Choose another --format.")
    about = terms_of(data)
    if about.restricted and not i_may_share:
        fix = "Pass --i-may-share if it allows that, or if nobody else gets the files."
        got = "; ".join(dict.fromkeys(f"the licence {part.licence!r} of {part.title}" for part in about.restricted))
        raise ConfigError(f"export of {data.name}", expected="the right to share its pictures", got=got, fix=fix)
    folder, written = path_of(out), 0
    with alone(folder, "export"), processes(workers, sum(map(len, parts.values())), folder) as helpers:
        record = ExportRecord(folder, kind, about.parts)
        record.refuse_other(data.name, about.parts, some_pictures(data))
        view = ExportView(data=data, split="", shown=pictures, encoding=picture, source_of=source_of, workers=workers)
        view = replace(
            view, licence=about.licence, homepage=about.homepage, citation=about.citation, provenance=about.parts
        )
        files = {split: KNOWN[kind].files(replace(view, data=part, split=split)) for split, part in parts.items()}
        record.refuse_overwriting(name for names in files.values() for name in names)
        if KNOWN[kind].takes_folders:
            record.refuse_mixing(files)
        record.refuse_losing(data)
        record.keep_splits_of(data)
        for split, part in parts.items():
            one = replace(view, data=part, split=split, helpers=helpers)
            kept = part[KNOWN[kind].holds(part)]
            facts = {**facts_of(kept), **({"left_out": len(part) - len(kept)} if len(kept) < len(part) else {})}
            with record.writing(split, facts, _key(one, kind), files[split]) as is_done:
                FORMATS[kind](replace(one, is_done=is_done), folder)
            written += len(kept)
            _say_left_out(kind, split, part)
            _say_unlabelled(split, part, source_of)
        write_card(folder, data, record, about, shown=pictures, load=KNOWN[kind].load)
        record.save()
    return written


def _first(part: Dataset, limit: int | None, source_of: Mapping[str, Path], out: Path | str) -> Dataset:
    """Return the first hands of a split, and those that their pictures as shipped show too.

    Raises:
        DataError: an id is there twice.
    """
    refuse_twice(part, out)
    chosen = part[:limit]
    if limit is None or not source_of:
        return chosen
    shown = {source_of[sample_id] for sample_id in chosen["id"].tolist() if sample_id in source_of}
    beside = np.array([source_of.get(sample_id) in shown for sample_id in part["id"].tolist()])
    return part[beside | (np.arange(len(part)) < limit)]


def _say_unlabelled(split: str, part: Dataset, source_of: Mapping[str, Path]) -> None:
    """Count and name the hands that pictures as shipped show and that are not among those exported."""
    ids = set(part["id"].tolist()) if source_of else set()
    shown = {source_of[sample_id] for sample_id in ids if sample_id in source_of}
    others = [sample_id for sample_id, path in source_of.items() if path in shown and sample_id not in ids]
    if others:
        names = ", ".join(others[:_NAMED]) + (" ..." if len(others) > _NAMED else "")
        count = len({source_of[sample_id] for sample_id in others})
        what = "hands that are not labelled there, as these shards do not have them in this split"
        say(f"export: {split}: {count} of {len(shown)} pictures show {len(others)} {what}: {names}")


def _say_left_out(kind: str, split: str, part: Dataset) -> None:
    """Count and name the hands that a format cannot hold."""
    left_out = part["id"][~KNOWN[kind].holds(part)].tolist()
    if left_out:
        names = ", ".join(left_out[:_NAMED]) + (" ..." if len(left_out) > _NAMED else "")
        why = f"which {kind} cannot hold without {KNOWN[kind].needs}"
        say(f"export: {split}: left out {len(left_out)} of {len(part)} hands, {why}: {names}")


def _key(view: ExportView, kind: str) -> str:
    """Return what stands for everything that decides the bytes of a split's files."""
    told = [
        __version__,
        kind,
        view.shown,
        view.encoding,
        view.licence,
        view.homepage,
        view.citation,
        as_json(view.provenance),
    ]
    digest = hashlib.sha256(json.dumps(told).encode())
    digest.update(view.data["row_hash"].tobytes())
    for sample_id in view.data["id"].tolist() if view.shown == SOURCE else ():
        if (path := view.source_of.get(sample_id)) is not None and path.is_file():
            status = path.stat()
            digest.update(f"{path}\n{status.st_size}\n{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()
