"""Goals 2 and 3: training end to end from shards, all augmentation on, Model 1, encoder trained.

    python benchmarks/train_gpu.py                      goal 2: samples/s at batch 256, data wait, first step
    python benchmarks/train_gpu.py --goal 3             goal 3: samples/s at batch 64, the published setting
    python benchmarks/train_gpu.py --batches 64,128,256,512 --profile

Made canvases with masks at 192 px, so backgrounds are composited for every sample. The loop's own step is timed.
"""

import time
from dataclasses import replace
from pathlib import Path

import peers
import psutil
import torch
from machine import Aim, Result, arguments

from handdata.train.config import load_config
from handdata.train.data import open_mixture
from handdata.train.loop import make_loader, step
from handdata.train.precision import set_up_device
from handdata.train.state import build
from handdata.train.views import make_views

WARM_STEPS = 20
AIMS = {2: (256, 10_000.0), 3: (64, 7_000.0)}  # performance.md: batch, samples/s on one H100
WAIT_SHARE, FIRST_STEP_S = 0.02, 10.0


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--goal", type=int, choices=(2, 3), default=2)
    parser.add_argument("--batches", default="", help="batch sizes, 64,128 ... [default: the goal's]")
    parser.add_argument("--steps", type=int, default=100, help="steps of a measurement")
    parser.add_argument("--count", type=int, default=16_384, help="samples")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--set", dest="settings", action="append", default=[], help="recipe setting, key=value")
    parser.add_argument("--profile", action="store_true", help="name the largest costs of a step")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device: run this where there is one, or see that it works with --device cpu")
    folder = options.scratch / f"train-{options.count}"
    if not (folder / "index.json").is_file():
        peers.write_shards(folder, options.count, 192, rows=4096, foreground=True)
    batch, aim = AIMS[options.goal]
    sizes = [int(size) for size in options.batches.split(",")] if options.batches else [batch]
    result = Result(str(options.goal))
    for size in sizes:
        row = measure(folder, size, device, options)
        result.rows[f"batch {size}"] = row
        if size == batch:
            result.aims.append(Aim(f"batch {size}", row["per_s"], aim, unit="samples/s"))
            if options.goal == 2:
                result.aims.append(Aim("data wait", row["wait_share"], WAIT_SHARE, at_least=False, unit="of the step"))
    if options.goal == 2:
        first = result.rows[f"batch {sizes[0]}"]["first_step_s"]
        result.aims.append(Aim("first step after the command", first, FIRST_STEP_S, at_least=False, unit="s"))
    result.finish(as_json=options.json)


def measure(folder: Path, size: int, device: torch.device, options: object) -> dict[str, float]:
    """Train at one batch size; return samples/s, the share of the time spent waiting for data, the first step."""
    config = load_config("best", [f"data.batch={size}", f"data.loader_threads={options.threads}", *options.settings])
    config = replace(config, augment=replace(config.augment, kind="published"))
    set_up_device(config.loop, device)
    mixture = open_mixture([folder], "train")
    state = build(config, device)
    state.train_mode()
    views = make_views(config, mixture, device, train=True)
    waited, row = 0.0, {}
    warm = min(WARM_STEPS, options.steps)
    with make_loader(config, mixture, device) as loader:
        batches = loader.epoch(0, batches=warm + options.steps)
        for number in range(warm + options.steps):
            if number == warm:
                synchronize(device)
                waited, begin = 0.0, time.perf_counter()
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            step(state, views.inputs(batch), config)
            if number == 0:
                synchronize(device)
                row["first_step_s"] = time.time() - psutil.Process().create_time()
        synchronize(device)
        spent = time.perf_counter() - begin
        row |= {"per_s": size * options.steps / spent, "wait_share": waited / spent}
        if device.type == "cuda":
            row["GiB"] = torch.cuda.max_memory_allocated() / 2**30
        if options.profile:
            profile(state, views, config, loader, device)
    return row


def profile(state, views, config, loader, device: torch.device) -> None:
    """Print where a step spends its time, by operation."""
    kinds = [torch.profiler.ProfilerActivity.CPU]
    order = "self_cpu_time_total"
    if device.type == "cuda":
        kinds.append(torch.profiler.ProfilerActivity.CUDA)
        order = "self_cuda_time_total"
    with torch.profiler.profile(activities=kinds) as found:
        for batch in loader.epoch(1, batches=5):
            step(state, views.inputs(batch), config)
        synchronize(device)
    print(found.key_averages().table(sort_by=order, row_limit=20, max_name_column_width=60))


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
