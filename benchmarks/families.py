"""All families trained alike at a small size on rendered hands: the same hands, the same samples, two seeds.

    OMP_NUM_THREADS=1 nice python benchmarks/families.py [--samples 12000] [--kinds direct volume] [--seeds 0 1]
    python benchmarks/families.py --only-print

The data, the size and the augmentation are those of the recipe `demo`, with half of its batch; only the family
differs, and what a family asks for (`OWN`). A run that was ended goes on by the same command. The figures are those of
the test partition, each with its interval over the held-out hands, and of the test partition of the gritty rendering.
Nothing here says how good a family is when it has learnt to the end.
"""

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from machine import Aim, Result, arguments, facts

from handdata.cli.demo import LEARN, OTHER
from handdata.conversion.run import convert
from handdata.evaluation.predictions import read_predictions
from handdata.evaluation.results import SetResult, read_results
from handdata.paths import DataRoot
from handdata.shards.dataset import open_dataset
from handdata.synth.native import write_native
from handdata.train.chain import epochs_done
from handdata.train.config import Config, load_config
from handdata.train.evaluate import evaluate_run
from handdata.train.loop import Job, train
from handdata.train.selection import Selection
from handdata.train.state import build

KINDS = (
    "direct", "latent", "tree", "two_and_half", "lifting", "projection", "volume", "bones", "feedback",
    "compact", "simcc",
)  # fmt: skip
SMALL, EPOCHS = 0.25, 4  # width of Model 1; so often a checkpoint is kept
# Early the number of steps counts more than the batch (docs/training.md): half of demo's, at its rate over root 2.
BATCH = ("data.batch=12", "optim.lr=0.0018")
OWN = {  # what a family asks for: probabilities are learnt by their expectation; compact is small at width 1
    "latent": ("loss.loss_2d=coordinates",),
    "compact": ("model.width=1.0", "model.lift_width=512"),
    "simcc": ("model.width=1.0", "model.lift_width=512"),
}
MODELS_1_TO_3 = ("direct", "latent", "tree")  # as published, in the axes of the camera
PROTOCOLS = {"2D": "thesis:error_2d", "3D": "thesis:error_3d", "mm": "epe_mm:mean_gt_scale", "PA mm": "pa_mpjpe"}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=12_000, help="training samples of each run")
    parser.add_argument("--kinds", nargs="+", default=KINDS, choices=KINDS)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1))
    parser.add_argument("--frames", type=int, default=LEARN.frames, help="rendered hands of the training set")
    parser.add_argument("--only-print", action="store_true", help="train nothing; print what is done")
    options = parser.parse_args()
    root = DataRoot(options.scratch)
    folders = [root.shards(part.folder) for part in (LEARN, OTHER)]
    if not options.only_print:
        make_data(root, options.frames)
        for seed in options.seeds:  # a whole table of one seed first
            for kind in options.kinds:
                one_run(root, kind, seed, options.samples, folders)
    result = Result("families trained alike")
    done = list(finished(root, options.kinds, options.seeds))
    for kind in options.kinds:
        rows = [row for own, row in done if own == kind]
        if rows:
            result.rows[kind] = mean_row(rows)
    whole = len(options.kinds) * len(options.seeds)
    result.aims.append(Aim("runs done", len(done), whole, unit=f"of {whole}"))
    if not options.json:
        print(*markdown(done, options.kinds), sep="\n")
    result.finish(as_json=options.json)


def make_data(root: DataRoot, frames: int) -> None:
    """Render and convert the two sets of `handdata demo`; what is there is kept."""
    for part, count in ((LEARN, frames), (OTHER, min(frames, OTHER.frames))):
        native = root.native(part.folder)
        write_native(part.dataset, native, count, seed=part.seed, style=part.style, small=True, workers=1)
        convert(part.dataset, native, root.shards(part.folder), workers=1)


def config_of(kind: str, seed: int, samples: int) -> Config:
    """Return the recipe `demo` with another family and so many samples."""
    base = load_config("demo", BATCH)
    settings = [f"model.kind={kind}", f"model.width={SMALL}", f"loop.seed={seed}", f"loop.epochs={EPOCHS}",
                f"loop.batches={max(1, samples // (EPOCHS * base.data.batch))}", "loop.val_batches=1",
                "data.loader_threads=0", *BATCH]  # fmt: skip
    if kind not in MODELS_1_TO_3:
        settings.append("data.turn=true")
    return load_config("demo", [*settings, *OWN.get(kind, ())])


