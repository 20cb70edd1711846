"""Tags and notes that a person puts on hands: kept beside the shards, by id, in a file that is always whole.

An edit is acknowledged only once the file is on the disk. Two sessions may work on the same shards: each reads the
file again before it writes, under a lock, so neither loses what the other wrote.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handdata.errors import BusyError, ConfigError, DataError
from handdata.files.locks import alone
from handdata.files.text import LARGE, Wanted, read_object
from handdata.files.whole import write_text
from handdata.shards.dataset import Dataset

VERSION = "handdata-tags/1"
ENDING = ".tags.json"
MOST_LETTERS, MOST_NOTE = 40, 2000  # of a tag, of a note
_FORM = Wanted(what="tags of hands", fix="Move the file away to start again.", largest=LARGE)
_TRIES, _WAIT_S = 100, 0.02  # for the lock of another session's edit

Mask = NDArray[np.bool_]
Content = tuple[dict[str, set[str]], dict[str, str]]  # tag -> ids, id -> note


def tags_path(folder: Path) -> Path:
    """Return the file of the tags of a folder of shards: beside it, so that the shards stay as they are."""
    whole = folder.resolve()
    return whole.with_name(whole.name + ENDING)


class TagFile:
    """The tags and notes of the hands of one folder of shards.

    Args:
        path: the file; need not exist.
        data: the hands of that folder.
    """

    def __init__(self, path: Path, data: Dataset) -> None:
        self.path = path
        self._data = data
        self._lock = RLock()
        self._stamp: tuple[int, int] | None = None
        self._tags: dict[str, set[str]] = {}
        self._notes: dict[str, str] = {}
        self._masks: dict[str, Mask] = {}
        self._refresh()

    def counts(self) -> dict[str, int]:
        """Return how many hands here have each tag."""
        with self._lock:
            self._refresh()
            return {tag: int(self.mask([tag]).sum()) for tag in sorted(self._tags)}

    def mask(self, tags: Iterable[str]) -> Mask:
        """Return which hands have any of some tags, (N,)."""
        with self._lock:
            found = np.zeros(len(self._data), bool)
            for tag in tags:
                if tag not in self._masks:
                    self._masks[tag] = self._rows_of(self._tags.get(tag, set()))
                found |= self._masks[tag]
            return found

    def noted(self) -> Mask:
        """Return which hands have a note, (N,)."""
        with self._lock:
            return self._rows_of(set(self._notes))

    def of(self, name: str) -> tuple[list[str], str]:
        """Return the tags and the note of one hand."""
        with self._lock:
            return sorted(tag for tag, ids in self._tags.items() if name in ids), self._notes.get(name, "")

    def tag(self, tag: str, ids: Iterable[str], *, on: bool) -> None:
        """Put a tag on hands, or take it off, and keep that.

        Raises:
            ConfigError: no tag.
            WriteError, BusyError: it could not be kept; nothing changed.
        """
        name = _checked(tag, "tag", MOST_LETTERS)

        def change(content: Content) -> None:
            there = content[0].setdefault(name, set())
            if on:
                there.update(ids)
            else:
                there.difference_update(ids)
            if not there:
                del content[0][name]

        self._change(change)

    def note(self, name: str, text: Any) -> None:
        """Write the note of a hand, "" for none, and keep it; errors as of `tag`."""
        said = _checked(text, "note", MOST_NOTE, empty=True)

        def change(content: Content) -> None:
            content[1].pop(name, None)
            if said:
                content[1][name] = said

        self._change(change)

    def _change(self, change: Callable[[Content], None]) -> None:
        with self._lock, _held(self.path.parent):
            self._refresh()
            content = {tag: set(ids) for tag, ids in self._tags.items()}, dict(self._notes)
            change(content)
            write_text(self.path, _text(self._data.name, content))
            self._take(content)

    def _refresh(self) -> None:
        """Read the file again if it is another than when it was last read."""
        if _stamp(self.path) != self._stamp:
            self._take(_read(self.path) if self.path.is_file() else ({}, {}))

    def _take(self, content: Content) -> None:
        self._tags, self._notes = content
        self._masks = {}
        self._stamp = _stamp(self.path)

    def _rows_of(self, ids: set[str]) -> Mask:
        if not ids:
            return np.zeros(len(self._data), bool)
        wanted = {name.encode() for name in ids}
        return np.fromiter((name in wanted for name in self._data.ids.tolist()), bool, len(self._data))


def _checked(text: Any, what: str, most: int, *, empty: bool = False) -> str:
    """Return a tag or a note without spaces at its ends.

    Raises:
        ConfigError: it is none, or too long.
    """
    said = text.strip() if isinstance(text, str) else ""
    plain = isinstance(text, str) and len(said) <= most and (empty or said.isprintable())
    if not plain or not (said or empty):
        raise ConfigError(what, expected=f"a text of at most {most} letters", got=str(text)[:80] or "nothing")
    return said


def _text(dataset: str, content: Content) -> str:
    tags = {tag: sorted(ids) for tag, ids in sorted(content[0].items())}
    whole = {"schema": VERSION, "dataset": dataset, "tags": tags, "notes": dict(sorted(content[1].items()))}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _read(path: Path) -> Content:
    value = read_object(path, _FORM)
    tags, notes = value.get("tags"), value.get("notes")
    if value.get("schema") != VERSION or not isinstance(tags, dict) or not isinstance(notes, dict):
        raise _FORM.fault(path, f"schema {VERSION} with tags and notes", str(value.get("schema")))
    for name, ids in tags.items():
        if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
            raise DataError(f"{path}[tags][{name}]", expected="a list of ids", got=str(ids)[:60], fix=_FORM.fix)
    return {name: set(ids) for name, ids in tags.items()}, {name: str(text) for name, text in notes.items()}


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_mtime_ns, state.st_ino


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold the folder of the tags for one edit; wait for another session's."""
    for left in reversed(range(_TRIES)):
        try:
            held = alone(folder, "session of handdata browse")
            held.__enter__()
        except BusyError:
            if not left:
                raise
            time.sleep(_WAIT_S)
            continue
        try:
            yield
        finally:
            held.__exit__(None, None, None)
        return
