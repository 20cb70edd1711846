"""Ends of a command: killed at a random moment, before each of its steps, or by a step that fails."""

import argparse
import os
import random
import re
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

from runs import FAULTS, armed, end_of, orphans, workers
from trials import Faults, Trials, note


def kills(trials: Trials, options: argparse.Namespace, rng: random.Random, limit: float) -> Iterator[dict[str, object]]:
    """Kill a command at random moments: alone, its workers alone, or all of them."""
    manners = ("group",) if trials.scene.processes == 1 else tuple(options.manners.split(","))
    found: dict[str, Faults] = {manner: {} for manner in manners}
    tried, hit = Counter[str](), Counter[str]()
    for manner in manners * (options.times or 20):  # in turn, so that each has its share of a limit
        share = rng.random()
        if time.monotonic() > limit:
            break
        process = trials.start()
        code = trials.code_within(process, share)
        code = _killed(process, manner) if code is None else code
        hit[manner] += code != 0
        tried[manner] += 1
        is_left = manner == "parent" and orphans(process)
        if manner == "parent":
            _forget_orphans_words(trials)
        fault = "processes left" if is_left else trials.fault_after(process, code)
        note(found[manner], fault, f"after {share:.3f} of its time")
    for manner in manners:
        yield trials.row(f"kill -9, {manner}", tried[manner], hit[manner], found[manner])


def _killed(process: int, manner: str) -> int | None:
    if manner == "group":
        os.killpg(process, signal.SIGKILL)
    for victim in [process] if manner == "parent" else workers(process) if manner == "workers" else []:
        with suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(victim, signal.SIGKILL)
    return end_of(process)


def _forget_orphans_words(trials: Trials) -> None:
    """Drop what Python says, before any code of ours, in a worker that was being started by a parent that is gone."""
    said = trials.log.read_text(errors="replace")
    trials.log.write_text(re.sub(r"Traceback [^\n]*\n(?: .*\n)*EOFError: Ran out of input\n", "", said))


def steps(trials: Trials, options: argparse.Namespace, rng: random.Random, limit: float) -> Iterator[dict[str, object]]:
    """End a command before each step, and let each step fail."""
    if trials.scene.processes > 1:
        return
    names = step_names(trials)
    places = list(range(len(names))) if options.all else ends_of_alike(names)
    if options.times and options.times < len(places):
        places = sorted(rng.sample(places, options.times))
    for fault in filter(None, options.faults.split(",")):
        faults: Faults = {}
        tried = hit = 0
        for number in places:
            if time.monotonic() > limit:
                break
            process = trials.start(armed(trials.work, at=number, error=FAULTS[fault]))
            code = end_of(process)
            tried += 1
            hit += code != 0
            note(faults, trials.fault_after(process, code), f"step {number} ({names[number]})")
        yield trials.row(f"{fault} at each of {len(names)} steps", tried, hit, faults)


def ends_of_alike(names: list[str]) -> list[int]:
    """Return the numbers of the first and the last step of each kind: what is done, to a file but for its number."""
    places: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        places.setdefault(re.sub(r"\d+", "#", name), []).append(number)
    return sorted({number for alike in places.values() for number in (alike[0], alike[-1])})


def step_names(trials: Trials) -> list[str]:
    """Return the steps of an unharmed run, in order."""
    with tempfile.TemporaryFile() as file:
        process = trials.start(armed(trials.work, names=file.fileno()))
        if end_of(process) != 0:
            raise SystemExit(f"{trials.scene.name}: {trials.log.read_text()[-2000:]}")
        file.seek(0)
        return file.read().decode(errors="replace").splitlines()
