"""Power cuts: a command's steps are written down with their bytes, and what was not synced is dropped or reordered.

Two kinds of file system are played. "journal", as ext4, XFS and Btrfs are: names change in order, every fsync brings
all earlier changes of names with it, and bytes that were not synced may be there, be zeros or be missing. "loose", all
that POSIX promises: an fsync of a file brings its bytes alone, one of a folder its names alone, and of the rest any
part may be there. After each cut the reading commands of the scene see a whole output or refuse in one line, and the
same command again gives the bytes of a run that nothing happened to; after its end, `journal` has lost nothing.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from runs import armed, digest
from trials import Faults, Trials, note

ROOT = 0  # inode of the folder of the trial


@dataclass
class Step:
    """One step as recorded; `folder` and `name` say where a name changed."""

    kind: str
    inode: int
    place: int = 0
    size: int = 0
    data: bytes = b""
    folder: int = ROOT
    name: str = ""
    old: tuple[int, str] | None = None
    is_kept: bool = False


@dataclass
class Disk:
    """Files and folders by inode."""

    data: dict[int, bytearray] = field(default_factory=dict)
    folders: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})

    def find(self, path: str) -> int:
        """Return the inode of a path below the folder of the trial."""
        found = ROOT
        for part in Path(path).parts:
            found = self.folders[found][part]
        return found

    def apply(self, step: Step) -> None:
        """Do a step."""
        if step.kind in NAMES:
            names = self.folders.setdefault(step.folder, {})
            if step.kind == "remove":
                names.pop(step.name, None)
                return
            names[step.name] = step.inode
            if step.kind == "folder":
                self.folders.setdefault(step.inode, {})
            elif step.kind == "file":
                self.data.setdefault(step.inode, bytearray())
            elif step.old and self.folders.get(step.old[0], {}).get(step.old[1]) == step.inode:
                del self.folders[step.old[0]][step.old[1]]
        elif step.kind in BYTES:
            content = self.data.setdefault(step.inode, bytearray())
            if step.kind == "truncate" and len(content) > step.size:
                del content[step.size :]
            content.extend(bytes(max(0, step.place + step.size - len(content))))
            content[step.place : step.place + len(step.data)] = step.data

    def write(self, folder: Path, inode: int = ROOT) -> None:
        """Write what can be reached to a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, inside in self.folders[inode].items():
            if inside in self.folders:
                self.write(folder / name, inside)
            else:
                (folder / name).write_bytes(self.data.get(inside, b""))


NAMES, BYTES = {"file", "folder", "rename", "remove"}, {"write", "truncate", "allocate"}


def power(trials: Trials, options: argparse.Namespace, rng: random.Random, limit: float) -> Iterator[dict[str, object]]:
    """Cut the power at random steps and at the end."""
    if trials.scene.processes > 1:
        return
    start, recorded = record(trials)
    written = digest(trials.work)
    wanted = [trials.run(words) for words in trials.scene.reads]
    if digest(trials.work) != written:  # it would pass for what the command wrote
        raise SystemExit(f"{trials.scene.name}: its readers write into the folder of the trial")
    for kind in ("journal", "loose"):
        faults: Faults = {}
        tried = 0
        count = options.times or 20
        for number in range(count):
            if time.monotonic() > limit:
                break
            cut = len(recorded) if number >= count - 2 else rng.randrange(len(recorded))
            disk = after_a_cut(start, recorded[:cut], kind, rng)
            shutil.rmtree(trials.work)
            disk.write(trials.work)
            lost = kind == "journal" and cut == len(recorded) and trials.scene.is_synced
            fault = fault_of(trials, wanted, is_lost_a_fault=lost)
            tried += 1
            note(faults, fault, f"trial {number}, {cut} of {len(recorded)} steps")
        yield trials.row(f"power cut, {kind}", tried, tried, faults)


def record(trials: Trials) -> tuple[Disk, list[Step]]:
    """Run the command unharmed; return the disk before it and its steps."""
    with tempfile.TemporaryFile() as file:
        trials.begin()
        start, root = disk_of(trials.work), trials.work.stat().st_ino
        code, said = trials.run(trials.scene.words, armed(trials.work, record=file.fileno()))
        if code != 0:
            raise SystemExit(f"{trials.scene.name}: {said[-2000:]}")
        file.seek(0)
        return start, list(read_steps(file, disk_of_names(start), f"{trials.work}/", root))


