"""What a run's folder holds, as far as it is there. Whatever is missing is named, never filled in."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handdata import manifest
from handdata.errors import DataError, MissingError
from handdata.evaluation.results import Results, SetResult, read_results
from handdata.evaluation.seen import Seen, read_seen
from handdata.files.opening import is_file
from handdata.files.tables import value_at
from handdata.files.text import Wanted, read_json_lines, read_object
from handdata.paths import DataRoot
from handdata.report.cells import EXPERIMENTS

MODEL_NUMBERS = {"direct": 1, "latent": 2, "tree": 3}  # `model.kind` of config.json -> the thesis' Model 1, 2, 3
TRAINED_ON = ", TRAINED ON"  # behind the name of a set that is not held out
_FILE = Wanted(what="a file of a run", fix="Restore it or delete the run.", largest=500_000_000)
_EXPERIMENT = re.compile(r"(e\d{3})(?:-|$)")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run as read.

    Attributes:
        name: of its folder.
        folder: runs/<name>.
        config: config.json, the resolved recipe.
        environment: environment.json: versions, device, command.
        shards: shards.json: what it was trained on.
        log: log.jsonl, one entry per epoch.
        results: results.json; None before it is evaluated.
        seen: what it and the runs before it were trained on.
        missing: what the folder lacks and which command makes it.
    """

    name: str
    folder: Path
    config: Mapping[str, Any]
    environment: Mapping[str, Any]
    shards: Sequence[Mapping[str, Any]]
    log: Sequence[Mapping[str, Any]]
    results: Results | None
    missing: tuple[str, ...]
    seen: Seen = field(default_factory=Seen)

    @property
    def recipe(self) -> str:
        """The recipe's name."""
        return str(self.config.get("name", ""))

    @property
    def experiment(self) -> str:
        """The published experiment that the recipe repeats, "" for recipes of our own."""
        match = _EXPERIMENT.match(self.recipe)
        return match[1] if match and match[1] in EXPERIMENTS else ""

    @property
    def model(self) -> int:
        """1, 2 or 3 as the thesis numbers its models; 0 if the config does not say."""
        return MODEL_NUMBERS.get(str(self.config.get("model", {}).get("kind", "")), 0)

    @property
    def augmented(self) -> bool:
        """Whether it was trained with the published augmentation."""
        return str(self.config.get("augment", {}).get("kind", "none")) != "none"

    @property
    def real_sets(self) -> tuple[str, ...]:
        """The datasets of real pictures among those it was trained on, by name."""
        learnt = {str(one.get("dataset")) for one in self.shards if "train" in one.get("splits", ())}
        return tuple(name for name in manifest.names() if name in learnt and manifest.load(name).kind == "real")

    @property
    def sets(self) -> tuple[SetResult, ...]:
        """The sets it was scored on; none before it is evaluated."""
        return self.results.sets if self.results else ()

    def set_name(self, one: SetResult) -> str:
        """Return "<dataset> <split>", and the folder where the run was scored on two of that name."""
        return f"{one.dataset} {one.split}{self.folder_of(one)}{TRAINED_ON if self.has_seen(one) else ''}"

    def column(self, one: SetResult) -> str:
        """Return "<run> (<split>)", the head of a column about one dataset, and the folder where it takes one."""
        return f"{self.name} ({one.split}{self.folder_of(one)}{TRAINED_ON if self.has_seen(one) else ''})"

    def has_seen(self, one: SetResult) -> bool:
        """Tell whether samples of a scored set were trained on, by its record where the results do not say."""
        if one.trained_on is not None:
            return one.trained_on > 0
        return self.seen.covers_some(
            dataset=one.dataset, split=one.split, sequences=list(one.sequences), origin=one.origin
        )

    def folder_of(self, one: SetResult) -> str:
        """Return ", <folder>" where the run was scored on two sets of that name; else ""."""
        folder = self.results.folder_of(one) if self.results else ""
        return f", {folder}" if folder else ""


