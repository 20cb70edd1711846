"""Check how a native archive is unpacked: where it lies, what is there, how it is read, how much work it is."""

import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from handdata import manifest
from handdata.check.environment import existing
from handdata.conversion.plan import plan_all
from handdata.conversion.rows import ShardTask, build_row, checked_reader, optional_arrays, other_size
from handdata.converters import CONVERTERS
from handdata.converters.options import Options
from handdata.converters.protocol import Plan
from handdata.converters.read.packaging import is_litter
from handdata.errors import HanddataError
from handdata.files.tables import value_at
from handdata.files.text import Wanted, read_object
from handdata.manifest import Manifest
from handdata.paths import RENDERED_MARK
from handdata.pictures.decode import image_size
from handdata.shards.schema import DEFAULT_CANVAS, FIELDS

SUMS = ("frames", "sequences", "annotated_frames")  # counts of a manifest that are of the whole, not of a part
MAX_NAMED = 5  # unreadable samples known beforehand
TRIED, TRIED_S = 64, 8.0  # samples read to see that they can be and how fast, and for how long at most
SIZED = 64  # files of a pattern whose size is read


@dataclass(slots=True)
class Line:
    """One pattern of the expected tree: files there should be, and are; other editions may have up to `most`."""

    pattern: str
    expected: int
    found: int
    optional: bool
    slack: int = 0
    most: int = 0


@dataclass(slots=True)
class Diagnosis:
    """What the doctor found of one native archive.

    Attributes:
        dataset: its name.
        given: the folder looked at.
        root: the dataset's own folder; "" if it was not found.
        rendered: whether `handdata synth` made it: then an archive's counts do not apply.
        tree: expected against found.
        samples: what the default conversion would write: split -> sequence -> samples.
        readings: which of several readings of the format the files are.
        notes: what a conversion would say.
        findings: what is wrong, a sentence each, with what to do.
        sizes: bytes of the pictures and of the shards to be.
        minutes: a conversion takes on this machine with all cores, measured on a few samples; NaN if it cannot be read.
    """

    dataset: str
    given: str
    root: str = ""
    rendered: bool = False
    tree: list[Line] = field(default_factory=list)
    samples: dict[str, dict[str, int]] = field(default_factory=dict)
    readings: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    sizes: dict[str, int] = field(default_factory=dict)
    minutes: float = float("nan")

    def as_json(self) -> dict[str, Any]:
        """Return plain data; an unknown time is null."""
        plain = asdict(self) | {"ok": not self.findings}
        return plain | {"minutes": None if np.isnan(self.minutes) else self.minutes}


def diagnose(dataset: str, root: Path, shards: Path, options: Options | None = None) -> Diagnosis:
    """Look at a native archive as `convert` would, and at everything its manifest expects besides.

    Args:
        dataset: a name in CONVERTERS.
        root: where it should lie.
        shards: where it would be converted to, for the free space there.
        options: of the conversion; None takes the dataset's defaults.
    """
    facts, options = manifest.load(dataset), options or CONVERTERS[dataset].OPTIONS()
    diagnosis = Diagnosis(dataset=dataset, given=str(root))
    try:
        plan = plan_all(dataset, root, options)
    except HanddataError as error:
        diagnosis.findings.append(str(error))
        return diagnosis
    diagnosis.root = str(plan.root)
    if plan.root != root:
        diagnosis.notes.append(f"the dataset's own folder is {plan.root}, one level below; convert finds it there")
    diagnosis.notes += plan.warnings
    diagnosis.readings = dict(plan.readings)
    mark = next((path for path in _marks(plan.root) if path.is_file()), None)
    diagnosis.rendered = mark is not None
    for item in plan.items:
        sequences = diagnosis.samples.setdefault(item.split, {})
        sequences[item.sequence] = sequences.get(item.sequence, 0) + 1
    diagnosis.tree, parts = _compare_tree(plan.root, facts)
    diagnosis.findings += _lone_files(diagnosis.tree)
    diagnosis.findings += [str(fault) for fault in list(plan.faults.values())[:MAX_NAMED]]
    if mark:
        diagnosis.findings += _rendered_faults(mark, dataset, plan)
    else:
        part = _part_of_archive(parts, facts)
        diagnosis.notes += [part] if part else []
        diagnosis.findings += _count_faults(diagnosis.tree, parts, facts, is_part=bool(part))
    sizes = list(_size_faults(plan, facts))
    diagnosis.findings += sizes
    _estimate(diagnosis, plan, options, shards, tell=not sizes)
    diagnosis.findings = list(dict.fromkeys(diagnosis.findings))  # a fault that is known may be met again
    return diagnosis


