"""Convert one dataset: plan, cut into shards, hand them to workers, write the index last. No dataset names.

A conversion that was stopped goes on: a finished shard is kept while everything it was made from (pictures, labels,
options, code version) is as it was. The shards do not depend on the number of workers or on interruptions.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from multiprocessing import get_context
from operator import index as whole_number
from pathlib import Path
from typing import Any

from handdata import __version__
from handdata.conversion.mended import told_of
from handdata.conversion.plan import check_canvas, make_plan, plan_tasks
from handdata.conversion.rows import ShardTask, try_corrections, write_shard
from handdata.conversion.state import (
    begin,
    finished,
    forget,
    made_of_others,
    note_made_of,
    own_partials,
    own_shards,
    was_cut,
)
from handdata.converters import CONVERTERS, OWN
from handdata.converters.options import Options
from handdata.converters.protocol import Plan
from handdata.errors import BusyError, ConfigError, DataError, HanddataError
from handdata.files.flock import take
from handdata.files.locks import beside, hold
from handdata.files.text import LARGE, Wanted, parse_json, read_object
from handdata.paths import RENDERED_MARK, find_root, path_of
from handdata.progress import Meter, meter, say
from handdata.shards.index import read_index
from handdata.shards.layout import unpack
from handdata.shards.provenance import KEY, as_json, origin_of_all
from handdata.shards.reader import INDEX, PARTIAL, STATE, write_index
from handdata.shards.schema import DEFAULT_CANVAS, SPLITS, VERSION
from handdata.workers import (
    check_counts,
    check_workers,
    count_of,
    killed,
    new_counter,
    shielded_start,
    start_worker,
    stop,
)

LOCK = ".lock"
POLL_S = 0.2


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What a conversion did: `complete` is False where other jobs of an array still have shards to write."""

    out: Path
    plan: Plan
    num_samples: int
    num_shards: int
    num_kept: int
    skipped: dict[str, str]
    complete: bool


def convert(
    dataset: str,
    root: Path | str | None = None,
    out: Path | str | None = None,
    *,
    options: Options | None = None,
    splits: Sequence[str] = (),
    limit: int | None = None,
    workers: int = 1,
    canvas: int = DEFAULT_CANVAS,
    skip_bad: bool = False,
    check: bool = False,
    job: tuple[int, int] = (0, 1),
    executor: Executor | None = None,
) -> Conversion:
    """Convert a dataset to shards in `out`; `hd.convert` writes a card beside them too.

    Args:
        dataset: a name in CONVERTERS.
        root: the dataset's own folder or one level above it; None: data/native/DATASET under HANDDATA_ROOT or here, and
            hand boxes from data/boxes/DATASET.
        out: gets the shards and index.json; None: data/shards/DATASET.
        options: of the dataset, `CONVERTERS[dataset].OPTIONS(...)`; None takes its defaults.
        splits: those to convert; empty converts all.
        limit: stop after this many samples.
        workers: processes of this machine. A script that asks for several makes the call below
            `if __name__ == "__main__":`, as each of them imports it.
        canvas: side of the canvases, px, a multiple of 8.
        skip_bad: leave out, count and name samples that cannot be read.
        check: compare every byte of the shards that are there; those that are damaged are made again.
        job: (index, count) of a job array; this job takes every count-th shard.
        executor: runs the tasks instead of local processes (a Dask cluster's).

    Raises:
        HanddataError: bad input, or somebody else converts into `out`.
        ValueError: a limit or workers below 1, or a job beyond its array.

    Example:
        >>> import handdata as hd
        >>> done = hd.convert("stereo", "data/native/stereo", FOLDER, splits=["val"], canvas=64)
        >>> done.complete, len(hd.open(FOLDER)) == done.num_samples
        (True, True)
    """
    if dataset not in CONVERTERS:
        near = get_close_matches(dataset, CONVERTERS, n=1, cutoff=0.0)[0]
        known = f"one of {', '.join(CONVERTERS)}"
        raise ConfigError("dataset", expected=known, got=repr(dataset), fix=f"The nearest is {near}.")
    check_counts(limit, workers)
    _check_job(job)
    canvas = whole_number(canvas)
    home = find_root()
    options = options or CONVERTERS[dataset].OPTIONS(boxes_default=home.boxes(dataset) if root is None else None)
    root = home.native(dataset) if root is None else path_of(root)
    out = home.shards(dataset) if out is None else path_of(out)
    check_canvas(canvas)
    plan = make_plan(dataset, root, options, splits, limit, skip_bad=skip_bad)
    for warning in plan.warnings:
        say(f"{dataset}: {warning}")
    for what, found in (*plan.readings, *told_of(plan.corrections)):
        say(f"{dataset}: {what}: {found}")
    _refuse_other(out, dataset, plan)
    if not skip_bad:
        try_corrections(dataset, plan, options)
    with _locked(out, job):
        tasks = plan_tasks(dataset, plan, out, options, canvas, skip_bad=skip_bad)
        _refuse_foreign(out, tasks)
        note_made_of(out, plan.made_of, root)
        kept = _finished(tasks, whole=check)
        num_kept = len(kept)
        mine = [task for i, task in enumerate(tasks) if i % job[1] == job[0] and task.path.name not in kept]
        if mine:
            (out / INDEX).unlink(missing_ok=True)
        for task, entry in _run(dataset, mine, workers, executor):
            kept[task.path.name] = entry
        with _in_turn(out):
            kept = _finished(tasks) | kept  # the other jobs of an array have worked meanwhile
            entries = [kept[task.path.name] for task in tasks if task.path.name in kept]
            complete = len(entries) == len(tasks)
            if complete:
                _finish(out, _index(dataset, plan, entries, tasks[0], canvas), entries)
    return Conversion(
        out=out,
        plan=plan,
        num_samples=sum(entry["num_samples"] for entry in entries),
        num_shards=sum(entry["num_samples"] > 0 for entry in entries),
        num_kept=num_kept,
        skipped={key: why for entry in entries for key, why in entry["skipped"].items()},
        complete=complete,
    )


