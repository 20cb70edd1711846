"""What an export wrote, by split, so that the next one there leaves nothing stale and removes nothing else."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handdata.errors import ConfigError, DataError
from handdata.files.opening import is_file, matching
from handdata.files.tables import value_at
from handdata.files.text import LARGE, Wanted, read_object
from handdata.files.whole import file_sha256, write_text
from handdata.pictures.kinds import SUFFIXES
from handdata.progress import say
from handdata.shards.dataset import Dataset
from handdata.shards.provenance import KEY, Provenance, as_json, parse
from handdata.shards.schema import SPLITS

RECORD, CARD, SHEET = "handdata-export.json", "README.md", "contact_sheet.jpg"
_HANDS = "some_pictures"  # of the dataset, see same_hands.py
_LABELS, _DIGITS = (".json", ".xml", ".csv", ".txt"), 16  # endings of what people correct; hex digits of a hash
_MOVE = "Choose another --out, or move what is there away."
_WANTED = Wanted(
    what="the record of an export",
    fix="Restore it, or move the folder away or choose another --out: it tells an export's files from somebody's own.",
    largest=LARGE,
)


_KINDS: Mapping[str, Any] = {  # of what is read of a split's facts, here and for the card
    "format": str,
    "hands": int,
    "sides": Mapping[str, int],
    "left_out": int,
    "labels": Mapping[str, str],
}


@dataclass(frozen=True)
class Finished:
    """Tells of a file whether the same export, killed, had finished it.

    Attributes:
        began: when that export began, ns by the clock of the disk; None for one that begins anew.
        digests: `label_digest` of files by name, from a writer that had their bytes: thousands of small files need not
            be read again, by one process.
    """

    began: int | None = None
    digests: dict[str, str] = field(default_factory=dict)

    def __call__(self, path: Path) -> bool:
        """Say it of a file."""
        return self.began is not None and path.is_file() and path.stat().st_mtime_ns >= self.began


class ExportRecord:
    """The files of each split in a folder, and facts of it for the card.

    Raises:
        DataError: there is a record that cannot be read, or that does not list the files.
    """

    def __init__(self, folder: Path, kind: str, provenance: Sequence[Provenance] = ()) -> None:
        self.folder, self.kind, self.provenance = folder, kind, list(provenance)
        self.datasets: set[str] = set()
        self.hands: list[str] = []
        self.splits: dict[str, dict[str, Any]] = {}
        if not is_file(folder / RECORD, _WANTED.what):  # the first export into that folder
            return
        before = read_object(folder / RECORD, _WANTED)
        self.datasets = {part.dataset for part in parse(before.get(KEY, ()), folder / RECORD)}
        hands = before.get(_HANDS)
        self.hands = [one for one in hands if isinstance(one, str)] if isinstance(hands, list) else []
        splits = before.get("splits")
        for split, facts in splits.items() if isinstance(splits, dict) else [("", splits)]:
            self.splits[split] = _checked(facts, f"{folder / RECORD}[splits.{split}]")

    def refuse_other(self, name: str, parts: Sequence[Provenance], hands: Sequence[str]) -> None:
        """Refuse a folder with files of others, or of another dataset; say what of an earlier export is replaced.

        Args:
            name: of the dataset.
            parts: that it is from.
            hands: `some_pictures` of it, which tell two datasets of one name from each other.

        Raises:
            ConfigError: the folder holds them.
        """
        if not (self.folder / RECORD).is_file():
            for path in (self.folder / own for own in (CARD, SHEET)):
                if path.exists():
                    raise ConfigError(path, expected="no file, or that of an export", got="somebody's own", fix=_MOVE)
        if self.datasets and self.datasets != {part.dataset for part in parts}:
            got = f"{self._held()} of {' and '.join(sorted(self.datasets))}"
            raise ConfigError(self.folder, expected=f"a folder for an export of {name}", got=got, fix=_MOVE)
        is_published = all(part.is_restricted for part in parts)
        if self.hands and not is_published and set(self.hands).isdisjoint(hands):
            got = f"{self._held()} of another dataset called {' and '.join(sorted(self.datasets))}"
            raise ConfigError(self.folder, expected=f"a folder for an export of this {name}", got=got, fix=_MOVE)
        self.hands = list(hands)
        if any(facts["format"] != self.kind for facts in self.finished.values()):
            say(f"export: {self.folder} holds {self._held()}; its splits that are exported now are replaced")

    def refuse_overwriting(self, files: Iterable[str]) -> None:
        """Refuse to write over a file that no export wrote: somebody's own labels may have the very name.

        Args:
            files: names of those that are about to be written.

        Raises:
            ConfigError: there is one.
        """
        files, known = list(files), self._known()
        for name, _ in _there(self.folder, files):
            if name not in known:
                got = "somebody's own"
                raise ConfigError(self.folder / name, expected="no file, or that of an export", got=got, fix=_MOVE)

    def refuse_mixing(self, files: Mapping[str, Sequence[str]]) -> None:
        """Refuse pictures that no export wrote in folders whose pictures are all taken for the data set's.

        Args:
            files: names of those that are about to be written, by split.

        Raises:
            ConfigError: there is one.
        """
        known = self._known().union(*files.values())
        for split in sorted({*files, *(name for name in SPLITS if (self.folder / "labels" / name).is_dir())}):
            for path in sorted(matching(self.folder / "images" / split, "**/*")):
                if path.suffix.lower() in SUFFIXES and path.relative_to(self.folder).as_posix() not in known:
                    expected = f"only pictures of this export: {self.kind} takes every one of the folder"
                    raise ConfigError(path, expected=expected, got="somebody's own", fix=_MOVE)

    def _known(self) -> set[str]:
        """Return the names of all files that exports wrote."""
        return {name for facts in self.splits.values() for name in facts["files"]}

    def refuse_losing(self, data: Dataset) -> None:
        """Refuse to replace labels that somebody corrected since they were exported.

        Args:
            data: what is about to be exported; splits that it has no more are removed.

        Raises:
            ConfigError: a file of theirs has changed.
        """
        for split in (*sorted(set(data["split"].tolist())), *self._without(data)):
            facts = self.splits.get(split, {})
            noted = facts.get("labels")
            for name, digest in noted.items() if isinstance(noted, dict) else ():
                path = self.folder / name
                if name in facts["files"] and path.is_file() and _digest(path) != digest:
                    fix = "Import them to keep what was corrected; move the folder away, or choose another --out."
                    raise ConfigError(path, expected="labels as they were exported", got="changed ones", fix=fix)

    def _held(self) -> str:
        """Return what an earlier export left there, in words."""
        kinds = sorted({facts["format"] for facts in self.finished.values()})
        return f"{sum(int(facts.get('hands', 0)) for facts in self.finished.values())} samples as {', '.join(kinds)}"

    def keep_splits_of(self, data: Dataset) -> None:
        """Remove what is there of splits that a dataset has no more."""
        for split in self._without(data):
            self._remove(self.splits.pop(split)["files"])

    def _without(self, data: Dataset) -> list[str]:
        return sorted(set(self.splits) - set(data.index.get("splits", {})) - set(data["split"].tolist()))

    @contextmanager
    def writing(self, split: str, facts: Mapping[str, Any], key: str, files: Sequence[str]) -> Iterator[Finished]:
        """Note a split as begun, then as finished; remove what it had before beside its new files.

        Args:
            split: which.
            facts: of it, for the card.
            key: stands for everything that decides the files' bytes.
            files: names of those that are about to be written.

        Yields:
            What tells of a file whether the same export, killed, had finished it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        before, now = self.splits.get(split, {}), {"key": key, "boot": boot()}
        resumed = before.items() >= now.items() and isinstance(before.get("began"), int)
        began = before["began"] if resumed else self._begin(files)
        had = set(before.get("files", ()))
        self.splits[split] = {"files": sorted(had | set(files)), **now, "began": began}
        self._note()
        finished = Finished(began if resumed else None)
        try:
            yield finished
        except BaseException:
            self._leave_nothing_of(split, before, files, began)
            raise
        new = sorted(name for name, entry in _there(self.folder, files) if entry.is_file())
        self._remove(sorted(had - set(new)))
        written = finished.digests
        labels = {n: written.get(n) or _digest(f"{self.folder}/{n}") for n in new if _are_labels(n, split)}
        self.splits[split] = {**facts, "format": self.kind, "files": new, "labels": labels, **now, "began": began}

    def _leave_nothing_of(self, split: str, before: dict[str, Any], files: Sequence[str], began: int) -> None:
        """Forget an export that failed before its first file; one that got further is noted, and can go on."""
        if any((path := self.folder / name).is_file() and path.stat().st_mtime_ns >= began for name in files):
            return
        self.splits = {**self.splits, split: before} if before else {k: v for k, v in self.splits.items() if k != split}
        if self.splits:
            self._note()
        else:
            (self.folder / RECORD).unlink(missing_ok=True)

    def _begin(self, files: Sequence[str]) -> int:
        """Return a time by the clock of that disk that no file there has yet, even if the clock was set back since."""
        self._note()
        times = [(self.folder / RECORD).stat().st_mtime_ns]
        for _, entry in _there(self.folder, files):
            with suppress(OSError):
                times.append(entry.stat().st_mtime_ns + 1)
        return max(times)

    @property
    def finished(self) -> dict[str, dict[str, Any]]:
        """The facts of the splits that are whole."""
        return {split: facts for split, facts in self.splits.items() if "format" in facts}

    def _remove(self, files: list[str]) -> None:
        for name in files:
            (self.folder / name).unlink(missing_ok=True)
        for place in sorted({above for name in files for above in Path(name).parents if above.parts}, reverse=True):
            with suppress(OSError):  # it is not there, or holds what others wrote
                (self.folder / place).rmdir()

    def save(self) -> None:
        """Write the record of an export that is whole; the same bytes for the same files."""
        for facts in self.splits.values():
            if "format" in facts:
                for name in ("key", "boot", "began"):
                    facts.pop(name, None)
        self._note()

    def _note(self) -> None:
        ordered = {split: self.splits[split] for split in sorted(self.splits)}
        record = {"splits": ordered, KEY: as_json(self.provenance), _HANDS: self.hands}
        # A name on each line; `indent` would take json's encoder in Python, for five times as long.
        write_text(self.folder / RECORD, json.dumps(record, separators=(",\n", ": ")) + "\n")


