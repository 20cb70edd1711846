"""The folder of a training run, and what stands in it.

runs/<name>/config.json        the resolved recipe
            environment.json   versions, device, processes, command
            shards.json        what it and the runs before it were trained on: folders, counts, hashes, sequences
            log.jsonl          one object per epoch
            checkpoints/{last,best}/
            results.json, predictions.h5    written by evaluation
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handdata.errors import ConfigError, HanddataError, MissingError
from handdata.evaluation.seen import RECORD, RECORDED, damage_told, records_of, trained_facts, trained_in
from handdata.files.opening import is_file
from handdata.files.tables import value_at
from handdata.files.text import Wanted, read_json_lines, read_object
from handdata.files.whole import sync_folder, write_bytes, write_error, write_text
from handdata.model.config import LAST
from handdata.progress import say
from handdata.shards.dataset import Dataset
from handdata.shards.index import has_index
from handdata.train.config import Config, config_of

_CONFIG = Wanted(what="the settings of a run", fix="Restore it or delete the run.")
_ANOTHER = "Choose another --name, or move that run away: it has no checkpoint to go on from."
_LOG = Wanted(what="a run's epochs", fix="Delete that line.", largest=500_000_000)


@dataclass(frozen=True)
class RunFolder:
    """One run's folder."""

    path: Path

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def is_resumable(self) -> bool:
        """Whether there is a checkpoint to go on from."""
        return _last(self.path) is not None

    @property
    def is_kept(self) -> bool:
        """Whether it is more than what a training leaves that died before its first checkpoint."""
        return self.is_resumable or self.lines_logged > 1 or (self.path / "results.json").is_file()

    def start(
        self,
        config: Config,
        train: Sequence[Dataset],
        val: Sequence[Dataset],
        environment: Mapping[str, Any],
        before: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Make the folder, or tidy it, and write what is known before the first step.

        Args:
            config: resolved recipe.
            train: what is trained on.
            val: what is validated on.
            environment: versions, device, command.
            before: what the weights that it starts from have seen (`released.records_behind`).
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        settle(self.checkpoints)
        _write(self.path / "config.json", config.to_dict())
        _write(self.path / "environment.json", environment)
        trained = [trained_facts(dataset, config.data.val_sequences) for dataset in train]
        self._say_other_shards(trained)
        before = [*before, *records_of(self.path)]  # its own where it goes on, perhaps on other shards
        facts = {
            "datasets": [shard_facts(dataset) for dataset in (*train, *val)],
            "trained": trained,
            "before": [one for place, one in enumerate(before) if one not in (*trained, *before[:place])],
        }
        _write(self.path / "shards.json", facts)

    def _say_other_shards(self, trained: Sequence[Mapping[str, Any]]) -> None:
        """Say where a run goes on with other hands than it was trained on: its result is not that of one training."""
        if not (self.is_resumable and (self.path / RECORD).is_file()):
            return
        old, new = ({str(one["dataset"]): one["shards"] for one in some} for some in (trained_in(self.path), trained))
        others = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
        if others:
            what = {name: "no more" if name not in new else "new" if name not in old else "other" for name in others}
            told = ", ".join(f"{name} ({is_now})" for name, is_now in what.items())
            say(f"{self.path}: WARNING: goes on with other shards than it was trained on: {told}")

    def own_config(self, settings: Sequence[str] = ()) -> Config | None:
        """Return the settings that the run was started with, `settings` on top; None before it has begun.

        Raises:
            HanddataError: they are damaged.
        """
        path = self.path / "config.json"
        return config_of(read_object(path, _CONFIG), settings, where=str(path)) if is_file(path, _CONFIG.what) else None

    def own_shards(self) -> list[Path]:
        """Return the folders that it was trained and validated on; none where one of them is no longer there.

        Raises:
            HanddataError: the record is damaged.
        """
        path = self.path / RECORD
        facts = read_object(path, RECORDED).get("datasets", []) if is_file(path, RECORDED.what) else []
        with damage_told(path):
            folders = list(dict.fromkeys(Path(one["folder"]) for one in facts))
        return folders if all(has_index(folder) for folder in folders) else []

    def log(self, entry: dict[str, Any]) -> None:
        """Append one epoch; it is on the disk before the checkpoint that follows it.

        Raises:
            WriteError: it cannot be written: no room, or somebody removed the run.
        """
        path = self.path / "log.jsonl"
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(path, error) from error

    def read_log(self) -> list[dict[str, Any]]:
        """Return the epochs logged so far.

        Raises:
            DataError: a line is no JSON.
        """
        path = self.path / "log.jsonl"
        return read_json_lines(path, _LOG) if path.is_file() else []

    @property
    def lines_logged(self) -> int:
        """Lines of the log, whole or not."""
        path = self.path / "log.jsonl"
        return len(path.read_bytes().splitlines()) if path.is_file() else 0

    def cut_log(self, epochs: int) -> None:
        """Keep the first epochs only: those before the checkpoint that is resumed."""
        path = self.path / "log.jsonl"
        if path.is_file():  # its end may be torn
            write_bytes(path, b"".join(path.read_bytes().splitlines(keepends=True)[:epochs]))


def settle(folder: Path) -> None:
    """Remove what an interrupted `save` left in a folder of checkpoints; one without a successor gets its name back.

    What a failing disk does not let go of stays for the next time.
    """
    olds, partials = sorted(folder.glob("*.old")), sorted(folder.glob("*.partial"))
    for old in olds:
        path = old.with_suffix("")
        if not (path / "state.json").is_file() and (old / "state.json").is_file():
            with suppress(OSError):
                old.rename(path)
        else:
            shutil.rmtree(old, ignore_errors=True)
    for partial in partials:
        shutil.rmtree(partial, ignore_errors=True)
    if olds or partials:
        with suppress(OSError):
            sync_folder(folder)  # else a power cut brings back what was removed last


def shard_facts(dataset: Dataset) -> dict[str, Any]:
    """Return a dataset's name, folder, splits and shards with their content hashes, from its index."""
    files = set(dataset.shards.names)
    return {
        "dataset": dataset.name,
        "folder": str(dataset.folder),
        "splits": list(dataset.splits),
        "shards": [entry for entry in dataset.index["shards"] if entry["file"] in files],
    }


def claim(path: Path, *, resume: bool) -> RunFolder:
    """Return the run of a folder that may be written to; one that died before its first checkpoint may begin again.

    Raises:
        ConfigError: there is a run already and it is not to be resumed.
    """
    run = RunFolder(path)
    if not resume and run.is_kept:
        fix = "Go on with --resume, or choose another --name." if run.is_resumable else _ANOTHER
        raise ConfigError(path, expected="a new run", got="one that exists", fix=fix)
    return run


def last_of(run: Path) -> Path:
    """Return the checkpoint that `--resume` goes on from.

    Raises:
        MissingError: the run has none.
    """
    last = _last(run)
    if last is not None:
        return last
    fix = _ANOTHER if RunFolder(run).is_kept else "Start without --resume."
    raise MissingError(run, expected="a checkpoint to resume from", got="none", fix=fix)


def _last(run: Path) -> Path | None:
    names = (LAST, f"{LAST}.old")  # `.old` when the process died between the two renames
    folders = (run / "checkpoints" / name for name in names)
    return next((folder for folder in folders if (folder / "state.json").is_file()), None)


def list_runs(folder: Path) -> list[dict[str, Any]]:
    """Return one row per run: name, recipe, model, epochs done, best and last validation totals, scored or not.

    A run whose files are damaged, or that may not be looked into, is said, left out and counted.

    Raises:
        ConfigError: it is no folder.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(folder, expected="the folder of runs", got="a file", fix="Move it away.")
    rows, unread = [], []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        try:
            if is_file(path / "config.json", _CONFIG.what):
                rows.append(_row(path))
        except HanddataError as error:
            say(str(error))
            unread.append(path.name)
    if unread:
        say(f"{folder}: {len(unread)} of {len(rows) + len(unread)} runs not read: {', '.join(unread)}")
    return rows


def _row(path: Path) -> dict[str, Any]:
    where = path / "config.json"
    config, entries = read_object(where, _CONFIG), RunFolder(path).read_log()
    totals = [value_at(entry, "val.total", float, where=path / "log.jsonl") for entry in entries]
    totals = [total for total in totals if total is not None]
    return {
        "name": path.name,
        "recipe": value_at(config, "name", str, where=where, default=""),
        "model": value_at(config, "model.kind", str, where=where, default=""),
        "epochs": len(entries),
        "of": value_at(config, "loop.epochs", int, where=where),
        "val_best": min(totals, default=None),
        "val_last": totals[-1] if totals else None,
        "scored": (path / "results.json").is_file(),
        "resumable": RunFolder(path).is_resumable,
    }


def _write(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1) + "\n")
