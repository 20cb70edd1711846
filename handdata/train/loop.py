"""The training loop, to be read from top to bottom.

One process or many make the same steps: every loss is a sum over what is present in the whole batch, divided once.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from handdata.errors import ConfigError
from handdata.files.locks import alone
from handdata.model.config import BEST, LAST, LossConfig
from handdata.model.device import autocast
from handdata.model.losses import Ratio, loss_2d, loss_3d
from handdata.model.read_out import READ_OUT_OF, read_out
from handdata.progress import meter, say
from handdata.train.augment.prepare import Inputs
from handdata.train.augment.views import Views, make_views
from handdata.train.config import Config
from handdata.train.distributed import environment, group, is_first, rank, sum_over_processes, wait, world
from handdata.train.epoch_losses import LAG, NAMES, Clock, Ledger
from handdata.train.loader.loaders import EvalLoader, Loader, Mixture
from handdata.train.loader.sources import open_sources
from handdata.train.optim import clip
from handdata.train.precision import set_up_device
from handdata.train.runs import RunFolder, claim
from handdata.train.state import State, build, resume
from handdata.train.tensorboard_log import Board

GO_ON = "go on with --resume (demo and --chain: by the same command)"
NOTHING = "it had no checkpoint yet, the same command begins anew"


@dataclass(frozen=True, kw_only=True)
class Job:
    """One training to do.

    Attributes:
        config: resolved recipe.
        folders: shard folders to choose from.
        run: folder of the run.
        device: "auto", "cpu", "cuda" or "cuda:N".
        init_from: run or checkpoint whose weights it starts from; they must fit.
        resume: go on from the run's last checkpoint.
        tensorboard: also write TensorBoard's files.
    """

    config: Config
    folders: Sequence[Path]
    run: Path
    device: str = "auto"
    init_from: Path | None = None
    resume: bool = False
    tensorboard: bool = False


@dataclass(slots=True)
class Stop:
    """The signal that asked for an end, if one did."""

    by: signal.Signals | None = None


def train(job: Job) -> bool:
    """Train, validating and saving after every epoch; return whether all epochs are done.

    SIGTERM or Ctrl-C ends it after the step in work, saved, to go on with `resume`; a second Ctrl-C at once, not saved.

    Raises:
        HanddataError: settings, shards or weights that do not fit; a loss that is not finite; another training of the
            run; no room for a checkpoint.
        KeyboardInterrupt: it was Ctrl-C.
    """
    own = alone(job.run, "training") if is_first() else nullcontext()
    with own, group(job.device) as device, asked_to_stop() as stop:
        try:
            is_done = _train(job, device, stop)
        except KeyboardInterrupt:  # the second: the first is noted
            if is_first():
                kept = (
                    f"what came after its last checkpoint is lost, {GO_ON}"
                    if RunFolder(job.run).is_resumable
                    else NOTHING
                )
                say(f"{job.run}: ended at once; {kept}")
            raise
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                "data.batch",
                expected=f"a step of {job.config.data.batch} samples that fits {device}",
                got=str(error).partition("\n")[0][:200],
                fix="Lower data.batch or model.width, or leave data.cache none.",
            ) from error
    if stop.by == signal.SIGINT and not is_done:
        raise KeyboardInterrupt
    return is_done


def _train(job: Job, device: torch.device, stop: Stop) -> bool:
    config = job.config
    run = claim(job.run, resume=job.resume)
    train_set, val_set = open_sources(job.folders, config)
    set_up_device(config.loop, device)
    state = build(config, device, job.init_from)
    if job.resume:
        resume(state, run.path, config)
    wait()  # nobody writes before everybody has read
    if rank() == 0:
        run.start(config, [*train_set.datasets, *(val_set.datasets if val_set else [])], environment(device))
        run.cut_log(state.position.epoch)
    views = make_views(config, train_set, device, train=True)
    val_views = make_views(config, val_set, device, train=False) if val_set else None
    board = Board(run.path / "tensorboard", wanted=job.tensorboard and rank() == 0)
    with board, make_loader(config, train_set, device) as loader:
        while state.position.epoch < config.loop.epochs:
            clock = Clock()
            if not train_epoch(state, config, loader, views, clock, stop, run.path):
                _save(state, run, config, LAST)
                if is_first():
                    say(f"stopped after step {state.position.step}; saved, {GO_ON}")
                return False
            mix = loader.realized_mix(state.position.epoch, config.loop.batches)
            figures = {**clock.figures(world()), "mix": mix}
            losses = validate(state, config, val_set, val_views, device) if val_set and val_views else {}
            entry, is_best = end_epoch(state, config, figures, losses)
            if rank() == 0:
                run.log(entry)
                board.write(entry)
                say(_line(entry, config))
            if is_best:
                _save(state, run, config, BEST)
            _save(state, run, config, LAST)
    return True


def make_loader(config: Config, train_set: Mixture, device: torch.device) -> Loader:
    """Return this process' share of the training batches."""
    return Loader(
        train_set,
        config.data.batch,
        seed=config.loop.seed,
        device=device,
        rank=rank(),
        world_size=world(),
        threads=config.data.loader_threads,
        cache=config.data.cache,
    )


