"""The training loop, to be read from top to bottom.

One process or many make the same steps: every loss is a sum over what is present in the whole batch, divided once.
"""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from handdata.errors import ConfigError
from handdata.files.locks import alone
from handdata.model.config import BEST, LAST
from handdata.model.device import autocast
from handdata.model.families.family import Family
from handdata.model.losses import Ratio
from handdata.model.released import records_behind
from handdata.progress import meter, say
from handdata.train.augment.prepare import Inputs
from handdata.train.augment.views import Views, make_views
from handdata.train.config import Config
from handdata.train.distributed import environment, group, is_first, rank, sum_over_processes, wait, world
from handdata.train.epoch_losses import LAG, TOTAL, Clock, Ledger, means
from handdata.train.forecast import announce
from handdata.train.loader.loaders import EvalLoader, Loader, Mixture
from handdata.train.loader.sources import open_sources
from handdata.train.optim import clip
from handdata.train.placing import size_trained_on
from handdata.train.precision import set_up_device
from handdata.train.reversal import TERM as DOMAIN
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
                lost = f"what came after its last checkpoint is lost, {GO_ON}"
                kept = lost if RunFolder(job.run).is_resumable else NOTHING
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
    state = build(config, device, job.init_from, datasets=train_set.names)
    if job.resume:
        resume(state, run.path, config)
    state.measure_size = partial(size_trained_on, train_set.datasets, config.adapt.target)
    wait()  # nobody writes before everybody has read
    if rank() == 0:
        begin(job, run, state, train_set, val_set, device)
    views = make_views(config, train_set, device, train=True)
    views_of_val = val_views(config, val_set, device)
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
            losses = validate(state, config, val_set, views_of_val(), device) if val_set else {}
            entry, is_best = end_epoch(state, config, figures, losses)
            if rank() == 0:
                run.log(entry)
                board.write(entry)
                say(_line(entry, config, state.family))
            if is_best:
                _save(state, run, config, BEST)
            _save(state, run, config, LAST)
    return True


def begin(
    job: Job, run: RunFolder, state: State, train_set: Mixture, val_set: Mixture | None, device: torch.device
) -> None:
    """Write and say what is known before the first step."""
    held = val_set.datasets if val_set else []
    before = [] if job.init_from is None else records_behind(job.init_from)
    run.start(job.config, train_set.datasets, held, environment(device), before)
    run.cut_log(state.position.epoch)
    start = job.config.start
    if start.encoder != "trained" and not (start.weights or job.init_from or job.resume):
        say(
            f"WARNING: start.encoder = {start.encoder} holds the encoder at RANDOM weights: it will never learn. "
            "Give --weights or --init-from, or --set start.encoder=trained."
        )
    announce(job.config, state, train_set, val_set, device)


