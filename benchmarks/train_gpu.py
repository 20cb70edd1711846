"""Goals 2 and 3: training end to end from shards, all augmentation on, Model 1, encoder trained.

    python benchmarks/train_gpu.py                      goal 2: samples/s at batch 256, data wait, first step
    python benchmarks/train_gpu.py --goal 3             goal 3: samples/s at batch 64, the published setting
    python benchmarks/train_gpu.py --ladder             both goals, and every combination of the switches, best last
    python benchmarks/train_gpu.py --ladder --device cpu --width 0.25 --size 64 --batches 8 --steps 3   that it runs

Made canvases with masks at 192 px, so backgrounds are composited for every sample. The loop's own step is timed. The
ladder goes on where a combination fails, names what failed, and stops at --minutes.
"""

import argparse
import gc
import time
from pathlib import Path

import peers
import psutil
import torch
from machine import Aim, Result, arguments

from handdata.train.config import Config, load_config
from handdata.train.data import Loader, open_mixture
from handdata.train.loop import make_loader, step
from handdata.train.objective import choose_mode
from handdata.train.precision import set_up_device
from handdata.train.state import State, build
from handdata.train.views import Views, make_views

WARM_STEPS = 20
AIMS = {2: (256, 10_000.0), 3: (64, 7_000.0)}  # performance.md: batch, samples/s on one H100
EAGER = ("loop.compile=off",)
WAIT_SHARE, FIRST_STEP_S = 0.02, 10.0
# name -> settings; each adds to plain bfloat16
LADDER = {
    "bf16": EAGER,
    "bf16 + split": ("loop.compile=off", "loop.split=true"),
    "default": ("loop.compile=default",),
    "default + split": ("loop.compile=default", "loop.split=true"),
    "reduce-overhead": ("loop.compile=reduce-overhead",),
    "reduce-overhead + split": ("loop.compile=reduce-overhead", "loop.split=true"),
    "fp32 + TF32": ("loop.compile=off", "loop.precision=fp32"),
    "max-autotune": ("loop.compile=max-autotune",),
}
# What decides most comes first: compiling takes most of a minute for every batch size, and the clock may cut the list.
ORDER = (
    *(("bf16", 64), ("bf16", 256), ("bf16 + split", 256), ("default", 256), ("reduce-overhead", 64)),
    *(("default + split", 256), ("reduce-overhead + split", 64), ("default", 512), ("reduce-overhead", 256)),
    *(("default", 64), ("bf16", 512), ("bf16 + split", 64), ("fp32 + TF32", 64), ("max-autotune", 256)),
)


def main() -> None:
    options = read_arguments()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device: run this where there is one, or see that it works with --device cpu")
    folder = options.scratch / f"train-{options.count}"
    if not (folder / "index.json").is_file():
        peers.write_shards(folder, options.count, 192, rows=4096, foreground=True)
    if options.ladder:
        climb(folder, device, options).finish(as_json=options.json)
    batch, aim = AIMS[options.goal]
    sizes = [int(size) for size in options.batches.split(",")] if options.batches else [batch]
    result = Result(str(options.goal))
    if options.goal == 2:  # before anything else: the time from the command to the first step, without compiling
        result.rows[f"batch {sizes[0]}, eager"] = first = measure(folder, sizes[0], device, options, EAGER)
        result.aims.append(
            Aim("first step after the command", first["first_step_s"], FIRST_STEP_S, at_least=False, unit="s")
        )
    for size in sizes:
        row = measure(folder, size, device, options, ())
        result.rows[f"batch {size}"] = row
        if size == batch:
            result.aims.append(Aim(f"batch {size}", row["per_s"], aim, unit="samples/s"))
            if options.goal == 2:
                result.aims.append(Aim("data wait", row["wait_share"], WAIT_SHARE, at_least=False, unit="of the step"))
    result.finish(as_json=options.json)


