"""Faults of the system around a command: disks that fill, turn read-only or vanish, stops, Ctrl-C, another clock."""

import argparse
import os
import random
import signal
import time
from collections.abc import Callable, Iterator

from endings import step_names
from runs import FAULTS, FROM_THEN_ON, GONE, armed, code_within, end_of
from trials import INTERRUPTED, Faults, Trials, note

DAY_NS = 86_400 * 10**9
PAUSE_S = 0.3


def system(
    trials: Trials, options: argparse.Namespace, rng: random.Random, limit: float
) -> Iterator[dict[str, object]]:
    """Let each fault of the system meet the command at random moments."""
    ways = dict(MOMENTS)
    if trials.scene.processes == 1:
        count = len(step_names(trials))
        ways |= {name: _from_a_step(count, error, manner) for name, (error, manner) in DISKS.items()}
    for name, meet in ways.items():
        faults: Faults = {}
        tried = hit = 0
        for _ in range(options.times or 3):
            if time.monotonic() > limit:
                break
            fault, was_hit = meet(trials, rng)
            hit += was_hit
            tried += 1
            note(faults, fault, f"trial {tried}")
        yield trials.row(name, tried, hit, faults)


Meet = Callable[[Trials, random.Random], tuple[str, bool]]
DISKS = {
    "full from a step on": ("ENOSPC", FROM_THEN_ON),
    "read-only from a step on": ("EROFS", FROM_THEN_ON),
    "vanished from a step on": ("ENOTCONN", GONE),
}


def _from_a_step(count: int, error: str, manner: int) -> Meet:
    def meet(trials: Trials, rng: random.Random) -> tuple[str, bool]:
        at = rng.choice((0, rng.randrange(count)))
        process = trials.start(armed(trials.work, at=at, error=FAULTS[error], manner=manner))
        code = end_of(process)
        fault = _of_code(code) or trials.fault_after(process, code)
        return f"{fault} (step {at})" if fault else "", code != 0

    return meet


def _of_code(code: int | None) -> str:
    return "" if code in (0, 1, INTERRUPTED, None) else f"exit code {code}"


def _stopped(trials: Trials, rng: random.Random) -> tuple[str, bool]:
    process = trials.start()
    code = trials.code_within(process, rng.random())
    was_hit = code is None
    if was_hit:
        os.killpg(process, signal.SIGSTOP)
        time.sleep(PAUSE_S)
        os.killpg(process, signal.SIGCONT)
        code = end_of(process)
    fault = trials.fault_now(process, code) or ("" if code == 0 else f"exit code {code}") or trials.differences()
    return fault, was_hit


def _interrupted(times: int, share: float) -> Meet:
    def meet(trials: Trials, rng: random.Random) -> tuple[str, bool]:
        process = trials.start()
        code = trials.code_within(process, rng.random() * share)
        for _ in range(times if code is None else 0):
            os.killpg(process, signal.SIGINT)
            code = code_within(process, PAUSE_S / 3)
            if code is not None:
                break
        code = end_of(process) if code is None else code
        fault = _of_code(code)
        if trials.scene.ends_early and code == 0:
            return fault or trials.fault_again(), True
        return fault or trials.fault_after(process, code), code == INTERRUPTED

    return meet


def _other_clock(days: int) -> Meet:
    """Kill it, move the times of all that is there, as a clock that was set does, and go on."""

    def meet(trials: Trials, rng: random.Random) -> tuple[str, bool]:
        process = trials.start()
        code = trials.code_within(process, rng.random())
        if code is None:
            os.killpg(process, signal.SIGKILL)
            code = end_of(process)
        for path in trials.work.rglob("*"):
            changed = path.stat().st_mtime_ns + days * DAY_NS
            os.utime(path, ns=(changed, changed))
        return trials.fault_after(process, code), code != 0

    return meet


MOMENTS: dict[str, Meet] = {
    "SIGSTOP, then SIGCONT": _stopped,
    "Ctrl-C": _interrupted(1, 1),
    "Ctrl-C early": _interrupted(1, 0.05),
    "Ctrl-C twice": _interrupted(2, 1),
    "killed, clock set back": _other_clock(1),
    "killed, clock set ahead": _other_clock(-1),
}