def _checked(facts: Any, where: str) -> dict[str, Any]:
    """Return what a record says of a split.

    Raises:
        DataError: it is something else, or names files elsewhere, of which none is ever removed.
    """
    if not isinstance(facts, dict) or not _are_below(facts.get("files")):
        raise _WANTED.fault(where, "the files of a split, below that folder", "something else")
    for name, kind in _KINDS.items():
        try:
            value_at(facts, name, kind, where=where)
        except DataError as error:
            raise _WANTED.fault(error.where, error.expected, error.got) from None
    return facts


def _there(folder: Path, files: Sequence[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Yield those of many names below a folder that are there: its folders are listed, and no name is looked up."""
    wanted = set(files)
    for within in sorted({name.rpartition("/")[0] for name in wanted}):
        start = f"{within}/" if within else ""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder / within) as entries:
            yield from ((name, entry) for entry in entries if (name := f"{start}{entry.name}") in wanted)


def _are_labels(name: str, split: str) -> bool:
    """Say whether a file holds labels of a split alone, as text."""
    return name.endswith(_LABELS) and split in name.replace("/", ".").split(".")


def label_digest(data: bytes) -> str:
    """Return what tells a file of labels from one that somebody has corrected since."""
    return hashlib.sha256(data).hexdigest()[:_DIGITS]


def _digest(path: Path | str) -> str:
    return file_sha256(path)[:_DIGITS]


def boot() -> str:
    """Return what names this start of the machine, "" if nothing does.

    Pictures are synced all at once, after the last one: after a power cut those before it may be there without their
    bytes.
    """
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _are_below(files: Any) -> bool:
    """Say whether names are of files below the folder."""
    return isinstance(files, list) and all(
        isinstance(name, str) and not Path(name).is_absolute() and ".." not in Path(name).parts for name in files
    )