def read_arguments() -> argparse.Namespace:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--goal", type=int, choices=(2, 3), default=2)
    parser.add_argument("--ladder", action="store_true", help="measure every combination of the switches")
    parser.add_argument("--only", default="", help="rungs of the ladder whose names hold this")
    parser.add_argument("--minutes", type=float, default=9.0, help="start no rung of the ladder later than this")
    parser.add_argument(
        "--batches", default="", help="batch sizes, 64,128 ... [default: the goal's, or the ladder's own]"
    )
    parser.add_argument("--steps", type=int, default=100, help="steps of a measurement")
    parser.add_argument("--count", type=int, default=16_384, help="samples")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--width", type=float, default=1.0, help="channels relative to the published network")
    parser.add_argument("--size", type=int, default=128, help="side of the input, px")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="recipe setting, key=value")
    parser.add_argument("--profile", action="store_true", help="name the largest costs of a step")
    return parser.parse_args()


def climb(folder: Path, device: torch.device, options: argparse.Namespace) -> Result:
    """Measure rung after rung; the best one of a goal's batch is the figure of that goal."""
    result, begin = Result("2 and 3"), time.monotonic()
    given = [int(size) for size in options.batches.split(",")] if options.batches else []
    order = [(rung, size) for rung in LADDER for size in given] or ORDER
    for rung, size in order:
        name = f"{rung}, batch {size}"
        if options.only not in rung:
            continue
        if time.monotonic() - begin > 60 * options.minutes:
            result.notes.append(f"left out, {options.minutes:g} minutes are over: {name}")
            continue
        try:
            result.rows[name] = measure(folder, size, device, options, LADDER[rung])
        except Exception as error:  # one rung that fails must not hide the others
            result.notes.append(f"failed: {name}: {type(error).__name__}: {str(error).splitlines()[0][:200]}")
        print(name, result.rows.get(name, "failed"), flush=True)
        gc.collect()
        torch.compiler.reset()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    for goal, (batch, aim) in AIMS.items():
        rows = {name: row for name, row in result.rows.items() if name.endswith(f"batch {batch}")}
        if rows:
            best = max(rows, key=lambda name: rows[name]["per_s"])
            result.aims.append(Aim(f"goal {goal}, {best}", rows[best]["per_s"], aim, unit="samples/s"))
            result.aims.append(
                Aim(f"goal {goal}, data wait", rows[best]["wait_share"], WAIT_SHARE, at_least=False, unit="of the step")
            )
    return result


def measure(
    folder: Path, size: int, device: torch.device, options: argparse.Namespace, settings: tuple[str, ...]
) -> dict[str, float]:
    """Train at one batch size; return samples/s, the share of the time spent waiting for data, the first steps.

    Compiling, if any, falls into the first two steps: forward and backward.
    """
    config = configure(size, options, settings)
    if not settings:
        print(f"compile: {choose_mode(config, device, 1)}", flush=True)
    set_up_device(config.loop, device)
    mixture = open_mixture([folder], "train")
    state = build(config, device)
    state.train_mode()
    views = make_views(config, mixture, device, train=True)
    waited, row = 0.0, {}
    warm = min(WARM_STEPS, options.steps)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with make_loader(config, mixture, device) as loader:
        batches = loader.epoch(0, batches=warm + options.steps)
        entered = time.perf_counter()
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
            if number == 1:
                synchronize(device)
                row["two_steps_s"] = time.perf_counter() - entered
        launched = time.perf_counter() - begin
        synchronize(device)
        spent = time.perf_counter() - begin
        row |= {"per_s": size * options.steps / spent, "ms": 1000 * spent / options.steps}
        row |= {"host_share": launched / spent, "wait_share": waited / spent}
        row["compiled"] = float(state.objective.is_compiled)
        if device.type == "cuda":
            row["GiB"] = torch.cuda.max_memory_allocated() / 2**30
        if options.profile:
            profile(state, views, config, loader, device)
    return row


def configure(size: int, options: argparse.Namespace, settings: tuple[str, ...]) -> Config:
    shape = (f"model.width={options.width}", f"model.size={options.size}")
    own = (f"data.batch={size}", f"data.loader_threads={options.threads}", *shape)
    return load_config("best", [*own, *settings, *options.settings])


def profile(state: State, views: Views, config: Config, loader: Loader, device: torch.device) -> None:
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