def val_views(config: Config, val_set: Mixture | None, device: torch.device) -> Callable[[], Views]:
    """Return what gives the views of the validation: made when first asked for, since painting backgrounds takes long.

    A pool of backgrounds that is named is opened at once, so that a wrong one ends the training before it begins.
    """

    @cache
    def views() -> Views:
        assert val_set is not None  # noqa: S101  # without one nothing is validated
        return make_views(config, val_set, device, train=False)

    if val_set and config.data.backgrounds:
        views()
    return views


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
    lag = LAG if loader.device.type == "cuda" else 0
    ledger = Ledger(state.names, position.sums, loader.mixture, run, lag=lag)
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
        (2 T + 2,) on the device, over all processes: the T terms' losses, their weighted total, T times 1 where
        something of the term was present and 0 where nothing was; how many were told to stop.
    """
    rate = state.schedule.rate(state.position.step)
    for group_of_parameters in state.optimizer.param_groups:
        group_of_parameters["lr"] = rate
    state.optimizer.zero_grad(set_to_none=True)  # before the forward pass: a replayed graph writes over old gradients
    own = _sums(state, inputs, config, rate)
    told = own.new_full((1,), float(stopping))
    sums = sum_over_processes(torch.cat([own.detach(), told]))
    terms, weights = len(own) // 2, state.weights
    counts = sums[terms:-1].clamp(min=1.0)
    total = weights[0] * own[0] / counts[0]
    for term in range(1, terms):
        total = total + weights[term] * own[term] / counts[term]
    state.scaler.scale(total * world()).backward()  # type: ignore[no-untyped-call]  # gradients are averaged over processes, sums are wanted
    descend(state, config)
    return torch.cat([_losses(sums[:-1], weights), (sums[terms:-1] > 0).to(sums.dtype), sums[-1:]])


def _sums(state: State, inputs: Inputs, config: Config, rate: float) -> Tensor:
    """Return the (2 T,) sums and counts of a batch; with `adapt` those of the domains are the last of the T terms."""
    reversal = state.reversal
    if reversal is None:
        return state.objective(inputs, state.position.epoch)
    reversal.set_rate(rate)
    reversal.optimizer.zero_grad(set_to_none=True)
    own = state.objective(reversal.masked(inputs), state.position.epoch)
    return reversal.join(own, inputs, state.position.step / (config.loop.epochs * config.loop.batches))


def descend(state: State, config: Config) -> None:
    """Move the weights by the gradients that are there, and their running average after them."""
    state.scaler.unscale_(state.optimizer)
    clip(state.network.parameters(), config.optim.clip_norm)
    state.scaler.step(state.optimizer)
    if state.reversal is not None:
        state.scaler.step(state.reversal.optimizer)
    state.scaler.update()
    if state.average is not None:
        state.average.update()


@torch.no_grad()
def validate(
    state: State, config: Config, val_set: Mixture, views: Views, device: torch.device
) -> dict[str, float | None]:
    """Return the losses over the validation samples, and the mean errors of the model's own read-out.

    The running average's weights are used where there are any. `error_2d` is in crop fractions, `error_3d` in units
    of wrist to middle MCP, both over the keypoints present. A loss or an error of nothing is None.
    """
    state.network.eval()
    terms = len(state.family.names)
    sums = torch.zeros(2 * terms + 4, device=device, dtype=torch.float64)
    loader = EvalLoader(val_set, config.data.batch, device=device, rank=rank(), world_size=world())
    with loader, shown("validation", len(loader)) as count:
        for batch in loader:
            sums += measure(state, views.inputs(batch), config)
            count()
    sums = sum_over_processes(sums)
    losses = _losses(sums[: 2 * terms], state.weights[:terms]).tolist()
    present = (sums[terms : 2 * terms] > 0).tolist()
    errors = (sums[-4:-2] / sums[-2:].clamp(min=1)).tolist()
    values = dict(zip((*state.family.names, TOTAL, "error_2d", "error_3d"), (*losses, *errors), strict=True))
    is_there = (*present, any(present), *(sums[-2:] > 0).tolist())
    return {name: value if here else None for (name, value), here in zip(values.items(), is_there, strict=True)}


def measure(state: State, inputs: Inputs, config: Config) -> Tensor:
    """Return (2 T + 4,) float64 sums of a batch: the terms' losses, their numbers; 2D and 3D errors, their numbers."""
    values = state.average.values if state.average else dict(state.network.state_dict())
    with autocast(config.loop.precision, inputs.image_B3HW.device):
        prediction = torch.func.functional_call(state.network, values, (inputs.image_B3HW,))
    family, model = state.family, config.model
    ratios = family.sums(prediction, inputs.labels, config.loss)
    found = family.read(prediction, model, family.read_outs(model)[0])
    off_2d = _distance(found.uv_BK2, inputs.uv_BK2, inputs.present_2d_BK)
    off_3d = _distance(found.xyz_BK3, inputs.xyz_BK3, inputs.present_3d_BK)
    parts = (*(ratio.total for ratio in ratios), *(ratio.number for ratio in ratios), off_2d.total, off_3d.total)
    return torch.stack([*parts, off_2d.number, off_3d.number]).double()


def end_epoch(
    state: State, config: Config, figures: dict[str, Any], validation: dict[str, float | None]
) -> tuple[dict[str, Any], bool]:
    """Close the epoch: mean losses, the schedule, the position of the next one.

    Returns:
        The log entry, and whether the validation total is the lowest so far.
    """
    position = state.position
    losses = means(state.names, position.sums, config.loop.batches)
    entry = {
        "epoch": position.epoch + 1,
        "step": position.step,
        "train": losses,
        "val": validation,
        "lr": state.schedule.rate(position.step - 1),
        **figures,
    }
    validated, trained = validation.get(TOTAL), losses[TOTAL]
    assert trained is not None  # noqa: S101  # only terms may be missing
    watched = trained if validated is None else validated
    state.schedule.epoch_ended(watched)
    is_best = validated is not None and (position.best_loss is None or watched < position.best_loss)
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


def _losses(sums: Tensor, weights: Sequence[float]) -> Tensor:
    """Return (T + 1,) losses and their weighted total from (2 T,) sums and counts."""
    totals, counts = sums.chunk(2)
    losses = [total / count.clamp(min=1.0) for total, count in zip(totals, counts, strict=True)]
    whole = weights[0] * losses[0]
    for weight, loss in zip(weights[1:], losses[1:], strict=True):
        whole = whole + weight * loss
    return torch.stack([*losses, whole])


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


def _line(entry: dict[str, Any], config: Config, family: Family) -> str:
    def text(value: float | None) -> str:
        return "none" if value is None else f"{value:.4f}"

    def part(losses: dict[str, float | None]) -> str:
        labels = {term.name: term.label for term in family.terms} | {DOMAIN: "domain"}
        terms = ", ".join(f"{label} {text(losses[name])}" for name, label in labels.items() if name in losses)
        return f"{text(losses[TOTAL])} ({terms})"

    val, mix = entry["val"], entry["mix"]
    measured = f", val {part(val)}, error 2D {text(val['error_2d'])} 3D {text(val['error_3d'])}" if val else ""
    drawn = ", drawn " + " ".join(f"{name} {share:.1%}" for name, share in mix.items()) if len(mix) > 1 else ""
    return (
        f"epoch {entry['epoch']}/{config.loop.epochs}: train {part(entry['train'])}{measured}, "
        f"lr {entry['lr']:.2g}, {entry['samples_per_s']:.0f} samples/s, waiting {entry['data_wait']:.1%}{drawn}"
    )