def disk_of(folder: Path) -> Disk:
    """Return what a folder holds, by its inodes."""
    disk = Disk()
    numbers = {folder: ROOT}
    for path in sorted(folder.rglob("*")):
        inode = path.stat().st_ino
        numbers[path] = inode
        disk.folders[numbers[path.parent]][path.name] = inode
        if path.is_dir():
            disk.folders[inode] = {}
        else:
            disk.data[inode] = bytearray(path.read_bytes())
    return disk


def disk_of_names(disk: Disk) -> Disk:
    """Return a copy that names alone are followed in."""
    return Disk(folders={inode: dict(names) for inode, names in disk.folders.items()})


def read_steps(file: IO[bytes], names: Disk, root: str, root_inode: int) -> Iterator[Step]:
    """Read what steps.c wrote down; inodes that are used again get numbers of their own."""
    own = {root_inode: ROOT}
    fresh = -1
    while line := file.readline():
        kind, inode, place, size, first, second = line.decode().rstrip("\n").split("\t")
        number = own.get(int(inode), int(inode))
        step = Step(kind, number, int(place), int(size))
        if kind == "write":
            step.data = file.read(step.size)
        if kind in NAMES:
            if kind in ("file", "folder"):
                own[int(inode)] = step.inode = fresh
                fresh -= 1
            if kind == "rename":
                step.old = _place(names, first.removeprefix(root))
                step.inode = names.folders[step.old[0]][step.old[1]]
            step.folder, step.name = _place(names, second.removeprefix(root))
            names.apply(step)
        yield step


def _place(names: Disk, path: str) -> tuple[int, str]:
    return names.find(str(Path(path).parent)), Path(path).name


def after_a_cut(start: Disk, steps: Sequence[Step], kind: str, rng: random.Random) -> Disk:
    """Return what may be there after a power cut that followed the steps."""
    disk = Disk(
        data={inode: bytearray(data) for inode, data in start.data.items()},
        folders={inode: dict(names) for inode, names in start.folders.items()},
    )
    _mark_kept(steps, kind)
    names = [step for step in steps if step.kind in NAMES]
    kept = sum(step.is_kept for step in names)
    there = rng.randint(kept, len(names)) if kind == "journal" else -1
    share = rng.choice((0.0, 0.5, 1.0))
    number = 0
    for step in steps:
        if step.kind in NAMES:
            number += 1
            is_there = number <= there if kind == "journal" else step.is_kept or rng.random() < 0.5
        else:
            is_there = step.is_kept or rng.random() < share
        if is_there:
            disk.apply(step)
        elif step.kind == "write" and rng.random() < 0.5:  # its room is there, its bytes are not
            disk.apply(Step("allocate", step.inode, step.place, step.size))
    return disk


def _mark_kept(steps: Sequence[Step], kind: str) -> None:
    """Mark what a later fsync brought to the disk."""
    for step in steps:
        step.is_kept = False
    synced: set[int] = set()
    all_synced = names_synced = False
    for step in reversed(steps):
        if step.kind == "sync":
            all_synced = True
        elif step.kind == "fsync":
            synced.add(step.inode)
            names_synced |= kind == "journal"
        elif step.kind in NAMES:
            step.is_kept = all_synced or names_synced or step.folder in synced
        else:
            step.is_kept = all_synced or step.inode in synced


def fault_of(trials: Trials, wanted: Sequence[tuple[int | None, str]], *, is_lost_a_fault: bool) -> str:
    """Return what is wrong after a power cut, "" if nothing is."""
    if is_lost_a_fault and (lost := trials.differences()):
        return f"lost after the end: {lost}"
    for words, whole in zip(trials.scene.reads, wanted, strict=True):
        code, found = trials.run(words)
        if code == 0 and trials.scene.reads_alike and (code, found) != whole:
            return f"accepted: {' '.join(words)}: {found[-300:]}"
        if code not in (0, 1) or "Traceback" in found:
            return f"reading: exit {code}: {found[-200:]}"
    return trials.fault_again(_another_boot)


def _another_boot() -> None:
    """Have what runs next believe that the machine was started anew."""
    import handdata.exchange.record as records  # noqa: PLC0415 - in the fork

    records.boot = lambda: "another"  # type: ignore[assignment]
