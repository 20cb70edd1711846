"""Goals 2 and 3: training end to end from shards, all augmentation on, Model 1, encoder trained.

    python benchmarks/train_gpu.py                      goal 2: samples/s at batch 256, data wait, first step
    python benchmarks/train_gpu.py --goal 3             goal 3: samples/s at batch 64, the published setting
    python benchmarks/train_gpu.py --ladder             both goals, and combinations of the switches, within ten minutes
    python benchmarks/train_gpu.py --ladder --device cpu --width 0.25 --size 64 --batches 8 --steps 3   that it runs

Made canvases with masks at 192 px, so backgrounds are composited for every sample. The loop's own step and ledger are
timed, and timed again with the whole process on two cores. The ladder goes on where a combination fails, names what
failed, and starts nothing that would end after --minutes, counted from the command.
"""

import argparse
import gc
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peers
import psutil
import torch
from machine import Aim, Result, arguments

from handdata.train.augment.views import Views, make_views
from handdata.train.config import Config, load_config
from handdata.train.epoch_losses import LAG, Ledger
from handdata.train.loader.loaders import Batch, Loader, open_mixture
from handdata.train.loop import make_loader, step
from handdata.train.objective import choose_mode
from handdata.train.precision import set_up_device
from handdata.train.state import State, build

WARM_STEPS = 20
AIMS = {2: (256, 10_000.0), 3: (64, 7_000.0)}  # batch, samples/s on one H100
EAGER = ("loop.compile=off",)
WAIT_SHARE, FIRST_STEP_S = 0.02, 10.0
CORES = 2  # goal 2: data wait with two CPU cores
# name -> settings; each adds to plain bfloat16
LADDER = {
    "bf16": EAGER,
    "bf16 + pad": ("loop.compile=off", "loop.pad=true"),
    "default": ("loop.compile=default",),
    "default + indices": ("loop.compile=default", "loop.indices=true"),
    "default + indices + pad": ("loop.compile=default", "loop.indices=true", "loop.pad=true"),
    "default + indices + pad + split": (
        "loop.compile=default", "loop.indices=true", "loop.pad=true", "loop.split=true",
    ),
    "reduce-overhead": ("loop.compile=reduce-overhead",),
    "reduce-overhead + indices + pad": ("loop.compile=reduce-overhead", "loop.indices=true", "loop.pad=true"),
    "fp32 + TF32": ("loop.compile=off", "loop.precision=fp32"),
    "max-autotune + indices + pad": ("loop.compile=max-autotune", "loop.indices=true", "loop.pad=true"),
}  # fmt: skip
# What decides most comes first: compiling takes most of a minute for every batch size, and the clock may cut the list.
ORDER = (
    *(("bf16", 64), ("default", 256), ("default + indices + pad", 256), ("reduce-overhead + indices + pad", 64)),
    *(("bf16", 256), ("bf16 + pad", 256), ("default + indices", 256), ("reduce-overhead + indices + pad", 256)),
    *(("reduce-overhead", 64), ("default + indices + pad", 512), ("default + indices + pad + split", 256)),
    *(("default + indices + pad", 64), ("bf16", 512), ("fp32 + TF32", 64), ("max-autotune + indices + pad", 256)),
)
# Seconds that a rung takes at most, as far as is known (compiling 45 s, with max-autotune over 300 s).
COSTS = {"bf16": 25, "fp32": 30, "default": 80, "reduce-overhead": 85, "max-autotune": 400}


def main() -> None:
    options = read_arguments()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device: run this where there is one, or see that it works with --device cpu")
    began = psutil.Process().create_time()
    folder = options.scratch / f"train-{options.count}"
    if not (folder / "index.json").is_file():
        asked = time.time()
        peers.write_shards(folder, options.count, 192, rows=4096, foreground=True)
        began += time.time() - asked  # the first step after the command is one over shards that are there
    if options.ladder:
        climb(folder, device, options).finish(as_json=options.json)
    batch, aim = AIMS[options.goal]
    sizes = [int(size) for size in options.batches.split(",")] if options.batches else [batch]
    result = Result(str(options.goal))
    if options.goal == 2:  # before anything else: the time from the command to the first step, without compiling
        result.rows[f"batch {sizes[0]}, eager"] = first = measure(folder, sizes[0], device, options, EAGER, began)
        result.aims.append(
            Aim("first step after the command", first["first_step_s"], FIRST_STEP_S, at_least=False, unit="s")
        )
    for size in sizes:
        row = measure(folder, size, device, options, ())
        result.rows[f"batch {size}"] = row
        if size == batch:
            result.aims.append(Aim(f"batch {size}", row["per_s"], aim, unit="samples/s"))
            if options.goal == 2:
                result.aims.append(wait_aim("data wait", row))
    result.finish(as_json=options.json)