def one_run(root: DataRoot, kind: str, seed: int, samples: int, folders: Sequence[Path]) -> None:
    """Train, or go on with, one run, and score it; its CPU time is summed over the pieces."""
    run, config = run_of(root, kind, seed), config_of(kind, seed, samples)
    if (run / "cost.json").is_file() and (run / "results.json").is_file():
        return
    done = epochs_done(run)
    pieces = json.loads((run / "pieces.json").read_text()) if (run / "pieces.json").is_file() else []
    if done is None or done < config.loop.epochs:
        start = time.process_time()
        is_done = train(Job(config=config, folders=folders[:1], run=run, device="cpu", resume=done is not None))
        pieces.append(time.process_time() - start)
        (run / "pieces.json").write_text(json.dumps(pieces))
        if not is_done:
            raise SystemExit("ended; the same command goes on")
    evaluate_run(run, Selection(folders=folders, split="test"), device="cpu")
    counts = [p.numel() for p in build(config, _cpu()).network.parameters()]
    seen = config.loop.epochs * config.loop.batches * config.data.batch
    cost = {"samples": seen, "cpu_s": sum(pieces), "parameters": sum(counts), **facts()}
    (run / "cost.json").write_text(json.dumps(cost))


def run_of(root: DataRoot, kind: str, seed: int) -> Path:
    return root.runs / f"{kind}-{seed}"


def finished(root: DataRoot, kinds: Sequence[str], seeds: Sequence[int]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the kind and the figures of every run that is done."""
    for kind in kinds:
        for seed in seeds:
            run = run_of(root, kind, seed)
            if not (run / "cost.json").is_file():
                continue
            cost = json.loads((run / "cost.json").read_text())
            own, other = sorted(read_results(run / "results.json").sets, key=lambda one: "gritty" in one.shards)
            row = {"samples": cost["samples"], "cpu_s": cost["cpu_s"], "parameters": cost["parameters"]}
            row |= figures(own, "") | figures(other, "gritty ")
            row["2D of hands"], row["3D of hands"] = spreads(run / "predictions.h5", root.shards(LEARN.folder))
            yield kind, row


def figures(one: SetResult, prefix: str) -> dict[str, Any]:
    """Return a set's errors with the ends of their intervals."""
    result: dict[str, Any] = {}
    for name, protocol in PROTOCOLS.items():
        score = one.protocols[protocol]
        result[prefix + name] = (score.value, score.low, score.high)
    return result


def spreads(predictions: Path, folder: Path) -> tuple[float, float]:
    """Return 1.96 standard errors over the held-out hands, each of another person: of 2D and of 3D.

    The scores' own intervals are over sequences, of which the test partition has two.
    """
    found, truth = read_predictions(predictions), open_dataset(folder, "test")
    rows = slice(0, len(truth))  # the first set that was predicted, in stored order
    side = (found.crop_xyxy[rows, 2] - found.crop_xyxy[rows, 0])[:, None]
    flat = np.linalg.norm(next(iter(found.keypoints_2d.values()))[rows] - truth["keypoints_2d"], axis=-1) / side
    deep = np.linalg.norm(found.keypoints_3d_normalized[rows] - truth["keypoints_3d_normalized"], axis=-1)
    return tuple(float(1.96 * off.mean(1).std(ddof=1) / len(off) ** 0.5) for off in (flat, deep))


def mean_row(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the means over seeds."""
    values = {name: fmean(row[name][0] for row in rows) for name in rows[0] if isinstance(rows[0][name], tuple)}
    rate = fmean(row["samples"] / row["cpu_s"] for row in rows)
    return {**values, "samples/CPU s": rate, "parameters": rows[0]["parameters"], "seeds": float(len(rows))}


def markdown(done: Sequence[tuple[str, dict[str, Any]]], kinds: Sequence[str]) -> Iterator[str]:
    """Yield the table of docs/training.md: both seeds of each figure, and the interval of the first."""
    yield "| family | 2D | 3D | mm | PA mm | gritty: 2D | 3D | samples per CPU second | parameters |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for kind in kinds:
        rows = [row for own, row in done if own == kind]
        if not rows:
            continue
        cells = [_cell([row[name] for row in rows], digits) for name, digits in
                 (("2D", 3), ("3D", 3), ("mm", 1), ("PA mm", 1), ("gritty 2D", 3), ("gritty 3D", 3))]  # fmt: skip
        for place, name in enumerate(("2D of hands", "3D of hands")):
            cells[place] += f" +- {fmean(row[name] for row in rows):.3f}"
        rate = fmean(row["samples"] / row["cpu_s"] for row in rows)
        yield f"| {kind} | {' | '.join(cells)} | {rate:.0f} | {rows[0]['parameters'] / 1e6:.2f} M |"


def _cell(scores: Sequence[tuple[float, float | None, float | None]], digits: int) -> str:
    value = " / ".join(f"{score[0]:.{digits}f}" for score in scores)
    _, low, high = scores[0]
    return value if low is None or high is None else f"{value} [{low:.{digits}f}, {high:.{digits}f}]"


def _cpu() -> Any:
    import torch

    return torch.device("cpu")


if __name__ == "__main__":
    main()