def preview(dataset: str, plan: Plan, options: Options, shards: Path, canvas: int) -> Diagnosis:
    """Say of a conversion that is planned what there is of the whole archive, how large it gets and how long it takes.

    Args:
        dataset: a name in CONVERTERS.
        plan: of the conversion.
        options: of the conversion.
        shards: where it is to be written, for the free space there.
        canvas: side of the canvases, px.
    """
    diagnosis = Diagnosis(dataset=dataset, given=str(plan.root), root=str(plan.root))
    diagnosis.tree, _ = _compare_tree(plan.root, manifest.load(dataset))
    _estimate(diagnosis, plan, options, shards, canvas)
    return diagnosis


def _marks(root: Path) -> tuple[Path, Path]:
    """Return where the mark of a rendering may lie: the dataset's own folder may have been put one level deeper."""
    return root / RENDERED_MARK, root.parent / RENDERED_MARK


# ------------------------------------------------------------------------------------------------ tree and counts


def _compare_tree(root: Path, facts: Manifest) -> tuple[list[Line], Counter[str]]:
    """Count the files of each expected pattern, and the pictures by every folder name on their way."""
    slack, most = facts.extra.get("tree_slack", {}), facts.extra.get("tree_most", {})
    lines = [
        Line(pattern, count, 0, optional, slack.get(pattern, 0), most.get(pattern, count + slack.get(pattern, 0)))
        for table, optional in (("tree", False), ("tree_optional", True))
        for pattern, count in facts.extra.get(table, {}).items()
    ]
    parts: Counter[str] = Counter()
    for folder, names in _walk(root):
        for number, line in enumerate(lines):
            parent, _, name = line.pattern.rpartition("/")
            if _ends_like(folder, parent):
                found = sum(fnmatchcase(n, name) for n in names)
                line.found += found
                if number == 0:
                    parts.update(dict.fromkeys(set(folder.parts), found))
    return lines, parts


def _walk(root: Path) -> Iterator[tuple[PurePosixPath, list[str]]]:
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not is_litter(name))
        yield PurePosixPath(Path(folder).relative_to(root.parent).as_posix()), [n for n in names if not is_litter(n)]


def _ends_like(folder: PurePosixPath, pattern: str) -> bool:
    wanted = pattern.split("/")
    return len(folder.parts) >= len(wanted) and all(
        fnmatchcase(part, like) for part, like in zip(folder.parts[-len(wanted) :], wanted, strict=True)
    )


def _lone_files(tree: list[Line]) -> Iterator[str]:
    """Find kinds of file of which an archive has equally many, and this one has not."""
    for expected in sorted({line.expected for line in tree if not line.optional}):
        alike = [line for line in tree if line.expected == expected and not line.optional]
        fewest, most = min(alike, key=lambda line: line.found), max(alike, key=lambda line: line.found)
        if fewest.found < most.found:
            missing = f"{most.found - fewest.found} files are missing: {fewest.pattern} {fewest.found}"
            yield f"{missing}, {most.pattern} {most.found}. Unpack the archive again."


def _part_of_archive(parts: Counter[str], facts: Manifest) -> str:
    """Say which whole parts of an archive are there where others are not; "" where all are, or one is not whole."""
    named = {name: count for name, count in facts.counts.items() if name not in SUMS}
    there = [name for name in named if parts[name]]
    if not there or len(there) == len(named) or any(parts[name] != named[name] for name in there):
        return ""
    return f"a part of the archive: {len(there)} of {len(named)}, whole ({', '.join(there)})"


