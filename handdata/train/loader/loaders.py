"""Batches from shards: `Loader` for training, `EvalLoader` for scoring. torch_view.py serves other people's loops.

    shards -> Mixture (which samples) -> Loader (in which order) -> Feeder (threads, ring, upload) -> Batch

The sample at position i of epoch e is a function of (seed, e, i): the same for any number of threads, processes and
GPUs, and after a restart at any batch. Nothing but row numbers is decided ahead, so a loader has no state to save:
the epoch and the number of batches done are all that resuming needs.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Literal, Self

import numpy as np
import torch

from handdata.errors import ConfigError
from handdata.train.loader.mixture import Batch, Mixture, open_mixture
from handdata.train.loader.prefetch import BatchRequest, BatchSource, CachedSource, Chunk, Feeder, ShardSource

__all__ = ["Batch", "EvalLoader", "Loader", "Mixture", "open_mixture"]

CHUNK = 16_384  # samples whose labels are gathered at once: 15 MB, and few passes over however many shards
GROWTH = 8  # of the chunks before they are full: each is a pass over all shards


class _Batches:
    """What both loaders share: a source of pixels and the threads that read it."""

    def __init__(
        self,
        mixture: Mixture,
        batch_size: int,
        device: torch.device | str,
        threads: int,
        prefetch: int | None,
        cache: str,
    ) -> None:
        self.mixture = mixture
        self.device = torch.device(device)
        source: BatchSource = (
            CachedSource(mixture, self.device) if cache == "device" else ShardSource(mixture, batch_size, self.device)
        )
        self._feeder = Feeder(source, self.device, threads, threads + 1 if prefetch is None else prefetch)

    def close(self) -> None:
        """End the threads."""
        self._feeder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Loader(_Batches):
    """Training batches of a mixture, in a random order that needs no state.

    Args:
        mixture: from `open_mixture`.
        batch_size: samples of one step over ALL processes; each gets `batch_size / world_size` of them, so that a
            run goes on exactly with another world size.
        seed: of the run.
        device: where the pixels go.
        rank: of this process.
        world_size: processes.
        threads: that copy rows; 0 copies in the caller's thread.
        prefetch: batches made ahead; threads + 1 by default.
        cache: "device" keeps all pixels there, "none" reads the shards.

    Raises:
        ConfigError: the batch cannot be shared evenly, or the cache does not fit.
    """

    def __init__(
        self,
        mixture: Mixture,
        batch_size: int,
        *,
        seed: int = 0,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        threads: int = 2,
        prefetch: int | None = None,
        cache: Literal["none", "device"] = "none",
    ) -> None:
        if batch_size < 1 or batch_size % world_size:
            raise ConfigError(
                "batch_size",
                expected=f"a multiple of {world_size} processes",
                got=str(batch_size),
                fix="The batch is that of all processes together.",
            )
        super().__init__(mixture, batch_size // world_size, device, threads, prefetch, cache)
        self.batch_size = batch_size
        self.seed = seed
        self._rank = rank
        self._share = batch_size // world_size

    def __len__(self) -> int:
        """Batches in one pass over the mixture, the last incomplete one left out."""
        return self.mixture.slots.total // self.batch_size

    def epoch(self, epoch: int, *, start_batch: int = 0, batches: int | None = None) -> Iterator[Batch]:
        """Yield this process's part of every batch of an epoch, from `start_batch` on.

        Args:
            epoch: counted from 0.
            start_batch: batches already done, when a run goes on.
            batches: of the whole epoch; one pass over the mixture by default. More than a pass goes round again.
        """
        total = max(1, len(self)) if batches is None else batches
        yield from self._feeder.run(self._requests(epoch, start_batch, total))

    def realized_mix(self, epoch: int, batches: int | None = None) -> dict[str, float]:
        """Return the share of each dataset among the samples that an epoch draws, over all processes."""
        total = (max(1, len(self)) if batches is None else batches) * self.batch_size
        dataset, _ = self.mixture.slots.draw(self.seed, epoch, np.arange(total))
        counts = np.bincount(dataset, minlength=len(self.mixture.names))
        return dict(zip(self.mixture.names, (counts / total).tolist(), strict=True))

    def _requests(self, epoch: int, start: int, total: int) -> Iterator[BatchRequest]:
        first, together = start, 1  # the first chunk is one batch, so that a training over many shards starts at once
        while first < total:
            count = min(together, total - first)
            steps = np.arange(first, first + count)[:, None] * self.batch_size + self._rank * self._share
            positions = (steps + np.arange(self._share)).ravel()
            dataset, sample = self.mixture.slots.draw(self.seed, epoch, positions)
            chunk = Chunk(self.mixture, dataset, sample, positions, epoch)
            first, together = first + count, min(GROWTH * together, max(1, CHUNK // self._share))
            for i in range(count):
                yield BatchRequest(chunk, slice(i * self._share, (i + 1) * self._share))


class EvalLoader(_Batches):
    """Every sample of a mixture once, in stored order; the last batch may be smaller (docs/method.md E3).

    With several processes each takes every `world_size`-th batch. `position` counts through the mixture.

    Args:
        mixture: from `open_mixture`.
        batch_size: samples of one batch.
        device: where the pixels go.
        rank: of this process.
        world_size: processes.
        threads: that copy rows; 0 copies in the caller's thread.
        limit: stop after so many samples.
    """

    def __init__(
        self,
        mixture: Mixture,
        batch_size: int,
        *,
        device: torch.device | str = "cpu",
        rank: int = 0,
        world_size: int = 1,
        threads: int = 2,
        limit: int | None = None,
    ) -> None:
        super().__init__(mixture, batch_size, device, threads, None, "none")
        self._rank, self._world_size = rank, world_size
        self.batch_size = batch_size
        self.num_samples = len(mixture) if limit is None else min(limit, len(mixture))

    def __len__(self) -> int:
        """Batches of this process."""
        return len(range(self._rank * self.batch_size, self.num_samples, self._world_size * self.batch_size))

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches, in order."""
        return self._feeder.run(self._requests())

    def _requests(self) -> Iterator[BatchRequest]:
        starts = np.cumsum([0, *(len(dataset) for dataset in self.mixture.datasets)])
        for first in range(self._rank * self.batch_size, self.num_samples, self._world_size * self.batch_size):
            position = np.arange(first, min(first + self.batch_size, self.num_samples))
            dataset = np.searchsorted(starts, position, side="right") - 1
            yield BatchRequest(
                Chunk(self.mixture, dataset, position - starts[dataset], position, 0), slice(0, len(position))
            )
