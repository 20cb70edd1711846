"""Two commands at once on one output: one wins and the other says so in one line, or both end well."""

import argparse
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from itertools import combinations_with_replacement
from pathlib import Path

from runs import digest, end_of, fork, orphans, run_whole
from scenes import Scene, make_inputs
from trials import LEFT, Faults, Trials, note


def pairs(
    scenes: Sequence[Scene], base: Path, options: argparse.Namespace, rng: random.Random, limit: float
) -> Iterator[dict[str, object]]:
    """Start every two of the scenes together (or `options.beside` with each); their outputs lie in one folder."""
    every = []
    for scene in scenes:
        if scene.processes == 1:
            make_inputs(scene, base / "inputs", run_whole(base))
            every.append(Trials(scene, base))
    wanted = set(options.beside.split(",")) if options.beside else {trials.scene.name for trials in every}
    for a, b in combinations_with_replacement(every, 2):
        if not wanted & {a.scene.name, b.scene.name}:
            continue
        faults: Faults = {}
        tried = refused = 0
        for _ in range(options.times or 1):
            if time.monotonic() > limit:
                return
            fault, codes = _together(a, b, base, rng)
            tried += 1
            refused += codes != [0, 0]
            note(faults, fault, "at once")
        yield {"command": a.scene.name, "what": f"beside {b.scene.name}", "tried": tried, "hit": refused,
               "faults": {kind: f"{count} x, {example}" for kind, (count, example) in faults.items()}}  # fmt: skip


def _begin(a: Trials, b: Trials, work: Path) -> None:
    a.scene.begin(a.base / "inputs", work)
    b.scene.add(b.base / "inputs", work)


def _together(a: Trials, b: Trials, base: Path, rng: random.Random) -> tuple[str, list[int | None]]:
    work, logs = base / "work", [base / "first.log", base / "second.log"]
    _begin(a, b, work)
    before = digest(work)
    first = fork(a.scene.words, work, logs[0])
    time.sleep(rng.random() * rng.choice((0.02, a.seconds)))
    second = fork(b.scene.words, work, logs[1])
    codes = [end_of(first), end_of(second)]
    if None in codes:
        return "hangs", codes
    if orphans(first) or orphans(second):
        return "processes left", codes
    for trials, log, code in zip((a, b), logs, codes, strict=True):
        fault = _of(trials, log, code)
        if fault:
            return fault, codes
    return _fault_of_files(a, b, work, before) or _fault_afterwards(a, b, work, before), codes


def _of(trials: Trials, log: Path, code: int | None) -> str:
    trials.log = log
    if code not in (0, 1):
        return f"exit code {code}: {log.read_text(errors='replace')[-300:]}"
    return trials.fault_said(code)


def _fault_of_files(a: Trials, b: Trials, work: Path, before: dict[str, str]) -> str:
    """Return a file that is neither as it was nor as either command writes it, alone or after the other."""
    odd = _odd(a, b, digest(work), [before, a.whole, b.whole])
    if not odd:
        return ""
    known = [before, a.whole, b.whole]
    beside = work.with_name("sequential")
    for one, other in ((a, b), (b, a)):
        _begin(a, b, beside)
        for trials in (one, other):
            end_of(fork(trials.scene.words, beside, beside.with_suffix(".log")))
        known.append(digest(beside))
    shutil.rmtree(beside)
    odd = _odd(a, b, digest(work), known)
    return f"half there: {odd[0]}" if odd else ""


def _odd(a: Trials, b: Trials, found: dict[str, str], known: Sequence[dict[str, str]]) -> list[str]:
    grows = (*a.scene.grows, *b.scene.grows, *LEFT)
    varying = {*a.varying, *b.varying}
    return [
        name
        for name, value in found.items()
        if name not in varying and not any(part in name for part in grows) and all(value != k.get(name) for k in known)
    ]


def _fault_afterwards(a: Trials, b: Trials, work: Path, before: dict[str, str]) -> str:
    """Return what is wrong when both run again, one after the other."""
    a.work = b.work = work
    a.before = b.before = before
    for trials in (a, b) if a is not b else (a,):
        code, said = trials.run(trials.scene.words)
        if code == 1 and trials.scene.again and "Go on with --resume" in said:
            code, said = trials.run(trials.scene.again)
        fault = f"exit code {code}: {said[-300:]}" if code not in (0, 1) else trials.fault_said(code)
        if fault:
            return f"again: {fault}"
    left = [name for name in digest(work) if name not in before and any(part in name for part in LEFT)]
    if left:
        return f"left: {left[0]}"
    return a.differences() if a is b else ""
