"""What every benchmark shares: the machine's facts, interleaved timing, and the last line that says met or missed.

Ratios are measured in one run: every case takes its turn in every round, and the median over rounds counts. CPU
seconds are those of this process and all its children, so that worker processes are not free.
"""

import argparse
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import torch


@dataclass
class Aim:
    """One figure and what it should be."""

    what: str
    figure: float
    aim: float
    at_least: bool = True
    unit: str = "x"

    @property
    def met(self) -> bool:
        return self.figure >= self.aim if self.at_least else self.figure <= self.aim

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        return f"{self.what}: {self.figure:.3g} {self.unit} (aim {sign} {self.aim:g}) {'met' if self.met else 'missed'}"


@dataclass
class Result:
    """All that a benchmark found."""

    goal: str
    rows: dict[str, dict[str, float]] = field(default_factory=dict)
    aims: list[Aim] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def finish(self, *, as_json: bool) -> None:
        """Print the facts, the rows, the aims and the last line; leave with 0 if every aim is met, else 1."""
        met = sum(aim.met for aim in self.aims)
        good = bool(self.aims) and met == len(self.aims)
        if as_json:
            aims = [asdict(aim) | {"met": aim.met} for aim in self.aims]
            record = {
                "goal": self.goal,
                "machine": facts(),
                "rows": self.rows,
                "aims": aims,
                "notes": self.notes,
                "met": good,
            }
            print(json.dumps(record, indent=1))
            sys.exit(0 if good else 1)
        for name, value in facts().items():
            print(f"{name}: {value}")
        for name, row in self.rows.items():
            print(f"  {name:48s} " + "  ".join(f"{key} {value:,.4g}" for key, value in row.items()))
        for line in [*map(str, self.aims), *self.notes]:
            print(line)
        print(self._last_line(met, good))
        sys.exit(0 if good else 1)

    def _last_line(self, met: int, good: bool) -> str:
        verdict = "met" if good else "missed"
        if len(self.aims) == 1:
            only = self.aims[0]
            return f"goal {self.goal}: {only.figure:.3g} {only.unit} (aim {only.aim:g}) {verdict}"
        return f"goal {self.goal}: {met} aims (aim {len(self.aims)}) {verdict}"


def arguments(description: str) -> argparse.ArgumentParser:
    """Return a parser with what every benchmark takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--rounds", type=int, default=5, help="turns of every case")
    parser.add_argument("--scratch", type=Path, default=Path("/tmp/handdata-bench"), help="folder for made data")
    return parser


def facts() -> dict[str, str]:
    """Return what the figures depend on."""
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    versions = [f"{name} {_version(name)}" for name in ("torch", "numpy", "opencv-contrib-python", "h5py")]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{_cpu_name()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "gpu": gpu,
        "software": ", ".join([f"Python {platform.python_version()}", *versions]),
    }


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # OpenCV has four builds
        return "of another name"


def _cpu_name() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def cpu_seconds() -> float:
    """Return the CPU time used so far by this process and its children, living or waited for, in seconds."""
    own = os.times()
    total = own.user + own.system + own.children_user + own.children_system
    for child in psutil.Process().children(recursive=True):
        try:
            spent = child.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += spent.user + spent.system
    return total


@dataclass
class Batches:
    """A case that takes batches from a loader kept open.

    What its workers made ahead while others had their turn is taken away first, so that begin and end are alike.

    Attributes:
        reader: endless batches.
        steps: batches a turn.
        size: samples of a batch.
        ahead: batches the loader may hold ready.
    """

    reader: Iterator[Any]
    steps: int
    size: int
    ahead: int = 0

    def before(self) -> None:
        for _ in range(self.ahead):
            next(self.reader)

    def __call__(self) -> int:
        for _ in range(self.steps):
            next(self.reader)
        return self.steps * self.size


def interleave(cases: Mapping[str, Callable[[], int]], rounds: int) -> dict[str, dict[str, float]]:
    """Run every case once a round, after one round that does not count.

    Between turns all children come to rest, so that no case pays for another's workers.

    Args:
        cases: name -> a function that does some work and returns how many samples it was; or `Batches`.
        rounds: that count.

    Returns:
        name -> {"per_cpu_s", "per_s"}: medians of samples a CPU second and samples a second.
    """
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for turn in range(rounds + 1):
        for name, case in cases.items():
            settle()
            if hasattr(case, "before"):
                case.before()
            with no_gc():
                wall, cpu = time.perf_counter(), cpu_seconds()
                count = case()
                cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
            if turn:
                found[name].append((count / max(cpu, 1e-9), count / wall))
    return {
        name: {"per_cpu_s": statistics.median(c for c, _ in pairs), "per_s": statistics.median(w for _, w in pairs)}
        for name, pairs in found.items()
    }


def settle(pause_s: float = 0.1, limit_s: float = 20.0) -> None:
    """Wait until this process and its children use no CPU."""
    deadline = time.monotonic() + limit_s
    while time.monotonic() < deadline:
        before = cpu_seconds()
        time.sleep(pause_s)
        if cpu_seconds() - before < 0.02:
            return


@contextmanager
def no_gc() -> Iterator[None]:
    """Keep the collector out of a measurement."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def ratio(rows: Mapping[str, Mapping[str, float]], ours: str, theirs: str, key: str = "per_cpu_s") -> float:
    """Return ours over theirs."""
    return rows[ours][key] / rows[theirs][key]


def as_plain(value: Any) -> Any:
    """Return a value that JSON takes."""
    return value.item() if hasattr(value, "item") else value
