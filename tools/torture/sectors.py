"""Lost sectors: each 512 bytes of a small shard, a predictions file and a checkpoint become zeros in turn.

Each command that reads the file names it, or writes what it writes of the whole file because it needs nothing of that
sector; `convert` makes the same bytes again. Of files with many sectors every so-manieth is lost, the first and the
last among them. Times are CPU seconds of the command, beyond the start of Python and its imports.
"""

import argparse
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runs import digest, end_and_cpu, fork, run_whole
from scenes import TRAIN, Scene, make_inputs
from trials import Faults, Trials, note

SECTOR = 512
SLOWEST_S = 2.0
MOST = 100  # sectors of a file, unless --all
RUN = (("runs/r", "scored/runs/r"),)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A file that loses sectors, and the commands that read it; the first of a shard's repairs it."""

    name: str
    files: str
    scenes: tuple[Scene, ...]


def _of_shards(name: str, *words: str, inputs: tuple[str, ...] = ("small",)) -> Scene:
    return Scene(name=name, words=(name, *words), inputs=inputs, changes=(("shards", "small"),))


def _of_run(name: str, *words: str) -> Scene:
    return Scene(name=name, words=(name, *words), inputs=("scored", "small", "pictures"), changes=RUN)


RESUMED = tuple("loop.epochs=4" if word == "loop.epochs=3" else word for word in TRAIN)
TARGETS = (
    Target(name="a shard", files="shards/*.h5", scenes=(
        _of_shards("convert", "rhd", "--root", "../inputs/native/rhd", "--out", "shards", "--canvas", "32", "--limit",
                   "4", "--workers", "1"),
        _of_shards("verify", "shards"), _of_shards("stats", "shards"), _of_shards("browse", "shards", "--out", "b.png"),
        _of_shards("export", "shards", "--out", "out", "--workers", "1"),
        _of_shards("subset", "shards", "--sample", "3", "--out", "out"),
        _of_shards("split", "shards", "--by", "random:0.4/0.2", "--out", "out"),
        _of_shards("diff", "../inputs/small", "shards"),
        _of_shards("train", *(word.replace("../inputs/shards", "shards") for word in TRAIN[1:])),
        Scene(name="evaluate", inputs=("scored", "small"), changes=(("shards", "small"), *RUN),
              words=("evaluate", "runs/r", "--shards", "shards", "--split", "train", "--device", "cpu")))),
    Target(name="a predictions file", files="runs/r/predictions.h5", scenes=(
        _of_run("evaluate", "--predictions", "runs/r/predictions.h5", "--shards", "../inputs/shards"),
        _of_run("report", "r", "--out", "out"))),
    Target(name="a checkpoint", files="runs/r/checkpoints/last/*", scenes=(
        _of_run("predict", "runs/r", "../inputs/pictures/p_0.png", "--detector", "none", "--device", "cpu",
                "--out", "out"),
        _of_run("evaluate", "runs/r", "--shards", "../inputs/shards", "--device", "cpu"))),
    Target(name="a checkpoint to go on from", files="runs/r/checkpoints/last/*", scenes=(
        _of_run(*RESUMED, "--resume"),)),
)  # fmt: skip


def sectors(base: Path, options: argparse.Namespace, limit: float) -> Iterator[dict[str, object]]:
    """Lose one sector after the other."""
    for target in TARGETS:
        for scene in target.scenes:
            if options.commands and scene.name not in options.commands.split(","):
                continue
            if time.monotonic() > limit:
                return
            make_inputs(scene, base / "inputs", run_whole(base))
            yield _row(target, Trials(scene, base), every=options.all, limit=limit)


def _row(target: Target, trials: Trials, *, every: bool, limit: float) -> dict[str, object]:
    faults: Faults = {}
    counts = {"named": 0, "not needed": 0, "repaired": 0}
    slowest = 0.0
    trials.begin()
    lost = [
        (path.relative_to(trials.work), at)
        for path in sorted(trials.work.glob(target.files))
        for at in _places(path, every=every)
    ]
    if not lost:
        raise SystemExit(f"{trials.scene.name}: no {target.files} to damage")
    for name, at in lost:
        if time.monotonic() > limit:
            break
        trials.begin()
        _lose(trials.work / name, at)
        code, seconds = end_and_cpu(fork(trials.scene.words, trials.work, trials.log))
        outcome = _outcome(trials, name, code)
        slowest = max(slowest, seconds)
        if outcome in counts:
            counts[outcome] += 1
        else:
            note(faults, outcome, f"{name}, byte {at}")
        if seconds > SLOWEST_S and trials.scene.name != "convert":  # it makes the shard again
            note(faults, f"slow: {seconds:.1f} s", f"{name}, byte {at}")
    row = trials.row(f"each sector of {target.name} lost", sum(counts.values()), len(lost), faults)
    return row | counts | {"slowest CPU s": round(slowest, 3)}


def _places(path: Path, *, every: bool) -> list[int]:
    """Return where sectors begin that hold anything."""
    data = path.read_bytes()
    places = [at for at in range(0, len(data), SECTOR) if any(data[at : at + SECTOR])]
    step = 1 if every else -(-len(places) // MOST)
    return sorted({*places[::step], places[-1]})


def _lose(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(at)
        file.write(bytes(min(SECTOR, size - at)))


def _outcome(trials: Trials, name: Path, code: int) -> str:
    """Return "named", "repaired", "not needed", or what is wrong."""
    said = trials.log.read_text(errors="replace")
    if trials.scene.name == "verify" and code == 1 and re.search(rf"FOUND\b.*{re.escape(name.name)}", said):
        return "named"  # among its findings, a table
    page = trials.work / "out/index.html"
    if trials.scene.name == "report" and code == 0 and f"{name.name}: expected" in page.read_text():
        return "named"  # where its pictures would be: a page of many runs is made without those of one
    if fault := trials.fault_said(code):
        return fault
    found = digest(trials.work)
    is_same = all(found.get(one) == value for one, value in trials.whole.items() if one != str(name))
    if code == 0 and trials.scene.name == "convert":
        return "repaired" if is_same and found[str(name)] == trials.whole[str(name)] else "not repaired: "
    if code == 1 and (name.name in said or name.parent.name in said):
        return "named"
    return "not needed" if code == 0 and is_same else f"exit {code}, not named: {said[-200:]}"
