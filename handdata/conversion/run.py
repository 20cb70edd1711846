"""Convert one dataset: plan, cut into shards, hand them to workers, write the index last. No dataset names.

A conversion that was stopped goes on: a finished shard is kept while everything it was made from (pictures, labels,
options, code version) is as it was. The shards do not depend on the number of workers or on interruptions.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from handdata import __version__, manifest
from handdata.boxes import has_tables
from handdata.conversion.rows import ShardTask, optional_arrays, run_tag, write_shard
from handdata.conversion.state import fingerprint, finished, forget
from handdata.converters import CONVERTERS
from handdata.converters.protocol import Item, Options, Plan
from handdata.errors import BusyError, ConfigError, DataError, MissingError
from handdata.files.locks import hold
from handdata.paths import BACKGROUNDS, RENDERED_MARK
from handdata.progress import Meter, meter, say
from handdata.shards.reader import INDEX, PARTIAL, STATE, write_index
from handdata.shards.schema import DEFAULT_CANVAS, SAMPLE_ID_BYTES, SHARD_SAMPLES, SPLITS, VERSION
from handdata.workers import new_counter, shielded_start, start_worker

LOCK = ".lock"
OWN = ("custom", BACKGROUNDS)  # pictures nobody published as a dataset of hands
MIN_SHARD_SAMPLES = 256  # fewer are not worth a task of their own
SHARDS_PER_SPLIT = 16  # aim for this many while shards are small, so that many cores have work
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


def make_plan(
    dataset: str,
    root: Path,
    options: Options,
    splits: Sequence[str] = (),
    limit: int | None = None,
    *,
    skip_bad: bool = False,
) -> Plan:
    """Plan a conversion: what there is, in order, after `--split` and `--limit`.

    Raises:
        HanddataError: see `Converter.plan`; also ids that repeat, are too long or not ASCII, and an option that
            asks for what the dataset lacks, and what is known to be unreadable, unless `skip_bad`.
    """
    plan = CONVERTERS[dataset].plan(root, manifest.load(dataset), options)
    if options.with_segmentation and not plan.has_foreground:
        raise ConfigError("--with-segmentation", expected="pictures that come with a segmentation", got=dataset)
    _check_ids(plan.items)
    items = [item for item in plan.items if not splits or item.split in splits]
    if not plan.items:
        fix = "Unpack the archive whole, or choose other --sequences or --camera."
        raise MissingError(plan.root, expected="labelled pictures of what was asked for", got="none", fix=fix)
    if not items:
        there = ", ".join(sorted({item.split for item in plan.items}))
        raise ConfigError("--split", expected=f"a split that has samples ({there})", got=", ".join(splits))
    chosen = tuple(items[:limit])
    faults = {item.id: plan.faults[item.id] for item in chosen if item.id in plan.faults}
    if faults and not skip_bad:
        raise next(iter(faults.values()))
    changes: dict[str, Any] = {"items": chosen, "faults": faults}
    return Plan(**{**{name: getattr(plan, name) for name in plan.__dataclass_fields__}, **changes})


def convert(
    dataset: str,
    root: Path,
    out: Path,
    *,
    options: Options | None = None,
    splits: Sequence[str] = (),
    limit: int | None = None,
    workers: int = 1,
    canvas: int = DEFAULT_CANVAS,
    skip_bad: bool = False,
    job: tuple[int, int] = (0, 1),
    executor: Executor | None = None,
) -> Conversion:
    """Convert a dataset to shards in `out`.

    Args:
        dataset: a name in CONVERTERS.
        root: the dataset's own folder or one level above it.
        out: gets the shards and index.json.
        options: what concerns the converter.
        splits: those to convert; empty converts all.
        limit: stop after this many samples.
        workers: processes of this machine.
        canvas: side of the canvases, px, a multiple of 8.
        skip_bad: leave out, count and name samples that cannot be read.
        job: (index, count) of a job array; this job takes every count-th shard.
        executor: runs the tasks instead of local processes (a Dask cluster's).

    Raises:
        HanddataError: bad input, or somebody else converts into `out`.
    """
    options = options or Options()
    check_canvas(canvas)
    plan = make_plan(dataset, root, options, splits, limit, skip_bad=skip_bad)
    for warning in plan.warnings:
        say(f"{dataset}: {warning}")
    for what, found in plan.readings:
        say(f"{dataset}: {what}: {found}")
    with _locked(out, job):
        tasks = plan_tasks(dataset, plan, out, options, canvas, skip_bad=skip_bad)
        kept = _finished(tasks)
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
                _finish(out, _index(dataset, plan, entries, tasks[0], canvas))
    return Conversion(
        out=out,
        plan=plan,
        num_samples=sum(entry["num_samples"] for entry in entries),
        num_shards=sum(entry["num_samples"] > 0 for entry in entries),
        num_kept=num_kept,
        skipped={key: why for entry in entries for key, why in entry["skipped"].items()},
        complete=complete,
    )


def check_canvas(side: int) -> None:
    """Refuse a side of the canvases, px, that shards cannot have.

    Raises:
        ConfigError: so it is.
    """
    if side % 8 or not 32 <= side <= 1024:
        raise ConfigError("--canvas", expected="a multiple of 8 from 32 to 1024", got=str(side))


def plan_tasks(
    dataset: str, plan: Plan, out: Path, options: Options, canvas: int, *, skip_bad: bool
) -> list[ShardTask]:
    """Cut a plan into shards, a task each; a function of the plan alone, not of the machine."""
    converter, facts = CONVERTERS[dataset], manifest.load(dataset)
    optional = optional_arrays(plan, options)
    attributes: dict[str, str | int | float] = {
        "dataset": dataset,
        "canvas_scale": converter.CANVAS_SCALE,
        "handdata_version": __version__,
        "manifest_sha256": facts.sha256,
        "options": json.dumps(_recorded(options, plan, converter.CROP_RULE, canvas), sort_keys=True),
        "visibility_rule": facts.visibility_rule,
    }
    sequences = tuple(sorted({item.sequence for item in plan.items}))
    cameras = tuple(sorted({item.camera for item in plan.items}))
    tasks = []
    labels = [f"{plan.root}/{name}" for name in plan.label_files]
    for split in SPLITS:
        items = tuple(item for item in plan.items if item.split == split)
        rows = min(SHARD_SAMPLES, max(MIN_SHARD_SAMPLES, -(-len(items) // SHARDS_PER_SPLIT)))
        for number, start in enumerate(range(0, len(items), rows)):
            chunk = items[start : start + rows]
            request = repr((attributes, optional, skip_bad, str(plan.root), sequences, cameras, chunk))
            task = ShardTask(
                dataset=dataset,
                root=plan.root,
                path=out / f"{split}-{number:05d}.h5",
                split=split,
                items=chunk,
                made_from=fingerprint(request, [*labels, *_sources(plan, chunk)]),
                options=options,
                canvas=canvas,
                optional=optional,
                attributes={**attributes, "split": split},
                sequences=sequences,
                cameras=cameras,
                skip_bad=skip_bad,
                tag=run_tag(),
            )
            tasks.append(task)
    return tasks


def _sources(plan: Plan, items: Sequence[Item]) -> Iterator[str]:
    for item in items:
        for name in (item.image, *plan.labels_of(item)):
            yield f"{plan.root}/{name}"


def _recorded(options: Options, plan: Plan, crop_rule: str, canvas: int) -> dict[str, Any]:
    """What the shards say of how they were asked for: no paths, no worker counts; files by their content."""
    record: dict[str, Any] = {"crop_rule": crop_rule, "canvas": canvas, "readings": dict(plan.readings)}
    for name, value in asdict(options).items():
        if name == "boxes_default":
            continue
        record[name] = _content(value) if isinstance(value, Path) else value
    default = options.boxes_default
    if options.boxes is None and default is not None and has_tables(default):
        record["boxes"] = _content(default)
    return record


def _content(path: Path) -> str:
    files = sorted(path.glob("*.csv")) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.read_bytes() if file.is_file() else b"")
    return digest.hexdigest()


def _check_ids(items: Sequence[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen or len(item.id) > SAMPLE_ID_BYTES or not item.id.isascii():
            got = f"{item.id!r} twice" if item.id in seen else repr(item.id)
            raise DataError(item.image, expected=f"a unique ASCII id of at most {SAMPLE_ID_BYTES} characters", got=got)
        seen.add(item.id)


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
            gauge.advance(counter.value - gauge.done)
            for future in sorted(done, key=lambda f: futures[f].path.name):
                yield futures[future], future.result()
    except BrokenProcessPool as error:
        fix = "Run the same command again, with fewer --workers; finished shards are kept."
        raise DataError(f"convert {dataset}", expected="workers that live", got="a killed one", fix=fix) from error
    finally:
        _stop(pool)
        for task in tasks:
            task.path.with_name(f"{task.path.name}.{task.tag}{PARTIAL}").unlink(missing_ok=True)


def _stop(pool: Executor) -> None:
    """End the workers at once, whatever they are writing."""
    processes = list((getattr(pool, "_processes", None) or {}).values())
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.terminate()
        process.join()


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
    busy = BusyError(out, expected="a folder nobody converts into", got="another conversion", fix=fix)
    with (out / LOCK).open("a+") as common, (out / f"{LOCK}-{index}").open("a+") as own:
        if hold(common, busy, shared=count > 1):
            hold(own, busy)
        if count == 1:
            _sweep(out)
        yield
        if count > 1:
            with suppress(OSError):  # BlockingIOError: others of the array are at work, the last of them sweeps
                fcntl.flock(common, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _sweep(out)


def _sweep(out: Path) -> None:
    """Drop what dead runs left unfinished; for who holds `out` alone."""
    for path in sorted(out.glob(f"*{PARTIAL}")):
        path.unlink()


@contextmanager
def _in_turn(out: Path) -> Iterator[None]:
    """Let one job of an array look at a time whether it is the last: the index is written once and whole."""
    with (out / f"{LOCK}-index").open("a+") as file:
        with suppress(OSError):  # where nothing can be locked, `_locked` has said so
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _finished(tasks: Sequence[ShardTask]) -> dict[str, dict[str, Any]]:
    """Return the entries of the shards that are there, made from what the tasks would make them from."""
    return {task.path.name: entry for task in tasks if (entry := finished(task.path, task.made_from))}


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
    return {
        "schema": VERSION,
        "dataset": dataset,
        "num_samples": sum(shard["num_samples"] for shard in shards),
        "canvas_size": canvas,
        "canvas_scale": task.attributes["canvas_scale"],
        "handdata_version": __version__,
        "manifest_sha256": task.attributes["manifest_sha256"],
        "options": json.loads(str(task.attributes["options"])),
        "origin": origin_of(plan.root, dataset),
        "splits": splits,
        "shards": shards,
        "skipped": {key: why for entry in entries for key, why in entry["skipped"].items()},
        "warnings": list(plan.warnings),
    }


def origin_of(root: Path, dataset: str) -> str:
    """Return whose hands a tree shows: `rendered` if handdata's renderer marked it, else `published` or `own`."""
    if any((folder / RENDERED_MARK).is_file() for folder in (root, root.parent)):
        return "rendered"
    return "own" if dataset in OWN else "published"


def _finish(out: Path, index: dict[str, Any]) -> None:
    """Remove shards of an earlier, different conversion; write the index unless it says the same already."""
    current = {shard["file"] for shard in index["shards"]}
    for path in sorted(out.glob("*.h5")):
        if path.name not in current:
            forget(path)
    try:
        if json.loads((out / INDEX).read_text(encoding="utf-8")) == index:
            return
    except (OSError, ValueError):
        pass
    write_index(out, index)
