"""Break handdata's commands on purpose, and see whether the same command again makes it good.

    python tools/torture kill  --times 200             # kill -9 at random moments
    python tools/torture steps --commands convert      # ends before each write, rename, removal; and errors there
    python tools/torture power --times 50              # power cuts: what was not synced is dropped or reordered
    python tools/torture system                        # read-only, vanished, stopped, interrupted, another clock
    python tools/torture pairs                         # two commands at once on one output
    python tools/torture pages --times 50              # pages: edits under all that, and beside writers; none is lost
    python tools/torture sectors                       # each 512 bytes of a shard, a predictions file, a checkpoint

After each trial the same command runs again, unharmed. It must end well, with the same bytes as a run that nothing
happened to; no process, no partial file may be left, and no file may have been half there under its own name. What
differs between two unharmed runs (times, in logs) is left out of the comparison and named. Trials are a function of
--seed, but for moments, which are drawn as shares of the command's own time.

Each trial is a fork of a process that has imported everything already. The steps are caught between handdata and the C
library by steps.c, which is compiled here; Linux and a C compiler are needed. Figures: docs/reliability.md.
"""

import argparse
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from endings import kills, steps
from faults import system
from pages import PAGES, pages
from pairs import pairs
from power import power
from runs import LIBRARY, run_whole
from scenes import SCENES, Scene, make_inputs
from sectors import sectors
from trials import Trials

from handdata.cli import COMMANDS

HERE = Path(__file__).resolve().parent
WAYS = {"kill": kills, "steps": steps, "power": power, "system": system}
MODEL = ("model.model", "model.released", "model.detector", "track.stills", "track.run", "track.video")
NEEDS = {  # modules that a command imports when it runs
    "convert": ("conversion.run", "conversion.write", "exchange.card"),
    "import": ("conversion.run", "exchange.card", "exchange.reading"),
    "synth": ("synth.native",),
    "export": ("exchange.export",),
    **dict.fromkeys(("subset", "merge", "split"), ("conversion.recut", "conversion.write")),
    "train": ("train.loop", "train.evaluate"),
    "evaluate": ("train.loop", "train.evaluate"),
    **dict.fromkeys(("predict", "label"), MODEL),
    "report": ("report.page", "report.figures"),
    "stats": ("check.stats_page",),
    "browse": ("check.canvases", "browse.server"),
    "annotate-bbox": ("annotate.session", "annotate.headless", "annotate.server"),
    "annotate": ("annotate.keypoints.session", "annotate.server"),
    "annotate-depth": ("annotate.depth.session", "annotate.depth.headless", "annotate.server"),
}
STEP_FAULTS = "kill,ENOSPC,EIO,EACCES"
MANNERS = "group,parent,workers"


def main() -> int:
    if LIBRARY not in os.environ:
        return with_library()
    options = read_arguments()
    base = Path(options.home or tempfile.mkdtemp(prefix="torture-")).absolute()
    os.environ["HANDDATA_ROOT"] = "."  # the folder of the trial
    scenes = chosen(options.commands) if options.ways not in ("sectors", "pages") else []  # they have their own
    limit = time.monotonic() + options.seconds
    way_names = set(options.ways.split(","))
    prepare(scenes if way_names & {*WAYS, "pairs"} else [*SCENES, *(page.scene for page in PAGES)])
    is_faulty = False
    for way in options.ways.split(","):
        for row in rows_of(way, scenes, base, options, random.Random(options.seed), limit):
            is_faulty |= bool(row["faults"])
            print(json.dumps(row), flush=True)
    if not options.home:
        shutil.rmtree(base)
    return int(is_faulty)


def rows_of(
    way: str, scenes: Sequence[Scene], base: Path, options: argparse.Namespace, rng: random.Random, limit: float
) -> Iterator[dict[str, object]]:
    if way == "pairs":
        yield from pairs(scenes, base, options, rng, limit)
        return
    if way == "pages":
        yield from pages(base, options, rng, limit)
        return
    if way == "sectors":
        yield from sectors(base, options, limit)
        return
    for scene in scenes:
        if time.monotonic() < limit:
            make_inputs(scene, base / "inputs", run_whole(base))
            yield from WAYS[way](Trials(scene, base), options, rng, limit)


def chosen(names: str | None) -> list[Scene]:
    known = {scene.name.replace(",", ""): scene for scene in SCENES}
    if not names:
        return list(SCENES)
    pages_too = {page.scene.name.replace(",", "") for page in PAGES}
    return [known[name] for name in names.split(",") if name not in pages_too]


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ways", help=f"some of {', '.join([*WAYS, 'pairs', 'pages', 'sectors'])}, A,B")
    parser.add_argument("--commands", help="names of scenes, A,B [default: all]")
    parser.add_argument("--beside", help="pairs: only those with one of these, A,B [default: all]")
    parser.add_argument(
        "--times",
        type=int,
        help="how often; steps: so many of them by chance [default, and 0: all]; pages --times 0: steps alone",
    )
    parser.add_argument("--all", action="store_true", help="steps: not only the first and last of those alike")
    parser.add_argument("--faults", default=STEP_FAULTS, help=f"at each step [default: {STEP_FAULTS}]")
    parser.add_argument("--manners", default=MANNERS, help=f"kill: of several processes [default: {MANNERS}]")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no trial afterwards")
    parser.add_argument("--home", help="folder to work in and leave there [default: a temporary one]")
    return parser.parse_args()


def with_library() -> int:
    """Compile the library and run this program under it."""
    with tempfile.TemporaryDirectory() as folder:
        library = f"{folder}/steps.so"
        command = ["cc", "-O1", "-shared", "-fPIC", "-o", library, str(HERE / "steps.c"), "-ldl"]
        subprocess.run(command, check=True)
        environment = {
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "Agg",
            **os.environ,
            "LD_PRELOAD": library,
            LIBRARY: library,
        }
        return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode


def prepare(scenes: Sequence[Scene]) -> None:
    """Import all that the commands import, so that a fork has it."""
    for command in sorted({scene.words[0] for scene in scenes}):
        importlib.import_module(f"handdata.cli.{COMMANDS[command].split(':')[0]}")
        for name in NEEDS.get(command, ()):
            importlib.import_module(f"handdata.{name}")


if __name__ == "__main__":
    sys.exit(main())
