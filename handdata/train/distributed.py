"""Several processes as one: torchrun's environment, sums over processes, batch norm over the whole batch.

Everything here works without a process group too; then the world is one process.
"""

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from handdata import __version__
from handdata.model.device import choose_device


def rank() -> int:
    """Return this process' number, 0 without a group."""
    return dist.get_rank() if dist.is_initialized() else 0


def is_first() -> bool:
    """Say whether this process speaks for all of them; true before and after the group too."""
    return os.environ.get("RANK", "0") == "0"


def world() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


@contextmanager
def group(device: str) -> Iterator[torch.device]:
    """Join the processes that torchrun started, if it did, and yield this process' device.

    Args:
        device: "auto", "cpu", "cuda" or "cuda:1"; "auto" takes a GPU where there is one. Under torchrun "cuda" is the
            GPU of the process' local rank.

    Raises:
        ConfigError: the device is not here.
    """
    launched = "RANK" in os.environ and "WORLD_SIZE" in os.environ
    chosen = choose_device(device, int(os.environ.get("LOCAL_RANK", "0")) if launched else None)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    if launched and chosen.type == "cuda":
        dist.init_process_group("nccl", device_id=chosen)  # told, it need not guess at the first barrier
    elif launched:
        dist.init_process_group("gloo")
    try:
        yield chosen
    finally:
        if launched:
            dist.destroy_process_group()


def device_name(device: torch.device) -> str:
    """Return what a device is, for people."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return f"{device.type}: {name}"


def environment(device: torch.device) -> dict[str, Any]:
    """Return what a reader needs to repeat a run on the same ground."""
    return {
        "handdata": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "cuda": torch.version.cuda,
        "device": device_name(device),
        "processes": world(),
        "threads": torch.get_num_threads(),
        "command": sys.argv,
    }


def sum_over_processes(values: Tensor) -> Tensor:
    """Return the sum of every process' tensor; the tensor itself when alone. No gradient."""
    if world() > 1:
        dist.all_reduce(values)
    return values


def texts_of_all(texts: list[str]) -> list[str]:
    """Return every process' texts, in rank order. Every process must call it."""
    if world() == 1:
        return texts
    gathered: list[list[str]] = [[] for _ in range(world())]
    dist.all_gather_object(gathered, texts)
    return [text for part in gathered for text in part]


def wait() -> None:
    """Wait until every process is here."""
    if world() > 1:
        dist.barrier()


def spread(network: nn.Module, device: torch.device, *, partly_used: bool) -> nn.Module:
    """Return the network with gradients averaged over processes and batch norm over the whole batch.

    Args:
        network: on `device`.
        device: of this process.
        partly_used: some parameters that train get no gradient, such as the 3D head without a 3D loss.
    """
    if world() == 1:
        return network
    share_batch_norm(network)
    devices = [device.index] if device.type == "cuda" else None
    return DistributedDataParallel(
        network, device_ids=devices, broadcast_buffers=False, find_unused_parameters=partly_used
    )


class SharedBatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics run over the batches of all processes; on any device.

    PyTorch's own SyncBatchNorm wants CUDA. Every process must have the same number of samples.
    """

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the normalised map; alone or in eval mode as plain batch norm."""
        if not self.training or world() == 1:
            return super().forward(x_BCHW)
        x = x_BCHW.float()
        mean = _mean_over_processes(x.mean((0, 2, 3)))
        centred = x - mean[:, None, None]
        variance = _mean_over_processes(centred.square().mean((0, 2, 3)))
        self._remember(mean.detach(), variance.detach(), world() * x.numel() // x.shape[1])
        result = centred * torch.rsqrt(variance + self.eps)[:, None, None]
        scaled: Tensor = result * self.weight[:, None, None] + self.bias[:, None, None]
        return scaled.to(x_BCHW.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return  # made without statistics
        momentum = 0.1 if self.momentum is None else self.momentum  # PyTorch's default
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, momentum)
        self.running_var.lerp_(variance * count / (count - 1), momentum)


def share_batch_norm(network: nn.Module) -> None:
    """Make every batch norm of a network a shared one, in place; names, values and count stay."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d:
            module.__class__ = SharedBatchNorm


class _Summed(torch.autograd.Function):
    """The sum over processes, and of the gradients as well: every process' result depends on every process' values.

    torch.distributed.nn has one too and says since PyTorch 2.13 that it will go.
    """

    @staticmethod
    def forward(_context: Any, values: Tensor) -> Tensor:
        return sum_over_processes(values.clone(memory_format=torch.contiguous_format))

    @staticmethod
    def backward(_context: Any, gradient: Tensor) -> Tensor:
        return sum_over_processes(gradient.clone(memory_format=torch.contiguous_format))


def _mean_over_processes(values: Tensor) -> Tensor:
    total: Tensor = _Summed.apply(values)  # type: ignore[no-untyped-call]
    return total / world()
