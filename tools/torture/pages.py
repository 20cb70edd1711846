"""Pages that are edited: killed in the midst of edits, ended before a step of the disk, with a step that fails.

And beside a command that writes what they read or write. A client makes the same edits one after another, and remembers
which were acknowledged. After the page has ended, it is opened again: all that was acknowledged must be there, and of
the edit that was under way all or nothing. The other edits follow, Ctrl-C ends the page, and the files are those of a
session that nothing happened to.
"""

import argparse
import http.client
import json
import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from endings import ends_of_alike
from runs import FAULTS, armed, digest, end_of, fork, run_whole
from scenes import Scene, make_inputs
from trials import INTERRUPTED, Faults, cpu_s, differences, note

PATIENCE_S = 60
Said = Any  # what a page holds of a person's words
Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, what is edited on it, how to read what it holds, and commands that write what it reads or writes."""

    scene: Scene
    edits: tuple[tuple[str, Body], ...]
    said: Callable[["Client"], Said]
    beside: tuple[tuple[str, ...], ...]


class Client:
    """Who edits a page that has been started in a folder.

    Attributes:
        process: number of the page's process.
    """

    def __init__(self, page: Page, work: Path, log: Path, arm: Callable[[], None] | None = None) -> None:
        self.work, self.log = work, log
        log.write_bytes(b"")  # the address of the last one is gone
        self.process = fork((*page.scene.words, "--port", "0"), work, log, arm)
        self._connection: http.client.HTTPConnection | None = None

    def connect(self) -> bool:
        """Wait for the page; tell whether it is there."""
        late = time.monotonic() + PATIENCE_S
        while time.monotonic() < late and not self.is_over():
            found = re.search(r"http://127\.0\.0\.1:(\d+)/#(\S+)", self.log.read_text(errors="replace"))
            if found:
                self._connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=PATIENCE_S)
                self._headers = {"x-handdata-token": found[2]}
                return True
            time.sleep(0.002)
        return False

    def is_over(self) -> bool:
        """Tell whether the process has ended, and leave it to be waited for."""
        return os.waitid(os.P_PID, self.process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def send(self, path: str, body: Body | None = None) -> None:
        """Send a request."""
        assert self._connection
        data = None if body is None else json.dumps(body)
        self._connection.request("GET" if body is None else "POST", path, data, self._headers)

    def answer(self) -> tuple[int, bytes]:
        """Return status and body of the answer, status 0 where there is none."""
        assert self._connection
        try:
            response = self._connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""

    def ask(self, path: str, body: Body | None = None) -> tuple[int, bytes]:
        """Send a request and return its answer."""
        try:
            self.send(path, body)
        except OSError:
            return 0, b""
        return self.answer()

    def settle(self) -> None:
        """Wait until the page has nothing left to do in the background, where it says how much that is."""
        late = time.monotonic() + PATIENCE_S
        while time.monotonic() < late and json.loads(self.ask("/api/state?since=0")[1] or "{}").get("left"):
            time.sleep(0.02)

    def end(self, sign: int = signal.SIGINT) -> int | None:
        """End the page; return its exit code."""
        if not self.is_over():
            os.killpg(self.process, sign)
        return end_of(self.process)


def _boxes(client: Client) -> Said:
    """Return every mark of a person, without what the tracker finds and doubts."""
    found = json.loads(client.ask("/api/state?since=0")[1])
    marks = {frame: [*cell[:2], *cell[3:5]] for frame, cell in found["frames"].items() if cell[4]}
    return marks, found["undo"], found["redo"]


def _points(client: Client) -> Said:
    found = json.loads(client.ask("/api/state?since=0")[1])
    return found["frames"], found["undo"], found["redo"], client.ask("/api/export/json")[1]


def _clicks(client: Client) -> Said:
    """Return what was clicked: the 3D that follows comes by itself."""
    found = json.loads(client.ask("/api/state?since=0")[1])
    return found["frames"].get("0"), found["undo"], found["redo"]


def _tags(client: Client) -> Said:
    found = json.loads(client.ask("/api/state")[1])
    hands = [json.loads(client.ask(f"/api/hand/{number}")[1]) for number in range(4)]
    return found["tags"], [(hand["tags"], hand["note"]) for hand in hands]


def _edit(op: str, **more: Any) -> tuple[str, Body]:
    return "/api/edit", {"op": op, **more}


PAGES = (
    Page(
        scene=Scene(name="annotate-bbox, the page", inputs=("pictures",), grows=("boxes.",),
                    words=("annotate-bbox", "--images", "../inputs/pictures", "--out", "boxes.csv", "--no-model")),
        edits=(_edit("keyframe", frame=0, box=[20, 20, 40, 40]), _edit("absent", frame=3), _edit("undo"), _edit("redo"),
               _edit("keyframe", frame=2, box=[22, 20, 40, 40]), _edit("clear", frame=3),
               _edit("review", first=0, last=2), _edit("keyframe", frame=3, box=[24, 21, 40, 40])),
        said=_boxes,
        beside=(("annotate-bbox", "--images", "../inputs/pictures", "--out", "boxes.csv", "--init", "20,20,40,40",
                 "--headless"),),
    ),
    Page(
        scene=Scene(name="annotate, the page", inputs=("pictures",), grows=("points.",),
                    words=("annotate", "../inputs/pictures", "--out", "points.json", "--no-proposals", "--stills")),
        edits=(_edit("begin", frame=0, box=[10, 10, 80, 80], side="left"),
               _edit("place", frame=0, hand=0, points={"0": [20, 70], "4": [30.5, 20]}),
               _edit("state", frame=0, hand=0, points=[3], state="occluded"), _edit("undo"), _edit("redo"),
               _edit("accept", first=0, last=0), _edit("begin", frame=2, box=[10, 10, 90, 80], side="right"),
               _edit("side", frame=2, hand=0, side="left"), _edit("gone", frame=2, hand=0)),
        said=_points,
        beside=(("label", "../inputs/pictures", "--out", "points.json", "--detector", "none", "--device", "cpu"),),
    ),
    Page(
        scene=Scene(name="annotate shards, the page", inputs=("native", "shards"), grows=("c.",),
                    words=("annotate", "../inputs/shards", "--out", "c.json")),
        edits=(_edit("place", frame=0, hand=0, points={"0": [20, 40], "4": [30.5, 20]}),
               _edit("state", frame=1, hand=0, points=[3], state="occluded"), _edit("undo"), _edit("redo"),
               _edit("side", frame=2, hand=0, side="left"), _edit("place", frame=2, hand=0, points={"8": [10, 12]})),
        said=_points,
        beside=(("convert", "rhd", "--root", "../inputs/native/rhd", "--out", "o", "--workers", "1", "--corrections",
                 "c.json"),),
    ),
    Page(
        scene=Scene(name="annotate-depth, the page", inputs=("depth",), grows=("d.",),
                    words=("annotate-depth", "dexter/Rotate", "--root", "../inputs/depth/dexter", "--out", "d.json",
                           "--references", "1")),
        edits=(_edit("begin", frame=0, box=[200, 100, 400, 300]),
               _edit("place", frame=0, hand=0, points={"0": [220, 120], "8": [300, 250]}),
               _edit("nearer", frame=0, hand=0, point=8, end="end"), _edit("undo"), _edit("redo"),
               _edit("state", frame=0, hand=0, points=[8], state="occluded")),
        said=_clicks,
        beside=(),
    ),
    Page(
        scene=Scene(name="browse, the page", inputs=("native", "shards"), words=("browse", "shards"),
                    changes=(("shards", "shards"),)),
        edits=(("/api/tag", {"tag": "odd", "rows": [0, 2]}), ("/api/note", {"number": 1, "text": "a note"}),
               ("/api/tag", {"tag": "good", "rows": [1]}), ("/api/tag", {"tag": "odd", "rows": [0], "on": False}),
               ("/api/note", {"number": 1, "text": ""}), ("/api/note", {"number": 3, "text": "another"})),
        said=_tags,
        beside=(("subset", "../inputs/shards", "--out", "shards"),
                ("export", "../inputs/shards", "--format", "csv", "--out", "shards", "--workers", "1"),
                ("convert", "rhd", "--root", "../inputs/native/rhd", "--out", "shards", "--workers", "1",
                 "--canvas", "32")),
    ),
)  # fmt: skip


def pages(base: Path, options: argparse.Namespace, rng: random.Random, limit: float) -> Iterator[dict[str, object]]:
    """Edit each page under each fault."""
    for page in PAGES:
        if options.commands and page.scene.name.replace(",", "") not in options.commands.split(","):
            continue
        make_inputs(page.scene, base / "inputs", run_whole(base))
        sessions = Sessions(page, base)
        yield from sessions.beside(20 if options.times is None else options.times, rng, limit)
        yield from sessions.kills(20 if options.times is None else options.times, rng, limit)
        yield from sessions.steps(options, rng, limit)


class Sessions:
    """Sessions of one page, each in a folder of its own."""

    def __init__(self, page: Page, base: Path) -> None:
        self.page, self.base, self.work, self.log = page, base, base / "work", base / "work.log"
        self.spent = cpu_s()
        found = []
        for _ in range(2):
            client = self.begin()
            self.states = [self.page.said(client)]
            for edit in page.edits:
                status, body = client.ask(*edit)
                if status != 200:
                    raise SystemExit(f"{page.scene.name}: {edit}: {body[:300]!r}")
                self.states.append(page.said(client))
            client.settle()
            if client.end() != 0:
                raise SystemExit(f"{page.scene.name}: {self.log.read_text()[-2000:]}")
            found.append(digest(self.work))
        self.whole = {name: value for name, value in found[0].items() if found[1].get(name) == value}
        self.varying = sorted(found[0].keys() ^ self.whole.keys())
        began = time.monotonic()
        client = self.begin()
        _, self.wait = client.ask(*page.edits[0]), time.monotonic() - began
        client.end(signal.SIGKILL)

    def begin(self, arm: Callable[[], None] | None = None) -> Client:
        """Begin a session on a fresh folder."""
        self.page.scene.begin(self.base / "inputs", self.work)
        self.before = digest(self.work)
        client = self.open(arm)
        if not arm and not client.connect():
            raise SystemExit(f"{self.page.scene.name}: {self.log.read_text()[-2000:]}")
        return client

    def open(self, arm: Callable[[], None] | None = None) -> Client:
        """Open the page on the folder as it is."""
        return Client(self.page, self.work, self.log, arm)

    def beside(self, times: int, rng: random.Random, limit: float) -> Iterator[dict[str, object]]:
        """Start each command that writes what the page reads or writes while it is edited."""
        for words in self.page.beside:
            faults: Faults = {}
            tried = 0
            for _ in range(times):
                if time.monotonic() > limit:
                    break
                at = rng.randint(0, len(self.page.edits))
                tried += 1
                note(faults, self.edited_beside(words, at), f"begun after {at} edits")
            yield self.row(f"beside {words[0]}", tried, faults)

    def edited_beside(self, words: tuple[str, ...], at: int) -> str:
        """Start a command after so many edits, and make the others meanwhile; return what is wrong."""
        log = self.log.with_name("beside.log")
        client = self.begin()
        answers = [client.ask(*edit)[0] for edit in self.page.edits[:at]]
        other = fork(words, self.work, log)
        answers += [client.ask(*edit)[0] for edit in self.page.edits[at:]]
        code, said = end_of(other), log.read_text(errors="replace").strip()
        if code not in (0, 1) or "Traceback" in said:
            return f"beside it: exit code {code}: {said[-300:]}"
        if set(answers) != {200}:
            return f"edit refused: {answers}"
        client.connect()  # the page has let go of a client that was silent while the command ran
        if self.page.said(client) != self.states[-1]:
            return f"lost beside it: {said[-200:]}"
        client.settle()
        client.end()
        client = self.open()
        if not client.connect() or self.page.said(client) != self.states[-1]:
            return f"lost afterwards: {self.log.read_text(errors='replace')[-300:]}"
        client.settle()
        client.end()
        own = {name: value for name, value in self.whole.items() if value != self.before.get(name)}
        other_names = [name for name, value in own.items() if digest(self.work).get(name) != value]
        return f"differs: {other_names[0]}" if other_names else ""

    def kills(self, times: int, rng: random.Random, limit: float) -> Iterator[dict[str, object]]:
        """Kill the page while it starts, takes an edit, or ends."""
        faults: Faults = {}
        tried = 0
        for _ in range(times):
            if time.monotonic() > limit:
                break
            at, wait = rng.randint(-1, len(self.page.edits)), rng.random() * rng.choice((0.02, 0.3)) * self.wait
            tried += 1
            note(faults, self.killed(at, wait), f"in edit {at}, after {wait:.4f} s")
        yield self.row("kill -9, in the midst of edits", tried, faults)

    def killed(self, at: int, wait: float) -> str:
        """Kill the page some time after an edit was sent, -1 while it starts; return what is wrong."""
        client = self.begin(lambda: None)
        done = 0
        if at >= 0:
            client.connect()
            for edit in self.page.edits[:at]:
                done += client.ask(*edit)[0] == 200
            if at < len(self.page.edits):
                client.send(*self.page.edits[at])
            else:
                os.killpg(client.process, signal.SIGINT)
        time.sleep(wait)
        client.end(signal.SIGKILL)
        if 0 <= at < len(self.page.edits):
            done += client.answer()[0] == 200
        return self.fault_after(done, maybe=1)

    def steps(self, options: argparse.Namespace, rng: random.Random, limit: float) -> Iterator[dict[str, object]]:
        """End the page before each step, and let each step fail."""
        names = self.step_names()
        places = list(range(len(names))) if options.all else ends_of_alike(names)
        if options.times and options.times < len(places):
            places = sorted(rng.sample(places, options.times))
        for kind in filter(None, options.faults.split(",")):
            faults: Faults = {}
            tried = 0
            for number in places:
                if time.monotonic() > limit:
                    break
                tried += 1
                note(faults, self.failing(number, FAULTS[kind]), f"step {number} ({names[number]})")
            yield self.row(f"{kind} at each of {len(names)} steps", tried, faults)

    def step_names(self) -> list[str]:
        """Return the steps of an unharmed session, in order."""
        with (self.base / "names").open("w+b") as file:
            client = self.begin(armed(self.work, names=file.fileno()))
            client.connect()
            for edit in self.page.edits:
                client.ask(*edit)
            client.end()
            file.seek(0)
            return file.read().decode(errors="replace").splitlines()

    def failing(self, step: int, error: int) -> str:
        """Edit a page one of whose steps fails or ends it; return what is wrong."""
        client = self.begin(armed(self.work, at=step, error=error))
        done = 0
        if client.connect():
            for edit in self.page.edits:
                status, body = client.ask(*edit)
                if status != 200:
                    break
                done += 1
            if status and status != 200:
                line = json.loads(body).get("error", "")
                if not 400 <= status < 600 or not line:
                    return f"answer {status}: {body[:200]!r}"
                if self.page.said(client) != self.states[done]:
                    return f"refused, and made all the same: {line}"
        code = client.end()
        said = self.log.read_text(errors="replace").strip()
        if "Traceback" in said:
            return f"traceback: {said[-1500:]}"
        if code not in (0, 1, INTERRUPTED, -signal.SIGKILL):
            return f"exit code {code}: {said[-200:]}"
        if code == 1 and not said.splitlines()[-1].startswith("handdata: "):
            return f"no line of ours: {said[-200:]}"
        return self.fault_after(done, maybe=int(code == -signal.SIGKILL))

    def fault_after(self, done: int, maybe: int) -> str:
        """Open the page again, make the edits that are left and end it; return what is wrong.

        Args:
            done: number of edits that were acknowledged.
            maybe: number of edits that may be there as well.
        """
        client = self.open()
        try:
            if not client.connect():
                return f"not opened again: {self.log.read_text(errors='replace')[-300:]}"
            state = self.page.said(client)
            there = [n for n in range(done, min(done + maybe, len(self.page.edits)) + 1) if self.states[n] == state]
            if not there:
                return f"lost: after {done} edits: {state!r:.300}"
            for edit in self.page.edits[there[-1] :]:
                status, body = client.ask(*edit)
                if status != 200:
                    return f"edit refused afterwards: {status} {body[:200]!r}"
            if self.page.said(client) != self.states[-1]:
                return "other words in the end"
            client.settle()
            code = client.end()
        finally:
            client.end(signal.SIGKILL) if _is_there(client.process) else None
        said = self.log.read_text(errors="replace").strip()
        if code != 0 or "Traceback" in said:
            return f"ends with {code}: {said[-300:]}"
        return self.differences()

    def differences(self) -> str:
        """Return what differs from a session that nothing happened to."""
        return differences(digest(self.work), self.before, self.whole, self.varying)

    def row(self, what: str, tried: int, faults: Faults) -> dict[str, object]:
        """Return the figures of one kind of trial."""
        return {
            "command": self.page.scene.name, "what": what, "tried": tried, "edits": len(self.page.edits),
            "faults": {kind: f"{count} x, {example}" for kind, (count, example) in faults.items()},
            "CPU s": round(cpu_s() - self.spent, 1), "not compared": self.varying,
        }  # fmt: skip


def _is_there(process: int) -> bool:
    try:
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