def read_arguments() -> argparse.Namespace:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--goal", type=int, choices=(2, 3), default=2)
    parser.add_argument("--ladder", action="store_true", help="measure every combination of the switches")
    parser.add_argument("--only", default="", help="rungs of the ladder whose names hold this")
    parser.add_argument("--minutes", type=float, default=9.5, help="start no rung that would end later than this")
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
    result, begin = Result("2 and 3"), psutil.Process().create_time()
    given = [int(size) for size in options.batches.split(",")] if options.batches else []
    order = [(rung, size) for rung in LADDER for size in given] or ORDER
    for rung, size in order:
        name = f"{rung}, batch {size}"
        if options.only not in rung:
            continue
        if time.time() + COSTS[rung.split(" ")[0]] - begin > 60 * options.minutes:
            result.notes.append(f"left out, it would end after {options.minutes:g} minutes: {name}")
            continue
        try:
            result.rows[name] = measure(folder, size, device, options, LADDER[rung])
        except Exception as error:  # one rung that fails must not hide the others
            result.notes.append(f"failed: {name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}")
        print(name, result.rows.get(name, "failed"), flush=True)
        torch.compiler.reset()  # before the collector: graphs hold their memory
        gc.collect()
        if device.type == "cuda":
            torch.cuda.empty_cache()
    for goal, (batch, aim) in AIMS.items():
        rows = {name: row for name, row in result.rows.items() if name.endswith(f"batch {batch}")}
        if rows:
            best = max(rows, key=lambda name: rows[name]["per_s"])
            result.aims.append(Aim(f"goal {goal}, {best}", rows[best]["per_s"], aim, unit="samples/s"))
            result.aims.append(wait_aim(f"goal {goal}, data wait", rows[best]))
    return result


def wait_aim(name: str, row: dict[str, float]) -> Aim:
    return Aim(f"{name} on {CORES} cores", row["two_cores_wait"], WAIT_SHARE, at_least=False, unit="of the step")


def measure(
    folder: Path,
    size: int,
    device: torch.device,
    options: argparse.Namespace,
    settings: tuple[str, ...],
    began: float | None = None,
) -> dict[str, float]:
    """Train at one batch size; return samples/s, the share of the time spent waiting for data, the first step.

    Compiling, if any, falls into the first step; it counts from `began`, or from here.
    """
    entered = time.time() if began is None else began
    config = configure(size, options, settings)
    if not settings:
        print(f"compile: {choose_mode(config, device, 1)}", flush=True)
    set_up_device(config.loop, device)
    mixture = open_mixture([folder], "train")
    state = build(config, device)
    state.train_mode()
    views = make_views(config, mixture, device, train=True)
    row = {}
    warm = min(WARM_STEPS, options.steps)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with make_loader(config, mixture, device) as loader:
        batches = loader.epoch(0, batches=warm + 2 * options.steps)
        lag = LAG if device.type == "cuda" else 0
        ledger = Ledger(state.family.names, {}, mixture, options.scratch, lag=lag)

        def run(count: int) -> dict[str, float]:
            return take(batches, count, state, views, config, ledger, device)

        run(1)
        row["first_step_s"] = time.time() - entered
        run(warm - 1)
        row |= run(options.steps)
        with on_cores(CORES):
            two = run(options.steps)
        row |= {"two_cores_per_s": two["per_s"], "two_cores_wait": two["wait_share"]}
        row["compiled"] = float(state.objective.is_compiled)
        if device.type == "cuda":
            row["GiB"] = torch.cuda.max_memory_allocated(device) / 2**30
        if options.profile:
            profile(state, views, config, loader, device)
    return row


def take(
    batches: Iterator[Batch],
    count: int,
    state: State,
    views: Views,
    config: Config,
    ledger: Ledger,
    device: torch.device,
) -> dict[str, float]:
    """Take steps as the loop does. `host_share` is the time that the host itself works, in line with the device."""
    waited, held, samples = 0.0, 0.0, 0
    synchronize(device)
    begin = time.perf_counter()
    for _ in range(count):
        asked = time.perf_counter()
        batch = next(batches)
        waited += time.perf_counter() - asked
        losses = step(state, views.inputs(batch), config)
        samples += len(batch)
        asked = time.perf_counter()
        ledger.add(losses, batch)
        held += time.perf_counter() - asked
    launched = time.perf_counter() - begin
    synchronize(device)
    spent = max(time.perf_counter() - begin, 1e-9)
    return {
        "per_s": samples / spent,
        "ms": 1000 * spent / max(count, 1),
        "wait_share": waited / spent,
        "host_share": (launched - waited - held) / spent,
    }


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Hold every thread of this process to so many cores."""
    before = {}
    for number in [int(path.name) for path in Path("/proc/self/task").iterdir()]:
        try:
            before[number] = os.sched_getaffinity(number)
            os.sched_setaffinity(number, sorted(before[number])[:count])
        except OSError:  # it has ended
            continue
    try:
        yield
    finally:
        for number, cores in before.items():
            try:
                os.sched_setaffinity(number, cores)
            except OSError:
                continue


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
        order = "self_device_time_total"
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