def train_epoch(
    state: State, config: Config, loader: Loader, views: Views, clock: Clock, stop: Stop, run: Path
) -> bool:
    """Take the steps that are left of the epoch; return False where a process was told to stop before its end."""
    position = state.position
    ledger = Ledger(position.sums, loader.mixture, run, lag=LAG if loader.device.type == "cuda" else 0)
    state.train_mode()
    batches = loader.epoch(position.epoch, start_batch=position.batch, batches=config.loop.batches)
    with shown(f"epoch {position.epoch + 1}/{config.loop.epochs}", config.loop.batches, position.batch) as count:
        for batch in clock.batches(batches):
            losses = step(state, views.inputs(batch), config, stopping=stop.by is not None)
            position.step += 1
            position.batch += 1
            count()
            if ledger.add(losses, batch):
                return False
    return not ledger.settle()


def step(state: State, inputs: Inputs, config: Config, *, stopping: bool = False) -> Tensor:
    """Take one step.

    Returns:
        (4,) on the device: 2D loss, 3D loss, weighted total, each over all processes; how many were told to stop.
    """
    rate = state.schedule.rate(state.position.step)
    for group_of_parameters in state.optimizer.param_groups:
        group_of_parameters["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)  # before the forward pass: a replayed graph writes over old gradients
    own = state.objective(inputs, state.position.epoch)
    told = own.new_full((1,), float(stopping))
    sums = sum_over_processes(torch.cat([own.detach(), told]))
    counts = sums[2:4].clamp(min=1.0)
    total = config.loss.weight_2d * own[0] / counts[0] + config.loss.weight_3d * own[1] / counts[1]
    state.scaler.scale(total * world()).backward()  # type: ignore[no-untyped-call]  # gradients are averaged over processes, sums are wanted
    descend(state, config)
    return torch.cat([_losses(sums, config.loss), sums[4:]])


def descend(state: State, config: Config) -> None:
    """Move the weights by the gradients that are there, and their running average after them."""
    state.scaler.unscale_(state.optimizer)
    clip(state.network.parameters(), config.optim.clip_norm)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    if state.average is not None:
        state.average.update()


@torch.no_grad()
def validate(state: State, config: Config, val_set: Mixture, views: Views, device: torch.device) -> dict[str, float]:
    """Return the losses over the validation samples, and the mean errors of the model's own read-out.

    The running average's weights are used where there are any. `error_2d` is in crop fractions, `error_3d` in units
    of wrist to middle MCP, both over the keypoints present.
    """
    state.network.eval()
    sums = torch.zeros(8, device=device, dtype=torch.float64)
    loader = EvalLoader(val_set, config.data.batch, device=device, rank=rank(), world_size=world())
    with loader, shown("validation", len(loader)) as count:
        for batch in loader:
            sums += measure(state, views.inputs(batch), config)
            count()
    sums = sum_over_processes(sums)
    losses = dict(zip(NAMES, _losses(sums[:4], config.loss).tolist(), strict=True))
    errors = (sums[4:6] / sums[6:8].clamp(min=1)).tolist()
    return {**losses, "error_2d": errors[0], "error_3d": errors[1]}


def measure(state: State, inputs: Inputs, config: Config) -> Tensor:
    """Return (8,) float64 sums of a validation batch: 2D loss, 3D loss, their numbers; both errors, their numbers."""
    values = state.average.values if state.average else dict(state.network.state_dict())
    with autocast(config.loop.precision, inputs.image_B3HW.device):
        maps, xyz = torch.func.functional_call(state.network, values, (inputs.image_B3HW,))
    flat = loss_2d(maps, inputs.uv_BK2, inputs.present_2d_BK, config.loss.loss_2d, config.loss.over)
    deep = loss_3d(xyz, inputs.xyz_BK3, inputs.present_3d_BK, config.loss.loss_3d)
    found = read_out(maps, READ_OUT_OF[config.model.kind])
    off_2d = _distance(found, inputs.uv_BK2, inputs.present_2d_BK)
    off_3d = _distance(xyz, inputs.xyz_BK3, inputs.present_3d_BK)
    parts = (flat.total, deep.total, flat.number, deep.number, off_2d.total, off_3d.total)
    return torch.stack([*parts, off_2d.number, off_3d.number]).double()


def end_epoch(
    state: State, config: Config, figures: dict[str, Any], validation: dict[str, float]
) -> tuple[dict[str, Any], bool]:
    """Close the epoch: mean losses, the schedule, the position of the next one.

    Returns:
        The log entry, and whether the validation total is the lowest so far.
    """
    position = state.position
    losses = {name: position.sums[name] / config.loop.batches for name in ("total", "loss_2d", "loss_3d")}
    entry = {
        "epoch": position.epoch + 1,
        "step": position.step,
        "train": losses,
        "val": validation,
        "lr": state.schedule.rate(position.step - 1),
        **figures,
    }
    watched = validation.get("total", losses["total"])
    state.schedule.epoch_ended(watched)
    is_best = bool(validation) and (position.best_loss is None or watched < position.best_loss)
    position.epoch, position.batch, position.sums = position.epoch + 1, 0, {}
    if is_best:
        position.best_loss, position.best_epoch = watched, position.epoch
    return entry, is_best


@contextmanager
def asked_to_stop() -> Iterator[Stop]:
    """Yield what SIGTERM and Ctrl-C are noted in; a second signal acts as it always did."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def remember(number: int, _frame: FrameType | None) -> None:
        stop.by = signal.Signals(number)
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, remember)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _distance(found_BKD: Tensor, true_BKD: Tensor, present_BK: Tensor) -> Ratio:
    """Return the sum of the distances of what is present, and their number; nothing is picked out, nobody waits."""
    distance = torch.linalg.vector_norm(found_BKD - true_BKD, dim=-1)
    return Ratio(torch.where(present_BK, distance, 0.0).sum(), present_BK.sum().float())


def _losses(sums: Tensor, loss: LossConfig) -> Tensor:
    """Return (2D, 3D, weighted total) from (2D sum, 3D sum, 2D count, 3D count)."""
    flat, deep = sums[0] / sums[2].clamp(min=1.0), sums[1] / sums[3].clamp(min=1.0)
    return torch.stack([flat, deep, loss.weight_2d * flat + loss.weight_3d * deep])


@contextmanager
def shown(title: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Show the progress of one task on the first process; yield what counts a step."""
    if not is_first():
        yield lambda: None
        return
    with meter(title, total) as bar:
        bar.advance(done)
        yield bar.advance


def _save(state: State, run: RunFolder, config: Config, name: str) -> None:
    """Write a checkpoint on the first process; the others wait."""
    if rank() == 0:
        state.save(run.checkpoints / name, config, resumable=name == LAST)
    wait()


def _line(entry: dict[str, Any], config: Config) -> str:
    def part(losses: dict[str, float]) -> str:
        return f"{losses['total']:.4f} (2D {losses['loss_2d']:.4f}, 3D {losses['loss_3d']:.4f})"

    val = entry["val"]
    measured = f", val {part(val)}, error 2D {val['error_2d']:.4f} 3D {val['error_3d']:.4f}" if val else ""
    shares = " ".join(f"{name} {share:.1%}" for name, share in entry["mix"].items())
    drawn = f", drawn {shares}" if len(entry["mix"]) > 1 else ""
    return (
        f"epoch {entry['epoch']}/{config.loop.epochs}: train {part(entry['train'])}{measured}, "
        f"lr {entry['lr']:.2g}, {entry['samples_per_s']:.0f} samples/s, waiting {entry['data_wait']:.1%}{drawn}"
    )
