"""Every figure that the model families have to reach, section by section of their specification.

    OMP_NUM_THREADS=1 nice -n 19 python benchmarks/acceptance.py [--scratch FOLDER] [--steps 2 3.5] [--markdown]

Each step takes one CPU core for seconds to minutes and keeps its figures in the scratch folder; the same command goes
on where it was ended, and `--again` measures steps anew. The hands are rendered, or made as numbers. What asks for
trained families reads what benchmarks/families.py left in `--families`; without it those rows are missing, not guessed.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import accept_domains
import accept_networks
import accept_pose
import accept_spotter
import accept_video
import torch
from machine import Aim, Result, arguments

Step = Callable[[Path], list[Aim]]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--steps", nargs="+", help="beginnings of the steps' names, such as 3.5 or 6 [default: all]")
    parser.add_argument("--again", action="store_true", help="measure these steps anew")
    parser.add_argument("--families", type=Path, help="scratch folder of families.py, for what trained families reach")
    parser.add_argument("--markdown", action="store_true", help="print the table of docs/training.md")
    parser.add_argument("--only-print", action="store_true", help="measure nothing; print what is done")
    options = parser.parse_args()
    torch.set_num_threads(1)
    home, result = options.scratch / "acceptance", Result("acceptance of the families")
    home.mkdir(parents=True, exist_ok=True)
    done: dict[str, list[Aim]] = {}
    for name, step in steps(options.families).items():
        if options.steps and not name.startswith(tuple(options.steps)):
            continue
        kept = home / f"{name.replace(' ', '_').replace(',', '')}.json"
        if not options.only_print and (options.again or not kept.is_file()):
            measure(name, step, home, kept)
        if kept.is_file():
            done[name] = [Aim(**fields) for fields in json.loads(kept.read_text())]
    if options.markdown:
        print(*markdown(done), sep="\n")
    result.aims = [aim for aims in done.values() for aim in aims]
    result.finish(as_json=options.json)


def steps(families: Path | None) -> dict[str, Step]:
    """Return the steps in the order of the sections."""
    own = [*accept_pose.STEPS.items(), *accept_networks.STEPS.items(), *accept_domains.STEPS.items(),
           *accept_spotter.STEPS.items(), *accept_video.STEPS.items()]  # fmt: skip
    if families is not None:
        own.append(("4 families trained alike", lambda _: accept_networks.trained(families)))
    return dict(sorted(own, key=lambda pair: [float(pair[0].split()[0]), pair[0]]))


def measure(name: str, step: Step, home: Path, kept: Path) -> None:
    """Take a step and keep its figures."""
    start = time.process_time()
    aims = step(home)
    kept.write_text(json.dumps([asdict(aim) for aim in aims], indent=1))
    print(f"{name}: {len(aims)} figures, {time.process_time() - start:.0f} CPU s", flush=True)


def markdown(done: dict[str, Sequence[Aim]]) -> Iterator[str]:
    """Yield the table."""
    yield "| section | figure | required | measured | met |"
    yield "|---|---|---|---|---|"
    for name, aims in done.items():
        for aim in aims:
            sign = ">=" if aim.at_least else "<="
            yield f"| {name} | {aim.what} | {sign} {aim.aim:.4g} | {aim.figure:.4g} {aim.unit} | {_said(aim)} |"


def _said(aim: Aim) -> str:
    return "yes" if aim.met else "**no**"


if __name__ == "__main__":
    main()
