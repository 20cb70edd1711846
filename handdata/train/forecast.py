"""What a training is about to do, said before its first step: device, samples, steps, parameters, expected time."""

import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from handdata.model.device import autocast
from handdata.progress import say
from handdata.shards.dataset import Dataset
from handdata.skeleton import RIGHT
from handdata.train.augment.prepare import is_labelled
from handdata.train.config import Config
from handdata.train.distributed import device_name, world
from handdata.train.loader.loaders import Mixture
from handdata.train.loader.mixture import names_of
from handdata.train.state import State

TRIAL = {"cpu": (2, 8), "cuda": (64, 64)}  # samples of the first trial step, and of two more where that one was quick
QUICK = 0.5  # seconds of a trial step
FORWARD_SHARE = 1 / 3  # of a step's work, which is what validation costs
LONG = 12 * 3600.0  # seconds; a training that takes longer without a GPU is told of smaller ones
SMALL = ("compact", "demo")  # recipes for a CPU


def announce(config: Config, state: State, train_set: Mixture, val_set: Mixture | None, device: torch.device) -> None:
    """Say what is about to be trained, and how long it is likely to take."""
    for line in (*described(config, state, train_set, val_set, device), *_unknown_sides(config, train_set)):
        say(line)
    seconds = expected_seconds(config, state, val_set, device)
    say(f"expected: about {duration(seconds)} on this device")
    if device.type == "cpu" and seconds > LONG and config.name not in SMALL:
        say(
            f"no GPU: recipe {config.name} takes {duration(seconds)} here. "
            "--recipe compact is made for CPUs and takes hours, --recipe demo minutes."
        )


def described(
    config: Config, state: State, train_set: Mixture, val_set: Mixture | None, device: torch.device
) -> list[str]:
    """Return the device, the recipe with its parameters, the samples and the steps, a line each."""
    counts = [parameter.numel() for parameter in state.network.parameters()]
    learning = sum(parameter.numel() for parameter in state.network.parameters() if parameter.requires_grad)
    frozen = f", {sum(counts) - learning:,} of them frozen" if learning < sum(counts) else ""
    processes = f", {world()} processes" if world() > 1 else ""
    loop, left = config.loop, config.loop.epochs - state.position.epoch
    steps = left * loop.batches
    return [
        f"device: {device_name(device)}{processes}",
        f"recipe {config.name}: model {config.model.kind}, {sum(counts):,} parameters{frozen}",
        f"trains on {_counted(train_set.datasets)}",
        f"validates on {_counted(val_set.datasets) if val_set else 'nothing'}",
        f"{steps:,} steps of {config.data.batch} samples: {left} epochs of {loop.batches}",
    ]


def expected_seconds(config: Config, state: State, val_set: Mixture | None, device: torch.device) -> float:
    """Return how long the epochs that are left are likely to take, by trial steps of empty pictures."""
    loop, left = config.loop, config.loop.epochs - state.position.epoch
    validated = len(val_set) if val_set else 0
    samples = left * (loop.batches * config.data.batch + FORWARD_SHARE * validated)
    return samples * seconds_per_sample(state.network, config, device) / world()


def seconds_per_sample(network: nn.Module, config: Config, device: torch.device) -> float:
    """Return the time of forward and backward passes per sample; no weight, statistic or draw changes."""
    network.eval()  # an epoch begins by setting it to train
    few, more = (min(count, config.data.batch) for count in TRIAL[device.type])
    first = _timed(network, few, config, device)
    if first > QUICK:
        return _timed(network, few, config, device) / few
    return min(_timed(network, more, config, device) for _ in range(2)) / more


def duration(seconds: float) -> str:
    """Return a time as people say it."""
    for unit, size, least in (("days", 86_400, 2), ("hours", 3600, 2), ("minutes", 60, 2)):
        if seconds >= least * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{max(seconds, 1):.0f} s"


def _timed(network: nn.Module, count: int, config: Config, device: torch.device) -> float:
    size = config.model.size
    image = torch.zeros(count, 3, size, size, device=device)
    if config.loop.channels_last:
        image = image.contiguous(memory_format=torch.channels_last)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    start = time.perf_counter()
    with autocast(config.loop.precision, device):
        prediction = network(image)
    whole = torch.stack([part.float().sum() for part in prediction if part.requires_grad]).sum()
    torch.autograd.grad(whole, [p for p in network.parameters() if p.requires_grad], allow_unused=True)
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - start


def _counted(datasets: Sequence[Dataset]) -> str:
    total = sum(len(dataset) for dataset in datasets)
    return f"{total:,} samples: " + ", ".join(
        f"{name} {len(dataset):,}" for name, dataset in zip(names_of(datasets), datasets, strict=True)
    )


def _unknown_sides(config: Config, train_set: Mixture) -> Iterator[str]:
    """Yield how many hands are shown both as they lie and mirrored, since nobody knows which side they are of."""
    names = train_set.names
    for name, part, augment in zip(names, train_set.datasets, config.augment.of(names), strict=True):
        labelled = is_labelled(part["annotated_2d"], part["annotated_3d"])
        count = int((labelled & (part["hand_side"] > RIGHT)).sum()) if augment.mirror_right else 0
        if count:
            yield f"{name}: {count} of {len(part)} hands do not say their side: shown mirrored half of the time"