def _check_job(job: tuple[int, int]) -> None:
    if not 0 <= job[0] < job[1]:
        raise ValueError(f"a job of n is one of 0 to n - 1, got {job}")


# ------------------------------------------------------------------------------------------------ running


def _run(
    dataset: str, tasks: Sequence[ShardTask], workers: int, executor: Executor | None
) -> Iterator[tuple[ShardTask, dict[str, Any]]]:
    """Run the tasks and yield each with its entry as it finishes."""
    total = sum(len(task.items) for task in tasks)
    with meter(f"convert {dataset}", total) as gauge:
        if executor is not None:
            yield from _run_elsewhere(tasks, executor, gauge)
        elif min(workers, len(tasks)) > 1:
            yield from _run_in_pool(dataset, tasks, workers, gauge)
        else:
            for task in tasks:
                yield task, write_shard(task)
                gauge.advance(len(task.items), task.path.name)


def _run_elsewhere(
    tasks: Sequence[ShardTask], executor: Executor, gauge: Meter
) -> Iterator[tuple[ShardTask, dict[str, Any]]]:
    """Run on somebody's executor, whose workers cannot count samples for us: progress goes by shards."""
    futures = {executor.submit(write_shard, task): task for task in tasks}
    for future in as_completed(futures):
        yield futures[future], future.result()
        gauge.advance(len(futures[future].items))


def _run_in_pool(
    dataset: str, tasks: Sequence[ShardTask], workers: int, gauge: Meter
) -> Iterator[tuple[ShardTask, dict[str, Any]]]:
    counter = new_counter()
    pool = ProcessPoolExecutor(min(workers, len(tasks)), get_context("spawn"), start_worker, (counter, os.getpid()))
    longest_first = sorted(tasks, key=lambda task: -len(task.items))  # so that the workers end together
    try:
        with shielded_start():
            futures = {pool.submit(write_shard, task): task for task in longest_first}
        waiting: set[Future[dict[str, Any]]] = set(futures)
        while waiting:
            done, waiting = wait(waiting, timeout=POLL_S, return_when="FIRST_COMPLETED")
            gauge.advance(count_of(counter) - gauge.done)
            if not done:
                check_workers(pool)
            for future in sorted(done, key=lambda f: futures[f].path.name):
                yield futures[future], future.result()
    except BrokenProcessPool as error:
        raise killed(f"convert {dataset}", "finished shards are kept.") from error
    finally:
        stop(pool)
        for task in tasks:
            task.path.with_name(f"{task.path.name}.{task.tag}{PARTIAL}").unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------ state on disk


@contextmanager
def _locked(out: Path, job: tuple[int, int]) -> Iterator[None]:
    """Hold `out` alone, or share it with the other jobs of the same array; drop what a dead run left."""
    try:
        (out / STATE).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(out, expected="a folder that can be written", got=str(error.strerror)) from None
    index, count = job
    fix = "Wait for it to end, or convert into another folder with --out."
    busy = BusyError(out, expected="a folder that is not in use", got="another conversion in it", fix=fix)
    written = BusyError(out, expected="a folder that is not in use", got="another writer in it", fix=fix)
    with (
        (out / LOCK).open("a+") as common,
        (out / f"{LOCK}-{index}").open("a+") as own,
        beside(out, written, shared=count > 1),
    ):
        if hold(common, busy, shared=count > 1):
            hold(own, busy)
        if count == 1:
            _sweep(out)
        yield
        if count > 1:
            with suppress(OSError):  # BlockingIOError: others of the array are at work, the last of them sweeps
                take(common)
                _sweep(out)


def _sweep(out: Path) -> None:
    """Drop what dead runs left unfinished; for who holds `out` alone."""
    for path in own_partials(out):
        path.unlink()


