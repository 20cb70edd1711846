"""A scene, what it writes if nothing happens to it, and what is wrong after something did."""

import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from runs import PATIENCE_S, Digest, code_within, digest, end_and_cpu, end_of, fork, import_as, orphans
from scenes import Scene

LEFT = ("partial", ".old", ".tmp")  # in names of files that nobody should find afterwards
INTERRUPTED = 130
Faults = dict[str, tuple[int, str]]  # kind -> how often, and the first one


class Trials:
    """Runs of one scene, each in a folder of its own.

    Attributes:
        whole: hash of every file that two unharmed runs write alike.
        varying: names of those that they do not.
        seconds, cpu_seconds: of an unharmed run, the latter of its first process.
        before: hash of every file when the last run began.
    """

    def __init__(self, scene: Scene, base: Path, work: str = "work") -> None:
        self.scene, self.base, self.work, self.log = scene, base, base / work, base / f"{work}.log"
        self.spent = cpu_s()
        self.scene.begin(base / "inputs", self.work)
        import_as(scene.words, self.work, self.log)
        found = []
        for _ in range(2):
            self.scene.begin(base / "inputs", self.work)
            began = time.monotonic()
            code, self.cpu_seconds = end_and_cpu(fork(scene.words, self.work, self.log))
            if code != 0:
                raise SystemExit(f"{scene.name}: {self.log.read_text()[-2000:]}")
            self.seconds = time.monotonic() - began
            found.append(digest(self.work))
        self.whole = {
            name: value
            for name, value in found[0].items()
            if found[1].get(name) == value and not any(part in name for part in scene.varies)
        }
        self.varying = sorted(found[0].keys() ^ self.whole.keys())
        if found[0].keys() != found[1].keys():
            raise SystemExit(f"{scene.name}: two unharmed runs write other files")

    def start(self, arm: Callable[[], None] | None = None) -> int:
        """Start the command in a folder of its own."""
        self.begin()
        return fork(self.scene.words, self.work, self.log, arm)

    def code_within(self, process: int, share: float) -> int | None:
        """Return the exit code of a process, None if it still runs after that share of an unharmed run's time.

        Of one process that is its CPU time, so that what else the machine does moves no moment.
        """
        if self.scene.processes > 1:
            return code_within(process, share * self.seconds)
        return code_within(process, PATIENCE_S, share * self.cpu_seconds)

    def begin(self) -> None:
        """Make the folder of a trial."""
        self.scene.begin(self.base / "inputs", self.work)
        self.before = digest(self.work)

    def fault_after(self, process: int, code: int | None) -> str:
        """Return what is wrong now, or after the same command again; "" if nothing is."""
        return self.fault_now(process, code) or self.fault_again()

    def fault_now(self, process: int, code: int | None) -> str:
        """Return what is wrong when the command has ended."""
        if code is None:
            return "hangs"
        if orphans(process):
            return "processes left"
        return self.fault_said(code) or self.fault_of_halves()

    def fault_said(self, code: int) -> str:
        """Return what is wrong with what the command said."""
        said = self.log.read_text(errors="replace").strip()
        if "Traceback" in said:
            return f"traceback: {said[-1500:]}"
        if code in (1, INTERRUPTED) and not (said and said.splitlines()[-1].startswith("handdata: ")):
            return f"no line of ours: {said[-200:]}"
        return ""

    def fault_of_halves(self) -> str:
        """Return which file has its name but neither its old nor its whole content."""
        half = self.half_there()
        return f"half there: {half}" if half else ""

    def fault_again(self, arm: Callable[[], None] | None = None) -> str:
        """Run the command again, unharmed; return what is wrong then."""
        code, said = self.run(self.scene.words, arm)
        if code == 1 and self.scene.again and "Go on with --resume" in said:
            code, said = self.run(self.scene.again, arm)
        if code != 0 and not (self.scene.refuses and self.scene.refuses in said):
            return f"not recovered, exit {code}: {said[-300:]}"
        return self.differences()

    def run(self, words: tuple[str, ...], arm: Callable[[], None] | None = None) -> tuple[int | None, str]:
        """Run a command to its end; return its exit code and what it said."""
        code = end_of(fork(words, self.work, self.log, arm))
        return code, self.log.read_text(errors="replace").strip()

    def half_there(self) -> str:
        """Return a file that has its name but neither its old nor its whole content, "" if there is none."""
        for name, value in digest(self.work).items():
            rightly = name in self.varying or any(part in name for part in (*self.scene.grows, *LEFT))
            if not rightly and value not in (self.before.get(name), self.whole.get(name)):
                return name
        return ""

    def differences(self) -> str:
        """Return what differs from an unharmed run, "" if nothing does."""
        return differences(digest(self.work), self.before, self.whole, self.varying)

    def row(self, what: str, tried: int, hit: int, faults: Faults) -> dict[str, object]:
        """Return the figures of one kind of trial."""
        return {
            "command": self.scene.name, "what": what, "tried": tried, "hit": hit,
            "faults": {kind: f"{count} x, {example}" for kind, (count, example) in faults.items()},
            "seconds": round(self.seconds, 2), "CPU s": round(cpu_s() - self.spent, 1), "not compared": self.varying,
        }  # fmt: skip


def cpu_s() -> float:
    """Return the CPU seconds of this process and of those that it waited for."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def note(faults: Faults, fault: str, where: str) -> None:
    """Count a fault under its kind; the first of a kind is kept whole."""
    if fault:
        kind = fault.partition(": ")[0]
        count, example = faults.get(kind, (0, f"{where}: {fault}"))
        faults[kind] = count + 1, example


def differences(found: Digest, before: Digest, whole: Digest, varying: Sequence[str]) -> str:
    """Return what differs between a folder and that of an unharmed run, "" if nothing does.

    Args:
        found: the folder now.
        before: what was there before the command.
        whole: what an unharmed run leaves, but for `varying`.
        varying: names of files that differ between two unharmed runs.
    """
    left = [name for name in found if name not in before and any(part in name for part in LEFT)]
    if left:
        return f"left: {left[0]}"
    other = [name for name, value in whole.items() if found.get(name) != value]
    more = [name for name in found if name not in whole and name not in varying]
    return f"differs: {', '.join([*other, *more][:3])}" if other or more else ""
