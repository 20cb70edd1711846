"""Plan a conversion: what there is, checked and chosen from, and the shards it is cut into. No dataset names."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from handdata import __version__, manifest
from handdata.boxes import has_tables
from handdata.conversion.mended import corrections_of
from handdata.conversion.passed_over import passed_over
from handdata.conversion.rows import ShardTask, optional_arrays, run_tag
from handdata.conversion.state import fingerprint
from handdata.converters import CONVERTERS
from handdata.converters.options import Options
from handdata.converters.protocol import Item, Plan
from handdata.converters.read.errata import describe, wrong_points
from handdata.converters.read.faults import unreadable
from handdata.converters.read.made_boxes import made_boxes, require_matches
from handdata.errors import ConfigError, DataError, MissingError
from handdata.exchange.reading import label_files
from handdata.shards.schema import SAMPLE_ID_BYTES, SHARD_SAMPLES, SPLITS, VERSION

MIN_SHARD_SAMPLES = 256  # fewer are not worth a task of their own
SHARDS_PER_SPLIT = 16  # aim for this many while shards are small, so that many cores have work


def plan_all(dataset: str, root: Path, options: Options) -> Plan:
    """List everything that a dataset's converter finds.

    Raises:
        HanddataError: see `Converter.plan`; also a file that the system cannot read.
    """
    facts = manifest.load(dataset)
    try:
        plan = CONVERTERS[dataset].plan(root, facts, options)
    except OSError as error:
        raise unreadable(error, root, skippable=False) from None
    boxes = require_matches(made_boxes(options), plan.items, options) if plan.items else ""
    notes = [note for note in (passed_over(plan, options, facts), boxes) if note]
    readings = (*plan.readings, *describe(plan.items, wrong_points(facts)))
    return replace(plan, readings=readings, warnings=(*plan.warnings, *notes))


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
        TypeError: options of another dataset.
        HanddataError: see `Converter.plan`; also ids that repeat, are too long or not ASCII, and an option that
            asks for what the dataset lacks, corrections of samples that it lacks, and what is known to be unreadable,
            unless `skip_bad`.
    """
    if not isinstance(options, CONVERTERS[dataset].OPTIONS):
        raise TypeError(f"{dataset} takes {CONVERTERS[dataset].OPTIONS.__name__}, got {type(options).__name__}")
    plan = plan_all(dataset, root, options)
    if options.with_segmentation and not (plan.has_foreground or plan.has_mask):
        raise ConfigError("--with-segmentation", expected="pictures that come with a segmentation", got=dataset)
    _check_ids(plan.items)
    items = [item for item in plan.items if not splits or item.split in splits]
    if not plan.items:
        fix = "Unpack the archive whole, or choose other --sequences or --camera."
        raise MissingError(plan.root, expected="labelled pictures that match the request", got="none", fix=fix)
    if not items:
        there = ", ".join(sorted({item.split for item in plan.items}))
        raise ConfigError("--split", expected=f"a split that has samples ({there})", got=", ".join(splits))
    chosen = tuple(items[:limit])
    corrections = corrections_of(options, dataset, plan.items).of(item.id for item in chosen)
    faults = {item.id: plan.faults[item.id] for item in chosen if item.id in plan.faults}
    if faults and not skip_bad:
        raise next(iter(faults.values()))
    return replace(plan, items=chosen, faults=faults, corrections=corrections)


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
    recorded = _recorded(options, plan, converter.CROP_RULE, canvas)
    attributes: dict[str, str | int | float] = {
        "dataset": dataset,
        "canvas_scale": converter.CANVAS_SCALE,
        "handdata_version": __version__,
        "manifest_sha256": facts.sha256,
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
            mended = plan.corrections.of(item.id for item in chunk)  # so that other shards stay when one is corrected
            own = recorded | ({"corrections": mended.sha256} if mended.samples else {})
            told = {**attributes, "options": json.dumps(own, sort_keys=True)}
            request = repr((VERSION, told, optional, skip_bad, str(plan.root), sequences, cameras, chunk))
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
                attributes={**told, "split": split},
                corrections=mended.samples,
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
        if name in ("boxes_default", "corrections"):  # corrections: each shard's own, and those of all in the index
            continue
        record[name] = _recorded_value(value)
    default = options.boxes_default
    if options.boxes is None and default is not None and has_tables(default):
        record["boxes"] = _content(default)
    return record


def _recorded_value(value: Any) -> Any:
    """Return an option's value as it is recorded: a file as the hash of its content."""
    if isinstance(value, tuple) and value and all(isinstance(part, Path) for part in value):
        return [_content(file) for file in label_files(value)]
    return _content(value) if isinstance(value, Path) else value


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