def _refuse_foreign(out: Path, tasks: Sequence[ShardTask]) -> None:
    """Refuse to write over files that no conversion wrote; what the index names is a conversion's.

    Raises:
        ConfigError: there is one.
    """
    own = {path.name for path in own_shards(out)}
    shards = _index_there(out).get("shards")
    named = (
        {str(entry.get("file")) for entry in shards if isinstance(entry, dict)} if isinstance(shards, list) else set()
    )
    for task in tasks:
        name = task.path.name
        if name in named - own:
            begin(task.path)
        elif name not in own and task.path.exists():
            fix = "Choose another --out, or move that file away."
            raise ConfigError(task.path, expected="no file, or a shard", got="a file of another program", fix=fix)


@contextmanager
def _in_turn(out: Path) -> Iterator[None]:
    """Let one job of an array look at a time whether it is the last: the index is written once and whole."""
    with (out / f"{LOCK}-index").open("a+") as file:
        with suppress(OSError):  # where nothing can be locked, `_locked` has said so
            take(file, wait=True)
        yield


def _refuse_other(out: Path, dataset: str, plan: Plan) -> None:
    """Refuse a folder that holds another dataset, one of other files of labels, or a subset: it would be removed.

    Raises:
        ConfigError: so it does.
    """
    try:
        index = read_index(out)
    except HanddataError:  # nothing there, or nothing that can be read
        return
    held, fix = index["dataset"], "Choose another --out, or remove that folder."
    if held != dataset:
        raise ConfigError(out, expected=f"a folder for {dataset}", got=f"the dataset {held}", fix=fix)
    if was_cut(out):
        expected, got = f"a folder for {dataset}", f"{index.get('num_samples')} samples that were cut of other shards"
        raise ConfigError(out, expected=expected, got=got, fix=fix)
    if others := made_of_others(out, plan.made_of):
        expected, got = f"a folder for {plan.made_of[0]}", f"{index.get('num_samples')} samples of {others[0]}"
        raise ConfigError(out, expected=expected, got=got, fix=fix)


def _finished(tasks: Sequence[ShardTask], *, whole: bool = False) -> dict[str, dict[str, Any]]:
    """Return the entries of the shards that are there, made from what the tasks would be made from; see `finished`."""
    found = {task.path.name: finished(task.path, task.made_from, whole=whole) for task in tasks}
    return {name: entry for name, entry in found.items() if entry is not None}


def _index(dataset: str, plan: Plan, entries: Sequence[dict[str, Any]], task: ShardTask, canvas: int) -> dict[str, Any]:
    shards = [{k: v for k, v in entry.items() if k != "skipped"} for entry in entries if entry["num_samples"]]
    splits = {
        split: {
            "num_samples": sum(shard["num_samples"] for shard in shards if shard["split"] == split),
            "sequences": sorted({item.sequence for item in plan.items if item.split == split}),
        }
        for split in SPLITS
        if any(shard["split"] == split for shard in shards)
    }
    options = parse_json(str(task.attributes["options"]), "options", Wanted(what="options"))
    return {
        "schema": VERSION,
        "dataset": dataset,
        "num_samples": sum(shard["num_samples"] for shard in shards),
        "canvas_size": canvas,
        "canvas_scale": task.attributes["canvas_scale"],
        "handdata_version": __version__,
        "manifest_sha256": task.attributes["manifest_sha256"],
        "options": {k: v for k, v in options.items() if k != "corrections"},  # of one shard; all of them stand beside
        **({"corrections": plan.corrections.facts} if plan.corrections.samples else {}),
        "origin": origin_of_all(plan.provenance) if plan.provenance else find_origin(plan.root, dataset),
        **({KEY: as_json(plan.provenance)} if plan.provenance else {}),
        "splits": splits,
        "shards": shards,
        "skipped": {key: why for entry in entries for key, why in entry["skipped"].items()},
        "warnings": list(plan.warnings),
    }


def find_origin(root: Path, dataset: str) -> str:
    """Return whose hands a tree shows: `rendered` if handdata's renderer marked it, else `published` or `own`."""
    if any((folder / RENDERED_MARK).is_file() for folder in (root, root.parent)):
        return "rendered"
    return "own" if dataset in OWN else "published"


def _finish(out: Path, index: dict[str, Any], entries: Sequence[dict[str, Any]]) -> None:
    """Remove shards of an earlier, different conversion; write the index unless it says the same already."""
    samples = {entry["file"]: entry["num_samples"] for entry in entries}
    for path in own_shards(out):
        if path.name not in samples:
            forget(path)
        elif not samples[path.name]:
            path.unlink(missing_ok=True)  # all of it is left out now; the entry stays
    if _index_there(out) != index:
        write_index(out, index)


def _index_there(out: Path) -> dict[str, Any]:
    try:
        return unpack(read_object(out / INDEX, Wanted(what="an index of shards", largest=LARGE)))
    except HanddataError:
        return {}