def find_runs(data_root: DataRoot, names: Sequence[str], *, needed: bool = True) -> list[Run]:
    """Read the named runs, or all of runs/ in name order.

    Args:
        data_root: where runs/ is.
        names: names under runs/, or folders.
        needed: refuse to go on without any.

    Raises:
        MissingError: no such run, or none at all.
        DataError: a file of a run is damaged, or may not be looked for.
    """
    if not names:
        folders = _all_runs(data_root)
        if needed and not folders:
            raise MissingError(
                data_root.runs, expected="at least one run", got="none", fix="Run `handdata demo` first."
            )
        return [read_run(folder) for folder in folders]
    named = dict.fromkeys(_folder(data_root, name) for name in names)  # each once, however often it is named
    return [read_run(folder) for folder in named]


def read_run(folder: Path) -> Run:
    """Read what there is of one run.

    Raises:
        DataError: a file is damaged.
    """
    results = read_results(folder / "results.json") if (folder / "results.json").is_file() else None
    log = read_json_lines(folder / "log.jsonl", _FILE) if (folder / "log.jsonl").is_file() else []
    shards = _object(folder / "shards.json")
    config = {key: value for key, value in _object(folder / "config.json").items() if value is not None}
    _check(folder, config, log)
    train, evaluate = f"handdata train --name {folder.name}", f"handdata evaluate {folder.name}"
    # weights from elsewhere have no settings; what they were trained on, shards.json, comes from the weights themselves
    trained = any((folder / name).is_file() for name in ("config.json", "log.jsonl", "environment.json"))
    missing = {"config.json": train, "log.jsonl": train} if trained or results is None else {}
    missing |= {"results.json": evaluate, "predictions.h5": evaluate}
    return Run(
        name=folder.name,
        folder=folder,
        config=config,
        environment=_object(folder / "environment.json"),
        shards=[_trained_on(facts, folder / "shards.json") for facts in _datasets(shards, folder / "shards.json")],
        log=log,
        results=results,
        seen=read_seen(folder),
        missing=tuple(f"{name} (`{make}`)" for name, make in missing.items() if not (folder / name).is_file()),
    )


def _is_run(folder: Path) -> bool:
    return any(is_file(folder / name, _FILE.what) for name in ("config.json", "results.json"))


def _all_runs(data_root: DataRoot) -> list[Path]:
    folder = data_root.runs
    return sorted(path for path in folder.iterdir() if _is_run(path)) if folder.is_dir() else []


def _folder(data_root: DataRoot, name: str) -> Path:
    for folder in (data_root.runs / name, Path(name)):
        if _is_run(folder):
            return folder
    known = ", ".join(path.name for path in _all_runs(data_root))
    raise MissingError(
        name, expected="the name or folder of a run", got="no such run", fix=f"Runs here: {known or 'none'}."
    )


def _object(path: Path) -> dict[str, Any]:
    return read_object(path, _FILE) if path.is_file() else {}


def _check(folder: Path, config: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> None:
    """Refuse settings and epochs that the pages cannot show.

    Raises:
        DataError: names the place.
    """
    for path in ("name", "model.kind", "augment.kind"):
        value_at(config, path, str, where=folder / "config.json")
    value_at(config, "data", Mapping[str, Any], where=folder / "config.json")
    for number, entry in enumerate(log, start=1):
        where = f"{folder / 'log.jsonl'}:{number}"
        value_at(entry, "epoch", int, where=where)
        for part in ("train", "val"):
            value_at(entry, part, Mapping[str, float | None], where=where)
        for key in ("samples_per_s", "data_wait"):
            value_at(entry, key, float, where=where)
        if entry.get("epoch") is None or entry.get("train") is None:
            raise DataError(where, expected="an epoch and its training losses", got=", ".join(entry), fix=_FILE.fix)


def _datasets(shards: Mapping[str, Any], where: Path) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = value_at(
        shards, "datasets", tuple[Mapping[str, Any], ...], where=where, default=()
    )
    return found


def _trained_on(facts: Mapping[str, Any], where: Path) -> Mapping[str, Any]:
    for key in ("dataset", "folder"):
        value_at(facts, key, str, where=where)
    value_at(facts, "splits", tuple[str, ...], where=where)
    value_at(facts, "shards", tuple[Mapping[str, Any], ...], where=where)
    return facts