def _count_faults(tree: list[Line], parts: Counter[str], facts: Manifest, *, is_part: bool) -> Iterator[str]:
    for line in tree:
        if line.found < line.expected - line.slack and not line.optional and not is_part:
            yield f"{line.pattern}: {line.found} of {line.expected} files. Unpack the archive's other parts as well."
        elif line.found > line.most:
            yield f"{line.pattern}: {line.found} files, the archive has {line.expected}. Is another dataset among them?"
    pictures = tree[0].slack if tree else 0  # the first pattern is the pictures, which are what `parts` counts
    slack = -(-pictures // max(1, facts.counts.get("sequences", 1)))
    more = max(slack, tree[0].most - tree[0].expected) if tree else 0
    for part, expected in facts.counts.items():
        if parts[part] and not expected - slack <= parts[part] <= expected + more:
            yield f"{part}: {parts[part]} pictures, the archive has {expected}."


def _rendered_faults(path: Path, dataset: str, plan: Plan) -> Iterator[str]:
    """Compare with what `handdata synth` was asked for."""
    try:
        mark = read_object(path, Wanted(what="the mark of a rendering", fix="Render it again into another folder."))
        expected, seed = (value_at(mark, key, int, where=path, default=0) for key in ("frames", "seed"))
    except HanddataError as error:
        yield str(error)
        return
    if len(plan.items) < expected:
        fix = f"Render it again: handdata synth {dataset} --frames {expected} --seed {seed}."
        yield f"{plan.root}: {len(plan.items)} of {expected} rendered samples. {fix}"


# ------------------------------------------------------------------------------------------------ size and time


def _estimate(
    diagnosis: Diagnosis,
    plan: Plan,
    options: Options,
    shards: Path,
    canvas: int = DEFAULT_CANVAS,
    *,
    tell: bool = True,
) -> None:
    """Measure a few samples: that they can be read (unless not to `tell`), how large they are, how long they take."""
    items = plan.items
    chosen = [items[int(i)] for i in np.unique(np.linspace(0, len(items) - 1, TRIED).round())]
    read = checked_reader(diagnosis.dataset, plan.root, options)
    task = _task(diagnosis.dataset, plan, options, canvas)
    spent: list[float] = []
    begin = time.perf_counter()
    for item in chosen:
        start = time.perf_counter()
        if start - begin > TRIED_S:
            break
        try:
            build_row(read(item), item, task)
            spent.append(time.perf_counter() - start)
        except HanddataError as error:
            diagnosis.findings += [str(error)] if tell else []
    pictures = sorted({item.image for item in items})
    sized = pictures[:: max(1, len(pictures) // SIZED)]
    bytes_of = [(plan.root / name).stat().st_size for name in sized if (plan.root / name).is_file()]
    row = sum(field.nbytes_at(canvas) for field in FIELDS if not field.optional or field.name in task.optional)
    diagnosis.sizes = {
        "pictures": round(float(np.mean(bytes_of)) * len(pictures)) if bytes_of else 0,
        "shards": row * len(items),
    }
    free = shutil.disk_usage(existing(shards)).free
    if diagnosis.sizes["shards"] > free:
        need, there = diagnosis.sizes["shards"] / 1e9, free / 1e9
        diagnosis.findings.append(f"{shards}: {need:.1f} GB needed for the shards, {there:.1f} GB free.")
    if spent:
        diagnosis.minutes = float(np.median(spent)) * len(items) / (os.cpu_count() or 1) / 60


def _size_faults(plan: Plan, facts: Manifest) -> Iterator[str]:
    """Hold the sizes of each camera's pictures against the manifest's, from their headers."""
    for name in sorted({item.camera for item in plan.items} & set(facts.cameras)):
        pictures = sorted({item.image for item in plan.items if item.camera == name})
        some = pictures[:: max(1, len(pictures) // SIZED)]
        others: Counter[tuple[int, int]] = Counter()
        first: dict[tuple[int, int], str] = {}
        for picture in some:
            with suppress(HanddataError):  # named when it is read
                size = image_size(plan.root / picture)
                others[size] += 1
                first.setdefault(size, picture)
        for size, count in others.items():
            if size != facts.cameras[name].size:
                fault = other_size(plan.root / first[size], size, facts.cameras[name].size, facts)
                yield f"{count} of {len(some)} pictures of {name} that were looked at: {fault}"


def _task(dataset: str, plan: Plan, options: Options, canvas: int) -> ShardTask:
    """Return a task that rows can be made for; nothing is written."""
    return ShardTask(
        dataset=dataset,
        root=plan.root,
        path=plan.root,
        split="",
        items=(),
        made_from="",
        options=options,
        canvas=canvas,
        optional=optional_arrays(plan, options),
        attributes={"canvas_scale": CONVERTERS[dataset].CANVAS_SCALE},
        sequences=tuple({item.sequence for item in plan.items}),
        cameras=tuple({item.camera for item in plan.items}),
        skip_bad=False,
        tag="",
    )
